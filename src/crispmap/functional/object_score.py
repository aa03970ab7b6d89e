"""Scores of objects: which of them are found, at which IoU, and which are merged or split.

An object is a set of pixels with one label, or a polygon. Everything here follows from a small table, `Overlaps`: the
area of each object and of each intersection. Where a prediction and a true object have an IoU (intersection over
union) of at least a threshold, they are a match; each object has one partner at most.

*Convention.* Counts are pooled over images. A score is NaN where there is no object on either side, and 0 where there
is none on one side only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from crispmap.errors import SettingError

Areas = NDArray[np.int64] | NDArray[np.float64]

AP_THRESHOLDS = tuple(percent / 100 for percent in range(50, 100, 5))

_DENOMINATOR = 10**6  # of a threshold as a fraction: six decimals are exact, and areas of 10¹² pixels do not overflow
_ROUNDING = 1e-9  # by which areas of polygons may be off
_PART = 10  # a part is at least a tenth of the largest one


@dataclass(frozen=True, eq=False)
class Overlaps:
    """Which predicted objects overlap which true ones, and by how much.

    Attributes:
        pred_areas: Of P predicted objects, (P,): int64 in pixels or, for polygons, float64 in square units.
        true_areas: Of T true objects, (T,), likewise.
        pairs: Indices (predicted, true) of the objects that overlap, int64, (K, 2), in rising order.
        areas: Of their intersections, (K,), greater than 0.
    """

    pred_areas: Areas
    true_areas: Areas
    pairs: NDArray[np.int64]
    areas: Areas

    @staticmethod
    def joined(tables: "Sequence[Overlaps]") -> "Overlaps":
        """The tables of several images, at least one, as one; objects of different images do not overlap."""
        sizes = np.array([(len(table.pred_areas), len(table.true_areas)) for table in tables])
        shifts = np.cumsum(sizes, axis=0) - sizes
        return Overlaps(
            np.concatenate([table.pred_areas for table in tables]),
            np.concatenate([table.true_areas for table in tables]),
            np.concatenate([table.pairs + shift for table, shift in zip(tables, shifts, strict=True)]),
            np.concatenate([table.areas for table in tables]),
        )

    def without_small(self, min_area: float) -> "Overlaps":
        """The objects of either side with an area of at least `min_area`, in their order."""
        pred_kept, true_kept = self.pred_areas >= min_area, self.true_areas >= min_area
        kept = pred_kept[self.pairs[:, 0]] & true_kept[self.pairs[:, 1]]
        pred_index, true_index = np.cumsum(pred_kept) - 1, np.cumsum(true_kept) - 1
        pairs = np.stack([pred_index[self.pairs[kept, 0]], true_index[self.pairs[kept, 1]]], axis=1)
        return Overlaps(self.pred_areas[pred_kept], self.true_areas[true_kept], pairs, self.areas[kept])

    @property
    def unions(self) -> Areas:
        """Areas of the unions of the pairs, (K,)."""
        return self.pred_areas[self.pairs[:, 0]] + self.true_areas[self.pairs[:, 1]] - self.areas


@dataclass(frozen=True, eq=False)
class ObjectCounts:
    """Numbers of objects; the first three at each of K thresholds.

    Attributes:
        true_positive: Predicted objects with a true partner, int64, (K,).
        false_positive: Predicted objects without one, int64, (K,).
        false_negative: True objects without one, int64, (K,).
        merged: Predicted objects that hold several true ones, see `match_objects`.
        split: True objects that hold several predicted ones.
        predicted: All predicted objects.
        true: All true objects.
    """

    true_positive: NDArray[np.int64]
    false_positive: NDArray[np.int64]
    false_negative: NDArray[np.int64]
    merged: int
    split: int
    predicted: int
    true: int

    @staticmethod
    def summed(counts: "Sequence[ObjectCounts]") -> "ObjectCounts":
        """The counts of several images, at least one, at the same thresholds, in one."""
        return ObjectCounts(
            np.sum([count.true_positive for count in counts], axis=0),
            np.sum([count.false_positive for count in counts], axis=0),
            np.sum([count.false_negative for count in counts], axis=0),
            sum(count.merged for count in counts),
            sum(count.split for count in counts),
            sum(count.predicted for count in counts),
            sum(count.true for count in counts),
        )


def label_objects(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Labels the connected components of a mask.

    Pixels belong together across edges, not corners (4-connectivity), as in the footprints of `crispmap predict`.

    Args:
        mask: Bool, (H, W).

    Returns:
        Labels, (H, W): 0 where the mask is false, else 1, 2, … in the order of the components' first pixels, row by
        row.

    Raises:
        SettingError: If the mask is not bool or has not two dimensions.
    """
    from scipy import ndimage

    if mask.ndim != 2 or mask.dtype != np.bool_:
        raise SettingError(f"a mask must be bool and (H, W); found {mask.dtype} {mask.shape}")
    labels, _ = ndimage.label(mask)
    return labels.astype(np.int32, copy=False)


