"""Scores of outlines: boundary precision, recall and F1, Boundary IoU, perimeter and corner ratio."""

from collections.abc import Sequence
from typing import Any

from crispmap.functional.conventions import Convention, ScoreReduction
from crispmap.functional.lengths import PixelSize
from crispmap.metrics._counts import Average, BinaryCounts, MulticlassCounts
from crispmap.metrics._measures import BandMeasure, BoundaryMeasure, Ratio, RatioMeasure, Tolerance, Which


class _BinaryBoundary(BinaryCounts):
    _which: Which

    def __init__(
        self,
        convention: Convention = "csurka",
        tolerance: Tolerance | Sequence[Tolerance] | None = 3.0,
        threshold: float = 0.5,
        ignore_index: int | None = None,
        *,
        pixel_size: PixelSize | None = None,
        reduction: ScoreReduction | None = None,
        **kwargs: Any,
    ) -> None:
        measure = BoundaryMeasure(self._which, convention, tolerance, pixel_size, reduction)
        super().__init__(measure, threshold, ignore_index, **kwargs)
        self.convention = convention
        self.tolerance = tolerance


class BinaryBoundaryF1(_BinaryBoundary):
    """Boundary F1 = 2PR / (P + R) of the foreground at a tolerance, or at several in one pass.

    P is the share of predicted boundary pixels with a true one within the tolerance, R that of true boundary
    pixels with a predicted one.

    *Convention.* What a boundary pixel is, whether a distance equal to the tolerance matches, how images are pooled
    and what empty ones give is told by ``convention``: `crispmap.functional.conventions` has them side by side.
    ``"csurka"`` (Csurka et al. 2013, as MATLAB's bfscore) and ``"davis"`` (as the DAVIS benchmark) are means of the
    images' scores, ``"pixels"`` (crispmap's own, for maps cut into tiles) pools the counts of all images;
    ``reduction`` overrides that. Predictions are read as in `BinaryIoU`. Ignored pixels make no boundary and are
    not counted.

    Args:
        convention: "csurka", "davis" or "pixels".
        tolerance: A number of pixels, not necessarily whole; or a text: ``"3px"``, ``"1.5m"`` (metres, needs
            ``pixel_size``) or ``"0.75%"`` (of the image's diagonal); or a sequence of them, which makes the value one
            of shape (T,). None for the convention's own: 0.75 % (csurka), 0.8 % rounded up (davis), 3 pixels (pixels).
            `crispmap.functional.area_under_curve` sums up a curve over tolerances.
        threshold: Probability above which a pixel is foreground.
        ignore_index: Value in the target of pixels to leave out.
        pixel_size: Metres from a pixel to the one below it and to the one right of it.
        reduction: ``"image"`` for the mean of the images' scores, ``"pooled"`` for the score of their counts added up;
            None for the convention's own.
        kwargs: Those of `torchmetrics.Metric`.

    Shape:
        preds, target: (N, H, W) or (N, 1, H, W); the target bool or integers, foreground where not 0.

    Raises:
        SettingError: If a setting is not allowed; on update, if the shapes do not fit together.
    """

    _which = "f1"


class BinaryBoundaryPrecision(_BinaryBoundary):
    """The share of predicted boundary that is near true boundary.

    All else is as in `BinaryBoundaryF1`. Where nothing is predicted it is 1 under *davis* and *pixels*.
    """

    _which = "precision"


class BinaryBoundaryRecall(_BinaryBoundary):
    """The share of true boundary that is near predicted boundary.

    All else is as in `BinaryBoundaryF1`. Where nothing is there it is 1 under *davis* and *pixels*.
    """

    _which = "recall"


class _MulticlassBoundary(MulticlassCounts):
    _which: Which

    def __init__(
        self,
        num_classes: int,
        convention: Convention = "csurka",
        tolerance: Tolerance | Sequence[Tolerance] | None = 3.0,
        average: Average = "macro",
        ignore_index: int | None = None,
        *,
        pixel_size: PixelSize | None = None,
        reduction: ScoreReduction | None = None,
        **kwargs: Any,
    ) -> None:
        measure = BoundaryMeasure(self._which, convention, tolerance, pixel_size, reduction)
        super().__init__(measure, num_classes, average, ignore_index, **kwargs)
        self.convention = convention
        self.tolerance = tolerance


class MulticlassBoundaryF1(_MulticlassBoundary):
    """Boundary F1 of each class against the rest, or the mean of the classes.

    *Convention.* As `BinaryBoundaryF1`, for one class after the other; a class without a score is left out of the
    mean, and so is a class whose pixels are ignored.

    Args:
        num_classes: How many classes there are, C.
        convention: As `BinaryBoundaryF1`; so are tolerance, pixel_size and reduction.
        tolerance: See there.
        average: ``"macro"`` for the mean over the classes, ``"none"`` for a value of shape (C,) or (C, T).
        ignore_index: Value in the target of pixels to leave out.
        pixel_size: See there.
        reduction: See there.
        kwargs: Those of `torchmetrics.Metric`.

    Shape:
        preds: Scores (N, C, H, W), of which the largest counts, or classes (N, H, W). target: classes (N, H, W).

    Raises:
        SettingError: If a setting is not allowed; on update, if the shapes do not fit together.
    """

    _which = "f1"


class MulticlassBoundaryPrecision(_MulticlassBoundary):
    """Boundary precision of each class against the rest; see `MulticlassBoundaryF1` and `BinaryBoundaryPrecision`."""

    _which = "precision"


