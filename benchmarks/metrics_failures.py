"""Eight ways in which a mask goes wrong, in small pairs of truth and prediction, and what each metric says of them."""

import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
import shapely
import torch
from numpy.typing import NDArray
from rasterio.features import shapes
from torch import Tensor
from torchmetrics import Metric

from crispmap.evaluate.polygon_score import matched_polygons, polis_distances, polygon_overlaps, vertex_ratio
from crispmap.functional.object_score import ObjectCounts, label_objects, match_objects, object_overlaps
from crispmap.metrics import (
    BinaryBoundaryF1,
    BinaryBoundaryIoU,
    BinaryCornerRatio,
    BinaryF1,
    BinaryHausdorffDistance,
    BinaryIoU,
    BinaryObjectAveragePrecision,
    BinaryObjectF1,
    BinaryPerimeterRatio,
    BinarySurfaceDistance,
)
from crispmap.vectorize.settings import TOLERANCE_PX

SIZE = 64
TOLERANCE = "3px"  # of the pictures, and of the table where it names no other
DOTS, TOOTH, SHIFT, CORNER, GAP, SHED, BRIDGE, CRACK = 30, 2, 2, 12, 3, 7, 3, 2

Mask = NDArray[np.bool_]
Verdict = Literal["●", "◐", "○", ""]


class Failure(NamedTuple):
    """Truth and prediction, bool, (SIZE, SIZE), and what went wrong."""

    key: str
    title: str
    text: str
    truth: Mask
    pred: Mask


def failures() -> list[Failure]:
    """All of them, in the order of the page."""
    house = _boxes((12, 12, 40, 40))
    row_of_two = _boxes((12, 10, 40, 20), (12, 30 + GAP, 40, 20))
    four = _boxes((11, 11, 18, 18), (11, 35, 18, 18), (35, 11, 18, 18), (35, 35, 18, 18))
    bridges = _boxes((19, 29, BRIDGE, 6), (43, 29, BRIDGE, 6), (29, 19, 6, BRIDGE))
    with_shed = _boxes((8, 8, 36, 36), (50, 50, SHED, SHED))
    half = (40 - CRACK) // 2
    return [
        Failure("comb", "comb", f"teeth of {TOOTH} px along every wall", house, _comb(house)),
        Failure(
            "shift",
            "shift",
            f"the whole building {SHIFT} px down and {SHIFT} px right",
            house,
            _boxes((12 + SHIFT, 12 + SHIFT, 40, 40)),
        ),
        Failure("corners", "rounded corners", f"corners rounded off with a radius of {CORNER} px", house, _rounded()),
        Failure(
            "gap",
            "filled gap",
            f"two neighbours, {GAP} px apart, in one",
            row_of_two,
            _boxes((12, 10, 40, 40 + GAP)),
        ),
        Failure("speckle", "speckle", f"{DOTS} dots of one pixel", house, house | _dots(house)),
        Failure(
            "shed", "missing shed", f"a building of {SHED} × {SHED} px not found", with_shed, _boxes((8, 8, 36, 36))
        ),
        Failure("merged", "merged", f"four buildings joined by bridges of {BRIDGE} px", four, four | bridges),
        Failure(
            "split",
            "split",
            f"one building cut in two by a crack of {CRACK} px",
            house,
            _boxes((12, 12, 40, half), (12, 12 + half + CRACK, 40, 40 - half - CRACK)),
        ),
    ]


def _boxes(*boxes: tuple[int, int, int, int]) -> Mask:
    """Rectangles of (row, column, height, width)."""
    mask = np.zeros((SIZE, SIZE), bool)
    for row, column, height, width in boxes:
        mask[row : row + height, column : column + width] = True
    return mask


def _comb(house: Mask) -> Mask:
    rows, columns = (np.flatnonzero(house.any(axis)) for axis in (1, 0))
    comb = house.copy()
    for k in range(TOOTH):
        comb[np.ix_([rows[0] - 1 - k, rows[-1] + 1 + k], columns[columns % (2 * TOOTH) < TOOTH])] = True
        comb[np.ix_(rows[rows % (2 * TOOTH) < TOOTH], [columns[0] - 1 - k, columns[-1] + 1 + k])] = True
    return comb


def _rounded() -> Mask:
    """The pixels of the house with their centre in a square with quarter circles for corners."""
    outside = np.maximum(np.abs(np.arange(SIZE) + 0.5 - 32) - (20 - CORNER), 0)
    within: Mask = outside[:, None] ** 2 + outside**2 <= CORNER**2
    return within


def _dots(house: Mask) -> Mask:
    """Of a grid of places 4 px apart, none beside the house, as many as there shall be, drawn at random."""
    dots = np.zeros_like(house)
    places = [
        (r, c) for r in range(2, SIZE, 4) for c in range(2, SIZE, 4) if not house[r - 2 : r + 3, c - 2 : c + 3].any()
    ]
    for i in np.random.default_rng(0).choice(len(places), DOTS, replace=False):
        dots[places[i]] = True
    return dots


