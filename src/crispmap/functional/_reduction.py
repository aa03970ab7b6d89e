"""How losses of several images and classes become one number.

``"image"``: a loss for each class of each image, then their mean. ``"batch"``: pixels summed over the whole
batch first, so that a class absent from one image does not count there as one. ``"none"``: (N, C), a loss
for each class of each image. Class weights make the mean over classes a weighted one.
"""

from typing import Literal

import torch
from torch import Tensor

LossReduction = Literal["image", "batch", "none"]


def in_full_precision(*maps: Tensor) -> tuple[Tensor, ...]:
    """The maps in the dtype of the first, in float32 if that is narrower: float16 sums overflow at 2¹⁶."""
    dtype = torch.promote_types(maps[0].dtype, torch.float32)
    return tuple(x.to(dtype) for x in maps)


def pixel_sum(x: Tensor, reduction: LossReduction) -> Tensor:
    """Sum over the pixels of each class, (N, C), or with ``"batch"`` over those of all images, (C,)."""
    return x.sum((0, 2, 3)) if reduction == "batch" else x.sum((2, 3))


def reduce_losses(losses: Tensor, reduction: LossReduction, class_weights: Tensor | None = None) -> Tensor:
    """Mean over classes, weighted if there are weights, and over images: (…, C) to a scalar."""
    if reduction == "none":
        return losses
    if class_weights is None:
        return losses.mean()
    return ((losses * class_weights).sum(-1) / class_weights.sum()).mean()
