"""Outlines of labelled pixels, traced from runs.

Of each object, the corners of its outline are found and joined along rows and columns. A run has a vertical edge of
unit length at either end; where the edges of the row above and of the row below meet in a point, the outline goes
straight on if both have the object on the same side, and otherwise has a corner: of the upper edge, the lower one, or
both. Sorted along a row or a column, corners are the two ends of edges in turn.

Where an object touches itself at a corner, two corners lie in one point, and the outline turns round the background
there. The background on both sides of that point is never connected except round the object (an object is connected
across edges), so the two corners are of different rings: no ring meets itself, and polygons are valid.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from crispmap.vectorize.ragged import Indices, offsets_of, spans
from crispmap.vectorize.runs import Runs


class Rings(NamedTuple):
    """Rings of objects, sorted by object, the shell of each before its holes.

    The object is always on the right as seen on a map whose rows go down: shells go clockwise.

    Attributes:
        points: The corners of all rings in pixels (column, row), (n, 2), none repeated at the end.
        offsets: Where each ring begins in them, (rings + 1,).
        first: The first ring of each object, and the number of rings, (objects + 1,).
    """

    points: Indices
    offsets: Indices
    first: Indices


def trace(runs: Runs, labels: Indices, width: int) -> Rings:
    """The outlines of objects.

    Args:
        runs: Their pixels; the pixels of each label are connected across edges.
        labels: The object of each run, (n,): every number from 0 to that of the last one occurs.
        width: Of the raster in pixels.
    """
    if not len(runs):
        return Rings(np.zeros((0, 2), np.int64), np.zeros(1, np.int64), np.zeros(1, np.int64))
    label, row, col, is_stop, is_top = _corners(runs, labels, width)
    following = _following(label, row, col, is_stop, is_top)
    order, offsets = _cycles(following)
    points = np.stack([col[order], row[order]], axis=1)
    owner = label[order[offsets[:-1]]]
    is_hole = _signed_area(points, offsets) < 0
    ring_order = np.lexsort((is_hole, owner))
    lengths = np.diff(offsets)[ring_order]
    points = points[spans(offsets[:-1][ring_order], lengths)]
    return Rings(points, offsets_of(lengths), np.searchsorted(owner[ring_order], np.arange(owner.max() + 2)))


def _corners(runs: Runs, labels: Indices, width: int) -> tuple[Indices, ...]:
    """Label, row and column of each corner, whether its vertical edge is a run's end, and lies below the corner.

    They are sorted by label, row and column. Of two in one point that at a run's beginning comes first: its
    horizontal edge goes to the left, that of the other to the right.
    """
    top = runs.row.min()
    height, breadth = int(runs.row.max() - top) + 2, width + 1
    label = np.tile(labels, 4)
    row = np.concatenate([runs.row, runs.row, runs.row + 1, runs.row + 1]) - top
    col = np.concatenate([runs.start, runs.stop, runs.start, runs.stop])
    key = ((label * height + row) * breadth + col) * 2
    is_stop = np.tile(np.repeat([0, 1], len(runs)), 2)
    is_top = np.repeat([1, 0], 2 * len(runs))
    key += is_stop
    order = np.argsort(key)
    key = key[order]
    straight = np.zeros(len(key), bool)
    same = key[1:] == key[:-1]
    straight[1:] |= same
    straight[:-1] |= same
    order = order[~straight]
    return label[order], row[order] + top, col[order], is_stop[order], is_top[order]


def _following(label: Indices, row: Indices, col: Indices, is_stop: Indices, is_top: Indices) -> Indices:
    """The next corner of each along its ring."""
    along_row = np.arange(len(label)) ^ 1
    in_columns = np.lexsort((is_top, row, col, label))
    along_col = np.empty_like(along_row)
    along_col[in_columns[0::2]], along_col[in_columns[1::2]] = in_columns[1::2], in_columns[0::2]
    # up along the beginnings of runs, down along their ends
    return np.where(is_top == is_stop, along_col, along_row)


def _cycles(following: Indices) -> tuple[Indices, Indices]:
    """The cycles of a permutation: their elements in order, and where each begins."""
    after = following.tolist()
    seen = bytearray(len(after))
    order: list[int] = []
    offsets = [0]
    for first in range(len(after)):
        if seen[first]:
            continue
        at = first
        while not seen[at]:
            seen[at] = 1
            order.append(at)
            at = after[at]
        offsets.append(len(order))
    return np.array(order, np.int64), np.array(offsets, np.int64)


def _signed_area(points: Indices, offsets: Indices) -> NDArray[np.int64]:
    """Twice the area of each ring, above 0 where it goes clockwise with rows going down."""
    after = np.arange(1, len(points) + 1)
    after[offsets[1:] - 1] = offsets[:-1]
    x, y = points.T
    twice: NDArray[np.int64] = np.add.reduceat(x * y[after] - x[after] * y, offsets[:-1])
    return twice
