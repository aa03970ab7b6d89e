"""Scores of predicted masks or footprints against true ones, exact over a whole set of files."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from crispmap.errors import PairingError, SettingError
from crispmap.evaluate.comparison import Comparison, comparisons
from crispmap.evaluate.counting import Counts, count
from crispmap.evaluate.definitions import Definitions
from crispmap.evaluate.strips import n_strips
from crispmap.functional._checks import check_choice
from crispmap.functional.band_score import WIDTH, BandCounts, boundary_iou
from crispmap.functional.boundary_score import BoundaryCounts, boundary_scores, boundary_scores_per_image
from crispmap.functional.conventions import Convention, rules_of
from crispmap.functional.lengths import Length
from crispmap.functional.object_score import (
    AP_THRESHOLDS,
    Overlaps,
    average_precision,
    match_objects,
    object_f1,
    object_precision,
    object_recall,
)
from crispmap.functional.outline_score import CornerCounts, PerimeterCounts, corner_ratio, perimeter_ratio
from crispmap.functional.region_score import ConfusionCounts, f1, iou, quotient
from crispmap.functional.surface_score import (
    Histogram,
    SurfaceDistances,
    beyond_cap,
    hausdorff_distance,
    mean_surface_distance,
)
from crispmap.geo.raster import Nodata, small_cache
from crispmap.progress import progress_bar

Tolerance = float | str | Length
C = TypeVar("C", ConfusionCounts, BoundaryCounts, BandCounts, PerimeterCounts, CornerCounts)


@dataclass(frozen=True)
class Scores:
    """Scores of one image, or of a set.

    *Convention.* A score without anything to measure is NaN (no foreground on either side, no boundary, …). "Pooled"
    is: counts of all images added up first.

    Attributes:
        iou: Intersection over union of the foreground, pixels pooled.
        f1: F1 (Dice), pixels pooled.
        precision: The share of predicted foreground that is true, pixels pooled.
        recall: The share of true foreground that is predicted, pixels pooled.
        boundary_f1: Boundary F1 at the first tolerance, over images as the convention says.
        boundary_precision: The share of predicted boundary that is near true boundary, likewise.
        boundary_recall: The share of true boundary that is near predicted boundary, likewise.
        boundary_f1_at: Boundary F1 at each tolerance, by its name.
        boundary_iou: Boundary IoU (Cheng et al. 2021), the bands' pixels pooled.
        perimeter_ratio: Predicted by true length of all outlines, pooled.
        corner_ratio: Predicted by true length of outline that turns, pooled.
        hausdorff_95: The greater 95th percentile of both directions' distances between boundaries, pooled; ∞ beyond
            the cap.
        mean_surface_distance: The mean of the distances between boundaries, both directions pooled; those beyond the
            cap count as the cap.
        beyond_cap: The share of boundary pixels that have no boundary of the other side within the cap.
        object_f1: Of objects matched one-to-one from the definitions' IoU on.
        object_precision: The share of predicted objects that are matched.
        object_recall: The share of true objects that are matched.
        object_average_precision: Mean of TP / (TP + FP + FN) of objects over IoU 0.5, 0.55, …, 0.95.
        merged: Predicted objects that hold several true ones.
        split: True objects that hold several predicted ones.
        n_predicted: Predicted objects.
        n_true: True objects.
        polis: Mean PoLiS distance of matched polygons in units of their CRS, metres as a rule; vectors only.
        vertex_ratio: Vertices of matched predicted polygons by those of their partners; vectors only.
        n_pixels: How many pixels were compared.
    """

    iou: float
    f1: float
    precision: float
    recall: float
    boundary_f1: float
    boundary_precision: float
    boundary_recall: float
    boundary_f1_at: dict[str, float]
    boundary_iou: float
    perimeter_ratio: float
    corner_ratio: float
    hausdorff_95: float
    mean_surface_distance: float
    beyond_cap: float
    object_f1: float
    object_precision: float
    object_recall: float
    object_average_precision: float
    merged: int
    split: int
    n_predicted: int
    n_true: int
    polis: float
    vertex_ratio: float
    n_pixels: int

    def flat(self) -> dict[str, Any]:
        """The scores by name, for tables and JSON: None stands for NaN and for what lies beyond the cap."""
        found: dict[str, Any] = {}
        for field in fields(Scores):
            value = getattr(self, field.name)
            if field.name == "boundary_f1_at":
                found |= {f"boundary_f1_{name.replace(' ', '')}": _finite(score) for name, score in value.items()}
            else:
                found[field.name] = _finite(value)
        return found


@dataclass(frozen=True)
class ImageScores(Scores):
    """Scores of one image.

    Attributes:
        name: The stem that prediction and truth share.
    """

    name: str


@dataclass(frozen=True)
class Evaluation(Scores):
    """Scores of a set of images, with what defines them.

    Attributes:
        definitions: What was measured.
        boundary_f1_images: How many images have a boundary F1, and so enter its mean.
        n_images: How many images were compared.
        resolution: Metres a pixel on the ground, of the first image; None if unknown.
        images: The scores of each image.
        curve: Boundary F1 (csurka) at rising tolerances up to the cap, in its unit.
        notes: What was odd about the files, in sentences.
        comparisons: What was compared, to look at again.
        wrong: Of each image, boundary pixels that are spurious or missed at the first tolerance, by blocks.
    """

    definitions: Definitions
    boundary_f1_images: int
    n_images: int
    resolution: float | None
    images: tuple[ImageScores, ...]
    curve: tuple[tuple[float, float], ...]
    notes: tuple[str, ...]
    comparisons: tuple[Comparison, ...]
    wrong: tuple[np.ndarray, ...]

    def to_dict(self) -> dict[str, Any]:
        """The scores of the set and what defines them, flat, for JSON: None stands for NaN and beyond the cap."""
        tolerance, band, cap = self.definitions.tolerances[0], self.definitions.band, self.definitions.cap
        return self.flat() | {
            "boundary_f1_tolerance": tolerance.value,
            "boundary_f1_unit": tolerance.unit,
            "boundary_f1_convention": self.definitions.convention,
            "boundary_f1_images": self.boundary_f1_images,
            "boundary_iou_width": band.value,
            "boundary_iou_width_unit": band.unit,
            "surface_distance_cap": cap.value,
            "surface_distance_unit": cap.unit,
            "hausdorff_95_is_beyond_cap": math.isinf(self.hausdorff_95),
            "object_iou": self.definitions.object_iou,
            "n_images": self.n_images,
            "resolution": self.resolution,
        }


def evaluate(
    pred: str | Path,
    truth: str | Path,
    *,
    tolerance: Tolerance | Sequence[Tolerance] = 3.0,
    convention: Convention = "csurka",
    band_width: Tolerance | None = None,
    distance_cap: Tolerance = 100.0,
    threshold: float = 0.5,
    area: str | Path | None = None,
    nodata: Nodata = "file",
    resolution: float | None = None,
) -> Evaluation:
    """Compares predictions with truths, each of them rasters or vectors, in strips: files may be of any size.

    Rasters may be {0, 1}, {0, 255}, anti-aliased grey or probabilities (see `crispmap.geo.mask`). Polygons
    are burnt into the grid of the raster they are compared with: a pixel is foreground if its centre lies
    inside, and no polygon means background. Vectors compared with vectors get a grid of their own. Pixels without data
    in either raster, and those outside `area`, are ignored in every score. The result is that of the whole image at
    once; memory grows with the images' width, not their height.

    Args:
        pred: A file, or a folder of files that are paired with the truth by stem; the endings `_mask`,
            `_probability` and `_footprints` are ignored.
        truth: Likewise. One vector file can serve a whole folder.
        tolerance: Of the boundary F1: a number of pixels, or a length such as ``"1m"`` or ``"0.75%"`` of the diagonal;
            or several, the main one first.
        convention: Of the boundary F1, see `crispmap.functional.conventions`.
        band_width: Of Boundary IoU, a length; 2 % of the diagonal if None.
        distance_cap: Up to which surface distances are measured, in pixels or metres; they come out in its unit.
        threshold: The share of the full scale from which on a predicted pixel is foreground.
        area: Polygons outside which nothing is compared.
        nodata: ``"file"`` for the rasters' own word on nodata, ``"none"``, or a value that replaces it.
        resolution: Metres a pixel where that is not known: of rasters without a place on the ground, and of the grid on
            which vectors are compared with vectors (a quarter of a metre if None).

    Returns:
        The scores.

    Raises:
        SettingError: If a length, the convention or the threshold is not allowed, or a length in metres is given for
            imagery of unknown ground resolution.
        InputError: If a file cannot be read, or holds no mask of one class.
        PairingError: If predictions and truths do not belong together.
    """
    check_choice("convention", convention, Convention)
    several = tolerance if isinstance(tolerance, Sequence) and not isinstance(tolerance, str) else [tolerance]
    lengths = tuple(dict.fromkeys(Length.of(each, "tolerance") for each in several))
    band = WIDTH if band_width is None else Length.of(band_width, "band width")
    definitions = Definitions(lengths, convention, band, Length.of(distance_cap, "distance cap"))
    if not 0 < threshold < 1:
        raise SettingError(f"threshold is {threshold:g}; give a share between 0 and 1")
    ground = None if area is None else Path(area)
    with small_cache():
        pairs, notes = comparisons(Path(pred), Path(truth), threshold, ground, nodata, resolution)
        plans = [definitions.on((pair.grid.height, pair.grid.width), pair.pixel_size) for pair in pairs]
        total = sum(n_strips(pair, plan.halo) for pair, plan in zip(pairs, plans, strict=True))
        with progress_bar("comparing", total) as bar:
            counts = [count(pair, definitions, advance=bar.advance) for pair in pairs]
    return _evaluation(pairs, counts, definitions, notes)


def _evaluation(
    pairs: Sequence[Comparison], counts: Sequence[Counts], definitions: Definitions, notes: Any
) -> Evaluation:
    scores = _scores(counts, definitions)
    if not scores["n_pixels"]:
        raise PairingError(
            f"prediction and truth of {pairs[0].name} have no pixel with data in common; there is nothing to compare"
        )
    boundary = _joined(BoundaryCounts, [each.boundary for each in counts])
    per_image = boundary_scores_per_image(boundary, definitions.convention)
    return Evaluation(
        **scores,
        definitions=definitions,
        boundary_f1_images=int((~per_image.f1[:, 0].isnan()).sum()),
        n_images=len(pairs),
        resolution=pairs[0].resolution,
        images=tuple(
            ImageScores(**_scores([each], definitions), name=pair.name)
            for pair, each in zip(pairs, counts, strict=True)
        ),
        curve=_curve([each.surface for each in counts], definitions.cap.value),
        notes=tuple(notes),
        comparisons=tuple(pairs),
        wrong=tuple(each.wrong for each in counts),
    )


def _scores(counts: Sequence[Counts], definitions: Definitions) -> dict[str, Any]:
    """The scores of a set, or of one image."""
    confusion = _joined(ConfusionCounts, [each.confusion for each in counts])
    hits, false_positive, false_negative, _ = (each.sum() for each in confusion)
    boundary = boundary_scores(_joined(BoundaryCounts, [each.boundary for each in counts]), definitions.convention)
    surface = SurfaceDistances.joined([each.surface for each in counts])
    overlaps = Overlaps.joined([each.objects for each in counts])
    objects = match_objects(overlaps, (definitions.object_iou,))
    polis = np.concatenate([each.polygons.polis for each in counts])
    vertices = [sum(each.polygons[1 + k] for each in counts) for k in range(2)]
    return {
        "iou": float(iou(confusion)),
        "f1": float(f1(confusion)),
        "precision": float(quotient(hits, hits + false_positive)),
        "recall": float(quotient(hits, hits + false_negative)),
        "boundary_f1": float(boundary.f1[0]),
        "boundary_precision": float(boundary.precision[0]),
        "boundary_recall": float(boundary.recall[0]),
        "boundary_f1_at": {
            str(length): float(score) for length, score in zip(definitions.tolerances, boundary.f1, strict=True)
        },
        "boundary_iou": float(boundary_iou(_joined(BandCounts, [each.band for each in counts]))),
        "perimeter_ratio": float(perimeter_ratio(_joined(PerimeterCounts, [each.perimeter for each in counts]))),
        "corner_ratio": float(corner_ratio(_joined(CornerCounts, [each.corner for each in counts]))),
        "hausdorff_95": float(hausdorff_distance(surface)),
        "mean_surface_distance": float(mean_surface_distance(surface, definitions.cap.value)),
        "beyond_cap": float(beyond_cap(surface)),
        "object_f1": float(object_f1(objects)[0]),
        "object_precision": float(object_precision(objects)[0]),
        "object_recall": float(object_recall(objects)[0]),
        "object_average_precision": float(average_precision(match_objects(overlaps, AP_THRESHOLDS))),
        "merged": int(objects.merged),
        "split": int(objects.split),
        "n_predicted": int(objects.predicted),
        "n_true": int(objects.true),
        "polis": float(polis.mean()) if len(polis) else math.nan,
        "vertex_ratio": vertices[0] / vertices[1] if vertices[1] else math.nan,
        "n_pixels": sum(int(each.sum()) for each in confusion),
    }


def _joined(kind: type[C], counts: Sequence[C]) -> C:
    """The counts of several images in one tuple."""
    return kind(*(torch.cat(count) for count in zip(*counts, strict=True)))


def _curve(surfaces: Sequence[SurfaceDistances], cap: float) -> tuple[tuple[float, float], ...]:
    """Boundary F1 (csurka: the mean of the images') at tolerances that rise to the cap."""
    tolerances = [cap * share for share in (*np.linspace(0.005, 0.05, 10), *np.linspace(0.06, 0.3, 25))]
    parts = []
    for surface in surfaces:
        (pred, pred_near), (true, true_near) = (_within(side, tolerances) for side in surface)
        parts.append(BoundaryCounts(pred_near[None], pred[None], true_near[None], true[None]))
    scores = boundary_scores(_joined(BoundaryCounts, parts), "csurka").f1
    return tuple(zip(tolerances, scores.tolist(), strict=True))


def _within(side: Histogram, tolerances: Sequence[float]) -> tuple[Tensor, Tensor]:
    """How many boundary pixels there are, and how many of them match (csurka) at each tolerance."""
    matches = rules_of("csurka").matches
    near = [side.pixels[matches(side.squared, tolerance)].sum() for tolerance in tolerances]
    return side.pixels.sum(), torch.stack(near)


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
