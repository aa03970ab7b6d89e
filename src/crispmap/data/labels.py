"""Labels of one image: a mask raster, a raster of published codes, or polygons burnt into the grid; read by window."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import shapely
from numpy.typing import NDArray

from crispmap.errors import InputError
from crispmap.geo.mask import MaskRaster
from crispmap.geo.raster import Raster, Window
from crispmap.geo.vector import Footprints

IGNORED = 255  # class number of pixels of which nothing is known
UNKNOWN = 254  # class number of pixels whose code a dataset does not have
_CELL = 32  # pixels a side: a mask gives one anchor for every such cell that holds the class

_Read = Callable[[Window], tuple[NDArray[np.bool_], NDArray[np.bool_]]]


class Label(Protocol):
    """What the ground truth of one image can do."""

    def read(self, window: Window) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """The class and where it is known, both (height, width); several classes are (classes, height, width)."""

    def anchors(self) -> NDArray[np.int64]:
        """Pixels (row, column) of the class, spread over all of it, shaped (n, 2): windows are placed by them."""


@dataclass(frozen=True)
class RasterLabel:
    """A mask raster on the image's grid."""

    mask: MaskRaster

    def read(self, window: Window) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """The class and where it is known."""
        return self.mask.read(window)

    def anchors(self) -> NDArray[np.int64]:
        """One pixel of the class for each cell of 32 pixels a side that holds any."""
        return _one_a_cell(self.read, self.mask.raster)


@dataclass(frozen=True)
class CodedLabel:
    """A raster whose values or colours stand for classes, as a dataset publishes them.

    Attributes:
        raster: The file; whatever nodata it declares, its codes have the word.
        decode: From pixels (bands, height, width) to class numbers (height, width) uint8: 255 where nothing is known,
            254 where the code is none of the dataset's.
        classes: The numbers of the classes. With one, `read` gives its mask; with several, a mask of each.
    """

    raster: Raster
    decode: Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
    classes: tuple[int, ...] = (1,)

    def __post_init__(self) -> None:
        """Checks the type: codes are bytes.

        Raises:
            InputError: If the file's are something else.
        """
        if self.raster.dtype != "uint8":
            raise InputError(f"{self.raster.path} holds {self.raster.dtype}, but the published labels hold uint8")

    def read(self, window: Window) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """The class and where it is known, both (height, width); several classes are (classes, height, width).

        Raises:
            InputError: If the file holds other codes than the dataset's.
        """
        pixels, inside = self.raster.read(window, "none")
        numbers = self.decode(pixels)
        if (odd := numbers == UNKNOWN).any():
            codes = np.unique(pixels[:, odd], axis=1).T[:3].tolist()
            found = ", ".join(str(code[0] if len(code) == 1 else tuple(code)) for code in codes)
            raise InputError(
                f"{self.raster.path} holds {found}, which the published labels do not; is the file the original?"
            )
        known = inside & (numbers != IGNORED)
        masks = (numbers == np.array(self.classes, np.uint8)[:, None, None]) & known
        return (masks[0] if len(self.classes) == 1 else masks), known

    def anchors(self) -> NDArray[np.int64]:
        """One pixel of the class for each cell of 32 pixels a side that holds any; of several classes, one of each."""
        return _one_a_cell(self.read, self.raster)


@dataclass(frozen=True)
class Unlabelled:
    """No label at all: nothing is known anywhere, as in images that are only to be predicted."""

    def read(self, window: Window) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Nothing, known nowhere."""
        nothing = np.zeros((window.height, window.width), bool)
        return nothing, nothing.copy()

    def anchors(self) -> NDArray[np.int64]:
        """None."""
        return np.empty((0, 2), np.int64)


@dataclass(frozen=True)
class VectorLabel:
    """Polygons in the image's CRS; inside the image, no polygon means background."""

    footprints: Footprints
    raster: Raster

    def read(self, window: Window) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """The class and where it is known: everywhere."""
        return self.footprints.burn(self.raster, window), np.ones((window.height, window.width), bool)

    def anchors(self) -> NDArray[np.int64]:
        """One point inside each polygon, where that falls into the image."""
        points = shapely.get_coordinates(shapely.point_on_surface(self.footprints.polygons))
        cols, rows = ~self.raster.transform @ (points[:, 0], points[:, 1])
        pixels = np.floor(np.column_stack([rows, cols])).astype(np.int64)
        inside = (pixels >= 0) & (pixels < (self.raster.height, self.raster.width))
        return np.asarray(pixels[inside.all(axis=1)])


def _one_a_cell(read: _Read, raster: Raster) -> NDArray[np.int64]:
    """One pixel (row, column) of each class for every cell that holds any, as central as there is one."""
    height, width = raster.height, raster.width
    found = [np.empty((0, 2), np.int64)]
    for row in range(0, height, _CELL):
        strip, known = read(Window(row, 0, min(_CELL, height - row), width))
        for mask in (strip & known).reshape(-1, *known.shape):
            rows, cols = np.nonzero(mask)
            middle = np.argsort(np.abs(rows - _CELL // 2), kind="stable")  # of a cell's pixels, a central one
            _, first = np.unique(cols[middle] // _CELL, return_index=True)
            found.append(np.column_stack([row + rows[middle][first], cols[middle][first]]))
    return np.concatenate(found)
