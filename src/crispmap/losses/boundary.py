"""The boundary loss as a module."""

from collections.abc import Sequence

import torch
from torch import Tensor

from crispmap.errors import SettingError
from crispmap.functional._reduction import LossReduction
from crispmap.functional.boundary_loss import Variant, boundary_loss, check_boundary_settings
from crispmap.losses._base import ClassMaps, Mode, SegmentationLoss


class BoundaryLoss(SegmentationLoss):
    """One minus a soft boundary F1 score, after Bokhovkin & Burnaev 2019 (arXiv:1905.07852).

    ``variant="balanced"`` compares, window by window and along each axis, how far prediction and truth rise and
    fall from pixel to pixel. With U, F the sums of rise and fall over the θ×θ edges around an edge:

        N = Σ |(U − F)_pred − (U − F)_true| + 2·max(0, min(U, F)_pred − min(U, F)_true)
        A = Σ (U + F)_pred + (U + F)_true
        loss = N / (A + θ²)

    Length of boundary counts as such, what goes up and down again inside a window earns nothing, and so masks do not
    grow teeth. ``variant="paper"`` is the published equation to the letter, which grows them: with pool(x, k) the
    maximum over a k×k window and b = pool(1 − y, θ0) − (1 − y) the boundary of a map y:

        P = Σ pred_b · pool(true_b, θ) / (Σ pred_b + ε)
        R = Σ true_b · pool(pred_b, θ) / (Σ true_b + ε)
        loss = 1 − 2PR / (P + R + ε)

    `crispmap.functional.boundary_loss` says more of both. Either is meant to stand beside losses of pixels and area:
    see `MixedLoss`.

    *Convention.* The loss applies the sigmoid (multiclass: softmax) unless `from_logits` is false. A class that is
    absent from the truth of an image costs, balanced, what is predicted of it, and nothing if nothing is; in the
    paper's form 1, without a gradient. The image border makes no boundary. Windows that reach an ignored pixel take
    no part. Computed in float32 at least. The truth takes no gradient.

    Args:
        mode: "binary", "multiclass" or "multilabel".
        theta0: Odd width of the window that finds the boundary, at least 3.
        theta: Odd width of the window in which boundaries are compared, at least 1: a tolerance of (θ − 1)/2
            pixels, which should be about the error of the labels; `crispmap.suggest_theta` measures it.
        variant: "balanced" or "paper".
        reduction: "image" (the paper: a loss for each class of each image, then the mean), "batch" (sums
            pooled over the batch) or "none" (N, C), which no class weights touch.
        from_logits: Whether predictions are logits rather than probabilities.
        ignore_index: Value in the truth of pixels to leave out; a mask may be given with the call instead, as `valid`.
        class_weights: A weight for each class, for a weighted mean over classes.
        eps: What ε is, in the paper's form.

    Shape:
        binary: y_pred (N, 1, H, W) or (N, H, W), y_true of either shape, in [0, 1];
        multiclass: y_pred (N, C, H, W), y_true class ids (N, H, W);
        multilabel: both (N, C, H, W).

    Raises:
        SettingError: If a setting is not allowed; when called, if the shapes are not those of the mode.
    """

    class_weights: Tensor | None

    def __init__(
        self,
        mode: Mode = "binary",
        *,
        theta0: int = 3,
        theta: int = 5,
        variant: Variant = "balanced",
        reduction: LossReduction = "image",
        from_logits: bool = True,
        ignore_index: int | None = None,
        class_weights: Sequence[float] | None = None,
        eps: float = 1e-7,
    ) -> None:
        super().__init__(mode, from_logits, ignore_index)
        check_boundary_settings(theta0, theta, variant, reduction)
        if class_weights is not None and not (sum(class_weights) > 0 and min(class_weights) >= 0):
            raise SettingError(f"class_weights are {list(class_weights)}; give numbers ≥ 0, not all 0")
        self.theta0 = theta0
        self.theta = theta
        self.variant = variant
        self.reduction = reduction
        self.eps = eps
        weights = None if class_weights is None else torch.tensor(class_weights, dtype=torch.float32)
        self.register_buffer("class_weights", weights, persistent=False)

    def _loss(self, maps: ClassMaps) -> Tensor:
        num_classes = maps.scores.shape[1]
        if self.class_weights is not None and len(self.class_weights) != num_classes:
            raise SettingError(f"there are {len(self.class_weights)} class_weights for {num_classes} classes")
        return boundary_loss(
            self._probabilities(maps.scores),
            maps.truth,
            theta0=self.theta0,
            theta=self.theta,
            variant=self.variant,
            reduction=self.reduction,
            valid=maps.valid,
            class_weights=self.class_weights,
            eps=self.eps,
        )
