"""The main directions of buildings, from the directions of their walls."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from crispmap.vectorize.ragged import Indices

QUARTER = np.pi / 2
_BINS = 90  # a degree each
_BLUR = np.radians(5)  # walls so far apart still support each other
_AGREE = np.radians(10)  # buildings with a common wall take one direction if theirs differ by less


class Walls(NamedTuple):
    """The straight pieces of outlines, once for each building that they belong to.

    Attributes:
        building: Which, (walls,).
        angle: The direction of each in radians; it counts modulo a quarter turn, (walls,).
        length: Of each, (walls,).
        arc: The arc that it is a piece of, (walls,): buildings share walls if they share arcs.
    """

    building: Indices
    angle: NDArray[np.float64]
    length: NDArray[np.float64]
    arc: Indices


class Frames(NamedTuple):
    """Common directions of buildings.

    Attributes:
        of_building: The frame of each building, (buildings,).
        angle: The main direction of each frame in radians, in [0, π/2), (frames,).
    """

    of_building: Indices
    angle: NDArray[np.float64]


def main_directions(walls: Walls, buildings: int) -> Frames:
    """One direction for each building, and one for those together that share walls and agree to within 10°.

    A direction is where most length of wall lies, modulo a quarter turn: the peak of a histogram blurred by 5°, and
    then the mean of the walls that are near the peak. So a diagonal wall does not turn a building.
    """
    own = _peaks(walls.building, walls, buildings)
    order = np.argsort(walls.arc, kind="stable")
    one, other = order[:-1], order[1:]
    meets = (walls.arc[one] == walls.arc[other]) & (walls.building[one] != walls.building[other])
    one, other = walls.building[one[meets]], walls.building[other[meets]]
    agrees = np.abs(off_axis(own[one] - own[other])) < _AGREE
    graph = coo_array((np.ones(int(agrees.sum()), bool), (one[agrees], other[agrees])), shape=(buildings, buildings))
    frames, frame = connected_components(graph, directed=False)
    return Frames(frame.astype(np.int64), _peaks(frame[walls.building], walls, frames))


def off_axis(angle: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far an angle is from the nearest multiple of a quarter turn, in [-π/4, π/4]."""
    return angle - np.round(angle / QUARTER) * QUARTER


def _peaks(owner: NDArray[np.integer], walls: Walls, owners: int) -> NDArray[np.float64]:
    turn = walls.angle % QUARTER
    histogram = np.zeros((owners, _BINS))
    np.add.at(histogram, (owner, (turn / QUARTER * _BINS).astype(np.int64) % _BINS), walls.length)
    reach = round(np.degrees(_BLUR))
    blurred = sum(np.roll(histogram, step, axis=1) * (1 + reach - abs(step)) for step in range(-reach, reach + 1))
    peak = (np.argmax(blurred, axis=1) + 0.5) / _BINS * QUARTER
    off = off_axis(walls.angle - peak[owner])
    near = walls.length * (np.abs(off) < _BLUR)
    weight = np.bincount(owner, near, owners)
    mean = np.bincount(owner, near * off, owners) / np.where(weight > 0, weight, 1)
    directions: NDArray[np.float64] = (peak + mean) % QUARTER
    return directions
