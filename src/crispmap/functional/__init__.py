"""Pure tensor maths: what losses and metrics are made of. Torch only."""

from crispmap.functional.active_boundary_loss import active_boundary_loss
from crispmap.functional.boundary_dou_loss import boundary_dou_loss
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
from crispmap.functional.distance import euclidean_distance, signed_distance
from crispmap.functional.distance_loss import boundary_weighted_bce_loss, hausdorff_dt_loss, surface_loss
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
    "active_boundary_loss",
    "bce_loss",
    "boundary_counts",
    "boundary_dou_loss",
    "boundary_f1",
    "boundary_f1_per_image",
    "boundary_iou",
    "boundary_iou_counts",
    "boundary_loss",
    "boundary_match",
    "boundary_weighted_bce_loss",
    "confusion_counts",
    "dice_loss",
    "euclidean_distance",
    "f1",
    "hausdorff_dt_loss",
    "iou",
    "iou_loss",
    "perimeter_counts",
    "perimeter_ratio",
    "sensitivity_specificity_loss",
    "signed_distance",
    "surface_loss",
]
