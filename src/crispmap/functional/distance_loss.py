"""Losses that weigh pixels by their distance to the boundary.

All of them take truth in [0, 1] of shape (N, C, H, W), cut at one half for its boundary, and leave out the
pixels at which ``valid``, of shape (N, C, H, W) or (N, 1, H, W), is false: those make no boundary either, and
nor does the image border. Where there is no boundary there is no distance. ``distance`` is the truth's map if
it is there already: `crispmap.functional.signed_distance` of the same truth with the same valid pixels, of
shape (N, C, H, W). Computed in float32 at least.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from crispmap.functional._checks import check_choice
from crispmap.functional._reduction import LossReduction, in_full_precision, pixel_sum, reduce_losses
from crispmap.functional.distance import signed_distance


def surface_loss(
    y_pred: Tensor,
    y_true: Tensor,
    *,
    distance: Tensor | None = None,
    reduction: LossReduction = "batch",
    valid: Tensor | None = None,
) -> Tensor:
    """Mean of p·φ, with φ the signed distance to the boundary of the truth, negative inside.

    Kervadec et al. 2019, *Boundary loss for highly unbalanced segmentation*, arXiv:1812.07032: the area
    between the two boundaries, each point of it weighted by its distance to that of the truth, up to a
    constant. The authors' program lets the boundary run through the innermost pixels of the class instead of
    along their edges, which adds half the mean of p.

    *Convention.* Below 0 for a good prediction: the least it can be is the sum of φ inside the truth, over the
    pixels. An image without a boundary (class absent or everywhere) gives 0 without a gradient, as the
    authors have it, so false positives there cost nothing: it stands beside a loss of area. 0 if all pixels
    are ignored.

    Args:
        y_pred: Probabilities in [0, 1]; see the module for shapes.
        y_true: Truth.
        distance: Its signed distance map; computed if not given.
        reduction: "image", "batch" or "none".
        valid: False at ignored pixels.

    Returns:
        A scalar in pixels; shape (N, C) with ``reduction="none"``.

    Raises:
        SettingError: If the reduction is not allowed.
    """
    check_choice("reduction", reduction, LossReduction)
    distance = _distance(y_true, valid) if distance is None else distance
    y_pred, distance = in_full_precision(y_pred, distance)
    return _pixel_mean(y_pred * distance, valid, reduction)


def hausdorff_dt_loss(
    y_pred: Tensor,
    y_true: Tensor,
    *,
    alpha: float = 2.0,
    distance: Tensor | None = None,
    reduction: LossReduction = "batch",
    valid: Tensor | None = None,
) -> Tensor:
    """Mean of (p − t)²·(d_p^α + d_t^α), with d the distances to the boundaries of prediction and truth.

    Karimi & Salcudean 2019, *Reducing the Hausdorff Distance in Medical Image Segmentation with Convolutional
    Neural Networks*, arXiv:1904.10030. The boundary of the prediction is that of p ≥ ½, and no
    gradient runs through its distances.

    *Convention.* A boundary that is not there adds no distance: an empty truth leaves (p − t)²·d_p^α, an empty
    prediction (p − t)²·d_t^α, and where both are empty (no p ≥ ½) the loss is 0 without a gradient, whatever
    lies below ½. 0 if all pixels are ignored.

    Args:
        y_pred: Probabilities in [0, 1]; see the module for shapes.
        y_true: Truth.
        alpha: How much more errors weigh that lie farther from a boundary, above 0.
        distance: Signed distance map of the truth; computed if not given.
        reduction: "image", "batch" or "none".
        valid: False at ignored pixels.

    Returns:
        A scalar of at least 0, in pixels to the power of α; shape (N, C) with ``reduction="none"``.

    Raises:
        SettingError: If the reduction is not allowed.
    """
    check_choice("reduction", reduction, LossReduction)
    distance = _distance(y_true, valid) if distance is None else distance
    y_pred, y_true, true_distance, pred_distance = in_full_precision(
        y_pred, y_true, distance, _distance(y_pred.detach(), valid)
    )
    weight = pred_distance.abs() ** alpha + true_distance.abs() ** alpha
    return _pixel_mean((y_pred - y_true).square() * weight, valid, reduction)


def boundary_weighted_bce_loss(
    y_pred: Tensor,
    y_true: Tensor,
    *,
    w0: float = 10.0,
    sigma: float = 5.0,
    distance: Tensor | None = None,
    from_logits: bool = True,
    valid: Tensor | None = None,
) -> Tensor:
    """Mean binary cross entropy, each pixel weighted by w = 1 + w₀·exp(−d² / 2σ²).

    The weight map of Ronneberger et al. 2015, *U-Net*, arXiv:1505.04597, equation 2, with d the distance to
    the nearest boundary in the place of the sum of those to the two nearest cells, which labels without
    instances do not tell, and no weight for the balance of classes.

    *Convention.* Divided by the sum of the weights. Without a boundary all weights are 1. 0 if all pixels are
    ignored.

    Args:
        y_pred: Logits or probabilities; see the module for shapes.
        y_true: Truth.
        w0: What a pixel at the boundary weighs more than one far from it, at least 0.
        sigma: How far from the boundary pixels weigh more, in pixels, above 0.
        distance: Signed distance map of the truth; computed if not given.
        from_logits: Whether `y_pred` are logits.
        valid: False at ignored pixels.

    Returns:
        A scalar of at least 0.
    """
    distance = _distance(y_true, valid) if distance is None else distance
    y_pred, y_true, distance = in_full_precision(y_pred, y_true, distance)
    near = torch.exp(-distance.square() / (2 * sigma**2)) * (distance != 0)
    weight = 1 + w0 * near
    if valid is not None:
        weight = weight * valid
    cross_entropy = F.binary_cross_entropy_with_logits if from_logits else F.binary_cross_entropy
    with torch.autocast(y_pred.device.type, enabled=False):  # which refuses the form on probabilities
        total = cross_entropy(y_pred, y_true, weight, reduction="sum")
    return total / weight.sum().clamp(min=1)


def _distance(y: Tensor, valid: Tensor | None) -> Tensor:
    return signed_distance(y >= 0.5, valid)


def _pixel_mean(values: Tensor, valid: Tensor | None, reduction: LossReduction) -> Tensor:
    counted = torch.ones_like(values) if valid is None else valid.expand_as(values)
    total = pixel_sum(values * counted, reduction)
    return reduce_losses(total / pixel_sum(counted, reduction).clamp(min=1), reduction)
