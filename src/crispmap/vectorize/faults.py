"""What is broken in a network: polygons that are not valid or overlap, and the arcs to blame."""

import numpy as np
import shapely
from numpy.typing import NDArray

from crispmap.vectorize.topology import Move, Network, unmoved

_INTERIORS_MEET = "T********"
_END_IN_INTERIOR = "*T*******"  # the second one's end in the first one's interior


def faults(network: Network, to_map: Move = unmoved) -> NDArray[np.bool_]:
    """Which polygons have a collapsed or crossing outline, or overlap another one, (polygons,).

    Args:
        network: The outlines in pixels.
        to_map: From pixels to the coordinates that will be written. Polygons must be sound in these, too: rounded to
            them, a corner that lay on a wall may lie beyond it.
    """
    pixels, broken = network.shapes()
    broken |= ~shapely.is_valid(pixels)
    shapes = pixels if to_map is unmoved else network.moved(to_map(network.points)).shapes()[0]
    broken |= ~shapely.is_valid(shapes)
    sound = np.flatnonzero(~broken)
    tree = shapely.STRtree(shapes[sound])
    one, other = sound[tree.query(shapes[sound], predicate="intersects")]
    one, other = one[one < other], other[one < other]
    meet = shapely.relate_pattern(shapes[one], shapes[other], _INTERIORS_MEET)
    broken[one[meet]] = broken[other[meet]] = True
    return broken


def arcs_to_blame(network: Network, broken: NDArray[np.bool_], can_change: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The arcs to change where polygons are broken, (arcs,).

    They are those that collapse or meet others between their ends; of a polygon that none of these explains, such as
    one that has come to lie in another one, all.

    Args:
        network: The outlines.
        broken: Which polygons are, (polygons,).
        can_change: Which arcs can, (arcs,); others are not blamed.
    """
    blamed = _collapsed(network)
    own = np.unique(network.use[broken[network.polygon_of_use]])
    own = own[~blamed[own]]
    lines = network.lines()[own]
    blamed[own] |= ~shapely.is_simple(lines)
    tree = shapely.STRtree(lines)
    one, other = tree.query(lines, predicate="intersects")
    one, other = one[one != other], other[one != other]
    meet = shapely.relate_pattern(lines[one], lines[other], _INTERIORS_MEET)
    meet |= shapely.relate_pattern(lines[one], lines[other], _END_IN_INTERIOR)
    blamed[own[one[meet]]] = blamed[own[other[meet]]] = True
    blamed &= can_change
    of_use = broken[network.polygon_of_use]
    explained = np.zeros(len(broken), bool)
    explained[network.polygon_of_use[of_use & blamed[network.use]]] = True
    to_blame = np.zeros(len(blamed), bool)
    to_blame[network.use[of_use & (blamed[network.use] | ~explained[network.polygon_of_use])]] = True
    return to_blame & can_change


def _collapsed(network: Network) -> NDArray[np.bool_]:
    """The arcs of rings that have fewer than three points."""
    ring = np.repeat(np.arange(len(network.rings) - 1), np.diff(network.rings))
    points = np.bincount(ring, np.diff(network.offsets)[network.use] - 1, len(network.rings) - 1)
    found = np.zeros(len(network.offsets) - 1, bool)
    found[network.use[points[ring] < 3]] = True
    return found
