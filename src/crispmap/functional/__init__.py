"""What losses and metrics are made of: pure tensor maths, and tables of objects in numpy."""

from crispmap.functional._reduction import LossReduction
from crispmap.functional.active_boundary_loss import active_boundary_loss
from crispmap.functional.band_score import BandCounts, boundary_iou, boundary_iou_counts
from crispmap.functional.boundary_dou_loss import boundary_dou_loss
from crispmap.functional.boundary_loss import boundary_loss
from crispmap.functional.boundary_score import (
    BoundaryCounts,
    BoundaryDistances,
    BoundaryMatch,
    BoundaryScores,
    area_under_curve,
    boundary_counts,
    boundary_distances,
    boundary_f1,
    boundary_f1_per_image,
    boundary_match,
    boundary_scores,
    boundary_scores_per_image,
)
from crispmap.functional.conventions import Convention, ScoreReduction
from crispmap.functional.distance import euclidean_distance, signed_distance
from crispmap.functional.distance_loss import boundary_weighted_bce_loss, hausdorff_dt_loss, surface_loss
from crispmap.functional.lengths import Length
from crispmap.functional.object_score import (
    ObjectCounts,
    Overlaps,
    average_precision,
    label_objects,
    match_objects,
    matched_pairs,
    object_f1,
    object_overlaps,
    object_precision,
    object_recall,
)
from crispmap.functional.outline_score import (
    CornerCounts,
    PerimeterCounts,
    corner_counts,
    corner_ratio,
    perimeter_counts,
    perimeter_ratio,
)
from crispmap.functional.pixel_loss import bce_loss
from crispmap.functional.region_loss import dice_loss, iou_loss, sensitivity_specificity_loss
from crispmap.functional.region_score import ConfusionCounts, confusion_counts, f1, iou
from crispmap.functional.surface_score import SurfaceDistances, hausdorff_distance, mean_surface_distance

__all__ = [
    "BandCounts",
    "BoundaryCounts",
    "BoundaryDistances",
    "BoundaryMatch",
    "BoundaryScores",
    "ConfusionCounts",
    "Convention",
    "CornerCounts",
    "Length",
    "LossReduction",
    "ObjectCounts",
    "Overlaps",
    "PerimeterCounts",
    "ScoreReduction",
    "SurfaceDistances",
    "active_boundary_loss",
    "area_under_curve",
    "average_precision",
    "bce_loss",
    "boundary_counts",
    "boundary_distances",
    "boundary_dou_loss",
    "boundary_f1",
    "boundary_f1_per_image",
    "boundary_iou",
    "boundary_iou_counts",
    "boundary_loss",
    "boundary_match",
    "boundary_scores",
    "boundary_scores_per_image",
    "boundary_weighted_bce_loss",
    "confusion_counts",
    "corner_counts",
    "corner_ratio",
    "dice_loss",
    "euclidean_distance",
    "f1",
    "hausdorff_distance",
    "hausdorff_dt_loss",
    "iou",
    "iou_loss",
    "label_objects",
    "match_objects",
    "matched_pairs",
    "mean_surface_distance",
    "object_f1",
    "object_overlaps",
    "object_precision",
    "object_recall",
    "perimeter_counts",
    "perimeter_ratio",
    "sensitivity_specificity_loss",
    "signed_distance",
    "surface_loss",
]
