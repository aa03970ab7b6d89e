"""Exact distances from some pixels to the nearest of others: from one boundary to another."""

import math
from functools import cache
from importlib import import_module
from types import ModuleType

from torch import Tensor

from crispmap.functional.morphology import squared_distance

Spacing = tuple[float, float]
UNIT: Spacing = (1.0, 1.0)


def squared_distance_to(points: Tensor, queries: Tensor, cap: float = math.inf, spacing: Spacing = UNIT) -> Tensor:
    """Squared Euclidean distance from each queried pixel to the nearest of the points of its image, exact.

    Args:
        points: Bool, shape (N, H, W).
        queries: Bool, shape (N, H, W).
        cap: Distances above it are not looked for, which saves time where points are rare.
        spacing: How long a step down and a step to the right are.

    Returns:
        float64 of shape (Q,), in the order of ``queries.nonzero()``; ∞ where no point is within the cap. With a
        spacing of 1 they are whole numbers.
    """
    if points.device.type == "cpu" and (compiled := _numba()) is not None:
        found: Tensor = compiled.squared_distance_to(points, queries, cap, spacing)
        return found
    return _by_maps(points, queries, cap, spacing)


@cache
def _numba() -> ModuleType | None:
    try:
        return import_module("crispmap.functional._nearest_numba")
    except ImportError:
        return None


def _by_maps(points: Tensor, queries: Tensor, cap: float, spacing: Spacing) -> Tensor:
    """By distance maps, in windows twice as wide each time until each query has found a point."""
    down, right = spacing
    farthest = math.hypot(points.shape[1] * down, points.shape[2] * right)
    cap = min(cap, farthest)
    reach = min(cap, 16 * max(spacing))
    with_points = points.flatten(1).any(1)
    while True:
        steps = math.ceil(reach / min(spacing))
        squared = squared_distance(points, steps, spacing)[queries].double()
        # beyond a window's reach a nearer point may lie just outside it
        known = squared <= reach**2
        if reach >= cap or bool((known | ~with_points[queries.nonzero()[:, 0]]).all()):
            return squared.masked_fill(~known, math.inf)
        reach = min(cap, 2 * reach)
