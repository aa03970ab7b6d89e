"""Objects of a raster that arrives in strips from the top, handed on when nothing more can come to them.

Objects are components of the mask by 4-connectivity. Objects no further apart than a *reach* make a group, and groups
are handed on whole: what is made of a group then depends on it alone, and neither on the strips nor on what else is
in the raster.

Objects are near each other if, spread to the right and downwards by the reach, they overlap or touch; a group is a
component of the spread mask by 8-connectivity. Spreading one way finds the same neighbours as spreading half as far
both ways, and no row needs to know the rows below it.

Memory: a strip, and some fifty bytes for each run of pixels of the groups that reach the strip's last row.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from crispmap.vectorize.ragged import Indices
from crispmap.vectorize.runs import Runs, runs_of, stacked, without_levels

_ALL_NEIGHBOURS = np.ones((3, 3), bool)


class Strip(NamedTuple):
    """Some rows of a raster over its full width.

    Attributes:
        row: The row of the raster that is the first here.
        mask: Which pixels belong to objects, (rows, width).
        levels: The probability of each pixel in some unit, (rows, width).
    """

    row: int
    mask: NDArray[np.bool_]
    levels: NDArray[Any]


def finished_groups(
    strips: Iterable[Strip], width: int, reach: tuple[int, int] = (0, 0), *, keep_levels: bool = False
) -> Iterator[Runs]:
    """Labels a raster strip by strip.

    Args:
        strips: All of it from top to bottom.
        width: Of the raster in pixels.
        reach: How many rows and columns of background may lie between objects of one group. Objects that touch at
            a corner are of one group in any case.
        keep_levels: Whether the runs keep the levels of their pixels.

    Yields:
        After each strip, the runs of the groups that are finished; labels and groups are numbers that mean nothing
        beyond these runs. At the end, the rest.
    """
    objects, groups = _Numbers(width), _Numbers(width, diagonally=True)
    above = np.zeros((reach[0], width), bool)  # what spreads into the next strip
    waiting: Runs | None = None
    for row, mask, levels in strips:
        near = _spread(np.concatenate([above, mask]), reach)[reach[0] :]
        above = np.concatenate([above, mask])[len(mask) :]
        labels, label_count = ndimage.label(mask)
        group_labels, group_count = ndimage.label(near, _ALL_NEIGHBOURS)
        found = runs_of(labels, group_labels, levels, row=row)
        found = found if keep_levels else without_levels(found)
        old_label, new_label = objects.joined(labels, label_count)
        old_group, new_group = groups.joined(group_labels, group_count)
        found = found.numbered(new_label, new_group)
        runs = found if waiting is None else stacked(waiting.numbered(old_label, old_group), found)
        is_open = groups.at_seam()[runs.group]
        yield runs.where(~is_open)
        waiting = runs.where(is_open)
        waiting = waiting.numbered(objects.renumbered(waiting.label), groups.renumbered(waiting.group))
    if waiting is not None:
        yield waiting


class _Numbers:
    """Numbers of components, from 1 on, that stay the same across a seam.

    Args:
        width: Of the raster in pixels.
        diagonally: Whether components touch at corners too.
    """

    def __init__(self, width: int, *, diagonally: bool = False) -> None:
        self._last_row = np.zeros(width, np.int64)
        self._count = 0
        self._shifts = (-1, 0, 1) if diagonally else (0,)

    def joined(self, labels: NDArray[np.integer], count: int) -> tuple[Indices, Indices]:
        """New numbers for the components so far by their numbers, and for those of a strip by their labels."""
        pairs = [_touching(self._last_row, labels[0], shift) for shift in self._shifts]
        old, new = np.unique(np.concatenate(pairs, axis=1), axis=1)
        size = self._count + count + 1
        graph = coo_array((np.ones(len(old), bool), (old, new + self._count)), shape=(size, size))
        numbers = connected_components(graph, directed=False)[1].astype(np.int64)  # 0 touches nothing and stays 0
        by_label = np.concatenate([[0], numbers[self._count + 1 :]])
        by_number = numbers[: self._count + 1]
        self._last_row, self._count = by_label[labels[-1]], int(numbers.max(initial=0))
        return by_number, by_label

    def at_seam(self) -> NDArray[np.bool_]:
        """Which components reach the last row, by their numbers."""
        reaching = np.zeros(self._count + 1, bool)
        reaching[self._last_row] = True
        reaching[0] = False
        return reaching

    def renumbered(self, kept: Indices) -> Indices:
        """New, small numbers for what is kept, by the old ones."""
        present = np.zeros(self._count + 1, bool)
        present[kept] = True
        numbers = np.cumsum(present) * present
        self._last_row, self._count = numbers[self._last_row], int(numbers.max(initial=0))
        return numbers


def _touching(above: Indices, below: NDArray[np.integer], shift: int) -> Indices:
    """Pairs of numbers above and below a seam where the lower one lies so many columns to the right, (2, n)."""
    width = len(above)
    upper, lower = above[max(0, -shift) : width - max(0, shift)], below[max(0, shift) : width - max(0, -shift)]
    both = (upper > 0) & (lower > 0)
    return np.stack([upper[both], lower[both].astype(np.int64)])


def _spread(mask: NDArray[np.bool_], reach: tuple[int, int]) -> NDArray[np.bool_]:
    """The mask spread downwards and to the right."""
    for axis, far in enumerate(reach):
        there = np.moveaxis(mask, axis, 0)  # a view; `mask` is a new array of the caller's
        done = 0
        while done < far:
            step = min(done + 1, far - done)
            there[step:] |= there[:-step].copy()
            done += step
    return mask
