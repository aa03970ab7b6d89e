"""Predictions and truths brought onto one grid, whatever files they come from."""

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray

from crispmap.errors import PairingError, SettingError
from crispmap.evaluate.grid import lay_grids
from crispmap.evaluate.pairing import find_pairs, is_vector
from crispmap.evaluate.side import MaskSide, PolygonSide, Side
from crispmap.geo.grid import Grid
from crispmap.geo.mask import MaskRaster, check_mask_set
from crispmap.geo.raster import Nodata, Raster, Window, check_same_grid
from crispmap.geo.vector import check_crs
from crispmap.geo.vector_source import VectorSource
from crispmap.progress import track


class Masks(NamedTuple):
    """What is compared, each (height, width), bool."""

    pred: NDArray[np.bool_]
    truth: NDArray[np.bool_]
    valid: NDArray[np.bool_]


@dataclass(frozen=True)
class Comparison:
    """A prediction and its truth on one grid.

    Attributes:
        name: The stem that they share.
        grid: The pixels: those of the raster (of two, the prediction, or the one that has a place), or a grid of their
            own where both are vectors.
        pred: The prediction.
        truth: The truth.
        area: Outside of which nothing is compared; None for everywhere.
        assumed_resolution: Metres a pixel where the grid itself does not know.
    """

    name: str
    grid: Raster | Grid
    pred: Side
    truth: Side
    area: VectorSource | None
    assumed_resolution: float | None = None

    @property
    def pixel_size(self) -> tuple[float, float] | None:
        """Metres on the ground from row to row and from column to column; None if unknown."""
        if self.grid.pixel_size is not None or self.assumed_resolution is None:
            return self.grid.pixel_size
        return self.assumed_resolution, self.assumed_resolution

    @property
    def resolution(self) -> float | None:
        """The side of a pixel on the ground in metres; None if unknown."""
        return None if self.pixel_size is None else math.sqrt(math.prod(self.pixel_size))

    @property
    def sources(self) -> list[VectorSource]:
        """The files of polygons that it reads."""
        sides = [side.source for side in (self.pred, self.truth) if isinstance(side, PolygonSide)]
        return sides if self.area is None else [*sides, self.area]

    def read(self, window: Window) -> Masks:
        """Reads a window; valid are the pixels inside the area that hold data on both sides.

        Windows may come in any order, and strips from the top are cheapest: vectors are held by bands of rows.
        """
        pred, pred_valid = self.pred.read(window)
        truth, truth_valid = self.truth.read(window)
        valid = pred_valid & truth_valid
        if self.area is not None:
            valid &= self.area.near(self.grid, window).burn(self.grid, window)
        return Masks(pred, truth, valid)

    def pred_ids(self, window: Window) -> NDArray[np.int64] | None:
        """The ids of the predicted polygons in a window, (height, width), 0 where there is none; None for rasters.

        *Convention.* A polygon has the same id in every window; the later one in the file is seen where they overlap.
        Ids are not cut by the area or by data that is missing on the other side.
        """
        return self.pred.ids(window)

    def true_ids(self, window: Window) -> NDArray[np.int64] | None:
        """The ids of the true polygons in a window, likewise."""
        return self.truth.ids(window)

    def polygons(self) -> tuple[NDArray[np.object_], NDArray[np.object_]] | None:
        """Predicted and true polygons in the grid's CRS, as object arrays; None unless both sides are vectors.

        *Convention.* With an area, those polygons count whose centroid lies in it.
        """
        pred, truth = self.pred.polygons(), self.truth.polygons()
        if pred is None or truth is None:
            return None
        return self._in_area(pred), self._in_area(truth)

    @contextmanager
    def opened(self) -> Iterator["Comparison"]:
        """The same comparison for many reads: its rasters stay open until the context ends."""
        with self.pred.opened() as pred, self.truth.opened() as truth:
            yield replace(self, pred=pred, truth=truth)

    def _in_area(self, polygons: NDArray[np.object_]) -> NDArray[np.object_]:
        if self.area is None:
            return polygons
        tree = self.area.near(self.grid, self.grid.window).tree
        inside = np.unique(tree.query(shapely.centroid(polygons), predicate="intersects")[0])
        found: NDArray[np.object_] = polygons[inside]
        return found


