"""Touching buildings parted along the valleys of their probability.

*Cores* are the parts of an object (connected across edges) that reach a second, higher threshold and are not too
small. Each pixel of an object with several cores goes to the one it is reached from first as the probability falls:
a watershed flooded from the cores (Meyer 1991), of equal pixels the one found earlier first. An object with one core
or none stays whole.

An object is parted in the rectangle around it, so the result is that of the whole raster. One whose rectangle has more
than `MOST_PIXELS` pixels is left as it is, and a line says so.
"""

import logging
from dataclasses import replace
from heapq import heapify, heappop, heappush
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from crispmap.vectorize.ragged import offsets_of, spans
from crispmap.vectorize.runs import Runs, in_order, runs_of, without_levels

MOST_PIXELS = 2**26

_log = logging.getLogger(__name__)


def separated(runs: Runs, core_level: float, *, min_pixels: float = 0) -> Runs:
    """The runs with a label for each part of an object that has several cores.

    Args:
        runs: Of whole objects, with their levels.
        core_level: The level from which on a pixel belongs to a core.
        min_pixels: How many pixels a core has at least.

    Returns:
        The same pixels without their levels, in order; labels are new.
    """
    order = np.argsort(runs.label, kind="stable")
    bounds = np.flatnonzero(np.diff(runs.label[order], prepend=-1, append=-1))
    first_level = offsets_of(runs.length)
    whole, parts = np.ones(len(runs), bool), []
    next_label = int(runs.label.max(initial=0)) + 1
    for begin, end in pairwise(bounds):
        own = order[begin:end]
        levels = _levels(runs)[spans(first_level[own], runs.length[own])]
        if levels.min() >= core_level or levels.max() < core_level:
            continue
        part = _parted(runs, own, levels, core_level, min_pixels)
        if part is not None:
            whole[own] = False
            parts.append(replace(part, label=part.label + next_label))
            next_label = int(parts[-1].label.max()) + 1
    return in_order([runs.where(whole), *parts])


def _levels(runs: Runs) -> NDArray[Any]:
    if runs.levels is None:
        raise ValueError("runs of objects to be separated must have kept their levels")
    return runs.levels


def _parted(
    runs: Runs, own: NDArray[np.int64], levels: NDArray[Any], core_level: float, min_pixels: float
) -> Runs | None:
    """The runs of one object's parts, labelled from 1 on; None where it has no more than one core."""
    row, start, length = runs.row[own], runs.start[own], runs.length[own]
    top, left = int(row.min()), int(start.min())
    shape = (int(row.max()) - top + 1, int(runs.stop[own].max()) - left)
    if shape[0] * shape[1] > MOST_PIXELS:
        _log.info("an object of %s × %s pixels is too large to be separated and left whole", shape[1], shape[0])
        return None
    at = (np.repeat(row - top, length), spans(start - left, length))
    box, inside = np.zeros(shape, levels.dtype), np.zeros(shape, bool)
    box[at], inside[at] = levels, True
    cores = _cores(inside & (box >= core_level), min_pixels)
    if cores.max() < 2:
        return None
    found = runs_of(_flooded(box, inside, cores), np.full(shape, runs.group[own[0]]), box, row=top)
    return replace(without_levels(found), start=found.start + left, stop=found.stop + left)


def _cores(high: NDArray[np.bool_], min_pixels: float) -> NDArray[np.int32]:
    """The cores, numbered from 1 on in the order of their first pixels."""
    labels, count = ndimage.label(high)
    large = np.bincount(labels.ravel(), minlength=count + 1) >= min_pixels
    large[0] = False
    numbers = (np.cumsum(large) * large).astype(np.int32)
    cores: NDArray[np.int32] = numbers[labels]
    return cores


def _flooded(box: NDArray[Any], inside: NDArray[np.bool_], cores: NDArray[np.int32]) -> NDArray[np.int32]:
    """The core that each pixel inside goes to."""
    width = box.shape[1] + 2
    padded = np.pad(cores, 1)
    label = np.where(np.pad(inside, 1), padded, -1).ravel().tolist()
    level = np.pad(box, 1).ravel().tolist()
    edge = (padded > 0) & ndimage.binary_dilation(np.pad(inside, 1) & (padded == 0))
    queue = [(-level[at], i, at) for i, at in enumerate(np.flatnonzero(edge).tolist())]
    heapify(queue)
    found = len(queue)
    while queue:
        _, _, at = heappop(queue)
        for near in (at - width, at - 1, at + 1, at + width):
            if label[near] == 0:
                label[near] = label[at]
                heappush(queue, (-level[near], found, near))
                found += 1
    flooded = np.array(label, np.int32).reshape(padded.shape)[1:-1, 1:-1]
    return np.where(flooded < 0, 0, flooded)
