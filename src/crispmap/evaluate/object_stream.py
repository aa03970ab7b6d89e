"""Objects of rasters that arrive in strips: their areas and overlaps, as if the whole were labelled at once.

Memory is linear in the width of the raster, and holds besides a few numbers for each object and each pair of objects.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from crispmap.errors import SettingError
from crispmap.functional.object_score import Overlaps, Tally, overlaps_of, summed_tallies, tally

_FEW = 2**16  # records; below that tidying up is not worth the time


class ObjectStream:
    """Overlaps of the objects of two rasters that come from the top, strip after strip.

    A mask's objects are its components by 4-connectivity, those of `crispmap.functional.label_objects`,
    and stand in the result in the same order: that of their first pixels, row by row. Polygons burnt with their
    numbers are labelled already: the same number in any strip is the same object, and they stand in the order of
    their numbers.

    *Convention.* Ignored pixels belong to no object, and cut the objects of a mask.

    Args:
        width: Of the rasters in pixels.
        pred_is_labelled: Whether the prediction comes as labels rather than as a mask.
        true_is_labelled: Whether the truth does.
    """

    def __init__(self, width: int, pred_is_labelled: bool = False, true_is_labelled: bool = False) -> None:
        self._width = width
        self._pred = None if pred_is_labelled else _Components(width)
        self._true = None if true_is_labelled else _Components(width)
        nothing = np.zeros((0, width), np.int64)
        self._tallies = [tally(nothing, nothing)]
        self._tidy_records = 0

    def add(self, pred: NDArray[Any], true: NDArray[Any], valid: NDArray[np.bool_] | None = None) -> None:
        """Adds the strip that lies below those before.

        Args:
            pred: The prediction, (rows, width): bool, or labels, integers of at least 0 with 0 for the background.
            true: The truth, likewise.
            valid: Bool, (rows, width), false at ignored pixels.

        Raises:
            SettingError: If a strip has another shape, or holds something else than was announced.
        """
        for name, strip, is_mask in (
            ("pred", pred, self._pred is not None),
            ("true", true, self._true is not None),
            ("valid", np.ones_like(pred, bool) if valid is None else valid, True),
        ):
            kinds, words = ("b", "bool") if is_mask else ("iu", "integers")
            if strip.shape != (len(pred), self._width) or strip.dtype.kind not in kinds:
                raise SettingError(
                    f"{name} must be {words} and ({len(pred)}, {self._width}); found {strip.dtype} {strip.shape}"
                )
        if not len(pred):
            return
        if valid is not None:
            pred, true = pred * valid, true * valid
        self._tallies.append(
            tally(
                pred if self._pred is None else self._pred.label(pred),
                true if self._true is None else self._true.label(true),
            )
        )
        if self._records() > 2 * self._tidy_records + _FEW:
            self._tidy_up()

    def result(self) -> Overlaps:
        """The overlaps of all objects so far, areas in pixels."""
        self._tidy_up()
        return overlaps_of(self._tallies[0])

    def _records(self) -> int:
        components = [side for side in (self._pred, self._true) if side is not None]
        return sum(len(table.areas) for table in self._tallies) + sum(side.records for side in components)

    def _tidy_up(self) -> None:
        """Makes one record of those that have turned out to be of the same objects.

        It is done whenever their number has doubled, so that a record is gone through a few times only.
        """
        pred, true, areas = summed_tallies(self._tallies)
        pred = pred if self._pred is None else self._pred.unite()[pred]
        true = true if self._true is None else self._true.unite()[true]
        self._tallies = [summed_tallies([Tally(pred, true, areas)])]
        self._tidy_records = self._records()


class _Components:
    """Connected components of a mask that arrives in strips.

    Components of a strip get numbers of their own at first, and what touches across a seam is remembered.
    """

    def __init__(self, width: int) -> None:
        self._last_row = np.zeros(width, np.int64)
        self._count = 0
        self._seams: list[NDArray[np.int64]] = []  # pairs of numbers that mean the same object, each (2, n)

    @property
    def records(self) -> int:
        return self._count + sum(len(seam[0]) for seam in self._seams)

    def label(self, mask: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Numbers, rising from strip to strip and within it by first pixels; 0 where the mask is false."""
        found, count = ndimage.label(mask)
        labels = found.astype(np.int64)
        labels[mask] += self._count
        touching = (self._last_row > 0) & mask[0]
        self._seams.append(np.unique(np.stack([self._last_row[touching], labels[0, touching]]), axis=1))
        self._last_row = labels[-1].copy()
        self._count += count
        return labels

    def unite(self) -> NDArray[np.int64]:
        """Gives every object one number from 1 on, in the order of the first it had.

        Returns:
            The new numbers by the old ones.
        """
        seams = np.concatenate([np.zeros((2, 0), np.int64), *self._seams], axis=1)
        graph = coo_array((np.ones(seams.shape[1], bool), tuple(seams)), shape=(self._count + 1, self._count + 1))
        _, united = connected_components(graph, directed=False)
        _, first = np.unique(united, return_index=True)  # 0, the background, touches nothing and remains the first
        numbers = np.empty(len(first), np.int64)
        numbers[np.argsort(first)] = np.arange(len(first))
        new = numbers[united]
        self._last_row = new[self._last_row]
        self._count = len(first) - 1
        self._seams = []
        return new
