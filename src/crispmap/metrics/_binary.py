"""Masks from predictions and targets, of one class or of each of several."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from crispmap.errors import SettingError
from crispmap.functional._ignored import not_ignored


class Masks(NamedTuple):
    """Bool masks of one shape, (N, H, W)."""

    pred: Tensor
    truth: Tensor
    valid: Tensor | None  # false at ignored pixels; None where none can be


def check_threshold(threshold: float) -> float:
    """Returns the threshold.

    Raises:
        SettingError: If it is no probability.
    """
    if not 0 <= threshold <= 1:
        raise SettingError(f"threshold is {threshold}; give a probability from 0 to 1")
    return threshold


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
    _check_labels(labels)
    if scores.is_floating_point():
        is_logits = ((scores < 0) | (scores > 1)).flatten(1).any(1)
        cut = torch.tensor(threshold, dtype=scores.dtype, device=scores.device)
        pred = scores > torch.where(is_logits, cut.logit(), cut)[:, None, None]
    else:
        pred = scores != 0
    return Masks(pred, labels != 0, not_ignored(labels, ignore_index))


def class_masks(preds: Tensor, target: Tensor, num_classes: int, ignore_index: int | None) -> Iterator[Masks]:
    """Turns predictions and target of several classes into masks of one class after the other.

    Args:
        preds: Scores, shape (N, C, H, W), of which the largest counts; or classes, integers of shape (N, H, W).
        target: Integers, shape (N, H, W) or (N, 1, H, W): classes from 0 to C − 1.
        num_classes: C.
        ignore_index: Value in the target of pixels to leave out.

    Yields:
        The masks of each class against the rest.

    Raises:
        SettingError: If the shapes do not fit together, or what is not ignored holds something else than classes.
    """
    labels = target[:, 0] if target.ndim == 4 and target.shape[1] == 1 else target
    classes = preds.argmax(1) if preds.ndim == 4 and preds.shape[1] == num_classes else preds
    if classes.ndim != 3 or classes.shape != labels.shape:
        raise SettingError(
            f"preds must be (N, {num_classes}, H, W) or (N, H, W) and target (N, H, W); "
            f"found {tuple(preds.shape)} and {tuple(target.shape)}"
        )
    valid = not_ignored(labels, ignore_index)
    for name, found in (("preds", classes), ("target", labels)):
        _check_classes(name, found if valid is None else found[valid], num_classes)
    for each in range(num_classes):
        yield Masks(classes == each, labels == each, valid)


def _check_classes(name: str, classes: Tensor, num_classes: int) -> None:
    if classes.is_floating_point():
        raise SettingError(f"{name} must be classes, integers; found {classes.dtype}")
    lowest, highest = (int(classes.min()), int(classes.max())) if classes.numel() else (0, 0)
    if lowest < 0 or highest >= num_classes:
        raise SettingError(f"{name} must be classes from 0 to {num_classes - 1}; found {lowest} to {highest}")


def _check_labels(labels: Tensor) -> None:
    if labels.is_floating_point():
        raise SettingError(f"target must be of bool or integers; found {labels.dtype}")
