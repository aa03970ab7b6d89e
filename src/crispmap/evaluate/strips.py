"""A comparison read in strips from top to bottom, and looked at in tiles with what around them matters."""

import ctypes
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from crispmap.evaluate.comparison import Comparison, Masks
from crispmap.geo.raster import Window

# Large arrays are slow for being fetched from the system anew each time, and what is made of a tile is many times its
# size: small tiles are both faster and smaller.
_PIXELS_OF_STRIP = 2**22
_PIXELS_OF_TILE = 2**21


@dataclass(frozen=True)
class StripTile:
    """Some pixels of a comparison, with a halo around as far as there is one.

    Attributes:
        pred: Bool, (1, height, width).
        truth: Likewise.
        valid: Likewise.
        rows: Those of the tile's own.
        cols: Likewise.
        top: The row of the image that the first row is.
        left: The column of the image that the first column is.
    """

    pred: Tensor
    truth: Tensor
    valid: Tensor
    rows: slice
    cols: slice
    top: int
    left: int


@dataclass(frozen=True)
class Strip:
    """Some rows of a comparison, with a halo above and below as far as there is one.

    Attributes:
        core: The rows that are the strip's own; those of all strips together are all rows, once.
        top: The first row that is there.
        packed: All rows that are there, (rows, width): the three masks as bits of bytes, a third of their size.
    """

    core: range
    top: int
    packed: NDArray[np.uint8]

    def parts(self) -> Iterator[tuple[Window, Masks]]:
        """The core alone in narrower strips from the top, and where they are."""
        own = Window(self.core.start, 0, len(self.core), self.packed.shape[1])
        for window in own.strips(_PIXELS_OF_TILE):
            start = window.row - self.top
            yield window, _unpacked(self.packed[start : start + window.height])

    def tiles(self, halo: int, cols: int | None = None) -> Iterator[StripTile]:
        """The core in tiles side by side, each with its halo.

        Args:
            halo: In pixels, at most that of the strip.
            cols: Width of a tile without its halo; by default so many that a halo does not weigh too much.
        """
        width = self.packed.shape[1]
        top = max(self.top, self.core.start - halo)
        bottom = min(self.top + len(self.packed), self.core.stop + halo)
        step = cols or max(1, halo, _PIXELS_OF_TILE // (bottom - top))
        for start in range(0, width, step):
            stop = min(start + step, width)
            left, right = max(0, start - halo), min(width, stop + halo)
            masks = _unpacked(self.packed[top - self.top : bottom - self.top, left:right])
            pred, truth, valid = (torch.from_numpy(mask)[None] for mask in masks)
            rows = slice(self.core.start - top, self.core.stop - top)
            yield StripTile(pred, truth, valid, rows, slice(start - left, stop - left), top, left)


def strips(comparison: Comparison, halo: int, rows: int | None = None) -> Iterator[Strip]:
    """Reads every row once; what it holds grows with the width of the rows and the halo, not with their number.

    Args:
        comparison: What to read.
        halo: How many rows a strip needs above and below.
        rows: Height of a strip; by default so many that a halo does not weigh too much.
    """
    height, width = comparison.grid.height, comparison.grid.width
    held, top, bottom = np.zeros((0, width), np.uint8), 0, 0
    for start in range(0, height, step := _step(comparison, halo, rows)):
        core = range(start, min(start + step, height))
        needed = min(core.stop + halo, height)
        below = Window(bottom, 0, needed - bottom, width)
        more = [_packed(comparison.read(window)) for window in below.strips(_PIXELS_OF_TILE)]
        held = np.concatenate([held[max(0, start - halo) - top :], *more])
        top, bottom = max(0, start - halo), needed
        yield Strip(core, top, held)


def n_strips(comparison: Comparison, halo: int) -> int:
    """How many `strips` there will be."""
    return -(-comparison.grid.height // _step(comparison, halo, None))


def give_back() -> None:
    """Returns freed memory to the system, where it can be asked to: glibc would keep it, in pieces, for later."""
    if (trim := _malloc_trim()) is not None:
        trim(0)


@cache
def _malloc_trim() -> Callable[[int], int] | None:
    try:
        found: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return None
    return found


def _packed(masks: Masks) -> NDArray[np.uint8]:
    pred, truth, valid = (mask.view(np.uint8) for mask in masks)
    packed: NDArray[np.uint8] = pred | truth * np.uint8(2) | valid * np.uint8(4)
    return packed


def _unpacked(packed: NDArray[np.uint8]) -> Masks:
    return Masks(*((packed & bit) != 0 for bit in (1, 2, 4)))


def _step(comparison: Comparison, halo: int, rows: int | None) -> int:
    return rows or max(1, halo, _PIXELS_OF_STRIP // comparison.grid.width)
