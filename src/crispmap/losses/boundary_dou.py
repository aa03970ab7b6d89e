"""The boundary difference over union loss as a module."""

from torch import Tensor

from crispmap.functional.boundary_dou_loss import boundary_dou_loss
from crispmap.losses._base import ClassMaps, ReducedLoss


class BoundaryDoULoss(ReducedLoss):
    """What differs between prediction and truth over that and a part of what they share.

    Sun et al. 2023, *Boundary Difference Over Union Loss For Medical Image Segmentation*, arXiv:2308.00220. With
    I = Σpt and U = Σp² + Σt² − I:

        loss = (U − I) / (U − α·I + 1)        α = 1 − 2·C / S, from 0 to 0.8

    C is the length of the truth's boundary in pixels and S its area, so that of large objects the inside counts
    less.

    *Convention.* The loss applies the sigmoid (multiclass: softmax) unless `from_logits` is false. 0 for a
    perfect prediction, empty against empty included; an empty truth gives Σp² / (Σp² + 1), with a gradient that
    removes what is predicted (without the 1, as published, 1 and none). The image border makes no boundary;
    ignored pixels make none and take no part. Computed in float32 at least.

    Args:
        mode: "binary", "multiclass" or "multilabel".
        reduction: "batch" (sums pooled over the batch), "image" (a loss for each class of each image, then
            the mean) or "none" (N, C).
        from_logits: Whether predictions are logits rather than probabilities.
        ignore_index: Value in the truth of pixels to leave out.

    Shapes and errors are those of `IoULoss`.
    """

    def _loss(self, maps: ClassMaps) -> Tensor:
        probabilities = self._probabilities(maps.scores)
        return boundary_dou_loss(probabilities, maps.truth, reduction=self.reduction, valid=maps.valid)
