"""Exact area coverage: the share of each pixel that lies inside a polygon."""

import numpy as np
from numpy.typing import NDArray
from shapely.geometry import Polygon
from shapely.geometry.polygon import orient

Array = NDArray[np.float32]


def pixel_coverage(polygon: Polygon, height: int, width: int) -> Array:
    """Computes the share of each pixel inside a polygon, exactly but for rounding.

    Each edge is cut wherever it crosses a line of the pixel grid. A piece that climbs by dy within a cell
    adds dy, times the part of the cell to its right, to that cell, and dy to all cells further right: Green's
    theorem row by row, as in the accumulation buffer of a font rasteriser (font-rs).

    Args:
        polygon: In pixel coordinates, x to the right and y down; it may reach beyond the grid and have holes.
        height: Rows of the grid.
        width: Columns of the grid.

    Returns:
        Shares (height, width) in [0, 1].
    """
    if polygon.is_empty:
        return np.zeros((height, width), dtype=np.float32)
    oriented = orient(polygon)  # holes run against the exterior, and so subtract
    rings = [np.asarray(ring.coords) for ring in (oriented.exterior, *oriented.interiors)]
    start = np.concatenate([ring[:-1] for ring in rings])[:, :, None]
    run = np.concatenate([np.diff(ring, axis=0) for ring in rings])[:, :, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        columns = (np.arange(width + 1) - start[:, 0]) / run[:, 0]
        rows = (np.arange(height + 1) - start[:, 1]) / run[:, 1]
    cuts = np.zeros((len(start), width + height + 4))
    cuts[:, 1] = 1.0
    cuts[:, 2 : width + 3], cuts[:, width + 3 :] = columns, rows
    cuts = np.sort(np.clip(np.nan_to_num(cuts), 0, 1), axis=1)
    pieces = np.diff(cuts)
    middle = start + run * (cuts[:, :-1] + pieces / 2)[:, None, :]
    climb = (run[:, 1] * pieces).ravel()
    x, y = np.clip(middle[:, 0].ravel(), 0, width), middle[:, 1].ravel()

    kept = (climb != 0) & (y >= 0) & (y < height)
    x, y, climb = x[kept], y[kept], climb[kept]
    column = np.minimum(x.astype(np.intp), width - 1)
    cell = y.astype(np.intp) * (width + 1) + column
    beyond = climb * (x - column)
    cells = (width + 1) * height
    steps = np.bincount(cell, climb - beyond, cells) + np.bincount(cell + 1, beyond, cells)
    shares = np.cumsum(steps.reshape(height, width + 1)[:, :-1], axis=1, dtype=np.float64)
    return np.clip(np.abs(shares), 0, 1).astype(np.float32)
