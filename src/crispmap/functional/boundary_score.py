"""Exact boundary counts on masks, and boundary precision, recall and F1 made of them.

What a boundary is, when it is matched and what empty images give is a *convention*: `crispmap.functional.conventions`
has them side by side. Ignored pixels (``valid`` false) take no side under any of them: they are no boundary, make
none of their neighbours one, and are counted nowhere.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from crispmap.errors import SettingError
from crispmap.functional._checks import check_masks
from crispmap.functional.conventions import SLACK, Convention, ScoreReduction, check_reduction, rules_of
from crispmap.functional.lengths import Length, PixelSize, rulers
from crispmap.functional.morphology import forward_boundary, inner_boundary
from crispmap.functional.nearest import UNIT, Spacing, squared_distance_to
from crispmap.functional.region_score import positions, quotient

ALL = slice(None)


class BoundaryCounts(NamedTuple):
    """Numbers of boundary pixels, int64: of each image, and where matched at each of T tolerances."""

    matched_predicted: Tensor  # (N, T)
    predicted: Tensor  # (N,)
    matched_true: Tensor  # (N, T)
    true: Tensor  # (N,)


class BoundaryScores(NamedTuple):
    """Precision, recall and F1, float64, of one shape."""

    precision: Tensor
    recall: Tensor
    f1: Tensor


class BoundaryMatch(NamedTuple):
    """The three kinds of boundary pixel in an edge picture, bool, shape (H, W)."""

    matched: Tensor  # predicted boundary that the truth has within the tolerance
    spurious: Tensor  # predicted boundary that it has not
    missed: Tensor  # true boundary that the prediction has not within the tolerance


class BoundaryDistances(NamedTuple):
    """How far the boundary pixels of each side are from the boundary of the other, in the units of the spacing."""

    pred: Tensor  # squared, float64, (P,); ∞ where nothing is within the cap
    pred_at: Tensor  # image, row and column of each, int64, (P, 3)
    true: Tensor  # (Q,)
    true_at: Tensor  # (Q, 3)


def boundary_distances(
    pred: Tensor,
    truth: Tensor,
    convention: Convention = "csurka",
    valid: Tensor | None = None,
    *,
    cap: float = math.inf,
    spacing: Spacing = UNIT,
    rows: slice = ALL,
    cols: slice = ALL,
) -> BoundaryDistances:
    """Measures from each boundary pixel to the nearest boundary pixel of the other mask; exact.

    Args:
        pred: Bool, shape (N, H, W).
        truth: Bool, shape (N, H, W).
        convention: What a boundary is; see `crispmap.functional.conventions`.
        valid: Bool, shape (N, H, W), false at ignored pixels.
        cap: Distances above it are not looked for, which saves time where boundaries are far apart.
        spacing: The length of a step down and of one to the right: (1, 1) for pixels, or metres.
        rows: From which to measure; the others lend their boundaries only.
        cols: From which to measure, likewise.

    Raises:
        SettingError: If the convention is not known or the masks do not fit together.
    """
    check_masks(pred, truth, valid)
    pred_edge, true_edge = boundaries(pred, truth, convention, valid)
    cap *= 1 + SLACK  # what equals it but for rounding is within it
    pred_asked, true_asked = _within(pred_edge, rows, cols), _within(true_edge, rows, cols)
    return BoundaryDistances(
        squared_distance_to(true_edge, pred_asked, cap, spacing),
        positions(pred_asked),
        squared_distance_to(pred_edge, true_asked, cap, spacing),
        positions(true_asked),
    )


def boundary_counts(
    pred: Tensor,
    truth: Tensor,
    tolerances: Sequence[float | str | Length],
    convention: Convention = "csurka",
    valid: Tensor | None = None,
    *,
    pixel_size: PixelSize | None = None,
    rows: slice = ALL,
    cols: slice = ALL,
) -> BoundaryCounts:
    """Counts the boundary pixels of each image and those that the other mask's boundary confirms.

    Args:
        pred: Bool, shape (N, H, W).
        truth: Bool, shape (N, H, W).
        tolerances: Numbers of pixels, not necessarily whole, or lengths such as ``"1.5m"`` and ``"0.75%"``.
        convention: What a boundary is and which distance still matches.
        valid: Bool, shape (N, H, W), false at ignored pixels.
        pixel_size: Metres down and to the right; tolerances in metres need it.
        rows: Whose boundary pixels to count; the others lend their boundaries only.
        cols: Whose boundary pixels to count, likewise.

    Returns:
        The counts; `boundary_f1` makes scores of them.

    Raises:
        SettingError: If a tolerance or the convention is not allowed or the masks do not fit together.
    """
    rules = rules_of(convention)
    check_masks(pred, truth, valid)
    images, height, width = pred.shape
    total = pred.new_zeros(images, dtype=torch.int64)
    at_each = pred.new_zeros((images, len(tolerances)), dtype=torch.int64)
    counts = BoundaryCounts(at_each, total, at_each.clone(), total.clone())
    lengths = [rules.resolve(tolerance, (height, width)) for tolerance in tolerances]
    for ruler in rulers(lengths, pixel_size):
        cap = max(ruler.tolerances)
        found = boundary_distances(pred, truth, convention, valid, cap=cap, spacing=ruler.spacing, rows=rows, cols=cols)
        for squared, at, matched, all_of_it in (
            (found.pred, found.pred_at, counts.matched_predicted, counts.predicted),
            (found.true, found.true_at, counts.matched_true, counts.true),
        ):
            image = at[:, 0]
            all_of_it.copy_(torch.bincount(image, minlength=images))
            for place, tolerance in zip(ruler.places, ruler.tolerances, strict=True):
                near = image[rules.matches(squared, tolerance)]
                matched[:, place] = torch.bincount(near, minlength=images)
    return counts


def boundary_match(
    pred: Tensor,
    truth: Tensor,
    tolerance: float | str | Length,
    convention: Convention = "csurka",
    valid: Tensor | None = None,
    *,
    pixel_size: PixelSize | None = None,
) -> BoundaryMatch:
    """Shows for one pair of masks, each (H, W), which boundary pixels `boundary_counts` takes as matched.

    Arguments and errors are those of `boundary_counts`.
    """
    rules = rules_of(convention)
    masks = pred[None], truth[None], convention, None if valid is None else valid[None]
    check_masks(*masks[:2], masks[3])
    (ruler,) = rulers([rules.resolve(tolerance, (pred.shape[0], pred.shape[1]))], pixel_size)
    (bound,) = ruler.tolerances
    found = boundary_distances(*masks, cap=bound, spacing=ruler.spacing)
    pred_edge, true_edge = (edge[0] for edge in boundaries(*masks))
    confirmed, missed = torch.zeros_like(pred_edge), torch.zeros_like(true_edge)
    confirmed[pred_edge] = rules.matches(found.pred, bound)
    missed[true_edge] = ~rules.matches(found.true, bound)
    return BoundaryMatch(confirmed, pred_edge & ~confirmed, missed)


def boundary_scores(
    counts: BoundaryCounts, convention: Convention = "csurka", reduction: ScoreReduction | None = None
) -> BoundaryScores:
    """Boundary precision, recall and F1 = 2PR / (P + R) of a set of images at each tolerance.

    P is the share of predicted boundary that is matched, R that of true boundary.

    Args:
        counts: Of all images of the set, from `boundary_counts` under the same convention.
        convention: See `crispmap.functional.conventions`.
        reduction: ``"image"`` for the mean of the images' scores, leaving out those that have none; ``"pooled"`` for
            the score of the images' counts added up; None for the convention's own.

    Returns:
        Each of shape (T,), in [0, 1]; under *csurka* NaN where no image has a score.
    """
    rules = rules_of(convention)
    if reduction is not None:
        check_reduction(reduction)
    if (reduction or rules.reduction) == "pooled":
        counts = BoundaryCounts(*(count.sum(0, keepdim=True) for count in counts))
    return BoundaryScores(*(score.nanmean(0) for score in boundary_scores_per_image(counts, convention)))


def boundary_scores_per_image(counts: BoundaryCounts, convention: Convention = "csurka") -> BoundaryScores:
    """The scores of each image at each tolerance, each of shape (N, T), empty cases by the convention.

    Where it gives an image a score at all, nothing predicted has precision 1 and nothing there recall 1.
    """
    rules = rules_of(convention)
    precision = quotient(counts.matched_predicted, counts.predicted[:, None])
    recall = quotient(counts.matched_true, counts.true[:, None])
    f1 = 2 * precision * recall / (precision + recall)
    f1 = f1.masked_fill(precision + recall == 0, 0.0)  # boundaries on both sides, none near the other
    no_pred, no_true = counts.predicted[:, None] == 0, counts.true[:, None] == 0
    either, both = (no_pred | no_true).expand_as(f1), (no_pred & no_true).expand_as(f1)
    f1 = f1.masked_fill(either, rules.one_empty).masked_fill(both, rules.both_empty)
    if math.isnan(rules.one_empty):
        return BoundaryScores(precision.masked_fill(either, math.nan), recall.masked_fill(either, math.nan), f1)
    return BoundaryScores(
        precision.masked_fill(no_true, 0.0).masked_fill(no_pred, 1.0),
        recall.masked_fill(no_pred, 0.0).masked_fill(no_true, 1.0),
        f1,
    )


def boundary_f1(
    counts: BoundaryCounts, convention: Convention = "csurka", reduction: ScoreReduction | None = None
) -> Tensor:
    """Boundary F1 alone; see `boundary_scores`."""
    return boundary_scores(counts, convention, reduction).f1


def boundary_f1_per_image(counts: BoundaryCounts, convention: Convention = "csurka") -> Tensor:
    """Boundary F1 of each image at each tolerance alone; see `boundary_scores_per_image`."""
    return boundary_scores_per_image(counts, convention).f1


def area_under_curve(tolerances: Sequence[float], scores: Tensor) -> Tensor:
    """The mean of a score over a range of tolerances: the area under its curve, by trapezoids, over the range's width.

    Args:
        tolerances: At least two, rising, all of one unit.
        scores: At each of them, shape (…, T).

    Returns:
        Shape (…), within the range of the scores.

    Raises:
        SettingError: If there are fewer than two tolerances, or they do not rise.
    """
    at = torch.as_tensor(tolerances, dtype=torch.float64, device=scores.device)
    if len(at) < 2 or not bool((at.diff() > 0).all()):
        raise SettingError(f"tolerances are {list(tolerances)}; a curve needs at least two, rising")
    return torch.trapezoid(scores.double(), at) / (at[-1] - at[0])


def boundaries(pred: Tensor, truth: Tensor, convention: Convention, valid: Tensor | None) -> tuple[Tensor, Tensor]:
    """The boundary pixels of both masks under a convention, bool, each (N, H, W)."""
    rules = rules_of(convention)
    if rules.inner:
        return (
            inner_boundary(pred, border=rules.border, valid=valid),
            inner_boundary(truth, border=rules.border, valid=valid),
        )
    return forward_boundary(pred, valid), forward_boundary(truth, valid)


def _within(mask: Tensor, rows: slice, cols: slice) -> Tensor:
    """The mask, empty outside of some rows and columns."""
    if rows == cols == ALL:
        return mask
    inside = torch.zeros_like(mask)
    inside[:, rows, cols] = mask[:, rows, cols]
    return inside
