"""Bringing pixels to another scale: area means, with pixels that hold no data left out of the mean."""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array


def resample(
    pixels: NDArray[Any],
    valid: NDArray[np.bool_],
    shape: tuple[int, int],
    rows: tuple[float, float] | None = None,
    cols: tuple[float, float] | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Resamples an image: area means when it shrinks, linear interpolation when it grows.

    Args:
        pixels: (bands, height, width).
        valid: Where they hold data, (height, width).
        shape: The new height and width.
        rows: From where to where the new pixels cover the old, in old pixels from the upper edge; all if None.
        cols: The same from the left edge.

    Returns:
        The new pixels (bands, *shape) and where at least half of their weight held data. They cover the same
        ground: corner falls on corner, as with GDAL's decimated reads.
    """
    height, width = valid.shape
    whole = (0.0, float(height)), (0.0, float(width))
    rows, cols = rows or whole[0], cols or whole[1]
    if shape == valid.shape and (rows, cols) == whole:
        return pixels.astype(np.float32), valid
    down, across = _weights(height, shape[0], *rows), _weights(width, shape[1], *cols)

    def apply(plane: NDArray[Any]) -> NDArray[np.float32]:
        return np.asarray((across @ (down @ plane).T).T, dtype=np.float32)

    if valid.all():
        return np.stack([apply(band.astype(np.float32)) for band in pixels]), np.ones(shape, bool)
    weight = apply(valid.astype(np.float32))
    sums = np.stack([apply(np.where(valid, band, 0).astype(np.float32)) for band in pixels])
    return (sums / np.maximum(weight, 1e-6)).astype(np.float32), weight >= 0.5


@lru_cache(maxsize=256)  # windows of a run have few shapes
def _weights(before: int, after: int, start: float, stop: float) -> csr_array:
    """The (after, before) matrix that resamples one axis from `start` to `stop`; its rows sum to 1."""
    step = (stop - start) / after
    if step >= 1:  # the share of each old pixel that a new one covers
        edges = start + np.arange(after + 1) * step
        first, span = np.floor(edges[:-1]).astype(int), int(np.ceil(step)) + 1
        old = first[:, None] + np.arange(span)
        weight = np.minimum(old + 1, edges[1:, None]) - np.maximum(old, edges[:-1, None])
    else:  # between the two old centres around each new one
        centre = start + (np.arange(after) + 0.5) * step - 0.5
        old = np.floor(centre).astype(int)[:, None] + np.arange(2)
        weight = 1 - np.abs(old - centre[:, None])
    weight = np.maximum(weight, 0)
    old = np.clip(old, 0, before - 1)
    weight = weight / weight.sum(axis=1, keepdims=True)
    row = np.broadcast_to(np.arange(after)[:, None], old.shape)
    places = (row.ravel(), old.ravel())
    return coo_array((weight.astype(np.float32).ravel(), places), shape=(after, before)).tocsr()