def object_overlaps(pred_labels: NDArray[Any], true_labels: NDArray[Any], min_area: int = 0) -> Overlaps:
    """Measures the objects of two label images and their intersections.

    Args:
        pred_labels: Integers, (H, W): 0 for the background, any number above it for an object.
        true_labels: Likewise; the numbers have nothing to do with those of the prediction.
        min_area: Objects of fewer pixels are left out on both sides; SpaceNet leaves out those below 20.

    Returns:
        The table; the objects of each side in rising order of their labels.

    Raises:
        SettingError: If the images differ in shape or hold no labels.
    """
    return overlaps_of(tally(pred_labels, true_labels)).without_small(min_area)


def match_objects(overlaps: Overlaps, thresholds: Sequence[float] = (0.5,)) -> ObjectCounts:
    """Counts matched, missed, spurious, merged and split objects.

    Pairs are matched one-to-one in falling order of their IoU, equal ones in the order of their indices. The order
    matters only up to 0.5: above it no object has more than one possible partner, unless objects of one side overlap
    each other, as polygons may.

    A predicted object is *merged* where it holds more than half of the area of each of two or more true objects, of
    which at least two overlap it on at least a tenth of the area that the largest of them does. A true object is
    *split* where the same holds with the sides exchanged. Hence neither a speck within a building that is otherwise
    well predicted, nor a shed of a few pixels that a prediction of the house beside it takes in, makes a split or a
    merger, while two halves or thirty terraced houses do. It does not matter whether the object is matched as well.

    Args:
        overlaps: Of one image, or of many, joined.
        thresholds: K values of IoU, greater than 0 and at most 1, from which on two objects match. Each is taken for
            the decimal that is written, to six places, and areas in pixels are compared with it exactly; those of
            polygons may fall short of it by a billionth.

    Returns:
        The counts.

    Raises:
        SettingError: If there is no threshold or one is out of range.
    """
    check_thresholds(thresholds)
    matches = _matches(overlaps, min(thresholds))
    areas, unions = overlaps.areas[matches], overlaps.unions[matches]
    matched = np.array([_reaches(areas, unions, threshold).sum() for threshold in thresholds], np.int64)
    predicted, true = len(overlaps.pred_areas), len(overlaps.true_areas)
    pred_index, true_index = overlaps.pairs.T
    return ObjectCounts(
        true_positive=matched,
        false_positive=predicted - matched,
        false_negative=true - matched,
        merged=_count_holders(pred_index, predicted, overlaps.areas, overlaps.true_areas[true_index]),
        split=_count_holders(true_index, true, overlaps.areas, overlaps.pred_areas[pred_index]),
        predicted=predicted,
        true=true,
    )


def matched_pairs(overlaps: Overlaps, threshold: float = 0.5) -> NDArray[np.int64]:
    """Pairs of objects that match under the rules of `match_objects`.

    Args:
        overlaps: Of one image, or of many, joined.
        threshold: IoU from which on two objects match, greater than 0 and at most 1.

    Returns:
        Indices (predicted, true), (M, 2), in rising order.

    Raises:
        SettingError: If the threshold is out of range.
    """
    check_thresholds([threshold])
    return overlaps.pairs[np.sort(_matches(overlaps, threshold))]


def object_precision(counts: ObjectCounts) -> NDArray[np.float64]:
    """Share of the predicted objects that are matched, TP / (TP + FP), at each threshold, (K,)."""
    return _share(counts.true_positive, counts.true_positive + counts.false_positive, counts)


def object_recall(counts: ObjectCounts) -> NDArray[np.float64]:
    """Share of the true objects that are matched, TP / (TP + FN), at each threshold, (K,)."""
    return _share(counts.true_positive, counts.true_positive + counts.false_negative, counts)


def object_f1(counts: ObjectCounts) -> NDArray[np.float64]:
    """F1 score 2TP / (2TP + FP + FN) at each threshold, (K,); at an IoU of 0.5 this is SpaceNet's building score."""
    twice = 2 * counts.true_positive
    return _share(twice, twice + counts.false_positive + counts.false_negative, counts)


def average_precision(counts: ObjectCounts) -> float:
    """Mean over the thresholds of TP / (TP + FP + FN).

    It is the convention of instance segmentation without confidences, from the Data Science Bowl of 2018, which took
    it image by image; here counts are pooled. COCO's average precision is another thing: it ranks detections by their
    confidence, which the objects of a mask do not have, and takes the area below precision over recall.

    Args:
        counts: From `match_objects` with `AP_THRESHOLDS`, or others.

    Returns:
        A number from 0 to 1, or NaN.
    """
    every = counts.true_positive + counts.false_positive + counts.false_negative
    return float(_share(counts.true_positive, every, counts).mean())


def check_thresholds(thresholds: Sequence[float]) -> None:
    """Checks thresholds of IoU.

    Raises:
        SettingError: If there is none, or one is not greater than 0 and at most 1.
    """
    if not len(thresholds):
        raise SettingError("there is no threshold of IoU; give at least one")
    for threshold in thresholds:
        if not 0 < threshold <= 1:
            raise SettingError(f"threshold of IoU is {threshold}; give a number greater than 0 and at most 1")


