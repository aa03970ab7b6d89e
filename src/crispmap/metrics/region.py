"""Scores of area: IoU and F1."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

from crispmap.functional.region_score import ConfusionCounts, confusion_counts, f1, iou
from crispmap.metrics._binary import Masks
from crispmap.metrics._counts import BinaryCounts, Measure


@dataclass(frozen=True)
class _RegionMeasure(Measure):
    which: Literal["iou", "f1"]

    @property
    def counts(self) -> dict[str, tuple[int, ...]]:
        return dict.fromkeys(ConfusionCounts._fields, ())

    def count(self, masks: Masks) -> Sequence[Tensor]:
        return confusion_counts(*masks)

    def score(self, sums: Sequence[Tensor]) -> Tensor:
        counts = ConfusionCounts(*sums)
        return iou(counts) if self.which == "iou" else f1(counts)


class BinaryIoU(BinaryCounts):
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

    def __init__(self, threshold: float = 0.5, ignore_index: int | None = None, **kwargs: Any) -> None:
        super().__init__(_RegionMeasure("iou"), threshold, ignore_index, **kwargs)


class BinaryF1(BinaryCounts):
    """F1 score (Dice coefficient) of the foreground, 2TP / (2TP + FP + FN).

    Convention, arguments, shapes and errors are those of `BinaryIoU`.
    """

    def __init__(self, threshold: float = 0.5, ignore_index: int | None = None, **kwargs: Any) -> None:
        super().__init__(_RegionMeasure("f1"), threshold, ignore_index, **kwargs)
