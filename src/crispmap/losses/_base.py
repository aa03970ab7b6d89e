"""What the losses share: segmentation_models_pytorch's shapes and modes turned into maps of each class."""

from abc import abstractmethod
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from crispmap.errors import SettingError
from crispmap.functional._checks import check_choice
from crispmap.functional._ignored import not_ignored
from crispmap.functional._reduction import LossReduction

Mode = Literal["binary", "multiclass", "multilabel"]


class ClassMaps(NamedTuple):
    """A map for each class of each image, in float32 at least."""

    scores: Tensor  # (N, C, H, W), logits or probabilities as they were given
    truth: Tensor  # (N, C, H, W), 0 or 1 (or between, if the given truth was)
    valid: Tensor | None  # (N, C, H, W) or (N, 1, H, W), false at ignored pixels; None where there can be none


class SegmentationLoss(nn.Module):
    """A loss called as ``loss(y_pred, y_true)`` with segmentation_models_pytorch's shapes.

    Args:
        mode: "binary", "multiclass" or "multilabel".
        from_logits: Whether predictions are logits, to which the loss applies the sigmoid (multiclass: softmax).
        ignore_index: Value in the truth of pixels to leave out.
    """

    def __init__(self, mode: Mode, from_logits: bool, ignore_index: int | None) -> None:
        super().__init__()
        check_choice("mode", mode, Mode)
        self.mode = mode
        self.from_logits = from_logits
        self.ignore_index = ignore_index

    def forward(self, y_pred: Tensor, y_true: Tensor, *, valid: Tensor | None = None) -> Tensor:
        """Computes the loss; shapes and errors as the class describes them.

        Pixels at which `valid`, bool, (N, H, W), (N, 1, H, W) or (N, C, H, W), is false are left out, like those
        that hold `ignore_index`.
        """
        return self._loss(class_maps(y_pred, y_true, self.mode, self.ignore_index, valid))

    def extra_repr(self) -> str:
        """The settings, as ``print`` shows them."""
        settings = {name: value for name, value in vars(self).items() if name[0] != "_" and name != "training"}
        return ", ".join(f"{name}={value!r}" for name, value in settings.items())

    @abstractmethod
    def _loss(self, maps: ClassMaps) -> Tensor: ...

    def _probabilities(self, scores: Tensor) -> Tensor:
        if not self.from_logits:
            return scores
        return scores.softmax(1) if self.mode == "multiclass" else scores.sigmoid()


class ReducedLoss(SegmentationLoss):
    """A loss with a choice of how those of images and classes become one.

    Args:
        mode: "binary", "multiclass" or "multilabel".
        reduction: "batch" (sums pooled over the batch), "image" (a loss for each class of each image, then the mean) or
            "none" (N, C).
        from_logits: Whether predictions are logits rather than probabilities.
        ignore_index: Value in the truth of pixels to leave out.
    """

    def __init__(
        self,
        mode: Mode = "binary",
        *,
        reduction: LossReduction = "batch",
        from_logits: bool = True,
        ignore_index: int | None = None,
    ) -> None:
        super().__init__(mode, from_logits, ignore_index)
        check_choice("reduction", reduction, LossReduction)
        self.reduction = reduction


def class_maps(
    y_pred: Tensor, y_true: Tensor, mode: Mode, ignore_index: int | None, valid: Tensor | None = None
) -> ClassMaps:
    """Turns what a loss is given into maps of each class.

    Args:
        y_pred: Binary (N, 1, H, W) or (N, H, W); otherwise (N, C, H, W).
        y_true: Binary (N, H, W) or (N, 1, H, W), multiclass class ids (N, H, W), multilabel (N, C, H, W).
        mode: "binary", "multiclass" or "multilabel".
        ignore_index: Value in the truth of pixels to leave out.
        valid: Bool, (N, H, W), (N, 1, H, W) or (N, C, H, W), false at more such pixels.

    Returns:
        The maps; where ignored, the truth is 0. A class id that is neither a class nor ignored is no class.

    Raises:
        SettingError: If the shapes are not those of the mode.
    """
    scores, truth = y_pred, y_true
    if mode == "binary":
        scores, truth = (x[:, None] if x.ndim == 3 else x for x in (scores, truth))
        fits = scores.ndim == 4 and scores.shape[1] == 1 and scores.shape == truth.shape
    elif mode == "multiclass":
        fits = scores.ndim == 4 and truth.shape == (scores.shape[0], *scores.shape[2:])
        truth = truth[:, None]
    else:
        fits = scores.ndim == 4 and scores.shape == truth.shape
    if not fits:
        raise SettingError(
            f"{mode} mode takes y_pred {_SHAPES[mode]}; found {tuple(y_pred.shape)} and {tuple(y_true.shape)}"
        )
    known = not_ignored(truth, ignore_index)
    if valid is not None:
        valid = _checked(valid, scores)
        known = valid if known is None else known & valid
    if mode == "multiclass":
        truth = truth == torch.arange(scores.shape[1], device=truth.device)[:, None, None]
    if known is not None:
        truth = truth.masked_fill(~known, 0)
    dtype = torch.promote_types(scores.dtype, torch.float32)
    return ClassMaps(scores.to(dtype), truth.to(dtype), known)


def _checked(valid: Tensor, scores: Tensor) -> Tensor:
    valid = valid[:, None] if valid.ndim == 3 else valid
    count, classes, *size = scores.shape
    if valid.dtype != torch.bool or valid.shape not in ((count, 1, *size), (count, classes, *size)):
        raise SettingError(
            f"valid must be bool and of the shape (N, H, W), (N, 1, H, W) or (N, C, H, W) of predictions "
            f"{tuple(scores.shape)}; found {valid.dtype} {tuple(valid.shape)}"
        )
    return valid


_SHAPES: dict[Mode, str] = {
    "binary": "(N, 1, H, W) or (N, H, W) and y_true of either shape",
    "multiclass": "(N, C, H, W) and y_true (N, H, W)",
    "multilabel": "(N, C, H, W) and y_true of the same shape",
}
