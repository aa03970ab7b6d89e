"""Faithful outlines: as few points as a tolerance allows, shared walls the same on both sides.

Each arc of a network is simplified once, by Douglas and Peucker's algorithm (1973): no point of the traced arc is
further from the simplified one than the tolerance, nor the other way round. Where polygons then cross themselves or
each other, their arcs are done again with half the tolerance, then a quarter, and at last are left as traced. So all
polygons are valid and none overlap, and the tolerance holds everywhere.
"""

import numpy as np
import shapely
from numpy.typing import NDArray

from crispmap.vectorize.faults import arcs_to_blame, faults
from crispmap.vectorize.topology import Move, Network, unmoved

_SHARES = np.array([1, 1 / 2, 1 / 4, 0])


def points_to_keep(
    network: Network, tolerance: float, scale: tuple[float, float] = (1, 1), to_map: Move = unmoved
) -> NDArray[np.bool_]:
    """Which points of a traced network make its faithful outlines.

    Args:
        network: As traced: its polygons are valid and do not overlap.
        tolerance: How far an outline may move at most.
        scale: The width and the height of a pixel in the tolerance's unit.
        to_map: From pixels to the coordinates that will be written, in which polygons must be sound, too.

    Returns:
        Which points to keep, (points,); the ends of arcs always are.
    """
    attempt = np.zeros(len(network.offsets) - 1, np.int64)
    keep = _kept(network, np.full(len(attempt), tolerance), scale)
    while True:
        simpler = network.reduced(keep)
        broken = faults(simpler, to_map)
        if not broken.any():
            return keep
        written = simpler.moved(to_map(simpler.points))
        redo = arcs_to_blame(written, broken, attempt < len(_SHARES) - 1)
        if not redo.any():
            return keep
        attempt[redo] += 1
        again = _kept(network, np.where(redo, tolerance * _SHARES[attempt], -1), scale)
        keep = np.where(redo[network.arc_of_point], again, keep)


def _kept(network: Network, tolerance: NDArray[np.float64], scale: tuple[float, float]) -> NDArray[np.bool_]:
    """Which points of each arc are left with its tolerance; all of them where that is below 0."""
    arc = network.arc_of_point
    keep = np.ones(len(arc), bool)
    wanted = np.flatnonzero(tolerance >= 0)
    if not len(wanted):
        return keep
    inside = (tolerance >= 0)[arc]
    points, owner = network.points[inside].astype(np.int64), np.searchsorted(wanted, arc[inside])
    lines = shapely.simplify(
        shapely.linestrings(points * scale, indices=owner), tolerance[wanted], preserve_topology=False
    )
    left, line = shapely.get_coordinates(lines, return_index=True)
    left = np.rint(left / scale).astype(np.int64)
    # within an arc no point comes twice, save the two ends of a closed one, which are both left
    span = int(points.max()) + 1
    key = (owner * span + points[:, 1]) * span + points[:, 0]
    keep[inside] = np.isin(key, (line * span + left[:, 1]) * span + left[:, 0])
    return keep
