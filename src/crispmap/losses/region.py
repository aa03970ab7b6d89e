"""Losses of area as modules."""

from torch import Tensor

from crispmap.errors import SettingError
from crispmap.functional._reduction import LossReduction
from crispmap.functional.region_loss import dice_loss, iou_loss, sensitivity_specificity_loss
from crispmap.losses._base import ClassMaps, Mode, ReducedLoss


class IoULoss(ReducedLoss):
    """Soft IoU (Jaccard) loss, 1 − (Σpt + 1) / (Σp + Σt − Σpt + 1).

    *Convention.* The loss applies the sigmoid (multiclass: softmax) unless `from_logits` is false. An empty
    truth gives Σp / (Σp + 1): 0 for an empty prediction, otherwise a gradient that removes what is
    predicted. Ignored pixels take no part. Computed in float32 at least.

    Args:
        mode: "binary", "multiclass" or "multilabel".
        reduction: "batch" (sums pooled over the batch), "image" (a loss for each class of each image, then
            the mean) or "none" (N, C).
        from_logits: Whether predictions are logits rather than probabilities.
        ignore_index: Value in the truth of pixels to leave out.

    Shape:
        binary: y_pred (N, 1, H, W) or (N, H, W), y_true of either shape, in [0, 1];
        multiclass: y_pred (N, C, H, W), y_true class ids (N, H, W);
        multilabel: both (N, C, H, W).

    Raises:
        SettingError: If a setting is not allowed; when called, if the shapes are not those of the mode.
    """

    def _loss(self, maps: ClassMaps) -> Tensor:
        return iou_loss(self._probabilities(maps.scores), maps.truth, reduction=self.reduction, valid=maps.valid)


class DiceLoss(ReducedLoss):
    """Soft Dice loss, 1 − (2Σpt + 1) / (Σp + Σt + 1).

    Convention, arguments, shapes and errors are those of `IoULoss`.
    """

    def _loss(self, maps: ClassMaps) -> Tensor:
        return dice_loss(self._probabilities(maps.scores), maps.truth, reduction=self.reduction, valid=maps.valid)


class SensitivitySpecificityLoss(ReducedLoss):
    """Squared errors on the two sides: r·Σ(p − t)²t / Σt + (1 − r)·Σ(p − t)²(1 − t) / Σ(1 − t).

    Brosch et al. 2015, *Deep convolutional encoder networks for multiple sclerosis lesion segmentation*.

    *Convention.* As `IoULoss`, but that a side without pixels adds 0: an empty truth leaves the error on the
    background.

    Args:
        mode: "binary", "multiclass" or "multilabel".
        sensitivity_weight: The r above, from 0 to 1.
        reduction: "batch" (sums pooled over the batch), "image" (a loss for each class of each image, then
            the mean) or "none" (N, C).
        from_logits: Whether predictions are logits rather than probabilities.
        ignore_index: Value in the truth of pixels to leave out.

    Shapes and errors are those of `IoULoss`.
    """

    def __init__(
        self,
        mode: Mode = "binary",
        *,
        sensitivity_weight: float = 0.5,
        reduction: LossReduction = "batch",
        from_logits: bool = True,
        ignore_index: int | None = None,
    ) -> None:
        super().__init__(mode, reduction=reduction, from_logits=from_logits, ignore_index=ignore_index)
        if not 0 <= sensitivity_weight <= 1:
            raise SettingError(f"sensitivity_weight is {sensitivity_weight}; give a number from 0 to 1")
        self.sensitivity_weight = sensitivity_weight

    def _loss(self, maps: ClassMaps) -> Tensor:
        return sensitivity_specificity_loss(
            self._probabilities(maps.scores),
            maps.truth,
            sensitivity_weight=self.sensitivity_weight,
            reduction=self.reduction,
            valid=maps.valid,
        )
