"""Labelled pixels as runs: what is kept of a raster once its strip has gone by."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crispmap.vectorize.ragged import Indices

_COLUMNS = ("row", "start", "stop", "label", "group", "total")


@dataclass(frozen=True)
class Runs:
    """Pixels side by side in a row that have one label, from the top, and in a row from the left.

    Attributes:
        row: Their rows, (n,).
        start: The first column of each, (n,).
        stop: The column after its last, (n,).
        label: The object each belongs to, (n,), above 0.
        group: The group of objects each belongs to, (n,), above 0.
        total: The sum of the levels of its pixels, (n,).
        levels: The levels of all pixels in the order of the runs; None where they are not kept.
    """

    row: Indices
    start: Indices
    stop: Indices
    label: Indices
    group: Indices
    total: NDArray[np.float64]
    levels: NDArray[Any] | None = None

    def __len__(self) -> int:
        return len(self.row)

    @property
    def length(self) -> Indices:
        """How many pixels each run has."""
        return self.stop - self.start

    def where(self, wanted: NDArray[np.bool_]) -> "Runs":
        """Those of the runs that are wanted, (n,)."""
        if wanted.all():
            return self
        levels = None if self.levels is None else self.levels[np.repeat(wanted, self.length)]
        return Runs(**{name: getattr(self, name)[wanted] for name in _COLUMNS}, levels=levels)

    def numbered(self, label: Indices, group: Indices) -> "Runs":
        """The same runs with other numbers, found by the old ones."""
        return replace(self, label=label[self.label], group=group[self.group])


def runs_of(labels: NDArray[np.integer], groups: NDArray[np.integer], levels: NDArray[Any], *, row: int) -> Runs:
    """The runs of labelled pixels.

    Args:
        labels: The label of each pixel, (rows, width), 0 for the background.
        groups: The group of each pixel likewise.
        levels: The level of each pixel likewise; they are kept.
        row: The row of the raster that is the first here.
    """
    padded = np.pad(labels, ((0, 0), (1, 1)))
    at_row, col = np.nonzero(padded[:, 1:] != padded[:, :-1])
    begins, ends = padded[at_row, col + 1] > 0, padded[at_row, col] > 0
    at_row, start, stop = at_row[begins], col[begins], col[ends]
    own = levels[labels > 0]
    first = np.concatenate([[0], np.cumsum(stop - start)])[:-1]
    total = np.add.reduceat(own, first, dtype=np.float64) if len(first) else np.zeros(0)
    label, group = labels[at_row, start].astype(np.int64), groups[at_row, start].astype(np.int64)
    return Runs(at_row + row, start, stop, label, group, total, own)


def stacked(above: Runs, below: Runs) -> Runs:
    """Runs of rows further up and further down as one."""
    levels = None if above.levels is None or below.levels is None else np.concatenate([above.levels, below.levels])
    return replace(_joined([above, below]), levels=levels)


def without_levels(runs: Runs) -> Runs:
    """The runs alone."""
    return replace(runs, levels=None)


def in_order(parts: Sequence[Runs]) -> Runs:
    """Runs of several objects as one, from the top and from the left again; the levels are left out."""
    joined = _joined(parts)
    order = np.lexsort((joined.start, joined.row))
    return Runs(**{name: getattr(joined, name)[order] for name in _COLUMNS})


def _joined(parts: Sequence[Runs]) -> Runs:
    return Runs(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in _COLUMNS})
