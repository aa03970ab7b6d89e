"""Distances between outlines: Hausdorff, its percentiles, and the mean surface distance, exact.

Of both masks the boundary pixels are taken (*csurka*'s: foreground beside background or the image border), and from
each the Euclidean distance to the nearest boundary pixel of the other mask. That is what MONAI's
``compute_hausdorff_distance`` and ``compute_average_surface_distance(symmetric=True)`` compute.

*Empty.* Neither side has a boundary: NaN. One side has none: ∞ (MONAI's percentiles are NaN there).
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from crispmap.errors import SettingError
from crispmap.functional.boundary_score import BoundaryDistances
from crispmap.functional.region_score import quotient


class Histogram(NamedTuple):
    """How many boundary pixels lie at which distance; adds up over images and windows.

    Squared distances are kept, because those of pixels are whole numbers: equal ones meet.
    """

    squared: Tensor  # float64, rising; the last may be ∞: nothing within the cap
    pixels: Tensor  # how many, int64

    @classmethod
    def of(cls, squared: Tensor) -> "Histogram":
        """Of single distances."""
        values, pixels = torch.unique(squared, return_counts=True)
        return cls(values, pixels)

    @classmethod
    def joined(cls, parts: "list[Histogram]") -> "Histogram":
        """Of several histograms."""
        values, place = torch.unique(torch.cat([part.squared for part in parts]), return_inverse=True)
        pixels = torch.zeros(len(values), dtype=torch.int64, device=values.device)
        return cls(values, pixels.index_add_(0, place, torch.cat([part.pixels for part in parts])))


class SurfaceDistances(NamedTuple):
    """Distances from the predicted boundary to the true one, and back."""

    pred: Histogram
    true: Histogram

    @classmethod
    def of(cls, distances: BoundaryDistances, image: int | None = None) -> "SurfaceDistances":
        """Those of one image, or pooled over all of them."""
        if image is None:
            return cls(Histogram.of(distances.pred), Histogram.of(distances.true))
        return cls(
            Histogram.of(distances.pred[distances.pred_at[:, 0] == image]),
            Histogram.of(distances.true[distances.true_at[:, 0] == image]),
        )

    @classmethod
    def joined(cls, parts: "list[SurfaceDistances]") -> "SurfaceDistances":
        """Pooled over several parts."""
        return cls(Histogram.joined([part.pred for part in parts]), Histogram.joined([part.true for part in parts]))


def hausdorff_distance(distances: SurfaceDistances, percentile: float = 95.0) -> Tensor:
    """The greater of both sides' percentile of distances; 100 gives the Hausdorff distance itself.

    Percentiles between two distances are interpolated, as numpy does.

    Returns:
        A float64 scalar in the unit of the distances; NaN or ∞ where sides are empty, ∞ also where the percentile lies
        beyond the cap up to which distances were measured.

    Raises:
        SettingError: If the percentile is not between 0 and 100.
    """
    check_percentile(percentile)
    if (empty := _if_empty(distances)) is not None:
        return empty
    pred, true = (_percentile(side, percentile / 100) for side in distances)
    return torch.maximum(pred, true)


def mean_surface_distance(distances: SurfaceDistances, cap: float = math.inf) -> Tensor:
    """The mean of all distances of both sides.

    Args:
        distances: Of one image, or pooled.
        cap: That up to which distances were measured; those beyond count as the cap, which makes the mean a lower
            bound (`beyond_cap` tells how many they are).

    Returns:
        A float64 scalar in the unit of the distances; NaN or ∞ where sides are empty.
    """
    if (empty := _if_empty(distances)) is not None:
        return empty
    total = sum((side.squared.sqrt().clamp(max=cap) * side.pixels).sum() for side in distances)
    return torch.as_tensor(total / sum(side.pixels.sum() for side in distances))


def beyond_cap(distances: SurfaceDistances) -> Tensor:
    """The share of boundary pixels with no other boundary within the cap, a float64 scalar; NaN if there are none."""
    far = sum(side.pixels[side.squared.isinf()].sum() for side in distances)
    return quotient(torch.as_tensor(far), torch.as_tensor(sum(side.pixels.sum() for side in distances)))


def check_percentile(percentile: float) -> float:
    """Returns the percentile.

    Raises:
        SettingError: If it is not between 0 and 100.
    """
    if not 0 <= percentile <= 100:
        raise SettingError(f"percentile is {percentile:g}; give a number from 0 to 100")
    return percentile


def _if_empty(distances: SurfaceDistances) -> Tensor | None:
    empty = [len(side.pixels) == 0 for side in distances]
    if not any(empty):
        return None
    return distances.pred.squared.new_tensor(math.nan if all(empty) else math.inf)


def _percentile(side: Histogram, share: float) -> Tensor:
    last_of_each = side.pixels.cumsum(0) - 1
    place = share * int(last_of_each[-1])
    ranks = torch.tensor([math.floor(place), math.ceil(place)], device=side.pixels.device)
    distance: Tensor = side.squared.sqrt()[torch.searchsorted(last_of_each, ranks)]
    below, above = distance.unbind()
    step = torch.zeros_like(below) if below == above else above - below  # of ∞ to ∞ there is none
    return below + step * (place - math.floor(place))
