"""Metrics as sums of whole numbers over images: no batching and no order of devices changes them."""

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from torchmetrics import Metric

from crispmap.errors import SettingError
from crispmap.functional._checks import check_choice
from crispmap.metrics._binary import Masks, binary_masks, check_threshold, class_masks

Average = Literal["macro", "none"]

_UNIT = 2**36  # scores are summed in whole units of 1/_UNIT: no order of addition changes a sum of integers


class Measure(ABC):
    """What is counted in each image and what score the sums make."""

    higher_is_better: bool | None = True
    upper_bound: float | None = 1.0

    @property
    @abstractmethod
    def counts(self) -> dict[str, tuple[int, ...]]:
        """The names of the counts and the shape that each has for one image."""

    @abstractmethod
    def count(self, masks: Masks) -> Sequence[Tensor]:
        """The counts of each image, in the order of their names, int64 or bool, each of shape (N, …)."""

    @abstractmethod
    def score(self, sums: Sequence[Tensor]) -> Tensor:
        """The score that the sums over all images make, float64."""


def image_mean(scores: Tensor) -> tuple[Tensor, Tensor]:
    """Scores of images, NaN where they have none, as two counts: their sum in units, and how many there are."""
    return (scores.nan_to_num(0.0) * _UNIT).round().long(), ~scores.isnan()


def mean_of(sums: Sequence[Tensor]) -> Tensor:
    """The mean from sums of `image_mean`; NaN where no image has a score."""
    score_sum, images = sums
    return score_sum.double() / _UNIT / images


def add_identity(metric: Metric, settings: Sequence[Any]) -> None:
    """Keeps metrics apart that are set differently.

    `MetricCollection` takes metrics for one whose states are equal after the first batch, for good, and empty masks
    make all counts equal: so one state says how the metric is set.
    """
    digest = hashlib.blake2b(repr(settings).encode(), digest_size=16).digest()
    # bytes, not one large number: equal means nearly equal there, by a relative tolerance
    metric.add_state("settings", torch.tensor(list(digest)), dist_reduce_fx="max")


def without_ignored(scores: Tensor, ignore_index: int | None) -> Tensor:
    """Scores of classes, (C, …), NaN for one whose pixels are ignored: it may be predicted, but cannot be true."""
    if ignore_index is not None and 0 <= ignore_index < len(scores):
        scores[ignore_index] = math.nan
    return scores


def check_classes(num_classes: int, average: Average) -> None:
    """Checks the settings of a metric of several classes.

    Raises:
        SettingError: If there are fewer than two classes, or the average is none.
    """
    if num_classes < 2:
        raise SettingError(f"num_classes is {num_classes}; give 2 or more, or take the binary metric")
    check_choice("average", average, Average)


class ClassSums(Metric):
    """What is summed over images, for one class or for each of several; a derived class says what that is."""

    is_differentiable = False
    full_state_update = False
    plot_lower_bound = 0.0

    def _add(self, place: int, masks: Masks) -> None:
        """Adds the masks of a class."""
        raise NotImplementedError

    def _scores(self) -> Tensor:
        """Of each class, shape (C, …)."""
        raise NotImplementedError


class OneClass(ClassSums):
    """How a metric of one class reads masks and gives its score; to be mixed with what is summed.

    Args:
        threshold: Probability above which a pixel is foreground.
        ignore_index: Value in the target of pixels to leave out.
        settings: Others that tell it from metrics of its kind.
        kwargs: Those of what is summed.
    """

    def __init__(self, threshold: float, ignore_index: int | None, settings: Sequence[Any] = (), **kwargs: Any) -> None:
        super().__init__(classes=1, settings=(threshold, ignore_index, *settings), **kwargs)
        self.threshold = check_threshold(threshold)
        self.ignore_index = ignore_index

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Adds the images of a batch; shapes and errors as the class describes them."""
        self._add(0, binary_masks(preds, target, self.threshold, self.ignore_index))

    def compute(self) -> Tensor:
        """The score of everything added so far, float64."""
        return self._scores()[0]


class SeveralClasses(ClassSums):
    """How a metric of each of several classes against the rest reads them and gives its score; likewise.

    Args:
        num_classes: How many classes there are.
        average: ``"macro"`` for the mean of the classes that have a score, ``"none"`` for the score of each.
        ignore_index: Value in the target of pixels to leave out; a class that it names has no score.
        settings: Others that tell it from metrics of its kind.
        kwargs: Those of what is summed.
    """

    def __init__(
        self,
        num_classes: int,
        average: Average,
        ignore_index: int | None,
        settings: Sequence[Any] = (),
        **kwargs: Any,
    ) -> None:
        check_classes(num_classes, average)
        super().__init__(classes=num_classes, settings=(ignore_index, *settings), **kwargs)
        self.num_classes = num_classes
        self.average = average
        self.ignore_index = ignore_index

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Adds the images of a batch; shapes and errors as the class describes them."""
        for k, masks in enumerate(class_masks(preds, target, self.num_classes, self.ignore_index)):
            self._add(k, masks)

    def compute(self) -> Tensor:
        """The score of everything added so far, float64; of shape (C, …) with ``average="none"``."""
        scores = without_ignored(self._scores(), self.ignore_index)
        return scores.nanmean(0) if self.average == "macro" else scores


class _Counts(ClassSums):
    def __init__(self, measure: Measure, classes: int, settings: Sequence[Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._measure = measure
        add_identity(self, (measure, *settings))
        for name, shape in measure.counts.items():
            self.add_state(name, torch.zeros(classes, *shape, dtype=torch.int64), dist_reduce_fx="sum")

    @property
    def higher_is_better(self) -> bool | None:  # type: ignore[override]
        return self._measure.higher_is_better

    @property
    def plot_upper_bound(self) -> float | None:  # type: ignore[override]
        return self._measure.upper_bound

    def _add(self, place: int, masks: Masks) -> None:
        for name, count in zip(self._measure.counts, self._measure.count(masks), strict=True):
            getattr(self, name)[place] += count.sum(0)

    def _scores(self) -> Tensor:
        sums = [getattr(self, name) for name in self._measure.counts]
        return torch.stack([self._measure.score([each[k] for each in sums]) for k in range(len(sums[0]))])


class BinaryCounts(OneClass, _Counts):
    """A metric of one class made of counts.

    Args:
        measure: What it measures.
        threshold: Probability above which a pixel is foreground.
        ignore_index: Value in the target of pixels to leave out.
        kwargs: Those of `torchmetrics.Metric`.
    """

    def __init__(self, measure: Measure, threshold: float, ignore_index: int | None, **kwargs: Any) -> None:
        super().__init__(threshold, ignore_index, measure=measure, **kwargs)


class MulticlassCounts(SeveralClasses, _Counts):
    """A metric of each of several classes against the rest made of counts.

    Args:
        measure: What it measures.
        num_classes: How many classes there are.
        average: ``"macro"`` for the mean of the classes that have a score, ``"none"`` for the score of each.
        ignore_index: Value in the target of pixels to leave out; a class that it names has no score.
        kwargs: Those of `torchmetrics.Metric`.
    """

    def __init__(
        self, measure: Measure, num_classes: int, average: Average, ignore_index: int | None, **kwargs: Any
    ) -> None:
        super().__init__(num_classes, average, ignore_index, measure=measure, **kwargs)