class Tally(NamedTuple):
    """How many pixels have which pair of labels, each int64, (K,); pixels without an object are not in it."""

    pred: NDArray[np.int64]  # 0 for none
    true: NDArray[np.int64]
    areas: NDArray[np.int64]


def tally(pred_labels: NDArray[Any], true_labels: NDArray[Any]) -> Tally:
    """Counts the pixels of each pair of labels; arguments and errors are those of `object_overlaps`."""
    if pred_labels.ndim != 2 or pred_labels.shape != true_labels.shape:
        raise SettingError(
            f"label images must be (H, W) and of one shape; found {pred_labels.shape} and {true_labels.shape}"
        )
    for labels in (pred_labels, true_labels):
        if labels.dtype.kind not in "iu" or labels.min(initial=0) < 0:
            raise SettingError(
                f"labels must be integers of at least 0; found {labels.dtype} from {labels.min(initial=0)}; "
                "label_objects makes labels of a mask"
            )
    pred, true = pred_labels.ravel(), true_labels.ravel()
    starts_run = np.ones(pred.size, bool)  # runs of equal pairs are far fewer than pixels
    starts_run[1:] = (pred[1:] != pred[:-1]) | (true[1:] != true[:-1])
    starts = np.flatnonzero(starts_run)
    runs = Tally(pred[starts].astype(np.int64), true[starts].astype(np.int64), np.diff(starts, append=pred.size))
    return summed_tallies([runs])


def summed_tallies(tallies: Sequence[Tally]) -> Tally:
    """Tallies, at least one, as one in which every pair stands once, in rising order."""
    pred, true, areas = (np.concatenate(column) for column in zip(*tallies, strict=True))
    order = np.lexsort((true, pred))
    order = order[(pred[order] > 0) | (true[order] > 0)]
    pred, true, areas = pred[order], true[order], areas[order]
    is_new = np.ones(len(order), bool)
    is_new[1:] = (pred[1:] != pred[:-1]) | (true[1:] != true[:-1])
    starts = np.flatnonzero(is_new)
    return Tally(pred[starts], true[starts], np.add.reduceat(areas, starts))


def overlaps_of(table: Tally) -> Overlaps:
    """The overlaps that a tally tells of; the objects of each side in rising order of their labels."""
    pred_labels, true_labels = (np.unique(labels[labels > 0]) for labels in (table.pred, table.true))
    pred_areas, true_areas = np.zeros(len(pred_labels), np.int64), np.zeros(len(true_labels), np.int64)
    pred_index, true_index = np.searchsorted(pred_labels, table.pred), np.searchsorted(true_labels, table.true)
    np.add.at(pred_areas, pred_index[table.pred > 0], table.areas[table.pred > 0])
    np.add.at(true_areas, true_index[table.true > 0], table.areas[table.true > 0])
    both = (table.pred > 0) & (table.true > 0)
    pairs = np.stack([pred_index[both], true_index[both]], axis=1).astype(np.int64, copy=False)
    return Overlaps(pred_areas, true_areas, pairs, table.areas[both])


def _matches(overlaps: Overlaps, threshold: float) -> NDArray[np.int64]:
    """Positions in the table of the pairs that match, in falling order of their IoU.

    Those that match at a higher threshold are the first of them: greed does not look ahead.
    """
    unions = overlaps.unions
    near = np.flatnonzero(_reaches(overlaps.areas, unions, threshold))
    pred_index, true_index = overlaps.pairs[near].T
    order = np.lexsort((true_index, pred_index, -overlaps.areas[near] / unions[near]))
    pred_free, true_free = bytearray(b"\1") * len(overlaps.pred_areas), bytearray(b"\1") * len(overlaps.true_areas)
    matched = []
    for k, i, j in zip(near[order].tolist(), pred_index[order].tolist(), true_index[order].tolist(), strict=True):
        if pred_free[i] and true_free[j]:
            pred_free[i] = true_free[j] = 0
            matched.append(k)
    return np.array(matched, np.int64)


def _reaches(areas: Areas, unions: Areas, threshold: float) -> NDArray[np.bool_]:
    share = Fraction(str(threshold)).limit_denominator(_DENOMINATOR)
    slack = 1 + _ROUNDING if areas.dtype.kind == "f" else 1
    reached: NDArray[np.bool_] = areas * (share.denominator * slack) >= unions * share.numerator
    return reached


def _count_holders(holder: NDArray[np.int64], n: int, areas: Areas, part_areas: Areas) -> int:
    """How many of n objects hold several others; one element a pair, `part_areas` those of the objects held."""
    held = 2 * areas > part_areas
    holder, areas = holder[held], areas[held]
    largest = np.zeros(n, areas.dtype)
    np.maximum.at(largest, holder, areas)
    parts = np.bincount(holder[_PART * areas >= largest[holder]], minlength=n)
    return int((parts >= 2).sum())


def _share(part: NDArray[np.int64], whole: NDArray[np.int64], counts: ObjectCounts) -> NDArray[np.float64]:
    something = counts.true_positive + counts.false_positive + counts.false_negative > 0
    return np.where(something, part / np.maximum(whole, 1), np.nan)