class MulticlassBoundaryRecall(_MulticlassBoundary):
    """Boundary recall of each class against the rest; see `MulticlassBoundaryF1` and `BinaryBoundaryRecall`."""

    _which = "recall"


class BinaryBoundaryIoU(BinaryCounts):
    """Boundary IoU (Cheng et al. 2021, arXiv:2103.16562): IoU of the bands inside the outlines.

    *Convention.* The band is the mask minus as many erosions by a 3×3 square as it is wide, after zero padding, so the
    image border makes one. Counts are pooled over all images, or the images' scores averaged; NaN if neither side
    has a band. Predictions are read as in `BinaryIoU`. Ignored pixels make no band and are not counted.

    Args:
        width: Of the band: a number of pixels or a text as in `BinaryBoundaryF1`, rounded to whole pixels, at least 1;
            by default the paper's 2 % of the image's diagonal.
        threshold: Probability above which a pixel is foreground.
        ignore_index: Value in the target of pixels to leave out.
        pixel_size: Metres from a pixel to the one below it and to the one right of it; a width in metres needs it.
        reduction: ``"pooled"``, or ``"image"`` for the mean of the images' scores.
        kwargs: Those of `torchmetrics.Metric`.

    Shape:
        preds, target: (N, H, W) or (N, 1, H, W); the target bool or integers, foreground where not 0.

    Raises:
        SettingError: If a setting is not allowed; on update, if the shapes do not fit together.
    """

    def __init__(
        self,
        width: Tolerance | None = None,
        threshold: float = 0.5,
        ignore_index: int | None = None,
        *,
        pixel_size: PixelSize | None = None,
        reduction: ScoreReduction = "pooled",
        **kwargs: Any,
    ) -> None:
        super().__init__(BandMeasure(width, pixel_size, reduction), threshold, ignore_index, **kwargs)
        self.width = width


class MulticlassBoundaryIoU(MulticlassCounts):
    """Boundary IoU of each class against the rest, or the mean of the classes.

    Settings are those of `BinaryBoundaryIoU`; classes, shapes and errors those of `MulticlassBoundaryF1`.
    """

    def __init__(
        self,
        num_classes: int,
        width: Tolerance | None = None,
        average: Average = "macro",
        ignore_index: int | None = None,
        *,
        pixel_size: PixelSize | None = None,
        reduction: ScoreReduction = "pooled",
        **kwargs: Any,
    ) -> None:
        super().__init__(BandMeasure(width, pixel_size, reduction), num_classes, average, ignore_index, **kwargs)
        self.width = width


class _BinaryRatio(BinaryCounts):
    _of: Ratio

    def __init__(
        self,
        threshold: float = 0.5,
        ignore_index: int | None = None,
        *,
        reduction: ScoreReduction = "pooled",
        **kwargs: Any,
    ) -> None:
        super().__init__(RatioMeasure(self._of, reduction), threshold, ignore_index, **kwargs)


class _MulticlassRatio(MulticlassCounts):
    _of: Ratio

    def __init__(
        self,
        num_classes: int,
        average: Average = "macro",
        ignore_index: int | None = None,
        *,
        reduction: ScoreReduction = "pooled",
        **kwargs: Any,
    ) -> None:
        super().__init__(RatioMeasure(self._of, reduction), num_classes, average, ignore_index, **kwargs)


class BinaryPerimeterRatio(_BinaryRatio):
    """Length of the predicted outlines over that of the true ones.

    1 is right; jagged masks and specks are well above it, smoothed or missing objects below.

    *Convention.* The length is the number of 4-adjacent pixel pairs with different labels; the image border
    is no outline, and pairs with an ignored pixel are not counted. Lengths are pooled over all images, or the images'
    ratios averaged; NaN if the truth has none. Predictions are read as in `BinaryIoU`.

    Args:
        threshold: Probability above which a pixel is foreground.
        ignore_index: Value in the target of pixels to leave out.
        reduction: ``"pooled"``, or ``"image"`` for the mean of the images' ratios.
        kwargs: Those of `torchmetrics.Metric`.

    Shape:
        preds, target: (N, H, W) or (N, 1, H, W); the target bool or integers, foreground where not 0.

    Raises:
        SettingError: If a setting is not allowed; on update, if the shapes do not fit together.
    """

    _of = "perimeter"


class MulticlassPerimeterRatio(_MulticlassRatio):
    """Perimeter ratio of each class against the rest, or the mean of the classes.

    Settings are those of `BinaryPerimeterRatio`; classes, shapes and errors those of `MulticlassBoundaryF1`.
    """

    _of = "perimeter"


class BinaryCornerRatio(_BinaryRatio):
    """Length of predicted outline that turns over that of the true one.

    1 is right; near 0 corners are rounded off; well above 1 outlines are jagged, about 10 with teeth of 2 pixels.

    *Convention.* As `crispmap.functional.corner_counts` has it: near a corner, the share of foreground within 4 pixels
    differs from one half by more than 1/8. What is within 4 pixels of the image border or of an ignored pixel is not
    counted. Lengths are pooled over all images, or the images' ratios averaged; NaN if the truth has none.

    Arguments, shapes and errors are those of `BinaryPerimeterRatio`.
    """

    _of = "corners"


class MulticlassCornerRatio(_MulticlassRatio):
    """Corner ratio of each class against the rest, or the mean of the classes.

    Settings are those of `BinaryCornerRatio`; classes, shapes and errors those of `MulticlassBoundaryF1`.
    """

    _of = "corners"