def comparisons(
    pred: Path,
    truth: Path,
    threshold: float,
    area: Path | None,
    nodata: Nodata,
    resolution: float | None = None,
) -> tuple[list[Comparison], Iterable[str]]:
    """Finds what to compare and looks through it.

    Args:
        pred: A file or folder, see `find_pairs`.
        truth: Likewise.
        threshold: The share of the full scale from which on a predicted pixel is foreground.
        area: Polygons outside which nothing is compared.
        nodata: ``"file"`` for the rasters' own word on nodata, ``"none"``, or a value that replaces it.
        resolution: The side of a pixel in metres where that is not known: of rasters without a place on the ground, and
            of the grid on which vectors are compared with vectors (in the files' own unit where they have no place; a
            quarter if None).

    Returns:
        The comparisons by name, and notes on what was mended or left out in vector files. Vectors are read as windows
        ask for them, so notes are told when they are iterated, which is best done last.

    Raises:
        SettingError: If the resolution is not above 0, or given where a raster has its own.
        InputError: If a file cannot be read, holds no mask of one class, or needs too large a grid.
        PairingError: If predictions and truths do not belong together.
    """
    if resolution is not None and not 0 < resolution < math.inf:
        raise SettingError(f"resolution is {resolution:g}; give a number of metres above 0")
    pairs = find_pairs(pred, truth)
    pred_masks = _masks([pair.pred for pair in pairs], nodata)
    truth_masks = _masks([pair.truth for pair in pairs], nodata)
    for pred_mask, truth_mask in zip(pred_masks, truth_masks, strict=False):
        check_same_grid(pred_mask.raster, truth_mask.raster)

    files = dict.fromkeys(file for pair in pairs for file in (pair.pred, pair.truth) if is_vector(file))
    sources = {file: VectorSource(file) for file in (files if area is None else [*files, area])}
    ground = None if area is None else sources[area]
    if ground is not None and ground.bounds is None:
        raise PairingError(f"{area} holds no polygon; there is nothing to compare")
    grids: Sequence[Raster | Grid | None] = _own_grids(pred_masks, truth_masks)
    known = next((grid for grid in grids if grid is not None and grid.pixel_size is not None), None)
    if known is not None and resolution is not None:
        raise SettingError(f"resolution is {resolution:g} m, but {known.path} has its own; leave it out")
    if not grids:
        grids = lay_grids([(sources[pair.pred], sources[pair.truth]) for pair in pairs], ground, resolution)
    found: list[Comparison] = []
    empty: list[str] = []
    for i, (pair, grid) in enumerate(zip(pairs, grids, strict=True)):
        if grid is None:
            empty.append(f"{pair.name}: neither side holds a polygon, so there is no place to compare; left out")
            continue
        preds: Side = MaskSide(pred_masks[i], threshold) if pred_masks else PolygonSide(sources[pair.pred], grid)
        truths: Side = MaskSide(truth_masks[i]) if truth_masks else PolygonSide(sources[pair.truth], grid)
        found.append(Comparison(pair.name, grid, preds, truths, ground, resolution))
    for source in sources.values():
        _check_used(source, [comparison.grid for comparison in found if source in comparison.sources])
    return found, _Notes(empty, list(sources.values()))


def _masks(files: Sequence[Path], nodata: Nodata) -> list[MaskRaster]:
    """Looks through rasters; none where the files are vectors."""
    rasters = [file for file in files if not is_vector(file)]
    return check_mask_set([MaskRaster.of(file, nodata) for file in track(rasters, "looking at masks", len(rasters))])


def _own_grids(preds: Sequence[MaskRaster], truths: Sequence[MaskRaster]) -> list[Raster]:
    """The grid of each pair of which a side is a raster; of two, one without a place takes that of the other."""
    if preds and truths:
        pairs = [(pred.raster, truth.raster) for pred, truth in zip(preds, truths, strict=True)]
        return [truth if truth.located and not pred.located else pred for pred, truth in pairs]
    return [mask.raster for mask in preds or truths]


def _check_used(source: VectorSource, grids: Sequence[Raster | Grid]) -> None:
    """Checks that the polygons of a file, if there are any, touch a grid that they belong to."""
    for grid in grids:
        check_crs(source, grid)
    if any(source.touches(grid) for grid in grids):
        return
    if source.dropped and not source.has_polygons:
        raise PairingError(f"{source.path} holds {source.dropped} features but no polygon; give polygons")
    if source.bounds is not None:
        raise PairingError(f"no polygon of {source.path} lies on the ground compared; is it of the same place?")


class _Notes(Iterable[str]):
    """What was left out or mended, as known when asked: vectors are read as windows ask for them."""

    def __init__(self, empty: Sequence[str], sources: Sequence[VectorSource]) -> None:
        self._empty, self._sources = empty, sources

    def __iter__(self) -> Iterator[str]:
        yield from self._empty
        for source in self._sources:
            if source.repaired:
                yield f"{source.path.name}: features with an invalid outline were repaired: {source.repaired}"
            if source.dropped:
                yield f"{source.path.name}: features that are no polygons were left out: {source.dropped}"
