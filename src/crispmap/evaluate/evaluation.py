"""Scores of predicted masks or footprints against true ones, exact over a whole set of files."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

import torch

from crispmap.errors import PairingError, SettingError
from crispmap.evaluate.comparison import Masks, comparisons
from crispmap.functional.boundary_score import (
    BandCounts,
    BoundaryCounts,
    PerimeterCounts,
    boundary_counts,
    boundary_f1,
    boundary_f1_per_image,
    boundary_iou,
    boundary_iou_counts,
    perimeter_counts,
    perimeter_ratio,
)
from crispmap.functional.region_score import ConfusionCounts, confusion_counts, f1, iou, quotient
from crispmap.geo.raster import Nodata
from crispmap.progress import track

C = TypeVar("C", ConfusionCounts, BoundaryCounts, BandCounts, PerimeterCounts)


@dataclass(frozen=True)
class Scores:
    """Scores of one image, or of a set.

    *Convention.* A score without anything to measure is NaN (no foreground on either side, no boundary, …).

    Attributes:
        iou: Intersection over union of the foreground, pixels pooled.
        f1: F1 (Dice), pixels pooled.
        precision: The share of predicted foreground that is true, pixels pooled.
        recall: The share of true foreground that is predicted, pixels pooled.
        boundary_f1: Boundary F1 under `Evaluation.boundary_f1_convention`; of a set, the mean of its images'.
        boundary_iou: Boundary IoU (Cheng et al. 2021), the bands' pixels pooled.
        perimeter_ratio: Predicted by true length of all outlines, pooled.
        n_pixels: How many pixels were compared.
    """

    iou: float
    f1: float
    precision: float
    recall: float
    boundary_f1: float
    boundary_iou: float
    perimeter_ratio: float
    n_pixels: int


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
        boundary_f1_tolerance: The distance below which boundary pixels match.
        boundary_f1_images: How many images have a boundary F1, and so enter its mean.
        n_images: How many images were compared.
        images: The scores of each image.
        notes: What was odd about the files, in sentences.
        boundary_f1_unit: The unit of the tolerance: pixels.
        boundary_f1_convention: The definition of the boundary F1, see `crispmap.functional.boundary_score`.
        boundary_iou_width_ratio: The width of the bands as a share of the image's diagonal.
    """

    boundary_f1_tolerance: float
    boundary_f1_images: int
    n_images: int
    images: tuple[ImageScores, ...]
    notes: tuple[str, ...] = ()
    boundary_f1_unit: Literal["px"] = "px"
    boundary_f1_convention: Literal["csurka"] = "csurka"
    boundary_iou_width_ratio: float = 0.02

    def to_dict(self) -> dict[str, Any]:
        """The scores of the set and what defines them, flat, for JSON: None stands for NaN."""
        flat = {name: value for name, value in asdict(self).items() if name not in ("images", "notes")}
        return {name: None if isinstance(v, float) and math.isnan(v) else v for name, v in flat.items()}


def evaluate(
    pred: str | Path,
    truth: str | Path,
    *,
    tolerance: float = 3.0,
    threshold: float = 0.5,
    area: str | Path | None = None,
    nodata: Nodata = "file",
) -> Evaluation:
    """Compares predictions with truths: rasters with rasters, rasters with vectors or vectors with rasters.

    Rasters may be {0, 1}, {0, 255}, anti-aliased grey or probabilities (see `crispmap.geo.mask`). Polygons
    are burnt into the grid of the raster they are compared with: a pixel is foreground if its centre lies
    inside, and no polygon means background. Pixels without data in either raster, and those outside `area`,
    are ignored in every score.

    Args:
        pred: A file, or a folder of files that are paired with the truth by stem; the endings `_mask`,
            `_probability` and `_footprints` are ignored.
        truth: Likewise. One vector file can serve a whole folder.
        tolerance: Of the boundary F1, in pixels.
        threshold: The share of the full scale from which on a predicted pixel is foreground.
        area: Polygons outside which nothing is compared.
        nodata: ``"file"`` for the rasters' own word on nodata, ``"none"``, or a value that replaces it.

    Returns:
        The scores.

    Raises:
        SettingError: If the tolerance is not greater than 0 or the threshold not between 0 and 1.
        InputError: If a file cannot be read, or holds no mask of one class.
        PairingError: If predictions and truths do not belong together.
    """
    if not 0 < tolerance < math.inf:
        raise SettingError(f"tolerance is {tolerance:g}; give a number of pixels greater than 0")
    if not 0 < threshold < 1:
        raise SettingError(f"threshold is {threshold:g}; give a share between 0 and 1")
    pairs, notes = comparisons(Path(pred), Path(truth), threshold, None if area is None else Path(area), nodata)
    counts = [_count(pair.read(pair.grid.window), tolerance) for pair in track(pairs, "comparing", len(pairs))]
    pooled = _Counts(*(_pooled(kind) for kind in zip(*counts, strict=True)))
    scores = _scores(pooled)
    if not scores["n_pixels"]:
        raise PairingError(f"{pred} and {truth} have no pixel with data in common; there is nothing to compare")
    return Evaluation(
        **scores,
        boundary_f1_tolerance=float(tolerance),
        boundary_f1_images=int((~boundary_f1_per_image(pooled.boundary).isnan()).sum()),
        n_images=len(pairs),
        images=tuple(ImageScores(**_scores(count), name=pair.name) for pair, count in zip(pairs, counts, strict=True)),
        notes=tuple(notes),
    )


class _Counts(NamedTuple):
    """All that the scores are made of, for each image."""

    confusion: ConfusionCounts
    boundary: BoundaryCounts
    band: BandCounts
    perimeter: PerimeterCounts


def _count(masks: Masks, tolerance: float) -> _Counts:
    pred, truth, valid = (torch.from_numpy(mask)[None] for mask in masks)
    return _Counts(
        confusion_counts(pred, truth, valid),
        boundary_counts(pred, truth, [tolerance], valid=valid),
        boundary_iou_counts(pred, truth, valid=valid),
        perimeter_counts(pred, truth, valid),
    )


def _pooled(counts: Sequence[C]) -> C:
    """The counts of several images in one tuple."""
    return type(counts[0])(*(torch.cat(count) for count in zip(*counts, strict=True)))


def _scores(counts: _Counts) -> dict[str, Any]:
    hits, false_positive, false_negative, _ = (count.sum() for count in counts.confusion)
    scores = {
        "iou": iou(counts.confusion),
        "f1": f1(counts.confusion),
        "precision": quotient(hits, hits + false_positive),
        "recall": quotient(hits, hits + false_negative),
        "boundary_f1": boundary_f1(counts.boundary)[0],
        "boundary_iou": boundary_iou(counts.band),
        "perimeter_ratio": perimeter_ratio(counts.perimeter),
    }
    n_pixels = sum(int(count.sum()) for count in counts.confusion)
    return {name: float(score) for name, score in scores.items()} | {"n_pixels": n_pixels}
