"""Rasters made of others: a part of one, or several on one grid as the bands of one; read by window like any."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import rasterio
from numpy.typing import NDArray

from crispmap.errors import InputError
from crispmap.geo.raster import Nodata, Raster, Window, check_same_grid


@dataclass(frozen=True)
class RasterPart(Raster):
    """A rectangle of a raster; what lies outside it is not seen.

    Attributes:
        whole: The raster.
        row: The row of ``whole`` at which the part begins.
        col: Its column.
    """

    whole: Raster
    row: int
    col: int

    @classmethod
    def cut(cls, whole: Raster, window: Window) -> Self:
        """The part of a raster inside a window, which must lie inside the raster."""
        place = {
            "height": window.height,
            "width": window.width,
            "transform": whole.transform @ rasterio.Affine.translation(window.col, window.row),
        }
        fields = {name: getattr(whole, name) for name in Raster.__dataclass_fields__}
        return cls(**fields | place, whole=whole, row=window.row, col=window.col)

    def read(self, window: Window, nodata: Nodata = "file") -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Reads a part of the part, as `Raster.read` does."""
        pixels: NDArray[Any] = np.zeros((len(self.bands), window.height, window.width), self.dtype)
        valid = np.zeros((window.height, window.width), bool)
        inside = window.intersection(self.window)
        if inside.height and inside.width:
            rows, cols = inside.slices_in(window)
            place = Window(inside.row + self.row, inside.col + self.col, inside.height, inside.width)
            pixels[:, rows, cols], valid[rows, cols] = self.whole.read(place, nodata)
        return pixels, valid

    def _reduced(self, window: Window, shape: tuple[int, int], nodata: Nodata) -> NDArray[np.float32] | None:
        if window.intersection(self.window) != window:
            return None
        place = Window(window.row + self.row, window.col + self.col, window.height, window.width)
        return self.whole._reduced(place, shape, nodata)


@dataclass(frozen=True)
class RasterStack(Raster):
    """Rasters on one grid, their bands one after the other; a pixel holds data where it does in all of them.

    Attributes:
        layers: The rasters; the stack has the path and the place of the first.
    """

    layers: tuple[Raster, ...]

    @classmethod
    def of_layers(cls, *layers: Raster) -> Self:
        """Stacks rasters.

        Raises:
            PairingError: If they do not share one grid.
            InputError: If their types differ.
        """
        first = layers[0]
        for other in layers[1:]:
            check_same_grid(other, first)
            if other.dtype != first.dtype:
                raise InputError(
                    f"{first.path} holds {first.dtype} but {other.path} {other.dtype}; convert one of them"
                )
        fields = {name: getattr(first, name) for name in Raster.__dataclass_fields__}
        count = sum(len(layer.bands) for layer in layers)
        return cls(**fields | {"bands": tuple(range(1, count + 1))}, layers=layers)

    def read(self, window: Window, nodata: Nodata = "file") -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Reads a part of all layers, as `Raster.read` does."""
        pixels, valid = zip(*(layer.read(window, nodata) for layer in self.layers), strict=True)
        return np.concatenate(pixels), np.logical_and.reduce(valid)

    def _reduced(self, window: Window, shape: tuple[int, int], nodata: Nodata) -> NDArray[np.float32] | None:
        found = [layer._reduced(window, shape, nodata) for layer in self.layers]
        parts = [part for part in found if part is not None]
        return np.concatenate(parts) if len(parts) == len(found) else None
