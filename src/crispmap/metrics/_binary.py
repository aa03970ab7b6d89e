"""What the binary metrics share: masks from predictions, and counts summed over images."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torchmetrics import Metric

from crispmap.errors import SettingError


class Masks(NamedTuple):
    """Bool masks of one shape, (N, H, W)."""

    pred: Tensor
    truth: Tensor
    valid: Tensor | None  # false at ignored pixels; None where none can be


class BinaryCounts(Metric):
    """A metric made of int64 counts that are summed over images, hence the same however images are batched.

    Args:
        counts: The names of the counts.
        threshold: Probability above which a pixel is foreground.
        ignore_index: Value in the target of pixels to leave out.
        kwargs: Those of `torchmetrics.Metric`.
    """

    is_differentiable = False
    higher_is_better: bool | None = True
    full_state_update = False
    plot_lower_bound = 0.0

    def __init__(self, counts: Sequence[str], threshold: float, ignore_index: int | None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 <= threshold <= 1:
            raise SettingError(f"threshold is {threshold}; give a probability from 0 to 1")
        self.threshold = threshold
        self.ignore_index = ignore_index
        self._names = tuple(counts)
        for name in counts:
            self.add_state(name, torch.tensor(0), dist_reduce_fx="sum")

    @abstractmethod
    def _count(self, masks: Masks) -> Sequence[Tensor]:
        """The counts of each image, in the order of their names, each of shape (N,) or (N, 1)."""

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Adds the images of a batch; shapes and errors as the class describes them."""
        masks = binary_masks(preds, target, self.threshold, self.ignore_index)
        for name, count in zip(self._names, self._count(masks), strict=True):
            setattr(self, name, getattr(self, name) + count.sum())

    def _totals(self) -> list[Tensor]:
        return [getattr(self, name) for name in self._names]


def binary_masks(preds: Tensor, target: Tensor, threshold: float, ignore_index: int | None) -> Masks:
    """Turns predictions and target of one class into masks.

    Args:
        preds: Shape (N, H, W) or (N, 1, H, W). Bool or integers: a mask, foreground where not 0. Floats:
            probabilities, or logits where an image has a value outside [0, 1]. That is decided for each
            image by itself, so that no image changes how its batch is read.
        target: Bool or integers, shape (N, H, W) or (N, 1, H, W), foreground where not 0.
        threshold: Probability above which a pixel is foreground.
        ignore_index: Value in the target of pixels to leave out.

    Returns:
        The masks.

    Raises:
        SettingError: If the shapes do not fit together or the target is not a mask.
    """
    scores, labels = (x[:, 0] if x.ndim == 4 and x.shape[1] == 1 else x for x in (preds, target))
    if scores.ndim != 3 or scores.shape != labels.shape:
        raise SettingError(
            "preds and target must both be (N, H, W) or (N, 1, H, W); "
            f"found {tuple(preds.shape)} and {tuple(target.shape)}"
        )
    if labels.is_floating_point():
        raise SettingError(f"target must be a mask of bool or integers; found {labels.dtype}")
    if scores.is_floating_point():
        is_logits = ((scores < 0) | (scores > 1)).flatten(1).any(1)
        cut = torch.tensor(threshold, dtype=scores.dtype, device=scores.device)
        pred = scores > torch.where(is_logits, cut.logit(), cut)[:, None, None]
    else:
        pred = scores != 0
    return Masks(pred, labels != 0, None if ignore_index is None else labels != ignore_index)
