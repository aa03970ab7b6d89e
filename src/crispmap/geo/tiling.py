"""Windows over a raster that overlap, and how much each of them counts where they do."""

from collections.abc import Iterator
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


class TileGrid:
    """Tiles over an area, all of the same shape, made as they are asked for: an area may have a hundred thousand.

    Iterating gives them row by row.

    Attributes:
        size: Height and width of every tile.
        tops: The first pixel row of each row of tiles.
        columns: How many tiles stand side by side.
    """

    def __init__(self, height: int, width: int, size: int, overlap: int) -> None:
        """Lays the tiles.

        Args:
            height: Rows of the area.
            width: Columns of the area.
            size: The side of a tile; along an axis shorter than that a single tile is as long as the axis.
            overlap: How many pixels neighbours share, at least; less than the size.
        """
        self._rows, self._cols = _axis(height, size, overlap), _axis(width, size, overlap)
        self.size = min(size, height), min(size, width)
        self.tops = [top for top, _ in self._rows]
        self.columns = len(self._cols)

    def __len__(self) -> int:
        return len(self._rows) * self.columns

    def __iter__(self) -> Iterator[Tile]:
        for i in range(len(self._rows)):
            yield from self.row(i)

    def row(self, i: int) -> Iterator[Tile]:
        """The tiles of one row, from left to right."""
        top, row_share = self._rows[i]
        for left, col_share in self._cols:
            yield Tile(Window(top, left, *self.size), row_share, col_share)


def _axis(length: int, size: int, overlap: int) -> list[tuple[int, NDArray[np.float32]]]:
    """Where the tiles along one axis begin, the last one flush with its end, and their shares.

    A tile weighs 1 inside and less towards its ends, linearly over the overlap, never 0. Its share is that
    weight over the sum of the weights on the same pixel, so a pixel under one tile is all that tile's.
    """
    starts = [*range(0, length - size, size - overlap), length - size] if length > size else [0]
    size = min(size, length)
    from_end = np.minimum(np.arange(size), np.arange(size)[::-1]) + 0.5
    weight = np.minimum(1, from_end / max(overlap, 0.5))
    total = np.zeros(length)
    for start in starts:
        total[start : start + size] += weight
    return [(start, (weight / total[start : start + size]).astype(np.float32)) for start in starts]
