"""Losses of segmentation_models_pytorch, called so that what comes out is the published equation.

That library is imported when a loss is made, and is given pixels that count and nothing else: its own handling of
ignored pixels fails in some modes. Its modules are kept as bound methods, so that nothing takes them for losses
with an ``ignore_index`` of their own.
"""

import math
from typing import Any

import torch
from torch import Tensor

from crispmap.errors import SettingError
from crispmap.functional._reduction import LossReduction, reduce_losses
from crispmap.losses._base import ClassMaps, Mode, ReducedLoss, SegmentationLoss


def _smp_losses() -> Any:
    from segmentation_models_pytorch import losses

    return losses


def _log(probabilities: Tensor) -> Tensor:
    return probabilities.clamp(min=torch.finfo(probabilities.dtype).tiny).log()


class LovaszLoss(SegmentationLoss):
    """The Lovász extension of the Jaccard loss, of hinge errors or (multiclass) of softmax errors.

    Berman et al. 2018, *The Lovász-Softmax loss*, arXiv:1705.08790; computed by segmentation_models_pytorch. With
    errors e in falling order and Δ(k) the Jaccard loss of getting the first k pixels wrong:

        loss = Σ_k e_k · (Δ(k) − Δ(k − 1))

    of max(e, 0) with e = 1 − z·(2t − 1) for logits z in binary and multilabel mode, of e = abs(t − p) for each
    class in multiclass mode.

    *Convention.* The loss takes logits; in multiclass mode, with `from_logits` false, probabilities too, which the
    library by itself would put through the softmax once more. In multilabel mode each class has its own Jaccard
    index, where the library pools them. An empty truth gives the largest error, its gradient at one pixel. In
    multiclass mode absent classes are left out of the mean, so that predictions of them cost only what they take
    from the others; 0 if none is present. Ignored pixels take no part; 0 if all are. Computed in float32.

    Args:
        mode: "binary", "multiclass" or "multilabel".
        per_image: Whether each image has a loss of its own, of which the mean is taken, rather than the batch one.
        from_logits: Whether predictions are logits rather than probabilities; true but in multiclass mode, because
            the hinge is an equation on logits.
        ignore_index: Value in the truth of pixels to leave out.

    Shapes and errors are those of `IoULoss`, with truth of 0 and 1.
    """

    def __init__(
        self,
        mode: Mode = "binary",
        *,
        per_image: bool = False,
        from_logits: bool = True,
        ignore_index: int | None = None,
    ) -> None:
        super().__init__(mode, from_logits, ignore_index)
        if mode != "multiclass" and not from_logits:
            raise SettingError(
                f"LovaszLoss in {mode} mode is a hinge on logits; leave from_logits true and give it what comes "
                "before the sigmoid"
            )
        self.per_image = per_image
        self._smp = _smp_losses().LovaszLoss("multiclass" if mode == "multiclass" else "binary").forward

    def _loss(self, maps: ClassMaps) -> Tensor:
        scores = (maps.scores if self.from_logits else _log(maps.scores)).float()  # all that the library can
        valid = torch.ones_like(maps.truth[:, :1], dtype=torch.bool) if maps.valid is None else maps.valid
        if self.mode != "multiclass":
            valid = valid.expand_as(scores)
        of_pixels = self._of_classes if self.mode == "multiclass" else self._of_each_class
        pools = [slice(i, i + 1) for i in range(len(scores))] if self.per_image else [slice(None)]
        truth = maps.truth.float()
        return torch.stack([of_pixels(scores[pool], truth[pool], valid[pool]) for pool in pools]).mean()

    def _of_each_class(self, scores: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
        losses: list[Tensor] = [
            self._smp(z[keep], t[keep])
            for z, t, keep in zip(*(x.unbind(1) for x in (scores, truth, valid)), strict=True)
        ]
        return torch.stack(losses).mean()

    def _of_classes(self, scores: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
        keep = valid[:, 0]
        labels = torch.where(truth.any(1), truth.argmax(1), truth.shape[1])[keep]  # the last for pixels of no class
        if not (labels < truth.shape[1]).any():
            return scores.sum() * 0
        # A row of pixels as an image of width 1: what has three dimensions the library takes for one class.
        loss: Tensor = self._smp(scores.movedim(1, -1)[keep].T[None, ..., None], labels[None, :, None])
        return loss


class TverskyLoss(ReducedLoss):
    """Tversky loss, 1 − (TP + 1) / (TP + α·FP + β·FN + 1).

    Salehi et al. 2017, *Tversky loss function for image segmentation using 3D fully convolutional deep networks*,
    arXiv:1706.05721; the index is computed by segmentation_models_pytorch. TP = Σpt, FP = Σp(1 − t),
    FN = Σ(1 − p)t, for a truth of 0 and 1.

    *Convention.* The loss applies the sigmoid (multiclass: softmax) unless `from_logits` is false. An empty truth
    gives α·Σp / (α·Σp + 1): 0 for an empty prediction, otherwise a gradient that removes what is predicted, where
    the library's loss is 0 whatever is predicted. Ignored pixels take no part. Computed in float32 at least.

    Args:
        mode: "binary", "multiclass" or "multilabel".
        alpha: Weight of false positives, at least 0.
        beta: Weight of false negatives, at least 0. α = β = ½ is the Dice loss; the paper's best has β above α.
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
        alpha: float = 0.3,
        beta: float = 0.7,
        reduction: LossReduction = "batch",
        from_logits: bool = True,
        ignore_index: int | None = None,
    ) -> None:
        super().__init__(mode, reduction=reduction, from_logits=from_logits, ignore_index=ignore_index)
        if alpha < 0 or beta < 0:
            raise SettingError(f"alpha and beta are {alpha} and {beta}; give numbers of at least 0")
        self.alpha = alpha
        self.beta = beta
        self._smp = _smp_losses().TverskyLoss("multilabel", alpha=alpha, beta=beta).compute_score

    def _loss(self, maps: ClassMaps) -> Tensor:
        pred, truth = self._probabilities(maps.scores), maps.truth
        if maps.valid is not None:
            pred, truth = pred * maps.valid, truth * maps.valid
        dims = (0, 2, 3) if self.reduction == "batch" else (2, 3)
        return reduce_losses(1 - self._smp(pred, truth, smooth=1.0, dims=dims), self.reduction)


class FocalLoss(SegmentationLoss):
    """Mean of −(1 − p_t)^γ·log p_t, with p_t the probability given to what is true.

    Lin et al. 2017, *Focal Loss for Dense Object Detection*, arXiv:1708.02002; computed by
    segmentation_models_pytorch.

    *Convention.* The loss applies the sigmoid (multiclass: softmax) unless `from_logits` is false. In multiclass
    mode p_t is the softmax of the true class, where the library takes a sigmoid of each logit by itself. The mean
    is over the pixels that count (the paper divides by the number of objects); 0 if there are none. Pixels of no
    class count as little as ignored ones in multiclass mode. Computed in float32 at least.

    Args:
        mode: "binary", "multiclass" or "multilabel".
        gamma: How much less pixels count that are right already, at least 0; 0 gives the cross entropy.
        alpha: Weight of the class, 1 − α being that of the rest, from 0 to 1; not in multiclass mode. Neither is
            weighted if None.
        from_logits: Whether predictions are logits rather than probabilities.
        ignore_index: Value in the truth of pixels to leave out.

    Shapes and errors are those of `IoULoss`.
    """

    def __init__(
        self,
        mode: Mode = "binary",
        *,
        gamma: float = 2.0,
        alpha: float | None = None,
        from_logits: bool = True,
        ignore_index: int | None = None,
    ) -> None:
        super().__init__(mode, from_logits, ignore_index)
        if gamma < 0:
            raise SettingError(f"gamma is {gamma}; give a number of at least 0")
        if alpha is not None and mode == "multiclass":
            raise SettingError("alpha weighs a class against the rest; leave it out in multiclass mode")
        if alpha is not None and not 0 <= alpha <= 1:
            raise SettingError(f"alpha is {alpha}; give a number from 0 to 1")
        self.gamma = gamma
        self.alpha = alpha
        # What multiclass mode makes of probabilities are logits too.
        logits = from_logits or mode == "multiclass"
        self._smp = _smp_losses().FocalLoss("binary", alpha=alpha, gamma=gamma, from_logits=logits).forward

    def _loss(self, maps: ClassMaps) -> Tensor:
        scores, truth = maps.scores, maps.truth
        if self.mode == "multiclass":
            scores, truth = _against_the_rest(scores if self.from_logits else _log(scores), truth)
            keep = truth.bool()
        else:
            keep = torch.ones_like(truth, dtype=torch.bool) if maps.valid is None else maps.valid.expand_as(truth)
        if not keep.any():
            return scores.sum() * 0
        loss: Tensor = self._smp(scores[keep], truth[keep])
        return loss


def _against_the_rest(logits: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """The logit whose sigmoid is the softmax of the true class t, z_t − log Σ_{k≠t} exp z_k, and where there is one."""
    rest = logits.masked_fill(truth.bool(), -math.inf).logsumexp(1)
    return (logits * truth).sum(1) - rest, truth.sum(1)
