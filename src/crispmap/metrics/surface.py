"""Distances between outlines: Hausdorff distance and mean surface distance."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics.utilities import dim_zero_cat

from crispmap.functional.boundary_score import boundary_distances
from crispmap.functional.conventions import ScoreReduction, check_reduction
from crispmap.functional.lengths import PixelSize, check_pixel_size
from crispmap.functional.nearest import UNIT
from crispmap.functional.surface_score import (
    Histogram,
    SurfaceDistances,
    check_percentile,
    hausdorff_distance,
    mean_surface_distance,
)
from crispmap.metrics._binary import Masks
from crispmap.metrics._counts import Average, ClassSums, OneClass, SeveralClasses, add_identity, image_mean, mean_of


class _Surface(ClassSums):
    higher_is_better = False
    squared: list[Tensor]
    pixels: list[Tensor]
    place: list[Tensor]

    def __init__(
        self,
        classes: int,
        pixel_size: PixelSize | None,
        reduction: ScoreReduction,
        settings: Sequence[Any],
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_reduction(reduction)
        check_pixel_size(pixel_size)
        self.classes = classes
        self.pixel_size = pixel_size
        self.reduction = reduction
        add_identity(self, (type(self).__name__, pixel_size, reduction, *settings))
        if reduction == "image":
            for name in ("score_sum", "images"):
                self.add_state(name, torch.zeros(classes, dtype=torch.int64), dist_reduce_fx="sum")
        else:  # which squared distances there are (their bits: casts of a model to half precision leave integers
            # alone), how many of each, and of which side of which class
            for name in ("squared", "pixels", "place"):
                self.add_state(name, [], dist_reduce_fx="cat")

    def _add(self, place: int, masks: Masks) -> None:
        if not len(masks.pred):
            return
        found = boundary_distances(masks.pred, masks.truth, "csurka", masks.valid, spacing=self.pixel_size or UNIT)
        if self.reduction == "pooled":
            for side, histogram in enumerate(SurfaceDistances.of(found)):
                self.squared.append(histogram.squared.view(torch.int64))
                self.pixels.append(histogram.pixels)
                self.place.append(torch.full_like(histogram.pixels, 2 * place + side))
            return
        scores = [self._score(SurfaceDistances.of(found, image)) for image in range(len(masks.pred))]
        for name, count in zip(("score_sum", "images"), image_mean(_finite(scores)), strict=True):
            getattr(self, name)[place] += count.sum()

    def _scores(self) -> Tensor:
        if self.reduction == "image":
            return mean_of([getattr(self, name) for name in ("score_sum", "images")])
        if isinstance(self.squared, list) and not self.squared:
            return torch.full((self.classes,), math.nan, dtype=torch.float64, device=self.device)
        bits, pixels, place = (dim_zero_cat(getattr(self, name)) for name in ("squared", "pixels", "place"))
        squared = bits.view(torch.float64)
        sides = [Histogram.joined([Histogram(squared[here], pixels[here])]) for here in _each(place, 2 * self.classes)]
        return torch.stack([self._score(SurfaceDistances(*sides[i : i + 2])) for i in range(0, len(sides), 2)])

    def _score(self, distances: SurfaceDistances) -> Tensor:
        raise NotImplementedError

    def _sync_dist(self, *args: Any, **kwargs: Any) -> None:
        if self.reduction == "pooled" and not self.squared:  # a process without images would send floats
            for name in ("squared", "pixels", "place"):
                getattr(self, name).append(torch.zeros(0, dtype=torch.int64, device=self.device))
        super()._sync_dist(*args, **kwargs)


def _finite(scores: list[Tensor]) -> Tensor:
    stacked = torch.stack(scores)
    return stacked.masked_fill(~stacked.isfinite(), math.nan)


def _each(place: Tensor, places: int) -> list[Tensor]:
    return [place == k for k in range(places)]


class BinaryHausdorffDistance(OneClass, _Surface):
    """Hausdorff distance of outlines, or a percentile of it: HD95 unless told otherwise.

    From each boundary pixel the distance to the nearest boundary pixel of the other side; of both directions the
    greater percentile.

    *Convention.* That of MONAI: boundary pixels are those with background, or the image border, above, below, left or
    right of them; percentiles are interpolated. ``reduction="image"``: the mean over the images that have a boundary on
    both sides; one side without (∞ by definition) is left out, and so is neither (NaN): count such images by objects or
    by boundary F1. ``"pooled"``: the percentile of the distances of all images together; ∞ if one side has no boundary
    in any of them, NaN if neither has. A boundary pixel in an image whose other side is empty is ∞ away. Predictions
    are read as in `BinaryIoU`. Ignored pixels make no boundary.

    Args:
        percentile: From 0 to 100; 100 for the Hausdorff distance itself.
        threshold: Probability above which a pixel is foreground.
        ignore_index: Value in the target of pixels to leave out.
        pixel_size: Metres from a pixel to the one below it and to the one right of it, for a distance in metres; None
            for one in pixels.
        reduction: See above.
        kwargs: Those of `torchmetrics.Metric`.

    Shape:
        preds, target: (N, H, W) or (N, 1, H, W); the target bool or integers, foreground where not 0.

    Raises:
        SettingError: If a setting is not allowed; on update, if the shapes do not fit together.
    """

    def __init__(
        self,
        percentile: float = 95.0,
        threshold: float = 0.5,
        ignore_index: int | None = None,
        *,
        pixel_size: PixelSize | None = None,
        reduction: ScoreReduction = "image",
        **kwargs: Any,
    ) -> None:
        super().__init__(threshold, ignore_index, (percentile,), pixel_size=pixel_size, reduction=reduction, **kwargs)
        self.percentile = check_percentile(percentile)

    def _score(self, distances: SurfaceDistances) -> Tensor:
        return hausdorff_distance(distances, self.percentile)


class BinarySurfaceDistance(OneClass, _Surface):
    """Mean surface distance: from each boundary pixel of either side to the nearest one of the other, on average.

    Convention, arguments, shapes and errors are those of `BinaryHausdorffDistance`, without the percentile.
    """

    def __init__(
        self,
        threshold: float = 0.5,
        ignore_index: int | None = None,
        *,
        pixel_size: PixelSize | None = None,
        reduction: ScoreReduction = "image",
        **kwargs: Any,
    ) -> None:
        super().__init__(threshold, ignore_index, pixel_size=pixel_size, reduction=reduction, **kwargs)

    def _score(self, distances: SurfaceDistances) -> Tensor:
        return mean_surface_distance(distances)


class MulticlassHausdorffDistance(SeveralClasses, _Surface):
    """Hausdorff distance of the outlines of each class against the rest, or the mean of the classes.

    Settings are those of `BinaryHausdorffDistance`; classes, shapes and errors those of `MulticlassBoundaryF1`. A
    class without a distance (NaN) is left out of the mean.
    """

    def __init__(
        self,
        num_classes: int,
        percentile: float = 95.0,
        average: Average = "macro",
        ignore_index: int | None = None,
        *,
        pixel_size: PixelSize | None = None,
        reduction: ScoreReduction = "image",
        **kwargs: Any,
    ) -> None:
        super().__init__(
            num_classes, average, ignore_index, (percentile,), pixel_size=pixel_size, reduction=reduction, **kwargs
        )
        self.percentile = check_percentile(percentile)

    def _score(self, distances: SurfaceDistances) -> Tensor:
        return hausdorff_distance(distances, self.percentile)


class MulticlassSurfaceDistance(SeveralClasses, _Surface):
    """Mean surface distance of each class against the rest, or the mean of the classes.

    As `MulticlassHausdorffDistance`, without the percentile.
    """

    def __init__(
        self,
        num_classes: int,
        average: Average = "macro",
        ignore_index: int | None = None,
        *,
        pixel_size: PixelSize | None = None,
        reduction: ScoreReduction = "image",
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes, average, ignore_index, pixel_size=pixel_size, reduction=reduction, **kwargs)

    def _score(self, distances: SurfaceDistances) -> Tensor:
        return mean_surface_distance(distances)
