"""What the metrics of outlines count, and the scores that the counts make."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from crispmap.errors import SettingError
from crispmap.functional.band_score import BandCounts, band_width, boundary_iou, boundary_iou_counts
from crispmap.functional.boundary_score import BoundaryCounts, boundary_counts, boundary_scores_per_image
from crispmap.functional.conventions import Convention, ScoreReduction, check_reduction, rules_of
from crispmap.functional.lengths import Length, PixelSize, check_pixel_size, rulers
from crispmap.functional.outline_score import (
    CornerCounts,
    PerimeterCounts,
    corner_counts,
    corner_ratio,
    perimeter_counts,
    perimeter_ratio,
)
from crispmap.functional.region_score import quotient
from crispmap.metrics._binary import Masks
from crispmap.metrics._counts import Measure, image_mean, mean_of

Tolerance = float | str | Length
Which = Literal["precision", "recall", "f1"]
Ratio = Literal["perimeter", "corners"]


@dataclass(frozen=True)
class BoundaryMeasure(Measure):
    """Boundary precision, recall or F1 at one tolerance or at several."""

    which: Which
    convention: Convention
    tolerance: Tolerance | Sequence[Tolerance] | None
    pixel_size: PixelSize | None
    reduction: ScoreReduction | None

    def __post_init__(self) -> None:
        rules = rules_of(self.convention)
        if self.reduction is not None:
            check_reduction(self.reduction)
        check_pixel_size(self.pixel_size)
        if not self.tolerances:
            raise SettingError("tolerance is an empty sequence; give at least one")
        rulers([rules.resolve(tolerance, (1000, 1000)) for tolerance in self.tolerances], self.pixel_size)

    @property
    def tolerances(self) -> tuple[Tolerance | None, ...]:
        """As a sequence, whether one was given or several."""
        given = self.tolerance
        return tuple(given) if isinstance(given, Sequence) and not isinstance(given, str) else (given,)

    @property
    def counts(self) -> dict[str, tuple[int, ...]]:
        several = (len(self.tolerances),)
        if self._pooled:
            return dict(zip(BoundaryCounts._fields, (several, (), several, ()), strict=True))
        return {"score_sum": several, "images": several}

    def count(self, masks: Masks) -> Sequence[Tensor]:
        shape = (masks.pred.shape[1], masks.pred.shape[2])
        tolerances = [rules_of(self.convention).resolve(tolerance, shape) for tolerance in self.tolerances]
        counts = boundary_counts(
            masks.pred, masks.truth, tolerances, self.convention, masks.valid, pixel_size=self.pixel_size
        )
        return counts if self._pooled else image_mean(self._scores(counts))

    def score(self, sums: Sequence[Tensor]) -> Tensor:
        scores = self._scores(BoundaryCounts(*(each[None] for each in sums)))[0] if self._pooled else mean_of(sums)
        return scores if isinstance(self.tolerance, Sequence) and not isinstance(self.tolerance, str) else scores[0]

    def _scores(self, counts: BoundaryCounts) -> Tensor:
        scores: Tensor = getattr(boundary_scores_per_image(counts, self.convention), self.which)
        return scores

    @property
    def _pooled(self) -> bool:
        return (self.reduction or rules_of(self.convention).reduction) == "pooled"


@dataclass(frozen=True)
class BandMeasure(Measure):
    """Boundary IoU."""

    width: Tolerance | None
    pixel_size: PixelSize | None
    reduction: ScoreReduction

    def __post_init__(self) -> None:
        check_reduction(self.reduction)
        check_pixel_size(self.pixel_size)
        band_width(self.width, (1, 1), self.pixel_size)  # a wrong one should be told here rather than at an update

    @property
    def counts(self) -> dict[str, tuple[int, ...]]:
        return dict.fromkeys(BandCounts._fields if self.reduction == "pooled" else ("score_sum", "images"), ())

    def count(self, masks: Masks) -> Sequence[Tensor]:
        counts = boundary_iou_counts(masks.pred, masks.truth, self.width, masks.valid, pixel_size=self.pixel_size)
        return counts if self.reduction == "pooled" else image_mean(quotient(counts.intersection, counts.union))

    def score(self, sums: Sequence[Tensor]) -> Tensor:
        return boundary_iou(BandCounts(*sums)) if self.reduction == "pooled" else mean_of(sums)


@dataclass(frozen=True)
class RatioMeasure(Measure):
    """The length of the outlines, or of what of them turns, predicted by true."""

    of: Ratio
    reduction: ScoreReduction
    higher_is_better = None
    upper_bound = None

    def __post_init__(self) -> None:
        check_reduction(self.reduction)

    @property
    def counts(self) -> dict[str, tuple[int, ...]]:
        return dict.fromkeys(PerimeterCounts._fields if self.reduction == "pooled" else ("score_sum", "images"), ())

    def count(self, masks: Masks) -> Sequence[Tensor]:
        counts = perimeter_counts(*masks) if self.of == "perimeter" else corner_counts(*masks)
        if self.reduction == "pooled":
            return counts
        ratios = quotient(counts.predicted, counts.true)
        return image_mean(ratios.masked_fill(counts.true == 0, math.nan))

    def score(self, sums: Sequence[Tensor]) -> Tensor:
        if self.reduction == "image":
            return mean_of(sums)
        if self.of == "perimeter":
            return perimeter_ratio(PerimeterCounts(*sums))
        return corner_ratio(CornerCounts(*sums))
