"""Crisp maps from aerial imagery: a boundary loss, exact boundary metrics, GeoTIFFs in, footprints out.

Names are imported when they are first used: ``from crispmap import BoundaryLoss`` loads torch and nothing
heavier, and the command line can answer ``--help`` before it loads torch at all.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crispmap.callbacks import JaggednessGuard
    from crispmap.losses import (
        ActiveBoundaryLoss,
        BCELoss,
        BoundaryDoULoss,
        BoundaryLoss,
        BoundaryWeightedBCELoss,
        ConstantWeight,
        CosineWeight,
        DiceLoss,
        FocalLoss,
        HausdorffDTLoss,
        IoULoss,
        LovaszLoss,
        MixedLoss,
        RampWeight,
        SensitivitySpecificityLoss,
        SurfaceLoss,
        TverskyLoss,
    )
    from crispmap.metrics import (
        BinaryBoundaryF1,
        BinaryBoundaryIoU,
        BinaryBoundaryPrecision,
        BinaryBoundaryRecall,
        BinaryCornerRatio,
        BinaryF1,
        BinaryHausdorffDistance,
        BinaryIoU,
        BinaryObjectAveragePrecision,
        BinaryObjectF1,
        BinaryPerimeterRatio,
        BinarySurfaceDistance,
        MulticlassBoundaryF1,
        MulticlassBoundaryIoU,
        MulticlassBoundaryPrecision,
        MulticlassBoundaryRecall,
        MulticlassCornerRatio,
        MulticlassHausdorffDistance,
        MulticlassObjectF1,
        MulticlassPerimeterRatio,
        MulticlassSurfaceDistance,
    )
    from crispmap.misregistration import Misregistration, suggest_theta
    from crispmap.models import SegmentationModel

__version__ = "0.1.0"

_HOMES = {
    "JaggednessGuard": "callbacks",
    "ActiveBoundaryLoss": "losses",
    "BCELoss": "losses",
    "BoundaryDoULoss": "losses",
    "BoundaryLoss": "losses",
    "BoundaryWeightedBCELoss": "losses",
    "ConstantWeight": "losses",
    "CosineWeight": "losses",
    "DiceLoss": "losses",
    "FocalLoss": "losses",
    "HausdorffDTLoss": "losses",
    "IoULoss": "losses",
    "LovaszLoss": "losses",
    "MixedLoss": "losses",
    "RampWeight": "losses",
    "SensitivitySpecificityLoss": "losses",
    "SurfaceLoss": "losses",
    "TverskyLoss": "losses",
    "BinaryBoundaryF1": "metrics",
    "BinaryBoundaryIoU": "metrics",
    "BinaryBoundaryPrecision": "metrics",
    "BinaryBoundaryRecall": "metrics",
    "BinaryCornerRatio": "metrics",
    "BinaryF1": "metrics",
    "BinaryHausdorffDistance": "metrics",
    "BinaryIoU": "metrics",
    "BinaryObjectAveragePrecision": "metrics",
    "BinaryObjectF1": "metrics",
    "BinaryPerimeterRatio": "metrics",
    "BinarySurfaceDistance": "metrics",
    "MulticlassBoundaryF1": "metrics",
    "MulticlassBoundaryIoU": "metrics",
    "MulticlassBoundaryPrecision": "metrics",
    "MulticlassBoundaryRecall": "metrics",
    "MulticlassCornerRatio": "metrics",
    "MulticlassHausdorffDistance": "metrics",
    "MulticlassObjectF1": "metrics",
    "MulticlassPerimeterRatio": "metrics",
    "MulticlassSurfaceDistance": "metrics",
    "Misregistration": "misregistration",
    "suggest_theta": "misregistration",
    "SegmentationModel": "models",
}

__all__ = [
    "ActiveBoundaryLoss",
    "BCELoss",
    "BinaryBoundaryF1",
    "BinaryBoundaryIoU",
    "BinaryBoundaryPrecision",
    "BinaryBoundaryRecall",
    "BinaryCornerRatio",
    "BinaryF1",
    "BinaryHausdorffDistance",
    "BinaryIoU",
    "BinaryObjectAveragePrecision",
    "BinaryObjectF1",
    "BinaryPerimeterRatio",
    "BinarySurfaceDistance",
    "BoundaryDoULoss",
    "BoundaryLoss",
    "BoundaryWeightedBCELoss",
    "ConstantWeight",
    "CosineWeight",
    "DiceLoss",
    "FocalLoss",
    "HausdorffDTLoss",
    "IoULoss",
    "JaggednessGuard",
    "LovaszLoss",
    "Misregistration",
    "MixedLoss",
    "MulticlassBoundaryF1",
    "MulticlassBoundaryIoU",
    "MulticlassBoundaryPrecision",
    "MulticlassBoundaryRecall",
    "MulticlassCornerRatio",
    "MulticlassHausdorffDistance",
    "MulticlassObjectF1",
    "MulticlassPerimeterRatio",
    "MulticlassSurfaceDistance",
    "RampWeight",
    "SegmentationModel",
    "SensitivitySpecificityLoss",
    "SurfaceLoss",
    "TverskyLoss",
    "__version__",
    "suggest_theta",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"crispmap.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'crispmap' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
