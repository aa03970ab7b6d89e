"""Scores of outlines: boundary F1, Boundary IoU and the perimeter ratio."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from crispmap.functional.boundary_score import (
    BandCounts,
    BoundaryCounts,
    Convention,
    PerimeterCounts,
    band_width,
    boundary_counts,
    boundary_f1_per_image,
    boundary_iou,
    boundary_iou_counts,
    check_tolerance,
    perimeter_counts,
    perimeter_ratio,
    rules_of,
)
from crispmap.metrics._binary import BinaryCounts, Masks

_UNIT = 2**40  # scores are summed in whole units of 1/_UNIT: no order of addition changes a sum of integers


class BinaryBoundaryF1(BinaryCounts):
    """Boundary F1 = 2PR / (P + R) of the foreground at a tolerance in pixels.

    P is the share of predicted boundary pixels with a true one within the tolerance, R that of true boundary
    pixels with a predicted one.

    *Convention.* ``"csurka"`` (Csurka et al. 2013, as MATLAB's bfscore): boundary by a 3×3 cross after zero
    padding, distance *less than* the tolerance, the mean of the images' scores; an image in which
    prediction or truth has no boundary has no score, and the value is NaN if no image has one.
    ``"pixels"``: the image border makes no boundary, distance *at most* the tolerance, counts pooled over
    all images; 1 if neither side has a boundary, 0 if one has. `crispmap.functional.boundary_score` has
    them side by side. Predictions are read as in `BinaryIoU`. Ignored pixels make no boundary and are not
    counted.

    Args:
        convention: "csurka" or "pixels".
        tolerance: In pixels, greater than 0, not necessarily whole.
        threshold: Probability above which a pixel is foreground.
        ignore_index: Value in the target of pixels to leave out.
        kwargs: Those of `torchmetrics.Metric`.

    Shape:
        preds, target: (N, H, W) or (N, 1, H, W); the target bool or integers, foreground where not 0.

    Raises:
        SettingError: If convention, tolerance or threshold are not allowed; on update, if the shapes do not
            fit together.
    """

    plot_upper_bound = 1.0

    def __init__(
        self,
        convention: Convention = "csurka",
        tolerance: float = 3.0,
        threshold: float = 0.5,
        ignore_index: int | None = None,
        **kwargs: Any,
    ) -> None:
        self._pooled = rules_of(convention).pooled
        names = BoundaryCounts._fields if self._pooled else ("score_sum", "images")
        super().__init__(names, threshold, ignore_index, **kwargs)
        self.convention = convention
        self.tolerance = check_tolerance(tolerance)

    def _count(self, masks: Masks) -> Sequence[Tensor]:
        counts = boundary_counts(masks.pred, masks.truth, [self.tolerance], self.convention, masks.valid)
        if self._pooled:
            return counts
        scores = boundary_f1_per_image(counts, self.convention)
        return (scores.nan_to_num(0.0) * _UNIT).round().long(), ~scores.isnan()

    def compute(self) -> Tensor:
        """The score of everything added so far, a float64 scalar in [0, 1]."""
        if self._pooled:
            matched_predicted, predicted, matched_true, true = (total.view(1) for total in self._totals())
            counts = BoundaryCounts(matched_predicted[:, None], predicted, matched_true[:, None], true)
            return boundary_f1_per_image(counts, self.convention)[0, 0]
        score_sum, images = self._totals()
        return score_sum.double() / _UNIT / images


class BinaryBoundaryIoU(BinaryCounts):
    """Boundary IoU (Cheng et al. 2021, arXiv:2103.16562): IoU of the bands inside the outlines.

    *Convention.* The band is the mask minus ``width`` erosions by a 3×3 square after zero padding, so the
    image border makes one. Counts are pooled over all images; NaN if neither side has a band. Predictions
    are read as in `BinaryIoU`. Ignored pixels make no band and are not counted.

    Args:
        width: Of the band in pixels; by default the paper's, max(1, round(0.02 · image diagonal)).
        threshold: Probability above which a pixel is foreground.
        ignore_index: Value in the target of pixels to leave out.
        kwargs: Those of `torchmetrics.Metric`.

    Shape:
        preds, target: (N, H, W) or (N, 1, H, W); the target bool or integers, foreground where not 0.

    Raises:
        SettingError: If width or threshold are not allowed; on update, if the shapes do not fit together.
    """

    plot_upper_bound = 1.0

    def __init__(
        self,
        width: int | None = None,
        threshold: float = 0.5,
        ignore_index: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(BandCounts._fields, threshold, ignore_index, **kwargs)
        band_width(width, (1, 1))  # here rather than at the first update is where a wrong one should be told
        self.width = width

    def _count(self, masks: Masks) -> Sequence[Tensor]:
        return boundary_iou_counts(masks.pred, masks.truth, self.width, masks.valid)

    def compute(self) -> Tensor:
        """The score of everything added so far, a float64 scalar in [0, 1]."""
        return boundary_iou(BandCounts(*self._totals()))


class BinaryPerimeterRatio(BinaryCounts):
    """Length of the predicted outlines over that of the true ones.

    1 is right; jagged masks and specks are well above it, smoothed or missing objects below.

    *Convention.* The length is the number of 4-adjacent pixel pairs with different labels; the image border
    is no outline, and pairs with an ignored pixel are not counted. Lengths are pooled over all images; NaN
    if the truth has none. Predictions are read as in `BinaryIoU`.

    Args:
        threshold: Probability above which a pixel is foreground.
        ignore_index: Value in the target of pixels to leave out.
        kwargs: Those of `torchmetrics.Metric`.

    Shape:
        preds, target: (N, H, W) or (N, 1, H, W); the target bool or integers, foreground where not 0.

    Raises:
        SettingError: If the threshold is no probability; on update, if the shapes do not fit together.
    """

    higher_is_better = None

    def __init__(self, threshold: float = 0.5, ignore_index: int | None = None, **kwargs: Any) -> None:
        super().__init__(PerimeterCounts._fields, threshold, ignore_index, **kwargs)

    def _count(self, masks: Masks) -> Sequence[Tensor]:
        return perimeter_counts(*masks)

    def compute(self) -> Tensor:
        """The ratio over everything added so far, a float64 scalar of at least 0."""
        return perimeter_ratio(PerimeterCounts(*self._totals()))
