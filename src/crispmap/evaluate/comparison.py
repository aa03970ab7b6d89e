"""Predictions and truths brought onto one grid, whatever files they come from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from crispmap.errors import PairingError
from crispmap.evaluate.pairing import find_pairs, is_vector
from crispmap.geo.mask import MaskRaster, check_mask_set
from crispmap.geo.raster import Nodata, Raster, Window, check_same_grid
from crispmap.geo.vector import Footprints
from crispmap.progress import track

Reader = Callable[[Window], tuple[NDArray[np.bool_], NDArray[np.bool_]]]


class Masks(NamedTuple):
    """What is compared, each (height, width), bool."""

    pred: NDArray[np.bool_]
    truth: NDArray[np.bool_]
    valid: NDArray[np.bool_]


@dataclass(frozen=True)
class Comparison:
    """A prediction and its truth on the grid of a raster.

    Attributes:
        name: The stem that they share.
        grid: The raster; the prediction, where both are rasters.
        pred: Reads a window of the prediction, and where it holds data.
        truth: Reads a window of the truth, likewise.
        area: Outside of which nothing is compared; None for everywhere.
    """

    name: str
    grid: Raster
    pred: Reader
    truth: Reader
    area: Footprints | None

    def read(self, window: Window) -> Masks:
        """Reads a window; valid are the pixels inside the area that hold data on both sides."""
        pred, pred_valid = self.pred(window)
        truth, truth_valid = self.truth(window)
        valid = pred_valid & truth_valid
        if self.area is not None:
            valid &= self.area.burn(self.grid, window)
        return Masks(pred, truth, valid)


def comparisons(
    pred: Path, truth: Path, threshold: float, area: Path | None, nodata: Nodata
) -> tuple[list[Comparison], list[str]]:
    """Finds what to compare and looks through it; arguments and errors are those of `evaluate`.

    Returns:
        The comparisons by name, and notes on what was mended or left out in vector files.
    """
    pairs = find_pairs(pred, truth)
    pred_files, truth_files = [pair.pred for pair in pairs], [pair.truth for pair in pairs]
    pred_masks, truth_masks = _masks(pred_files, nodata), _masks(truth_files, nodata)
    grids = [mask.raster for mask in pred_masks or truth_masks]
    for pred_mask, truth_mask in zip(pred_masks, truth_masks, strict=False):
        check_same_grid(pred_mask.raster, truth_mask.raster)

    vector_files = [file for file in dict.fromkeys(pred_files + truth_files) if is_vector(file)]
    vectors = {file: _Vectors(file) for file in (vector_files if area is None else [*vector_files, area])}
    preds: list[Reader] = [partial(mask.read, threshold=threshold) for mask in pred_masks]
    truths: list[Reader] = [mask.read for mask in truth_masks]
    found = [
        Comparison(
            name=pair.name,
            grid=grid,
            pred=preds[i] if preds else vectors[pair.pred].reader(grid),
            truth=truths[i] if truths else vectors[pair.truth].reader(grid),
            area=None if area is None else vectors[area].near(grid),
        )
        for i, (pair, grid) in enumerate(zip(pairs, grids, strict=True))
    ]
    for file in vectors.values():
        file.check_used()
    return found, [note for file in vectors.values() for note in file.notes()]


def _masks(files: Sequence[Path], nodata: Nodata) -> list[MaskRaster]:
    """Looks through rasters; none where the files are vectors."""
    rasters = [file for file in files if not is_vector(file)]
    return check_mask_set([MaskRaster.of(file, nodata) for file in track(rasters, "looking at masks", len(rasters))])


class _Vectors:
    """A file of polygons that goes with one raster or with many."""

    def __init__(self, path: Path) -> None:
        self._footprints = Footprints.read(path)
        self._used = False
        if not len(self._footprints.polygons) and self._footprints.dropped:
            raise PairingError(f"{path} holds {self._footprints.dropped} features but no polygon; give polygons")

    def near(self, grid: Raster) -> Footprints:
        """The polygons that touch a raster, in its CRS."""
        near = self._footprints.on(grid).within(grid)
        self._used = self._used or len(near.polygons) > 0
        return near

    def reader(self, grid: Raster) -> Reader:
        """Reads polygons as a mask; they are known everywhere."""
        near = self.near(grid)
        return lambda window: (near.burn(grid, window), np.ones((window.height, window.width), bool))

    def check_used(self) -> None:
        """Checks that the polygons, if there are any, touch a raster."""
        if len(self._footprints.polygons) and not self._used:
            path = self._footprints.path
            raise PairingError(f"no polygon of {path} lies on the imagery; is it of the same place?")

    def notes(self) -> list[str]:
        """What was mended or left out."""
        found = {
            "with an invalid outline were repaired": self._footprints.repaired,
            "that are no polygons were left out": self._footprints.dropped,
        }
        name = self._footprints.path.name
        return [f"{name}: features {what}: {count}" for what, count in found.items() if count]
