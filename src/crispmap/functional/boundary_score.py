"""Exact boundary counts on masks, and the scores made of them: boundary F1, Boundary IoU, perimeter ratio.

People call several different things the boundary F1 score. Here each has a name, a *convention*:

======  =======================================================  =============  ==================  =======
name    boundary pixel                                           matched        over images         empty
======  =======================================================  =============  ==================  =======
csurka  foreground beside background or beside the image border  d < tolerance  mean of the scores  NaN
pixels  foreground beside background                             d ≤ tolerance  counts pooled       1 or 0
======  =======================================================  =============  ==================  =======

*Beside* is above, below, left or right; d is the Euclidean distance in pixels to the nearest boundary pixel
of the other mask. *csurka* is Csurka et al. 2013 as MATLAB's bfscore has it: an image with no boundary in
prediction or truth has no score and is left out of the mean. *pixels* is crispmap's own for maps cut into
tiles: no boundary at the cut, every boundary pixel of the set of one weight, 1 if neither side has a
boundary and 0 if one has.

Ignored pixels (``valid`` false) take no side: they are no boundary, make none of their neighbours one, and
are counted nowhere.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from crispmap.errors import SettingError
from crispmap.functional._checks import check_choice, check_masks
from crispmap.functional.morphology import dilate_square, inner_boundary, squared_distance
from crispmap.functional.region_score import per_image, quotient

Convention = Literal["csurka", "pixels"]


@dataclass(frozen=True)
class Rules:
    """What a convention says."""

    border: bool  # is a pixel at the image border boundary for being there
    strict: bool  # d < tolerance rather than d ≤ tolerance
    pooled: bool  # counts pooled over the set rather than the mean of the images' scores
    both_empty: float
    one_empty: float


_RULES: dict[Convention, Rules] = {
    "csurka": Rules(border=True, strict=True, pooled=False, both_empty=math.nan, one_empty=math.nan),
    "pixels": Rules(border=False, strict=False, pooled=True, both_empty=1.0, one_empty=0.0),
}


def rules_of(convention: Convention) -> Rules:
    """The rules of a convention.

    Raises:
        SettingError: If there is none of that name.
    """
    check_choice("convention", convention, Convention)
    return _RULES[convention]


class BoundaryCounts(NamedTuple):
    """Numbers of boundary pixels, int64: of each image, and where matched at each of T tolerances."""

    matched_predicted: Tensor  # (N, T)
    predicted: Tensor  # (N,)
    matched_true: Tensor  # (N, T)
    true: Tensor  # (N,)


class BoundaryMatch(NamedTuple):
    """The three kinds of boundary pixel in an edge picture, bool, shape (H, W)."""

    matched: Tensor  # predicted boundary that the truth has within the tolerance
    spurious: Tensor  # predicted boundary that it has not
    missed: Tensor  # true boundary that the prediction has not within the tolerance


class BandCounts(NamedTuple):
    """Pixels in both inner bands and in either of them in each image, int64, shape (N,)."""

    intersection: Tensor
    union: Tensor


class PerimeterCounts(NamedTuple):
    """Lengths of all outlines in each image in pixel edges, int64, shape (N,)."""

    predicted: Tensor
    true: Tensor


def boundary_counts(
    pred: Tensor,
    truth: Tensor,
    tolerances: Sequence[float],
    convention: Convention = "csurka",
    valid: Tensor | None = None,
) -> BoundaryCounts:
    """Counts the boundary pixels of each image and those that the other mask's boundary confirms.

    Args:
        pred: Bool, shape (N, H, W).
        truth: Bool, shape (N, H, W).
        tolerances: Distances in pixels, greater than 0, not necessarily whole.
        convention: What a boundary is and which distance still matches; see the module.
        valid: Bool, shape (N, H, W), false at ignored pixels.

    Returns:
        The counts; `boundary_f1` makes scores of them.

    Raises:
        SettingError: If a tolerance or the convention is not allowed or the masks do not fit together.
    """
    edges = _edges(pred, truth, tolerances, convention, valid)
    return BoundaryCounts(
        torch.stack([per_image(edges.pred & (edges.to_truth <= bound)) for bound in edges.bounds], dim=1),
        per_image(edges.pred),
        torch.stack([per_image(edges.truth & (edges.to_pred <= bound)) for bound in edges.bounds], dim=1),
        per_image(edges.truth),
    )


def boundary_match(
    pred: Tensor,
    truth: Tensor,
    tolerance: float,
    convention: Convention = "csurka",
    valid: Tensor | None = None,
) -> BoundaryMatch:
    """Shows for one pair of masks, each (H, W), which boundary pixels `boundary_counts` takes as matched.

    Arguments and errors are those of `boundary_counts`.
    """
    batch = None if valid is None else valid[None]
    edges = _edges(pred[None], truth[None], [tolerance], convention, batch)
    confirmed = edges.to_truth <= edges.bounds[0]
    missed = edges.truth & (edges.to_pred > edges.bounds[0])
    return BoundaryMatch((edges.pred & confirmed)[0], (edges.pred & ~confirmed)[0], missed[0])


def boundary_f1(counts: BoundaryCounts, convention: Convention = "csurka") -> Tensor:
    """Boundary F1 = 2PR / (P + R) of a set of images at each tolerance.

    P is the share of predicted boundary that is matched, R that of true boundary. *csurka* takes the mean
    of the images' scores, leaving out those that have none; *pixels* pools the counts of all images first.

    Args:
        counts: Of all images of the set, from `boundary_counts` under the same convention.
        convention: See the module.

    Returns:
        Float64, shape (T,), in [0, 1]; under *csurka* NaN where no image has a score.
    """
    if rules_of(convention).pooled:
        counts = BoundaryCounts(*(count.sum(0, keepdim=True) for count in counts))
    return boundary_f1_per_image(counts, convention).nanmean(0)


def boundary_f1_per_image(counts: BoundaryCounts, convention: Convention = "csurka") -> Tensor:
    """Boundary F1 of each image at each tolerance, float64, shape (N, T), empty cases by the convention."""
    rules = rules_of(convention)
    precision = quotient(counts.matched_predicted, counts.predicted[:, None])
    recall = quotient(counts.matched_true, counts.true[:, None])
    scores = 2 * precision * recall / (precision + recall)
    scores = scores.masked_fill(precision + recall == 0, 0.0)  # boundaries on both sides, none near the other
    predicted_none, true_none = counts.predicted[:, None] == 0, counts.true[:, None] == 0
    scores = scores.masked_fill(predicted_none | true_none, rules.one_empty)
    return scores.masked_fill(predicted_none & true_none, rules.both_empty)


def boundary_iou_counts(
    pred: Tensor, truth: Tensor, width: int | None = None, valid: Tensor | None = None
) -> BandCounts:
    """Counts the pixels of the inner bands along the boundaries, as Boundary IoU compares them.

    The band is the mask minus ``width`` erosions by a 3×3 square after zero padding (Cheng et al. 2021,
    arXiv:2103.16562), so an object cut by the image border has a band there.

    Args:
        pred: Bool, shape (N, H, W).
        truth: Bool, shape (N, H, W).
        width: Of the band in pixels, at least 1; see `band_width`.
        valid: Bool, shape (N, H, W), false at ignored pixels, which make no band and are not counted.

    Returns:
        The counts; `boundary_iou` makes a score of them.

    Raises:
        SettingError: If the width is less than 1 or the masks do not fit together.
    """
    check_masks(pred, truth, valid)
    pixels = band_width(width, (pred.shape[1], pred.shape[2]))
    pred_band, truth_band = (_band(mask, pixels, valid) for mask in (pred, truth))
    return BandCounts(per_image(pred_band & truth_band), per_image(pred_band | truth_band))


def boundary_iou(counts: BandCounts) -> Tensor:
    """Boundary IoU of all images pooled: a float64 scalar in [0, 1], NaN where neither side has a band."""
    return quotient(counts.intersection.sum(), counts.union.sum())


def perimeter_counts(pred: Tensor, truth: Tensor, valid: Tensor | None = None) -> PerimeterCounts:
    """Measures outlines as the number of 4-adjacent pixel pairs with different labels.

    The image border is no outline, and pairs with an ignored pixel are not counted.

    Args:
        pred: Bool, shape (N, H, W).
        truth: Bool, shape (N, H, W).
        valid: Bool, shape (N, H, W), false at ignored pixels.

    Returns:
        The lengths; `perimeter_ratio` makes a ratio of them.

    Raises:
        SettingError: If the masks do not fit together.
    """
    check_masks(pred, truth, valid)
    return PerimeterCounts(_perimeter(pred, valid), _perimeter(truth, valid))


def perimeter_ratio(counts: PerimeterCounts) -> Tensor:
    """Predicted over true perimeter, pooled: a float64 scalar, 1 where equal, NaN if the truth has none.

    Well above 1 the masks are jagged or full of specks; well below 1 they are smoothed or miss objects.
    """
    true = counts.true.sum()
    return quotient(counts.predicted.sum(), true).masked_fill(true == 0, math.nan)


def check_tolerance(tolerance: float) -> float:
    """Returns the tolerance.

    Raises:
        SettingError: If it is not a finite number greater than 0.
    """
    if not 0 < tolerance < math.inf:
        raise SettingError(f"tolerance is {tolerance}; give a number of pixels greater than 0")
    return tolerance


def band_width(width: int | None, image_shape: tuple[int, int]) -> int:
    """Width of the inner band in pixels; for None that of Cheng et al. 2021, max(1, round(0.02 · diagonal)).

    Raises:
        SettingError: If the width is less than 1.
    """
    if width is None:
        return max(1, round(0.02 * math.hypot(*image_shape)))
    if width < 1:
        raise SettingError(f"width is {width}; a band is at least 1 pixel wide")
    return width


class _Edges(NamedTuple):
    pred: Tensor
    truth: Tensor
    to_pred: Tensor  # squared distance to the nearest predicted boundary pixel
    to_truth: Tensor
    bounds: list[int]  # the greatest squared distance that each tolerance allows


def _edges(
    pred: Tensor, truth: Tensor, tolerances: Sequence[float], convention: Convention, valid: Tensor | None
) -> _Edges:
    check_masks(pred, truth, valid)
    rules = rules_of(convention)
    for tolerance in tolerances:
        check_tolerance(tolerance)
    longest = sum(pred.shape[-2:])  # no two pixels of the image are farther apart
    squares = [min(tolerance, longest) ** 2 for tolerance in tolerances]
    bounds = [math.ceil(square) - 1 if rules.strict else math.floor(square) for square in squares]
    cap = math.isqrt(max(bounds))
    pred_edge, truth_edge = (inner_boundary(mask, border=rules.border, valid=valid) for mask in (pred, truth))
    return _Edges(pred_edge, truth_edge, squared_distance(pred_edge, cap), squared_distance(truth_edge, cap), bounds)


def _band(mask: Tensor, width: int, valid: Tensor | None) -> Tensor:
    background = ~mask if valid is None else valid & ~mask
    band = dilate_square(background, width, outside=True) & mask
    return band if valid is None else band & valid


def _perimeter(mask: Tensor, valid: Tensor | None) -> Tensor:
    across = mask[:, :, 1:] != mask[:, :, :-1]
    down = mask[:, 1:] != mask[:, :-1]
    if valid is not None:
        across &= valid[:, :, 1:] & valid[:, :, :-1]
        down &= valid[:, 1:] & valid[:, :-1]
    return per_image(across) + per_image(down)
