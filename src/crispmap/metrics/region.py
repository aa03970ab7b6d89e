"""Scores of area: IoU and F1."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from crispmap.functional.region_score import ConfusionCounts, confusion_counts, f1, iou
from crispmap.metrics._binary import BinaryCounts, Masks


class _BinaryConfusion(BinaryCounts):
    plot_upper_bound = 1.0

    def __init__(self, threshold: float = 0.5, ignore_index: int | None = None, **kwargs: Any) -> None:
        super().__init__(ConfusionCounts._fields, threshold, ignore_index, **kwargs)

    def _count(self, masks: Masks) -> Sequence[Tensor]:
        return confusion_counts(*masks)


class BinaryIoU(_BinaryConfusion):
    """Intersection over union of the foreground, TP / (TP + FP + FN).

    *Convention.* The pixels of all images are pooled. Predictions may be masks (bool or integers),
    probabilities or logits: as in torchmetrics, floats with a value outside [0, 1] are taken for logits,
    here image by image. NaN if neither prediction nor truth has a pixel of foreground. Ignored pixels are
    not counted.

    Args:
        threshold: Probability above which a pixel is foreground.
        ignore_index: Value in the target of pixels to leave out.
        kwargs: Those of `torchmetrics.Metric`.

    Shape:
        preds, target: (N, H, W) or (N, 1, H, W); the target bool or integers, foreground where not 0.

    Raises:
        SettingError: If the threshold is no probability; on update, if the shapes do not fit together.
    """

    def compute(self) -> Tensor:
        """The score of everything added so far, a float64 scalar in [0, 1]."""
        return iou(ConfusionCounts(*self._totals()))


class BinaryF1(_BinaryConfusion):
    """F1 score (Dice coefficient) of the foreground, 2TP / (2TP + FP + FN).

    Convention, arguments, shapes and errors are those of `BinaryIoU`.
    """

    def compute(self) -> Tensor:
        """The score of everything added so far, a float64 scalar in [0, 1]."""
        return f1(ConfusionCounts(*self._totals()))