class Measurement(NamedTuple):
    """A row of the table: what is measured, and what kind of number it is.

    The kind says from when on a failure counts as seen: *score* is best at 1, *ratio* right at 1, *length* is in
    pixels and right at 0, *count* is right at 0.
    """

    key: str
    label: str
    kind: Literal["score", "ratio", "length", "count"]
    measure: Callable[[Failure], float]


def measurements() -> list[Measurement]:
    """All rows in their order."""
    return [
        Measurement("iou", "IoU", "score", _of(BinaryIoU())),
        Measurement("f1", "F1", "score", _of(BinaryF1())),
        Measurement("boundary_f1_csurka", "boundary F1 (csurka, 3 px)", "score", _boundary_f1("csurka", TOLERANCE)),
        Measurement("boundary_f1_davis", "boundary F1 (davis, 3 px)", "score", _boundary_f1("davis", TOLERANCE)),
        Measurement("boundary_f1_pixels", "boundary F1 (pixels, 3 px)", "score", _boundary_f1("pixels", TOLERANCE)),
        Measurement("boundary_f1_pixels_1px", "boundary F1 (pixels, 1 px)", "score", _boundary_f1("pixels", "1px")),
        Measurement("boundary_iou", "Boundary IoU (3 px)", "score", _of(BinaryBoundaryIoU(width=TOLERANCE))),
        Measurement("perimeter_ratio", "perimeter ratio", "ratio", _of(BinaryPerimeterRatio())),
        Measurement("corner_ratio", "corner ratio", "ratio", _of(BinaryCornerRatio())),
        Measurement("hausdorff_95", "Hausdorff 95 (px)", "length", _of(BinaryHausdorffDistance())),
        Measurement("mean_surface_distance", "surface distance (px)", "length", _of(BinarySurfaceDistance())),
        Measurement("object_f1", "object F1", "score", _of(BinaryObjectF1())),
        Measurement("object_average_precision", "object AP", "score", _of(BinaryObjectAveragePrecision())),
        Measurement("merged", "merged", "count", lambda failure: _objects(failure).merged),
        Measurement("split", "split", "count", lambda failure: _objects(failure).split),
        Measurement("polis", "PoLiS (px)", "length", lambda failure: _polygons(failure)[0]),
        Measurement("vertex_ratio", "vertex ratio", "ratio", lambda failure: _polygons(failure)[1]),
    ]


def tensors(failure: Failure) -> tuple[Tensor, Tensor]:
    """Prediction and truth as a batch of one, bool, (1, H, W)."""
    return torch.from_numpy(failure.pred)[None], torch.from_numpy(failure.truth)[None]


def _of(metric: Metric) -> Callable[[Failure], float]:
    def measure(failure: Failure) -> float:
        metric.reset()
        metric.update(*tensors(failure))
        return float(metric.compute())

    return measure


def _boundary_f1(convention: Literal["csurka", "davis", "pixels"], tolerance: str) -> Callable[[Failure], float]:
    return _of(BinaryBoundaryF1(convention, tolerance))


def _objects(failure: Failure) -> ObjectCounts:
    return match_objects(object_overlaps(label_objects(failure.pred), label_objects(failure.truth)))


def _polygons(failure: Failure) -> tuple[float, float]:
    """Mean PoLiS distance and vertex ratio of matched outlines, NaN where none match."""
    pred, truth = outlines(failure.pred), outlines(failure.truth)
    pairs = matched_polygons(polygon_overlaps(pred, truth))
    if not len(pairs):
        return math.nan, math.nan
    return float(polis_distances(pred, truth, pairs).mean()), vertex_ratio(pred, truth, pairs)


def outlines(mask: Mask) -> NDArray[np.object_]:
    """The outlines of a mask's objects, simplified as `crispmap predict` does."""
    found = [shapely.geometry.shape(outline) for outline, _ in shapes(mask.astype(np.uint8), mask, connectivity=4)]
    simplified: NDArray[np.object_] = shapely.simplify(np.array(found, object), TOLERANCE_PX)
    return simplified


def verdict(kind: str, value: float) -> Verdict:
    """Whether a value sees a failure (●), hardly (◐) or not at all (○); nothing where there is no value."""
    if math.isnan(value):
        return ""
    if kind == "count":
        return "●" if value else "○"
    off = {"score": 1 - value, "ratio": abs(value - 1), "length": value / 10}[kind]  # of a length, 1 px is as 0.1
    return "○" if off < 0.05 else "◐" if off < 0.1 else "●"


def values() -> dict[str, dict[str, float]]:
    """What each metric says of each failure, by the keys of both."""
    rows = measurements()
    return {failure.key: {row.key: row.measure(failure) for row in rows} for failure in failures()}
