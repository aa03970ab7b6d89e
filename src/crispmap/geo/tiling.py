"""Windows over a raster that overlap, and how much each of them counts where they do."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from crispmap.geo.raster import Window


class Tile(NamedTuple):
    """A window with its share in the result.

    Attributes:
        window: Where it lies; never beyond the area it was laid over.
        row_share: The share along its rows, (height,).
        col_share: The share along its columns, (width,).
    """

    window: Window
    row_share: NDArray[np.float32]
    col_share: NDArray[np.float32]

    @property
    def share(self) -> NDArray[np.float32]:
        """How much each of its pixels counts, (height, width); over any pixel of the area they sum to 1."""
        return np.outer(self.row_share, self.col_share)


def tiles(height: int, width: int, size: int, overlap: int) -> list[Tile]:
    """Lays tiles over an area, row by row; all have the same shape.

    Args:
        height: Rows of the area.
        width: Columns of the area.
        size: The side of a tile; along an axis shorter than that a single tile is as long as the axis.
        overlap: How many pixels neighbours share, at least; less than the size.
    """
    rows, cols = _axis(height, size, overlap), _axis(width, size, overlap)
    return [
        Tile(Window(row, col, len(row_share), len(col_share)), row_share, col_share)
        for row, row_share in rows
        for col, col_share in cols
    ]


def _axis(length: int, size: int, overlap: int) -> list[tuple[int, NDArray[np.float32]]]:
    """Where the tiles along one axis begin, the last one flush with its end, and their shares.

    A tile weighs 1 inside and less towards its ends, linearly over the overlap, never 0. Its share is that
    weight over the sum of the weights on the same pixel, so a pixel under one tile is all that tile's.
    """
    size = min(size, length)
    starts = [*range(0, length - size, size - overlap), length - size]
    from_end = np.minimum(np.arange(size), np.arange(size)[::-1]) + 0.5
    weight = np.minimum(1, from_end / max(overlap, 0.5))
    total = np.zeros(length)
    for start in starts:
        total[start : start + size] += weight
    return [(start, (weight / total[start : start + size]).astype(np.float32)) for start in starts]
