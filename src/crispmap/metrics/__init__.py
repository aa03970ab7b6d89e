"""Exact metrics as torchmetrics classes; their functional twins are in `crispmap.functional`."""

from crispmap.metrics.boundary import (
    BinaryBoundaryF1,
    BinaryBoundaryIoU,
    BinaryBoundaryPrecision,
    BinaryBoundaryRecall,
    BinaryCornerRatio,
    BinaryPerimeterRatio,
    MulticlassBoundaryF1,
    MulticlassBoundaryIoU,
    MulticlassBoundaryPrecision,
    MulticlassBoundaryRecall,
    MulticlassCornerRatio,
    MulticlassPerimeterRatio,
)
from crispmap.metrics.objects import BinaryObjectAveragePrecision, BinaryObjectF1, MulticlassObjectF1
from crispmap.metrics.region import BinaryF1, BinaryIoU
from crispmap.metrics.surface import (
    BinaryHausdorffDistance,
    BinarySurfaceDistance,
    MulticlassHausdorffDistance,
    MulticlassSurfaceDistance,
)

__all__ = [
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
    "MulticlassBoundaryF1",
    "MulticlassBoundaryIoU",
    "MulticlassBoundaryPrecision",
    "MulticlassBoundaryRecall",
    "MulticlassCornerRatio",
    "MulticlassHausdorffDistance",
    "MulticlassObjectF1",
    "MulticlassPerimeterRatio",
    "MulticlassSurfaceDistance",
]
