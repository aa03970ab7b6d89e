"""The boundary difference over union loss (Sun et al. 2023, arXiv:2308.00220)."""

from torch import Tensor

from crispmap.functional._checks import check_choice
from crispmap.functional._reduction import LossReduction, in_full_precision, pixel_sum, reduce_losses
from crispmap.functional.morphology import inner_boundary

_MOST_ALPHA = 0.8  # the authors' program cuts α there: better on some of their data, the same on the rest


def boundary_dou_loss(
    y_pred: Tensor,
    y_true: Tensor,
    *,
    reduction: LossReduction = "batch",
    valid: Tensor | None = None,
    smooth: float = 1.0,
) -> Tensor:
    """What differs between prediction and truth over that and a part of what they share.

    With the intersection I = Σpt and the union U = Σp² + Σt² − I, as the authors compute them:

        loss = (U − I) / (U − α·I + s)        α = 1 − 2·C / S, from 0 to 0.8

    C is the length of the truth's boundary (pixels of the class that have background above, below, left or
    right of them) and S its area, so that of large objects the inside counts less. s is ours, as in
    `iou_loss`: published without it, an empty truth gives 1 without a gradient.

    *Convention.* 0 for a perfect prediction, empty against empty included; an empty truth gives Σp² / (Σp² + s),
    with a gradient that removes what is predicted. C and S are counted as the sums are, over the batch or an
    image. The image border makes no boundary; ignored pixels take no part and make none. Computed in float32
    at least.

    Args:
        y_pred: Probabilities in [0, 1], shape (N, C, H, W).
        y_true: Truth in [0, 1], of the same shape; cut at one half for C and S.
        reduction: "image", "batch" (sums pooled over the batch) or "none".
        valid: Bool, false at ignored pixels, shape (N, C, H, W) or (N, 1, H, W).
        smooth: The s above, in pixels.

    Returns:
        A scalar in [0, 1]; shape (N, C) with ``reduction="none"``.

    Raises:
        SettingError: If the reduction is not allowed.
    """
    check_choice("reduction", reduction, LossReduction)
    y_pred, y_true = in_full_precision(y_pred, y_true)
    if valid is not None:
        y_pred, y_true = y_pred * valid, y_true * valid
    mask = y_true >= 0.5
    length, area = (
        pixel_sum(pixels.to(y_true.dtype), reduction)
        for pixels in (inner_boundary(mask, border=False, valid=valid), mask)
    )
    alpha = (1 - 2 * length / area.clamp(min=1)).clamp(0, _MOST_ALPHA)
    shared = pixel_sum(y_pred * y_true, reduction)
    union = pixel_sum(y_pred.square(), reduction) + pixel_sum(y_true.square(), reduction) - shared
    return reduce_losses((union - shared) / (union - alpha * shared + smooth), reduction)
