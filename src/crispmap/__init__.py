"""Crisp maps from aerial imagery: a boundary loss, exact boundary metrics, GeoTIFFs in, footprints out.

Names are imported when they are first used: ``from crispmap import BoundaryLoss`` loads torch and nothing
heavier, and the command line can answer ``--help`` before it loads torch at all.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crispmap.losses import (
        BCELoss,
        BoundaryLoss,
        ConstantWeight,
        DiceLoss,
        IoULoss,
        MixedLoss,
        RampWeight,
        SensitivitySpecificityLoss,
    )
    from crispmap.metrics import (
        BinaryBoundaryF1,
        BinaryBoundaryIoU,
        BinaryF1,
        BinaryIoU,
        BinaryPerimeterRatio,
    )

__version__ = "0.1.0"

_HOMES = {
    "BCELoss": "losses",
    "BoundaryLoss": "losses",
    "ConstantWeight": "losses",
    "DiceLoss": "losses",
    "IoULoss": "losses",
    "MixedLoss": "losses",
    "RampWeight": "losses",
    "SensitivitySpecificityLoss": "losses",
    "BinaryBoundaryF1": "metrics",
    "BinaryBoundaryIoU": "metrics",
    "BinaryF1": "metrics",
    "BinaryIoU": "metrics",
    "BinaryPerimeterRatio": "metrics",
}

__all__ = [
    "BCELoss",
    "BinaryBoundaryF1",
    "BinaryBoundaryIoU",
    "BinaryF1",
    "BinaryIoU",
    "BinaryPerimeterRatio",
    "BoundaryLoss",
    "ConstantWeight",
    "DiceLoss",
    "IoULoss",
    "MixedLoss",
    "RampWeight",
    "SensitivitySpecificityLoss",
    "__version__",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"crispmap.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'crispmap' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
