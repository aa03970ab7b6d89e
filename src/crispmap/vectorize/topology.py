"""Outlines as a network of arcs: a wall that two footprints share is one arc, and moves for both.

A *node* is a point where more than two edges of the outlines meet. Rings are cut at nodes into arcs; what two rings
share is then whole arcs, each run through once in either direction. A ring without a node is one closed arc.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import shapely
from numpy.typing import NDArray

from crispmap.vectorize.ragged import Indices, offsets_of, spans
from crispmap.vectorize.rings import Rings

Move = Callable[[NDArray[np.float64]], NDArray[np.float64]]  # points (n, 2) to where they lie in other coordinates


def unmoved(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """The points where they are."""
    return points


@dataclass(frozen=True)
class Network:
    """Arcs, and the polygons that are made of them.

    Attributes:
        points: The points of all arcs in pixels (column, row), (n, 2), both ends of each included.
        offsets: Where each arc begins in them, (arcs + 1,).
        use: The arcs of each ring in order, (uses,).
        backwards: Whether the ring runs through it from its end to its beginning, (uses,).
        rings: Where each ring begins in `use`, (rings + 1,).
        polygons: Where each polygon begins in `rings`, (polygons + 1,); its shell comes first.
    """

    points: NDArray[np.float64]
    offsets: Indices
    use: Indices
    backwards: NDArray[np.bool_]
    rings: Indices
    polygons: Indices

    @property
    def polygon_of_use(self) -> Indices:
        """The polygon that each use belongs to, (uses,)."""
        ring = np.repeat(np.arange(len(self.rings) - 1), np.diff(self.rings))
        return np.repeat(np.arange(len(self.polygons) - 1), np.diff(self.polygons))[ring]

    @property
    def arc_of_point(self) -> Indices:
        """The arc that each point belongs to, (n,)."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))

    def reduced(self, keep: NDArray[np.bool_]) -> "Network":
        """The network with some of its points, (n,); the ends of arcs must be among them."""
        counts = np.add.reduceat(keep, self.offsets[:-1], dtype=np.int64) if len(keep) else np.zeros(0, np.int64)
        return replace(self, points=self.points[keep], offsets=offsets_of(counts))

    def moved(self, points: NDArray[np.float64]) -> "Network":
        """The network with its points elsewhere, (n, 2)."""
        return replace(self, points=points)

    def lines(self) -> NDArray[np.object_]:
        """The arcs as lines in pixels, (arcs,)."""
        return np.asarray(shapely.linestrings(self.points, indices=self.arc_of_point), dtype=object)

    def shapes(self) -> tuple[NDArray[np.object_], NDArray[np.bool_]]:
        """The polygons in pixels, and which of them are none because a ring has fewer than three points.

        Those are empty.
        """
        lengths = np.diff(self.offsets)[self.use] - 1  # the last point of an arc is the first of the next one
        first = self.offsets[:-1][self.use]
        at = spans(np.zeros_like(lengths), lengths)
        at = np.where(np.repeat(self.backwards, lengths), np.repeat(lengths, lengths) - at, at)
        points = self.points[at + np.repeat(first, lengths)]
        begins = offsets_of(lengths)[self.rings]
        collapsed = np.zeros(len(self.polygons) - 1, bool)
        np.logical_or.at(collapsed, np.repeat(np.arange(len(collapsed)), np.diff(self.polygons)), np.diff(begins) < 3)
        return _polygons(points, begins, self.polygons, ~collapsed), collapsed


def network_of(rings: Rings, width: int) -> Network:
    """The arcs of outlines.

    Args:
        rings: Outlines on the grid of pixels that do not overlap.
        width: Of the raster in pixels.
    """
    points, offsets = _with_shared_corners(rings, width)
    key = points[:, 1] * (width + 1) + points[:, 0]
    _, vertex = np.unique(key, return_inverse=True)
    ring = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    edge, is_node = _edges(vertex, offsets)
    turn = _first_points(points, is_node, ring, offsets) - offsets[:-1]
    turned = offsets[:-1][ring] + (np.arange(len(points)) - offsets[:-1][ring] + turn[ring]) % np.diff(offsets)[ring]
    points, edge, begins = points[turned], edge[turned], is_node[turned]
    begins[offsets[:-1]] = True

    start = np.flatnonzero(begins)
    edges = np.diff(np.append(start, len(points)))
    least_edge = np.minimum.reduceat(edge, start) if len(start) else start
    _, instance, use = np.unique(least_edge, return_index=True, return_inverse=True)
    backwards = instance[use] != np.arange(len(use))  # both have their object on the right, so they run opposite ways
    after = np.arange(1, len(points) + 1)
    after[offsets[1:] - 1] = offsets[:-1]
    pieces = spans(start[instance], edges[instance])
    ends = after[start[instance] + edges[instance] - 1]
    arc_points = np.insert(points[pieces], np.cumsum(edges[instance]), points[ends], axis=0)
    return Network(
        arc_points.astype(np.float64),
        offsets_of(edges[instance] + 1),
        use,
        backwards,
        np.searchsorted(start, offsets),
        rings.first,
    )


