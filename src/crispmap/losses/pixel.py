"""Binary cross entropy as a module."""

from torch import Tensor

from crispmap.errors import SettingError
from crispmap.functional.pixel_loss import bce_loss
from crispmap.losses._base import ClassMaps, Mode, SegmentationLoss


class BCELoss(SegmentationLoss):
    """Mean binary cross entropy, −t·log p − (1 − t)·log(1 − p), over the pixels that are not ignored.

    *Convention.* The loss applies the sigmoid unless `from_logits` is false. 0 if all pixels are ignored.
    Computed in float32 at least. For classes that exclude each other cross entropy is another equation, and
    ``torch.nn.CrossEntropyLoss(ignore_index=…)`` takes the shapes of the multiclass mode.

    Args:
        mode: "binary" or "multilabel".
        from_logits: Whether predictions are logits rather than probabilities.
        ignore_index: Value in the truth of pixels to leave out.

    Shape:
        binary: y_pred (N, 1, H, W) or (N, H, W), y_true of either shape, in [0, 1];
        multilabel: both (N, C, H, W).

    Raises:
        SettingError: If the mode is not allowed; when called, if the shapes are not those of the mode.
    """

    def __init__(self, mode: Mode = "binary", *, from_logits: bool = True, ignore_index: int | None = None) -> None:
        super().__init__(mode, from_logits, ignore_index)
        if mode == "multiclass":
            raise SettingError(
                "BCELoss takes mode 'binary' or 'multilabel'; for 'multiclass' use torch.nn.CrossEntropyLoss"
            )

    def _loss(self, maps: ClassMaps) -> Tensor:
        return bce_loss(maps.scores, maps.truth, from_logits=self.from_logits, valid=maps.valid)
