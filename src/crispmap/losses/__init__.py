"""Losses as modules, called as ``loss(y_pred, y_true)`` with segmentation_models_pytorch's shapes."""

from crispmap.losses.boundary import BoundaryLoss
from crispmap.losses.mixture import ConstantWeight, MixedLoss, RampWeight
from crispmap.losses.pixel import BCELoss
from crispmap.losses.region import DiceLoss, IoULoss, SensitivitySpecificityLoss

__all__ = [
    "BCELoss",
    "BoundaryLoss",
    "ConstantWeight",
    "DiceLoss",
    "IoULoss",
    "MixedLoss",
    "RampWeight",
    "SensitivitySpecificityLoss",
]