def _with_shared_corners(rings: Rings, width: int) -> tuple[Indices, Indices]:
    """The rings with a point wherever another one has a corner on their edge."""
    points, offsets = rings.points, rings.offsets
    after = np.arange(1, len(points) + 1)
    after[offsets[1:] - 1] = offsets[:-1]
    here, there = points, points[after]
    is_level = here[:, 1] == there[:, 1]
    height = int(points[:, 1].max(initial=0)) + 1
    place = np.zeros(len(points), np.int64)
    count = np.zeros(len(points), np.int64)
    passed = {}
    for axis, chosen, stride in ((0, is_level, width + 1), (1, ~is_level, height)):
        corners = np.unique(points[:, 1 - axis] * stride + points[:, axis])
        one, other = (end[:, 1 - axis] * stride + end[:, axis] for end in (here, there))
        low = np.searchsorted(corners, np.minimum(one, other), side="right")
        high = np.searchsorted(corners, np.maximum(one, other), side="left")
        place = np.where(chosen, np.where(one < other, low, high - 1), place)
        count = np.where(chosen, high - low, count)
        passed[axis] = corners
    if not count.any():
        return points, offsets
    direction = np.sign((there - here).sum(axis=1))
    edge = np.repeat(np.arange(len(points)), count + 1)
    step = spans(np.zeros_like(count), count + 1)
    found = place[edge] + direction[edge] * (step - 1)
    new = points[edge]
    for axis, chosen, stride in ((0, is_level, width + 1), (1, ~is_level, height)):
        at = (step > 0) & chosen[edge]
        new[at, axis] = passed[axis][found[at]] % stride
    return new, offsets_of(count + 1)[offsets]


def _edges(vertex: Indices, offsets: Indices) -> tuple[Indices, NDArray[np.bool_]]:
    """A number for the edge after each point, the same in both directions, and whether the point is a node."""
    after = np.arange(1, len(vertex) + 1)
    after[offsets[1:] - 1] = offsets[:-1]
    low, high = np.minimum(vertex, vertex[after]), np.maximum(vertex, vertex[after])
    size = int(vertex.max(initial=0)) + 1
    both, edge = np.unique(low * size + high, return_inverse=True)
    degree = np.bincount(both // size, minlength=size) + np.bincount(both % size, minlength=size)
    return edge, degree[vertex] > 2


def _first_points(points: Indices, is_node: NDArray[np.bool_], ring: Indices, offsets: Indices) -> Indices:
    """Where each ring had best begin: at a node, or else at the point farthest from its middle, a true corner.

    It must not depend on the direction in which the ring is run through.
    """
    if not len(points):
        return np.zeros(0, np.int64)
    low, high = (extreme.reduceat(points, offsets[:-1], axis=0) for extreme in (np.minimum, np.maximum))
    distance = ((2 * points - (low + high)[ring]) ** 2).sum(axis=1)
    order = np.lexsort((points[:, 0], points[:, 1], -distance, ~is_node, ring))
    return order[offsets[:-1]]


def _polygons(
    points: NDArray[np.float64], rings: Indices, polygons: Indices, whole: NDArray[np.bool_]
) -> NDArray[np.object_]:
    """Polygons of rings that are not closed; those that are not whole are empty."""
    found = np.full(len(whole), shapely.Polygon(), dtype=object)
    wanted = spans(polygons[:-1][whole], np.diff(polygons)[whole])
    lengths = np.diff(rings)[wanted]
    at = spans(rings[:-1][wanted], lengths)
    closing = np.cumsum(lengths)
    coordinates = np.insert(points[at], closing, points[rings[:-1][wanted]], axis=0)
    ring_offsets, polygon_offsets = offsets_of(lengths + 1), offsets_of(np.diff(polygons)[whole])
    if whole.any():
        found[whole] = shapely.from_ragged_array(
            shapely.GeometryType.POLYGON, coordinates, (ring_offsets, polygon_offsets)
        )
    return found
