"""All that the scores of one image are made of, counted strip by strip, exactly as over the whole image at once."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from crispmap.evaluate.comparison import Comparison
from crispmap.evaluate.definitions import Definitions, Distances, Plan
from crispmap.evaluate.object_stream import ObjectStream
from crispmap.evaluate.polygon_score import matched_polygons, polis_distances, polygon_overlaps, vertex_counts
from crispmap.evaluate.strips import Strip, StripTile, give_back, strips
from crispmap.functional.band_score import BandCounts, boundary_iou_counts
from crispmap.functional.boundary_score import BoundaryCounts, boundary_distances
from crispmap.functional.conventions import SLACK, rules_of
from crispmap.functional.object_score import Overlaps
from crispmap.functional.outline_score import (
    CORNER_RADIUS,
    CornerCounts,
    PerimeterCounts,
    corner_counts,
    perimeter_counts,
)
from crispmap.functional.region_score import ConfusionCounts, confusion_counts
from crispmap.functional.surface_score import Histogram, SurfaceDistances

_MANY = 64  # histograms, before they are joined
BLOCK = 512  # side in pixels of the blocks that are told apart to find the worst


class PolygonScores(NamedTuple):
    """How matched polygons compare; of nothing where a side is a raster."""

    polis: NDArray[np.float64]  # of each matched pair
    vertices_predicted: int
    vertices_true: int


@dataclass(frozen=True)
class Counts:
    """Of one image; each count is a batch of one.

    Attributes:
        confusion: Pixels by prediction and truth.
        boundary: Boundary pixels, and the matched ones at each tolerance.
        band: Pixels of the bands.
        perimeter: Lengths of outlines.
        corner: Lengths of outlines that turn.
        surface: Distances between boundaries, in the unit of the cap.
        objects: Which objects overlap.
        polygons: How matched polygons compare.
        wrong: Boundary pixels that are spurious or missed at the first tolerance, by blocks of the image.
    """

    confusion: ConfusionCounts
    boundary: BoundaryCounts
    band: BandCounts
    perimeter: PerimeterCounts
    corner: CornerCounts
    surface: SurfaceDistances
    objects: Overlaps
    polygons: PolygonScores
    wrong: NDArray[np.int64]


def count(
    comparison: Comparison,
    definitions: Definitions,
    rows: int | None = None,
    cols: int | None = None,
    advance: Callable[[], object] = lambda: None,
) -> Counts:
    """Counts a comparison.

    Args:
        comparison: What to count.
        definitions: What is counted.
        rows: Height of the strips that it is read in; the counts do not depend on it.
        cols: Width of the tiles that they are counted in, likewise.
        advance: Called after each strip.
    """
    grid = comparison.grid
    plan = definitions.on((grid.height, grid.width), comparison.pixel_size)
    polygons = comparison.polygons()
    measured = _Sums()
    boundary = _BoundarySums(plan, definitions, (grid.height, grid.width))
    objects: ObjectStream | None = None
    with comparison.opened() as opened:
        for strip in strips(opened, plan.halo, rows):
            measured.add(strip, plan, cols)
            boundary.add(strip, cols)
            for window, (pred, truth, valid) in strip.parts() if polygons is None else ():
                pred_ids, true_ids = opened.pred_ids(window), opened.true_ids(window)
                if objects is None:
                    objects = ObjectStream(grid.width, pred_ids is not None, true_ids is not None)
                objects.add(pred if pred_ids is None else pred_ids, truth if true_ids is None else true_ids, valid)
            give_back()
            advance()
    if polygons is not None:
        overlaps, of_polygons = _polygon_scores(*polygons, definitions.object_iou)
    else:
        assert objects is not None, "an image has rows"
        overlaps, of_polygons = objects.result(), PolygonScores(np.zeros(0), 0, 0)
    return Counts(
        measured.confusion(),
        boundary.counts(),
        measured.band(),
        measured.perimeter(),
        measured.corner(),
        boundary.surface(),
        overlaps,
        of_polygons,
        boundary.wrong,
    )


class _Sums:
    """What simply adds up."""

    def __init__(self) -> None:
        self._parts: dict[str, list[tuple[Tensor, ...]]] = {"confusion": [], "band": [], "perimeter": [], "corner": []}

    def add(self, strip: Strip, plan: Plan, cols: int | None) -> None:
        for tile in strip.tiles(0, cols):
            self._parts["confusion"].append(confusion_counts(tile.pred, tile.truth, tile.valid))
        for tile in strip.tiles(plan.reach, cols):
            masks = tile.pred, tile.truth, plan.band, tile.valid
            band = boundary_iou_counts(*masks, pixel_size=plan.pixel_size, rows=tile.rows, cols=tile.cols)
            self._parts["band"].append(band)
        for tile in strip.tiles(CORNER_RADIUS + 1, cols):
            for name, measure in (("perimeter", perimeter_counts), ("corner", corner_counts)):
                found = measure(tile.pred, tile.truth, tile.valid, rows=tile.rows, cols=tile.cols)
                self._parts[name].append(found)

    def confusion(self) -> ConfusionCounts:
        return ConfusionCounts(*self._sum("confusion"))

    def band(self) -> BandCounts:
        return BandCounts(*self._sum("band"))

    def perimeter(self) -> PerimeterCounts:
        return PerimeterCounts(*self._sum("perimeter"))

    def corner(self) -> CornerCounts:
        return CornerCounts(*self._sum("corner"))

    def _sum(self, name: str) -> list[Tensor]:
        return [torch.stack(parts).sum(0) for parts in zip(*self._parts[name], strict=True)]


class _BoundarySums:
    """Matched boundary pixels, histograms of distances, and where the others are."""

    def __init__(self, plan: Plan, definitions: Definitions, shape: tuple[int, int]) -> None:
        self._plan = plan
        self._rules = rules_of(definitions.convention)
        self._main = definitions.convention
        self._matched = torch.zeros(2, plan.tolerances, dtype=torch.int64)
        self._total = torch.zeros(2, dtype=torch.int64)
        self._histograms: list[SurfaceDistances] = []
        self.wrong = np.zeros([-(-side // BLOCK) for side in shape], np.int64)

    def add(self, strip: Strip, cols: int | None) -> None:
        has_total = False  # the searches of one convention all find the same boundary pixels
        for search in self._plan.distances:
            counts_all = search.convention == self._main and not has_total
            for tile in strip.tiles(search.reach, cols):
                self._add_tile(tile, search, counts_all=counts_all)
            has_total |= counts_all

    def _add_tile(self, tile: StripTile, search: Distances, *, counts_all: bool) -> None:
        found = boundary_distances(
            tile.pred,
            tile.truth,
            search.convention,
            tile.valid,
            cap=max(search.ruler.tolerances),
            spacing=search.ruler.spacing,
            rows=tile.rows,
            cols=tile.cols,
        )
        if counts_all:
            self._total += torch.tensor([len(found.pred), len(found.true)])
        for place, tolerance in zip(search.ruler.places, search.ruler.tolerances, strict=True):
            if place == self._plan.tolerances:
                self._add_histogram(search, tolerance, found.pred, found.true)
                continue
            near = [self._rules.matches(squared, tolerance) for squared in (found.pred, found.true)]
            self._matched[:, place] += torch.stack([side.sum() for side in near])
            if place == 0:
                for at, is_near in zip((found.pred_at, found.true_at), near, strict=True):
                    self._mark(at[~is_near], tile)

    def counts(self) -> BoundaryCounts:
        matched, total = self._matched[:, None], self._total[:, None]
        return BoundaryCounts(matched[0], total[0], matched[1], total[1])

    def surface(self) -> SurfaceDistances:
        return SurfaceDistances.joined(self._histograms)

    def _add_histogram(self, search: Distances, cap: float, *sides: Tensor) -> None:
        """Adds distances in the unit of the cap, ∞ beyond it."""
        scale = self._plan.cap.value / cap
        within = (Histogram.of(squared.masked_fill(squared > cap**2 * (1 + SLACK), torch.inf)) for squared in sides)
        self._histograms.append(SurfaceDistances(*(Histogram(s.squared * scale**2, s.pixels) for s in within)))
        if len(self._histograms) > _MANY:
            self._histograms = [SurfaceDistances.joined(self._histograms)]

    def _mark(self, at: Tensor, tile: StripTile) -> None:
        rows, cols = (at[:, 1] + tile.top) // BLOCK, (at[:, 2] + tile.left) // BLOCK
        found = torch.bincount(rows * self.wrong.shape[1] + cols, minlength=self.wrong.size)
        self.wrong += found.numpy().reshape(self.wrong.shape)


def _polygon_scores(
    pred: NDArray[np.object_], truth: NDArray[np.object_], iou: float
) -> tuple[Overlaps, PolygonScores]:
    overlaps = polygon_overlaps(pred, truth)
    pairs = matched_polygons(overlaps, iou)
    vertices = [int(vertex_counts(side[index]).sum()) for side, index in zip((pred, truth), pairs.T, strict=True)]
    return overlaps, PolygonScores(polis_distances(pred, truth, pairs), *vertices)
