"""Binary cross entropy over the pixels that count."""

import torch
import torch.nn.functional as F
from torch import Tensor

from crispmap.functional._reduction import in_full_precision


def bce_loss(y_pred: Tensor, y_true: Tensor, *, from_logits: bool = True, valid: Tensor | None = None) -> Tensor:
    """Mean binary cross entropy, −t·log p − (1 − t)·log(1 − p).

    *Convention.* Ignored pixels are in neither the sum nor the number that it is divided by; 0 if all are
    ignored. Computed in float32 at least.

    Args:
        y_pred: Logits or probabilities, shape (N, C, H, W).
        y_true: Truth in [0, 1], of the same shape.
        from_logits: Whether `y_pred` are logits.
        valid: Bool, false at ignored pixels, shape (N, C, H, W) or (N, 1, H, W).

    Returns:
        A scalar of at least 0.
    """
    y_pred, y_true = in_full_precision(y_pred, y_true)
    cross_entropy = F.binary_cross_entropy_with_logits if from_logits else F.binary_cross_entropy
    with torch.autocast(y_pred.device.type, enabled=False):  # which refuses the form on probabilities
        losses = cross_entropy(y_pred, y_true, reduction="none")
    if valid is None:
        return losses.mean()
    counted = valid.expand_as(losses)
    return (losses * counted).sum() / counted.sum().clamp(min=1)
