"""Scores of objects: F1 of those that are found, and average precision over thresholds of IoU."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

from crispmap.errors import SettingError
from crispmap.functional.object_score import (
    AP_THRESHOLDS,
    ObjectCounts,
    average_precision,
    check_thresholds,
    label_objects,
    match_objects,
    object_f1,
    object_overlaps,
)
from crispmap.metrics._binary import Masks
from crispmap.metrics._counts import Average, BinaryCounts, Measure, MulticlassCounts

_NAMES = tuple(field.name for field in fields(ObjectCounts))
_AT_THRESHOLDS = ("true_positive", "false_positive", "false_negative")


@dataclass(frozen=True)
class _ObjectMeasure(Measure):
    """F1 at one threshold of IoU, average precision over several."""

    thresholds: tuple[float, ...]
    min_area: int

    def __post_init__(self) -> None:
        check_thresholds(self.thresholds)
        if self.min_area < 0:
            raise SettingError(f"min_area is {self.min_area}; give a number of pixels of at least 0")

    @property
    def counts(self) -> dict[str, tuple[int, ...]]:
        return {name: (len(self.thresholds),) if name in _AT_THRESHOLDS else () for name in _NAMES}

    def count(self, masks: Masks) -> Sequence[Tensor]:
        pred, truth, valid = masks
        if valid is not None:
            pred, truth = pred & valid, truth & valid
        images = zip(pred.cpu().numpy(), truth.cpu().numpy(), strict=True)
        found = [object_overlaps(label_objects(p), label_objects(t), self.min_area) for p, t in images]
        counts = [match_objects(overlaps, self.thresholds) for overlaps in found]
        by_name = (np.array([getattr(count, name) for count in counts], np.int64) for name in _NAMES)
        return [torch.from_numpy(each).to(pred.device) for each in by_name]

    def score(self, sums: Sequence[Tensor]) -> Tensor:
        hits, spurious, missed = (each.cpu().numpy() for each in sums[:3])
        counts = ObjectCounts(hits, spurious, missed, *(int(total) for total in sums[3:]))
        score = object_f1(counts)[0] if len(self.thresholds) == 1 else average_precision(counts)
        return torch.tensor(float(score), dtype=torch.float64, device=sums[0].device)


class BinaryObjectF1(BinaryCounts):
    """F1 score of objects, 2TP / (2TP + FP + FN): a predicted and a true object match from an IoU on.

    *Convention.* Objects are components of an image by 4-connectivity, as in the footprints of `crispmap predict`;
    `crispmap.functional.match_objects` says how they match. Objects of all images are pooled: NaN if
    there is none on either side, 0 if there is none on one side only. Predictions are read as in `BinaryIoU`. Ignored
    pixels belong to no object, and cut those that they lie in. The counts are taken on the CPU.

    Args:
        threshold: Probability above which a pixel is foreground.
        iou: From which on two objects match, greater than 0 and at most 1.
        min_area: Objects of fewer pixels are left out on both sides.
        ignore_index: Value in the target of pixels to leave out.
        kwargs: Those of `torchmetrics.Metric`.

    Shape:
        preds, target: (N, H, W) or (N, 1, H, W); the target bool or integers, foreground where not 0.

    Raises:
        SettingError: If threshold, iou or min_area are out of range; on update, if the shapes do not fit together.
    """

    def __init__(
        self,
        threshold: float = 0.5,
        iou: float = 0.5,
        min_area: int = 0,
        ignore_index: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(_ObjectMeasure((iou,), min_area), threshold, ignore_index, **kwargs)


class BinaryObjectAveragePrecision(BinaryCounts):
    """Mean of TP / (TP + FP + FN) of objects over thresholds of IoU from 0.5 to 0.95 in steps of 0.05.

    `crispmap.functional.average_precision` says how this differs from COCO's. Convention, shapes and
    errors are those of `BinaryObjectF1`.

    Args:
        threshold: Probability above which a pixel is foreground.
        min_area: Objects of fewer pixels are left out on both sides.
        ignore_index: Value in the target of pixels to leave out.
        kwargs: Those of `torchmetrics.Metric`.
    """

    def __init__(
        self, threshold: float = 0.5, min_area: int = 0, ignore_index: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(_ObjectMeasure(AP_THRESHOLDS, min_area), threshold, ignore_index, **kwargs)


class MulticlassObjectF1(MulticlassCounts):
    """F1 score of the objects of each class against the rest, or the mean of the classes.

    *Convention.* As in `BinaryObjectF1`; an object is a component of one class, the background's too where that is a
    class. A class without objects on either side has no score, and the mean leaves it out; so does a class whose
    pixels are ignored. NaN if no class has a score.

    Args:
        num_classes: At least 2.
        iou: From which on two objects match, greater than 0 and at most 1.
        min_area: Objects of fewer pixels are left out on both sides.
        ignore_index: Value in the target of pixels to leave out.
        average: "macro" for the mean, "none" for the score of each class.
        kwargs: Those of `torchmetrics.Metric`.

    Shape:
        preds: Scores (N, C, H, W), of which the greatest counts, or classes (N, H, W), integers.
        target: Classes (N, H, W), integers.

    Raises:
        SettingError: If a parameter is out of range; on update, if the shapes do not fit together or hold something
            else than classes.
    """

    def __init__(
        self,
        num_classes: int,
        iou: float = 0.5,
        min_area: int = 0,
        ignore_index: int | None = None,
        average: Average = "macro",
        **kwargs: Any,
    ) -> None:
        super().__init__(_ObjectMeasure((iou,), min_area), num_classes, average, ignore_index, **kwargs)
