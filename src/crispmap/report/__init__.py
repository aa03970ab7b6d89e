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
)
from crispmap.report.demo import write_report
from crispmap.report.edges import EdgeWindow
from crispmap.report.evaluation import EvaluationPage, write_evaluation_page

__all__ = [
    "Chart",
    "Curve",
    "EdgeWindow",
    "EvaluationPage",
    "GallerySample",
    "LargeScene",
    "MethodResult",
    "Metric",
    "Prediction",
    "Report",
    "write_evaluation_page",
    "write_report",
]
