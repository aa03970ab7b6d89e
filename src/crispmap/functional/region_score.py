"""Exact pixel counts, and IoU and F1 from them."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from crispmap.functional._checks import check_masks


class ConfusionCounts(NamedTuple):
    """Numbers of pixels in each image, int64, shape (N,)."""

    true_positive: Tensor
    false_positive: Tensor
    false_negative: Tensor
    true_negative: Tensor


def confusion_counts(pred: Tensor, truth: Tensor, valid: Tensor | None = None) -> ConfusionCounts:
    """Counts the pixels of each image by prediction and truth.

    Args:
        pred: Bool, shape (N, H, W).
        truth: Bool, shape (N, H, W).
        valid: Bool, shape (N, H, W), false at the pixels to leave out.

    Returns:
        The four counts of each image.

    Raises:
        SettingError: If the masks are not bool or differ in shape.
    """
    check_masks(pred, truth, valid)
    pred_here, truth_here = (pred, truth) if valid is None else (pred & valid, truth & valid)
    hits = per_image(pred_here & truth_here)
    false_positive = per_image(pred_here) - hits
    false_negative = per_image(truth_here) - hits
    total = torch.full_like(hits, pred.shape[1] * pred.shape[2]) if valid is None else per_image(valid)
    return ConfusionCounts(hits, false_positive, false_negative, total - hits - false_positive - false_negative)


def iou(counts: ConfusionCounts) -> Tensor:
    """Intersection over union, TP / (TP + FP + FN), of all images pooled.

    Returns:
        A float64 scalar in [0, 1]; NaN where neither prediction nor truth has a pixel.
    """
    hits, false_positive, false_negative, _ = (count.sum() for count in counts)
    return quotient(hits, hits + false_positive + false_negative)


def f1(counts: ConfusionCounts) -> Tensor:
    """F1 score (Dice coefficient), 2TP / (2TP + FP + FN), of all images pooled.

    Returns:
        A float64 scalar in [0, 1]; NaN where neither prediction nor truth has a pixel.
    """
    hits, false_positive, false_negative, _ = (count.sum() for count in counts)
    return quotient(2 * hits, 2 * hits + false_positive + false_negative)


def quotient(numerator: Tensor, denominator: Tensor) -> Tensor:
    """Quotient of two counts in float64, NaN where both are 0."""
    return numerator.double() / denominator.double()


def per_image(pixels: Tensor) -> Tensor:
    """Number of true pixels in each image: bool (N, H, W) to int64 (N,)."""
    if pixels.device.type == "cpu":  # where torch sums bools a hundred times slower than numpy counts them
        return torch.tensor([np.count_nonzero(image) for image in pixels.numpy()], dtype=torch.int64)
    return pixels.flatten(1).sum(1)


def positions(pixels: Tensor) -> Tensor:
    """Image, row and column of every true pixel: bool (N, H, W) to int64 (P, 3), in the order of ``nonzero``."""
    if pixels.device.type == "cpu":
        found = np.unravel_index(np.flatnonzero(pixels.numpy()), pixels.shape)
        return torch.from_numpy(np.stack(found, axis=1))
    return pixels.nonzero()
