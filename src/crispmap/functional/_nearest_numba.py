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
    found = []
    for image, asked in zip(points.numpy(), queries.numpy(), strict=True):
        rows, cols = np.nonzero(asked)
        squared = np.full(len(rows), np.inf)
        if len(rows) and image.any():
            _search(_rows_to_point(image), rows, cols, min(float(cap), 1e9) ** 2, spacing[0], spacing[1], squared)
        found.append(torch.from_numpy(squared))
    return torch.cat(found) if found else torch.zeros(0, dtype=torch.float64)


@_compiled
def _rows_to_point(image: Array) -> Array:
    """In each column, how many rows away the nearest point is."""
    height, width = image.shape
    away = np.empty((height, width), np.int32)
    for row in range(height):
        here, now = image[row], away[row]
        if row == 0:
            for col in range(width):
                now[col] = 0 if here[col] else 2**30
        else:
            before = away[row - 1]
            for col in range(width):
                now[col] = 0 if here[col] else before[col] + 1
    for row in range(height - 2, -1, -1):
        now, after = away[row], away[row + 1]
        for col in range(width):
            now[col] = min(now[col], after[col] + 1)
    return away


@_compiled
def _search(away: Array, rows: Array, cols: Array, most: float, down: float, right: float, squared: Array) -> None:
    """For each pixel the least distance over the columns, from its own outwards while they can still be nearer."""
    width = away.shape[1]
    for k in range(len(rows)):
        line, col = away[rows[k]], cols[k]
        best = (down * line[col]) ** 2
        step = 1
        while step < width:
            across = (right * step) ** 2
            if across >= best or across > most:
                break
            if col >= step:
                best = min(best, (down * line[col - step]) ** 2 + across)
            if col + step < width:
                best = min(best, (down * line[col + step]) ** 2 + across)
            step += 1
        if best <= most:
            squared[k] = best
