"""Distances between boundaries as a compiled loop: what is asked for alone, not a map of them."""

from typing import Any

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_compiled = numba.njit(cache=True, nogil=True, error_model="numpy")

Array = NDArray[Any]


def squared_distance_to(points: Tensor, queries: Tensor, cap: float, spacing: tuple[float, float]) -> Tensor:
    """As `nearest.squared_distance_to`."""
    most = min(float(cap), 1e9)
    found = []
    for image, asked in zip(points.numpy(), queries.numpy(), strict=True):
        rows, cols = np.divmod(np.flatnonzero(asked), asked.shape[1])
        squared = np.full(len(rows), np.inf)
        if len(rows) and image.any():
            far = min(len(image), int(most / spacing[0])) + 1
            kind = next(kind for kind in (np.uint8, np.uint16, np.int32) if far <= np.iinfo(kind).max)
            away = _rows_to_point(image, kind(far), np.empty(image.shape, kind))
            _search(away, rows, cols, most**2, float(spacing[0]), float(spacing[1]), far, squared)
        found.append(torch.from_numpy(squared))
    return torch.cat(found) if found else torch.zeros(0, dtype=torch.float64)


@_compiled
def _rows_to_point(image: Array, far: Any, away: Array) -> Array:
    """In each column, how many rows away the nearest point is, at most `far`; small numbers take small types."""
    height, width = image.shape
    none, one = away.dtype.type(0), away.dtype.type(1)
    away[0] = far
    for row in range(height):
        here, now, before = image[row], away[row], away[max(0, row - 1)]
        for col in range(width):
            next_one = before[col] if before[col] == far else away.dtype.type(before[col] + one)
            now[col] = none if here[col] else next_one
    for row in range(height - 2, -1, -1):
        now, after = away[row], away[row + 1]
        for col in range(width):
            next_one = after[col] if after[col] == far else away.dtype.type(after[col] + one)
            now[col] = min(now[col], next_one)
    return away


@_compiled
def _search(
    away: Array, rows: Array, cols: Array, most: float, down: float, right: float, far: int, squared: Array
) -> None:
    """For each pixel the least distance over the columns, from its own outwards while they can still be nearer."""
    width = away.shape[1]
    for k in range(len(rows)):
        line, col = away[rows[k]], cols[k]
        best = (down * line[col]) ** 2 if line[col] < far else np.inf
        step = 1
        while step < width:
            across = (right * step) ** 2
            if across >= best or across > most:
                break
            if col >= step and line[col - step] < far:
                best = min(best, (down * line[col - step]) ** 2 + across)
            if col + step < width and line[col + step] < far:
                best = min(best, (down * line[col + step]) ** 2 + across)
            step += 1
        if best <= most:
            squared[k] = best
