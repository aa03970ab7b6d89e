"""The active boundary loss as a module."""

import torch
import torch.nn.functional as F
from torch import Tensor

from crispmap.errors import SettingError
from crispmap.functional.active_boundary_loss import active_boundary_loss
from crispmap.losses._base import ClassMaps, Mode, SegmentationLoss

_LEAST_PROBABILITY = 1e-7  # of those that are given as such: about what float32 tells from 1 on the other side


class ActiveBoundaryLoss(SegmentationLoss):
    """Moves predicted boundary pixels towards the true boundary, one step at a time.

    Wang et al. 2022, *Active Boundary Loss for Semantic Segmentation*, arXiv:2102.02696. With P_i the
    distribution over classes at pixel i, M_i its distance to the true boundary and B the pixels of the predicted
    boundary, which are those where P changes most:

        loss = 1/|B| · Σ_{i∈B} min(M_i, θ)/θ · CE(softmax_j KL(P_i ‖ P_j), D_i)        j the 8 neighbours of i

    D_i stands at the neighbour nearest to the true boundary, smoothed; see
    `crispmap.functional.active_boundary_loss` for the details. It knows only boundaries that are there, and is
    meant to stand beside losses of pixels and area: see `MixedLoss`.

    *Convention.* The loss applies the sigmoid (multiclass: softmax) unless `from_logits` is false. In binary and
    multilabel mode P is (1 − p, p), and each class has its own boundaries. Boundary pixels are pooled over the
    batch (and over classes). An image without a true boundary takes no part; 0 without a gradient if no pixel is
    left, and for constant predictions. The image border makes no boundary; ignored pixels make none, are nobody's
    neighbours and take no part. Computed in float32 at least.

    Args:
        mode: "binary", "multiclass" or "multilabel".
        boundary_share: The share of an image's pixels taken for its predicted boundary, before the pixels
            around them come in; above 0, at most 1. The published 1 % is little where objects are many.
        max_distance: Distance beyond which a pixel weighs no more, in pixels, above 0.
        label_smoothing: What D_i leaves to the other neighbours, from 0 to below 1.
        from_logits: Whether predictions are logits rather than probabilities.
        ignore_index: Value in the truth of pixels to leave out.

    Shapes and errors are those of `IoULoss`, with truth of 0 and 1 (cut at one half).
    """

    def __init__(
        self,
        mode: Mode = "binary",
        *,
        boundary_share: float = 0.01,
        max_distance: float = 20.0,
        label_smoothing: float = 0.2,
        from_logits: bool = True,
        ignore_index: int | None = None,
    ) -> None:
        super().__init__(mode, from_logits, ignore_index)
        if not 0 < boundary_share <= 1:
            raise SettingError(f"boundary_share is {boundary_share}; give a number above 0 and at most 1")
        if not max_distance > 0:
            raise SettingError(f"max_distance is {max_distance}; give a number of pixels above 0")
        if not 0 <= label_smoothing < 1:
            raise SettingError(f"label_smoothing is {label_smoothing}; give a number from 0 to below 1")
        self.boundary_share = boundary_share
        self.max_distance = max_distance
        self.label_smoothing = label_smoothing

    def _loss(self, maps: ClassMaps) -> Tensor:
        valid = None if maps.valid is None else maps.valid.expand_as(maps.truth)
        if self.mode == "multiclass":
            log_probabilities = maps.scores.log_softmax(1) if self.from_logits else _log(maps.scores)
            # A pixel of no class at all differs from those of any class, as in the other losses.
            truth = torch.where(maps.truth.any(1), maps.truth.argmax(1), maps.truth.shape[1])
            valid = None if valid is None else valid[:, 0]
        else:  # each class is an image of two classes
            scores = maps.scores.flatten(0, 1)
            if self.from_logits:
                log_probabilities = torch.stack([F.logsigmoid(-scores), F.logsigmoid(scores)], 1)
            else:
                log_probabilities = torch.stack([_log(1 - scores), _log(scores)], 1)
            truth = (maps.truth >= 0.5).flatten(0, 1)
            valid = None if valid is None else valid.flatten(0, 1)
        return active_boundary_loss(
            log_probabilities,
            truth,
            boundary_share=self.boundary_share,
            max_distance=self.max_distance,
            label_smoothing=self.label_smoothing,
            valid=valid,
        )


def _log(probabilities: Tensor) -> Tensor:
    return probabilities.clamp(min=_LEAST_PROBABILITY).log()
