"""Losses of area on probability maps: soft IoU, Dice, and sensitivity–specificity.

All of them take probabilities and truth in [0, 1] of shape (N, C, H, W), leave out the pixels at which
``valid``, of shape (N, C, H, W) or (N, 1, H, W), is false, and compute in float32 at least. The sums run
over the batch by default, which keeps images without the class from weighing as much as those with it.
"""

from torch import Tensor

from crispmap.functional._checks import check_choice
from crispmap.functional._reduction import LossReduction, in_full_precision, pixel_sum, reduce_losses


def iou_loss(
    y_pred: Tensor,
    y_true: Tensor,
    *,
    reduction: LossReduction = "batch",
    valid: Tensor | None = None,
    smooth: float = 1.0,
) -> Tensor:
    """Soft IoU (Jaccard) loss, 1 − (Σpt + s) / (Σp + Σt − Σpt + s).

    *Convention.* With s > 0, an empty truth gives Σp / (Σp + s): 0 for an empty prediction, near 1 for a
    full one, with a gradient that removes what is predicted.

    Args:
        y_pred: Probabilities; see the module for shapes.
        y_true: Truth.
        reduction: "image", "batch" or "none".
        valid: False at ignored pixels.
        smooth: The s above, in pixels.

    Returns:
        A scalar in [0, 1]; shape (N, C) with ``reduction="none"``.

    Raises:
        SettingError: If the reduction is not allowed.
    """
    overlap, pred, true = _areas(y_pred, y_true, valid, reduction)
    return reduce_losses(1 - (overlap + smooth) / (pred + true - overlap + smooth), reduction)


def dice_loss(
    y_pred: Tensor,
    y_true: Tensor,
    *,
    reduction: LossReduction = "batch",
    valid: Tensor | None = None,
    smooth: float = 1.0,
) -> Tensor:
    """Soft Dice loss, 1 − (2Σpt + s) / (Σp + Σt + s).

    Convention, arguments, result and errors are those of `iou_loss`.
    """
    overlap, pred, true = _areas(y_pred, y_true, valid, reduction)
    return reduce_losses(1 - (2 * overlap + smooth) / (pred + true + smooth), reduction)


def sensitivity_specificity_loss(
    y_pred: Tensor,
    y_true: Tensor,
    *,
    sensitivity_weight: float = 0.5,
    reduction: LossReduction = "batch",
    valid: Tensor | None = None,
    eps: float = 1e-7,
) -> Tensor:
    """Squared errors on the two sides: r·Σ(p − t)²t / Σt + (1 − r)·Σ(p − t)²(1 − t) / Σ(1 − t).

    Brosch et al. 2015, *Deep convolutional encoder networks for multiple sclerosis lesion segmentation*.

    *Convention.* The half of a side that has no pixels is 0, so an empty truth leaves the error on the
    background.

    Args:
        y_pred: Probabilities; see the module for shapes.
        y_true: Truth.
        sensitivity_weight: The r above, from 0 to 1.
        reduction: "image", "batch" or "none".
        valid: False at ignored pixels.
        eps: Added to the denominators.

    Returns:
        A scalar in [0, 1]; shape (N, C) with ``reduction="none"``.

    Raises:
        SettingError: If the reduction is not allowed.
    """
    check_choice("reduction", reduction, LossReduction)
    y_pred, y_true = in_full_precision(y_pred, y_true)
    foreground, background = (side if valid is None else side * valid for side in (y_true, 1 - y_true))
    error = (y_pred - y_true).square()
    missed, invented = (
        pixel_sum(error * side, reduction) / (pixel_sum(side, reduction) + eps) for side in (foreground, background)
    )
    return reduce_losses(sensitivity_weight * missed + (1 - sensitivity_weight) * invented, reduction)


def _areas(
    y_pred: Tensor, y_true: Tensor, valid: Tensor | None, reduction: LossReduction
) -> tuple[Tensor, Tensor, Tensor]:
    check_choice("reduction", reduction, LossReduction)
    y_pred, y_true = in_full_precision(y_pred, y_true)
    if valid is not None:
        y_pred, y_true = y_pred * valid, y_true * valid
    return pixel_sum(y_pred * y_true, reduction), pixel_sum(y_pred, reduction), pixel_sum(y_true, reduction)
