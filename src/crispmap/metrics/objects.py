"""Scores of objects: F1 of those that are found, and average precision over thresholds of IoU."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics import Metric

from crispmap.errors import SettingError
from crispmap.functional._checks import check_choice
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
from crispmap.metrics._binary import binary_masks

Average = Literal["macro", "none"]

_NAMES = tuple(field.name for field in fields(ObjectCounts))


class _ObjectScore(Metric):
    """A metric made of the `ObjectCounts` of each class, summed over images, hence the same however they are batched.

    Args:
        classes: How many classes are counted.
        thresholds: Of IoU.
        min_area: Objects of fewer pixels are left out.
        settings: What else decides what is counted.
        kwargs: Those of `torchmetrics.Metric`.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0

    def __init__(
        self, classes: int, thresholds: Sequence[float], min_area: int, settings: Sequence[float | None], **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        check_thresholds(thresholds)
        if min_area < 0:
            raise SettingError(f"min_area is {min_area}; give a number of pixels of at least 0")
        self.thresholds = tuple(thresholds)
        self.min_area = min_area
        for name in _NAMES:
            at_thresholds = name in ("true_positive", "false_positive", "false_negative")
            shape = (classes, len(thresholds)) if at_thresholds else (classes,)
            self.add_state(name, torch.zeros(shape, dtype=torch.int64), dist_reduce_fx="sum")
        # A MetricCollection takes metrics whose states are equal after one batch for the same metric, for good.
        # This state tells apart those that count alike there by chance.
        known = [-torch.inf if setting is None else setting for setting in (*thresholds, min_area, *settings)]
        self.add_state("settings", torch.tensor(known, dtype=torch.float32), dist_reduce_fx="max")

    def _add(self, masks: Sequence[tuple[NDArray[np.bool_], NDArray[np.bool_]]]) -> None:
        """Adds one image: prediction and truth of each class."""
        overlaps = [object_overlaps(label_objects(pred), label_objects(true), self.min_area) for pred, true in masks]
        counts = [match_objects(table, self.thresholds) for table in overlaps]
        for name in _NAMES:
            added = torch.from_numpy(np.array([getattr(count, name) for count in counts], np.int64))
            setattr(self, name, getattr(self, name) + added.to(self.device))

    def _counts(self) -> list[ObjectCounts]:
        """The counts of each class."""
        states = [getattr(self, name).cpu().numpy() for name in _NAMES]
        return [ObjectCounts(*count) for count in zip(*states, strict=True)]


class _BinaryObjectScore(_ObjectScore):
    def __init__(
        self, thresholds: Sequence[float], threshold: float, min_area: int, ignore_index: int | None, **kwargs: Any
    ) -> None:
        super().__init__(1, thresholds, min_area, (threshold, ignore_index), **kwargs)
        if not 0 <= threshold <= 1:
            raise SettingError(f"threshold is {threshold}; give a probability from 0 to 1")
        self.threshold = threshold
        self.ignore_index = ignore_index

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Adds the images of a batch; shapes and errors as the class describes them."""
        pred, truth, valid = binary_masks(preds, target, self.threshold, self.ignore_index)
        if valid is not None:
            pred, truth = pred & valid, truth & valid
        for image in zip(pred.cpu().numpy(), truth.cpu().numpy(), strict=True):
            self._add([image])


class BinaryObjectF1(_BinaryObjectScore):
    """F1 score of objects, 2TP / (2TP + FP + FN): a predicted and a true object match from an IoU on.

    *Convention.* Objects are components of an image by 4-connectivity, as in the footprints of `crispmap predict`;
    `crispmap.functional.object_score.match_objects` says how they match. Objects of all images are pooled: NaN if
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
        super().__init__((iou,), threshold, min_area, ignore_index, **kwargs)

    def compute(self) -> Tensor:
        """The score of everything added so far, a float64 scalar in [0, 1]."""
        return torch.tensor(object_f1(self._counts()[0])[0], device=self.device)


class BinaryObjectAveragePrecision(_BinaryObjectScore):
    """Mean of TP / (TP + FP + FN) of objects over thresholds of IoU from 0.5 to 0.95 in steps of 0.05.

    `crispmap.functional.object_score.average_precision` says how this differs from COCO's. Convention, shapes and
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
        super().__init__(AP_THRESHOLDS, threshold, min_area, ignore_index, **kwargs)

    def compute(self) -> Tensor:
        """The score of everything added so far, a float64 scalar in [0, 1]."""
        return torch.tensor(average_precision(self._counts()[0]), dtype=torch.float64, device=self.device)


class MulticlassObjectF1(_ObjectScore):
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
        if num_classes < 2:
            raise SettingError(f"num_classes is {num_classes}; give at least 2")
        check_choice("average", average, Average)
        super().__init__(num_classes, (iou,), min_area, (ignore_index,), **kwargs)
        self.num_classes = num_classes
        self.ignore_index = ignore_index
        self.average = average

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Adds the images of a batch; shapes and errors as the class describes them."""
        classes = preds.argmax(1) if preds.ndim == 4 and preds.shape[1] == self.num_classes else preds
        if classes.ndim != 3 or classes.shape != target.shape:
            raise SettingError(
                f"preds must be (N, {self.num_classes}, H, W) or (N, H, W) and target (N, H, W); "
                f"found {tuple(preds.shape)} and {tuple(target.shape)}"
            )
        valid = torch.ones_like(target, dtype=torch.bool) if self.ignore_index is None else target != self.ignore_index
        for name, labels in (("preds", classes), ("target", target)):
            self._check_classes(name, labels[valid])
        for image in zip(*(part.cpu().numpy() for part in (classes, target, valid)), strict=True):
            pred, true, known = image
            self._add([((pred == k) & known, (true == k) & known) for k in range(self.num_classes)])

    def _check_classes(self, name: str, labels: Tensor) -> None:
        if labels.is_floating_point() or labels.dtype == torch.bool:
            raise SettingError(f"{name} must be classes, integers; found {labels.dtype}")
        if labels.numel() and not 0 <= int(labels.min()) <= int(labels.max()) < self.num_classes:
            raise SettingError(
                f"{name} must be classes from 0 to {self.num_classes - 1}; found {labels.min()} to {labels.max()}"
            )

    def compute(self) -> Tensor:
        """The score of everything added so far, float64: a scalar in [0, 1], or (C,) where average is "none"."""
        scores = torch.tensor([object_f1(counts)[0] for counts in self._counts()], dtype=torch.float64)
        if self.ignore_index is not None and 0 <= self.ignore_index < self.num_classes:
            scores[self.ignore_index] = torch.nan
        return (scores.nanmean() if self.average == "macro" else scores).to(self.device)
