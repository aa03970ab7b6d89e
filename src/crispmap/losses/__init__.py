"""Losses as modules, called as ``loss(y_pred, y_true)`` with segmentation_models_pytorch's shapes."""

from crispmap.losses.active_boundary import ActiveBoundaryLoss
from crispmap.losses.boundary import BoundaryLoss
from crispmap.losses.boundary_dou import BoundaryDoULoss
from crispmap.losses.distance import BoundaryWeightedBCELoss, HausdorffDTLoss, SurfaceLoss
from crispmap.losses.mixture import MixedLoss
from crispmap.losses.pixel import BCELoss
from crispmap.losses.published import FocalLoss, LovaszLoss, TverskyLoss
from crispmap.losses.region import DiceLoss, IoULoss, SensitivitySpecificityLoss
from crispmap.losses.schedule import ConstantWeight, CosineWeight, RampWeight

__all__ = [
    "ActiveBoundaryLoss",
    "BCELoss",
    "BoundaryDoULoss",
    "BoundaryLoss",
    "BoundaryWeightedBCELoss",
    "ConstantWeight",
    "CosineWeight",
    "DiceLoss",
    "FocalLoss",
    "HausdorffDTLoss",
    "IoULoss",
    "LovaszLoss",
    "MixedLoss",
    "RampWeight",
    "SensitivitySpecificityLoss",
    "SurfaceLoss",
    "TverskyLoss",
]
