"""Pages and pictures that show what came of a run."""

from crispmap.report.content import (
    Chart,
    Curve,
    GallerySample,
    LargeScene,
    MethodResult,
    Metric,
    Prediction,
    Report,
    standard_metrics,
)
from crispmap.report.page import write_report

__all__ = [
    "Chart",
    "Curve",
    "GallerySample",
    "LargeScene",
    "MethodResult",
    "Metric",
    "Prediction",
    "Report",
    "standard_metrics",
    "write_report",
]
