"""Exact metrics as torchmetrics classes; their functional twins are in `crispmap.functional`."""

from crispmap.metrics.boundary import BinaryBoundaryF1, BinaryBoundaryIoU, BinaryPerimeterRatio
from crispmap.metrics.region import BinaryF1, BinaryIoU

__all__ = ["BinaryBoundaryF1", "BinaryBoundaryIoU", "BinaryF1", "BinaryIoU", "BinaryPerimeterRatio"]
