"""The differentiable surrogate of boundary F1 (Bokhovkin & Burnaev 2019, arXiv:1905.07852)."""

from typing import Literal

from torch import Tensor

from crispmap.functional._checks import check_choice, check_odd
from crispmap.functional._reduction import Reduction, in_full_precision, pixel_sum, reduce_losses
from crispmap.functional.morphology import dilate_square, extend, soft_boundary

Variant = Literal["balanced", "paper"]


def boundary_loss(
    y_pred: Tensor,
    y_true: Tensor,
    *,
    theta0: int = 3,
    theta: int = 5,
    variant: Variant = "balanced",
    reduction: Reduction = "image",
    valid: Tensor | None = None,
    class_weights: Tensor | None = None,
    eps: float = 1e-7,
) -> Tensor:
    """One minus a soft boundary F1 score.

    With pool(x, k) the maximum over a k×k window and b = pool(1 − y, θ0) − (1 − y) the boundary of a map y::

        P = Σ pred_b · pool(true_b, θ) / (Σ pred_b + ε)
        R = Σ true_b · pool(pred_b, θ) / (Σ true_b + ε)
        loss = 1 − 2PR / (P + R + ε)

    *Convention.* Sums over each class of each image and then the mean of the losses, or what `reduction`
    says. 1 if prediction or truth has no boundary, both included, and then without a gradient. The image
    border makes no boundary. Ignored pixels, dilated by (θ0 + θ)/2 − 1 pixels (as far as they reach), take
    no part. Computed in float32 at least.

    Args:
        y_pred: Probabilities in [0, 1], shape (N, C, H, W).
        y_true: Truth in [0, 1], of the same shape.
        theta0: Odd width of the window that finds the boundary, at least 3.
        theta: Odd width of the window that extends it, at least 1: a tolerance of (θ − 1)/2 pixels.
        variant: "paper" is the equation above; "balanced" is the same until a better default is established.
        reduction: "image", "batch" (sums pooled over the batch) or "none".
        valid: Bool, false at ignored pixels, shape (N, C, H, W) or (N, 1, H, W).
        class_weights: Shape (C,), for a weighted mean over classes.
        eps: What ε is.

    Returns:
        A scalar; shape (N, C) with ``reduction="none"``.

    Raises:
        SettingError: If θ0, θ, variant or reduction is not allowed.
    """
    check_boundary_settings(theta0, theta, variant, reduction)
    y_pred, y_true = in_full_precision(y_pred, y_true)
    pred_boundary, true_boundary = soft_boundary(y_pred, theta0), soft_boundary(y_true, theta0)
    pred_extended, true_extended = extend(pred_boundary, theta), extend(true_boundary, theta)
    if valid is not None:
        untouched = ~dilate_square(~valid, (theta0 + theta) // 2 - 1)
        pred_boundary, true_boundary = pred_boundary * untouched, true_boundary * untouched
    matched_pred = pixel_sum(pred_boundary * true_extended, reduction)
    matched_true = pixel_sum(true_boundary * pred_extended, reduction)
    precision = matched_pred / (pixel_sum(pred_boundary, reduction) + eps)
    recall = matched_true / (pixel_sum(true_boundary, reduction) + eps)
    score = 2 * precision * recall / (precision + recall + eps)
    return reduce_losses(1 - score, reduction, class_weights)


def check_boundary_settings(theta0: int, theta: int, variant: Variant, reduction: Reduction) -> None:
    """Checks the settings of `boundary_loss`.

    Raises:
        SettingError: If one of them is not allowed.
    """
    check_odd("theta0", theta0, at_least=3)
    check_odd("theta", theta, at_least=1)
    check_choice("variant", variant, Variant)
    check_choice("reduction", reduction, Reduction)
