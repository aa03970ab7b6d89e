"""Losses that weigh pixels by their distance to the boundary, as modules."""

from abc import abstractmethod

from torch import Tensor, nn

from crispmap.errors import SettingError
from crispmap.functional._reduction import LossReduction
from crispmap.functional.distance_loss import boundary_weighted_bce_loss, hausdorff_dt_loss, surface_loss
from crispmap.losses._base import ClassMaps, Mode, ReducedLoss, SegmentationLoss, class_maps


def uses_distance(loss: nn.Module) -> bool:
    """Whether a loss takes the truth's signed distance map as a third argument, ``distance``.

    It says so by an attribute of that name. One that does computes the map where it is not given.
    """
    return bool(getattr(loss, "uses_distance", False))


class _DistanceLoss(SegmentationLoss):
    uses_distance = True

    def forward(
        self, y_pred: Tensor, y_true: Tensor, distance: Tensor | None = None, *, valid: Tensor | None = None
    ) -> Tensor:
        """Computes the loss; shapes and errors as the class describes them, `valid` as in the other losses."""
        maps = class_maps(y_pred, y_true, self.mode, self.ignore_index, valid)
        if distance is None:
            return self._loss(maps)
        given = distance[:, None] if distance.ndim == 3 else distance
        if given.shape != maps.scores.shape:
            raise SettingError(
                f"distance must hold a map for each class of each image, {tuple(maps.scores.shape)}; "
                f"found {tuple(distance.shape)}"
            )
        return self._loss(maps, given)

    @abstractmethod
    def _loss(self, maps: ClassMaps, distance: Tensor | None = None) -> Tensor: ...


class SurfaceLoss(_DistanceLoss, ReducedLoss):
    """Mean of p·φ, with φ the signed distance to the boundary of the truth in pixels, negative inside.

    Kervadec et al. 2019, *Boundary loss for highly unbalanced segmentation*, arXiv:1812.07032. It is meant to
    stand beside a loss of area: see `MixedLoss`.

    *Convention.* The loss applies the sigmoid (multiclass: softmax) unless `from_logits` is false. Below 0 for
    a good prediction. An image without a boundary, where the class is absent or everywhere, gives 0 without a
    gradient. The boundary runs along the edges of pixels (in the authors' program through the innermost pixels
    of the class, which adds half the mean of p); the image border makes none. Ignored pixels make no boundary
    and take no part. Computed in float32 at least.

    Args:
        mode: "binary", "multiclass" or "multilabel".
        reduction: "batch" (the mean over all pixels of a class, then over classes), "image" (over those of each
            image first) or "none" (N, C).
        from_logits: Whether predictions are logits rather than probabilities.
        ignore_index: Value in the truth of pixels to leave out.

    Shape:
        binary: y_pred (N, 1, H, W) or (N, H, W), y_true of either shape, in [0, 1];
        multiclass: y_pred (N, C, H, W), y_true class ids (N, H, W);
        multilabel: both (N, C, H, W).
        distance, where it is given: `crispmap.functional.signed_distance` of the truth of each class,
        (N, C, H, W), or (N, H, W) if there is one.

    Raises:
        SettingError: If a setting is not allowed; when called, if the shapes are not those of the mode.
    """

    def _loss(self, maps: ClassMaps, distance: Tensor | None = None) -> Tensor:
        return surface_loss(
            self._probabilities(maps.scores),
            maps.truth,
            distance=distance,
            reduction=self.reduction,
            valid=maps.valid,
        )


class HausdorffDTLoss(_DistanceLoss, ReducedLoss):
    """Mean of (p − t)²·(d_p^α + d_t^α), with d the distances to the boundaries of prediction and truth in pixels.

    Karimi & Salcudean 2019, *Reducing the Hausdorff Distance in Medical Image Segmentation with Convolutional
    Neural Networks*, arXiv:1904.10030. The boundary of the prediction is that of p ≥ ½, found anew in each call
    and for each class by itself.

    *Convention.* As `SurfaceLoss`, but at least 0, and that a boundary that is not there adds no distance: an
    empty truth leaves (p − t)²·d_p^α, and where the prediction is empty too (no p ≥ ½) the loss is 0 without a
    gradient.

    Args:
        mode: "binary", "multiclass" or "multilabel".
        alpha: How much more errors weigh that lie farther from a boundary, above 0.
        reduction: "batch" (the mean over all pixels of a class, then over classes), "image" (over those of each
            image first) or "none" (N, C).
        from_logits: Whether predictions are logits rather than probabilities.
        ignore_index: Value in the truth of pixels to leave out.

    Shapes and errors are those of `SurfaceLoss`.
    """

    def __init__(
        self,
        mode: Mode = "binary",
        *,
        alpha: float = 2.0,
        reduction: LossReduction = "batch",
        from_logits: bool = True,
        ignore_index: int | None = None,
    ) -> None:
        super().__init__(mode, reduction=reduction, from_logits=from_logits, ignore_index=ignore_index)
        _check_above_zero("alpha", alpha)
        self.alpha = alpha

    def _loss(self, maps: ClassMaps, distance: Tensor | None = None) -> Tensor:
        return hausdorff_dt_loss(
            self._probabilities(maps.scores),
            maps.truth,
            alpha=self.alpha,
            distance=distance,
            reduction=self.reduction,
            valid=maps.valid,
        )


class BoundaryWeightedBCELoss(_DistanceLoss):
    """Mean binary cross entropy, each pixel weighted by w = 1 + w₀·exp(−d² / 2σ²).

    The weight map of Ronneberger et al. 2015, *U-Net*, arXiv:1505.04597, equation 2, with d the distance to
    the nearest boundary in the place of the sum of those to the two nearest cells, which labels without
    instances do not tell, and no weight for the balance of classes.

    *Convention.* The loss applies the sigmoid unless `from_logits` is false. It is divided by the sum of the
    weights, so `BCELoss` where there is no boundary. 0 if all pixels are ignored. The image border makes no
    boundary; ignored pixels make none and take no part. Computed in float32 at least.

    Args:
        mode: "binary" or "multilabel".
        w0: What a pixel at the boundary weighs more than one far from it, at least 0.
        sigma: How far from the boundary pixels weigh more, in pixels, above 0.
        from_logits: Whether predictions are logits rather than probabilities.
        ignore_index: Value in the truth of pixels to leave out.

    Shapes and errors are those of `SurfaceLoss`.
    """

    def __init__(
        self,
        mode: Mode = "binary",
        *,
        w0: float = 10.0,
        sigma: float = 5.0,
        from_logits: bool = True,
        ignore_index: int | None = None,
    ) -> None:
        super().__init__(mode, from_logits, ignore_index)
        if mode == "multiclass":
            raise SettingError(
                "BoundaryWeightedBCELoss takes mode 'binary' or 'multilabel': classes that exclude each other have "
                "no binary cross entropy"
            )
        if w0 < 0:
            raise SettingError(f"w0 is {w0}; give a number of at least 0")
        _check_above_zero("sigma", sigma)
        self.w0 = w0
        self.sigma = sigma

    def _loss(self, maps: ClassMaps, distance: Tensor | None = None) -> Tensor:
        return boundary_weighted_bce_loss(
            maps.scores,
            maps.truth,
            w0=self.w0,
            sigma=self.sigma,
            distance=distance,
            from_logits=self.from_logits,
            valid=maps.valid,
        )


def _check_above_zero(name: str, value: float) -> None:
    if not value > 0:
        raise SettingError(f"{name} is {value}; give a number above 0")
