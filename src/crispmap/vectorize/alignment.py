"""Corners that take a common coordinate: a union–find whose sets know where their walls lie.

Along each of the two axes of a building, the corners at the two ends of a wall share one coordinate, and walls that
share a corner share it too. A set of corners lies where its walls do: at the mean of the traced outline along them,
weighted by length. Sets join only as long as neither a wall nor a corner has to move further than is allowed. Corners
may move further than walls: where an outline is round at a corner, the walls are right and the corners are not.
"""

import math
from collections.abc import Sequence


class Alignment:
    """One coordinate of many corners.

    Args:
        coordinates: Where each corner is at first.
        for_corners: How far a corner may move.
        for_walls: How far a wall may move.
    """

    def __init__(self, coordinates: Sequence[float], for_corners: float, for_walls: float) -> None:
        # of the set of each corner that stands for one: the extremes of its corners and walls, and its walls' mean
        self._parent = list(range(len(coordinates)))
        self._corners = [(at, at) for at in coordinates]
        self._walls = [(math.inf, -math.inf)] * len(coordinates)
        self._sum = [0.0] * len(coordinates)
        self._weight = [0.0] * len(coordinates)
        self._for_corners = for_corners
        self._for_walls = for_walls

    def root(self, corner: int) -> int:
        """The corner that stands for the set of this one."""
        while self._parent[corner] != corner:
            self._parent[corner] = self._parent[self._parent[corner]]
            corner = self._parent[corner]
        return corner

    def at(self, corner: int) -> float:
        """Where the set of a corner lies; NaN if it has no wall."""
        root = self.root(corner)
        return self._sum[root] / self._weight[root] if self._weight[root] else math.nan

    def can_join(self, one: int, other: int, wall: tuple[float, float] | None = None) -> bool:
        """Whether two corners may share a coordinate.

        Args:
            one: A corner.
            other: Another one.
            wall: The place and the length of the wall that they are the ends of, if it is to lie there too.
        """
        one, other = self.root(one), self.root(other)
        place, length = wall or (math.nan, 0.0)
        others = (one,) if one == other else (one, other)
        weight = sum((self._weight[each] for each in others), length)
        if not weight:
            return False
        mean = sum((self._sum[each] for each in others), place * length if wall else 0.0) / weight
        corners = [self._corners[each] for each in others]
        walls = [self._walls[each] for each in others] + ([(place, place)] if wall else [])
        return _reach(corners, mean) <= self._for_corners and _reach(walls, mean) <= self._for_walls

    def join(self, one: int, other: int, wall: tuple[float, float] | None = None) -> None:
        """Lets two corners share a coordinate; the arguments are those of `can_join`."""
        one, other = self.root(one), self.root(other)
        if one != other:
            self._parent[other] = one
            self._corners[one] = _hull(self._corners[one], self._corners[other])
            self._walls[one] = _hull(self._walls[one], self._walls[other])
            self._sum[one] += self._sum[other]
            self._weight[one] += self._weight[other]
        if wall:
            place, length = wall
            self._walls[one] = _hull(self._walls[one], (place, place))
            self._sum[one] += place * length
            self._weight[one] += length


def _hull(one: tuple[float, float], other: tuple[float, float]) -> tuple[float, float]:
    return min(one[0], other[0]), max(one[1], other[1])


def _reach(extremes: Sequence[tuple[float, float]], mean: float) -> float:
    return max(max(high - mean, mean - low) for low, high in extremes)
