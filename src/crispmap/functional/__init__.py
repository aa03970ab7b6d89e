"""Pure tensor maths: what losses and metrics are made of. Torch only."""

from crispmap.functional.boundary_loss import boundary_loss
from crispmap.functional.boundary_score import (
    BandCounts,
    BoundaryCounts,
    BoundaryMatch,
    Convention,
    PerimeterCounts,
    boundary_counts,
    boundary_f1,
    boundary_f1_per_image,
    boundary_iou,
    boundary_iou_counts,
    boundary_match,
    perimeter_counts,
    perimeter_ratio,
)
from crispmap.functional.pixel_loss import bce_loss
from crispmap.functional.region_loss import dice_loss, iou_loss, sensitivity_specificity_loss
from crispmap.functional.region_score import ConfusionCounts, confusion_counts, f1, iou

__all__ = [
    "BandCounts",
    "BoundaryCounts",
    "BoundaryMatch",
    "ConfusionCounts",
    "Convention",
    "PerimeterCounts",
    "bce_loss",
    "boundary_counts",
    "boundary_f1",
    "boundary_f1_per_image",
    "boundary_iou",
    "boundary_iou_counts",
    "boundary_loss",
    "boundary_match",
    "confusion_counts",
    "dice_loss",
    "f1",
    "iou",
    "iou_loss",
    "perimeter_counts",
    "perimeter_ratio",
    "sensitivity_specificity_loss",
]
