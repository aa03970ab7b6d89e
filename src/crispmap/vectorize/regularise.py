"""Regularised outlines: walls along the main directions of their building, where the evidence supports it.

Each building has a main direction (`directions`), and in its two axes each corner has two coordinates. A wall within
`_SNAP` of an axis is made parallel to it: its two corners take one coordinate across the axis, where the traced
outline along the wall lies in the mean. Walls then meet at right angles, without any of them having been turned by
itself. The longest walls come first, and walls do not become one where that moves one by more than the tolerance: so
curved and slanted walls survive, and diagonals are never near an axis. A short slanted piece between two walls, as
simplifying leaves where a corner was round, goes if its ends can meet in a corner.

Buildings that share walls move together: a shared corner is one corner. Where neighbours have different directions,
the corners between them stay in place.

What has become invalid, overlaps, lies further than the tolerance from its faithful outline somewhere, or has lost more
than `_LOSS` of its IoU with the traced outline is left faithful, and what shares its corners is aligned anew without
them.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray

from crispmap.vectorize.alignment import Alignment
from crispmap.vectorize.directions import QUARTER, Frames, Walls, main_directions, off_axis
from crispmap.vectorize.faults import faults
from crispmap.vectorize.ragged import Indices, spans
from crispmap.vectorize.topology import Move, Network, unmoved

_SNAP = np.radians(20)
_CORNERS = 2.0  # tolerances that a corner may move along either axis
_LOSS = 0.02  # of IoU
_STRAIGHT = 1e-6  # pixels: what is left of rounding between points of one wall


class _Pieces(NamedTuple):
    """The straight pieces of all arcs, in metres or pixels: (pieces,) each, `middle` (pieces, 2).

    Attributes:
        arc: Which arc.
        begin: The corner where it begins.
        end: The corner where it ends.
        angle: The direction of the traced outline along it in radians: of the line with the least squared distances.
        length: From its beginning to its end.
        middle: The mean of the traced outline along it.
    """

    arc: Indices
    begin: Indices
    end: Indices
    angle: NDArray[np.float64]
    length: NDArray[np.float64]
    middle: NDArray[np.float64]


def regularised(
    traced: Network,
    keep: NDArray[np.bool_],
    tolerance: float,
    scale: tuple[float, float] = (1, 1),
    to_map: Move = unmoved,
) -> Network:
    """Turns faithful outlines into regular ones.

    Args:
        traced: Outlines as traced.
        keep: Which of its points make the faithful outlines.
        tolerance: How far the regular outlines may lie from those.
        scale: The width and the height of a pixel in the tolerance's unit.
        to_map: From pixels to the coordinates that will be written, in which polygons must be sound, too.
    """
    faithful = traced.reduced(keep)
    if not len(faithful.points):
        return faithful
    corners, corner = np.unique(faithful.points, axis=0, return_inverse=True)
    corners, corner = corners * scale, corner.ravel()
    pieces = _pieces(traced, keep, corners, corner, scale)
    frames, frame = _frames(faithful, pieces, corner, len(corners))
    judge = _Judge.of(traced, faithful, tolerance / np.array(scale), to_map)
    polygon, own = _corners_of_polygons(faithful, corner)
    moved, stale = corners, np.ones(len(corners), bool)
    while stale.any():
        aligned = _aligned(corners, frame, frames.angle, pieces, stale, tolerance)
        moved = np.where(stale[:, None], aligned, moved)
        network = _straightened(faithful.moved(moved[corner] / scale))
        left = own[judge.rejects(network)[polygon]]
        left = left[frame[left] >= 0]
        stale = np.isin(frame, frame[left])
        frame[left] = -1  # they stay in place, and nothing takes its direction from them
    return network


def _pieces(
    traced: Network, keep: NDArray[np.bool_], corners: NDArray[np.float64], corner: Indices, scale: tuple[float, float]
) -> _Pieces:
    """The pieces of faithful outlines, and what the traced ones say of them."""
    points = traced.points * scale
    kept = np.flatnonzero(keep)
    step = np.diff(points, axis=0, append=points[-1:])
    step[traced.offsets[1:] - 1] = 0  # from one arc to the next is no way
    way = np.hypot(*step.T)
    half = points + step / 2 - np.repeat(points[kept], np.diff(np.append(kept, len(points))), axis=0)
    length = np.add.reduceat(way, kept)
    middle = np.add.reduceat(half * way[:, None], kept, axis=0)
    x, y = half.T
    dx, dy = step.T
    moments = np.stack([x * x + dx * dx / 12, x * y + dx * dy / 12, y * y + dy * dy / 12], axis=1)
    moments = np.add.reduceat(moments * way[:, None], kept, axis=0)

    arc = traced.arc_of_point[kept]
    first = np.flatnonzero(arc[:-1] == arc[1:])
    middle, moments = (sums[first] / length[first][:, None] for sums in (middle, moments))
    x, y = middle.T
    xx, xy, yy = moments.T - [x * x, x * y, y * y]
    return _Pieces(
        arc[first],
        corner[first],
        corner[first + 1],
        np.arctan2(2 * xy, xx - yy) / 2,
        np.hypot(*(corners[corner[first + 1]] - corners[corner[first]]).T),
        middle + points[kept[first]],
    )


def _frames(faithful: Network, pieces: _Pieces, corner: Indices, corners: int) -> tuple[Frames, Indices]:
    """The buildings' frames, and the frame of each corner, -1 where it belongs to several."""
    polygon = faithful.polygon_of_use
    order = np.argsort(pieces.arc, kind="stable")
    counts = np.bincount(pieces.arc, minlength=len(faithful.offsets) - 1)
    first = np.cumsum(counts) - counts
    piece = order[spans(first[faithful.use], counts[faithful.use])]
    building = np.repeat(polygon, counts[faithful.use])
    walls = Walls(building, pieces.angle[piece], pieces.length[piece], pieces.arc[piece])
    frames = main_directions(walls, len(faithful.polygons) - 1)
    ends = np.concatenate([pieces.begin[piece], pieces.end[piece]])
    owner = np.tile(frames.of_building[building], 2)
    low, high = np.full(corners, len(frames.angle)), np.full(corners, -1)
    np.minimum.at(low, ends, owner)
    np.maximum.at(high, ends, owner)
    return frames, np.where(low == high, low, -1)


def _aligned(
    corners: NDArray[np.float64],
    frame: Indices,
    angle: NDArray[np.float64],
    pieces: _Pieces,
    stale: NDArray[np.bool_],
    tolerance: float,
) -> NDArray[np.float64]:
    """Where the corners go; those that are not stale, and those without a frame, stay."""
    turn = np.where(frame >= 0, angle[frame], 0)
    cos, sin = np.cos(turn), np.sin(turn)
    along, across = cos * corners[:, 0] + sin * corners[:, 1], cos * corners[:, 1] - sin * corners[:, 0]
    chosen = np.flatnonzero(stale & (frame >= 0))
    number = np.full(len(corners), -1)
    number[chosen] = np.arange(len(chosen))
    axes = tuple(Alignment(each[chosen].tolist(), _CORNERS * tolerance, tolerance) for each in (along, across))

    begin, end = number[pieces.begin], number[pieces.end]
    free = (begin >= 0) & (end >= 0) & (frame[pieces.begin] == frame[pieces.end])
    relative = pieces.angle - turn[pieces.begin]
    snaps = free & (np.abs(off_axis(relative)) < _SNAP)
    is_steep = np.round(relative / QUARTER).astype(np.int64) % 2 == 1  # it runs across the main direction
    x, y = pieces.middle.T
    c, s = cos[pieces.begin], sin[pieces.begin]
    place = np.where(is_steep, c * x + s * y, c * y - s * x)
    axis = np.where(is_steep, 0, 1)
    by_length = np.argsort(-pieces.length, kind="stable")
    for i in by_length[snaps[by_length]].tolist():
        ends, wall = (int(begin[i]), int(end[i])), (float(place[i]), float(pieces.length[i]))
        if axes[axis[i]].can_join(*ends, wall):
            axes[axis[i]].join(*ends, wall)
    for i in by_length[(free & ~snaps)[by_length]][::-1].tolist():
        ends = int(begin[i]), int(end[i])
        if all(each.can_join(*ends) for each in axes):
            for each in axes:
                each.join(*ends)

    for old, alignment in zip((along, across), axes, strict=True):
        new = np.array([alignment.at(i) for i in range(len(chosen))])
        old[chosen] = np.where(np.isnan(new), old[chosen], new)
    moved = corners.copy()
    moved[chosen] = np.stack([cos * along - sin * across, sin * along + cos * across], axis=1)[chosen]
    return moved


class _Judge(NamedTuple):
    """What regular outlines are held against.

    Attributes:
        truth: The traced polygons.
        least: The least IoU with them.
        before: The faithful outlines, the tolerance as their unit.
        allowed: The tolerance in columns and rows.
        to_map: From pixels to the coordinates that will be written.
    """

    truth: NDArray[np.object_]
    least: NDArray[np.float64]
    before: NDArray[np.object_]
    allowed: NDArray[np.float64]
    to_map: Move

    @classmethod
    def of(cls, traced: Network, faithful: Network, allowed: NDArray[np.float64], to_map: Move) -> "_Judge":
        """The measure of outlines made of these."""
        truth, before = traced.shapes()[0], faithful.shapes()[0]
        return cls(truth, _iou(before, truth) - _LOSS, _stretched(before, allowed), allowed, to_map)

    def rejects(self, network: Network) -> NDArray[np.bool_]:
        """Which polygons are broken, too far off or no longer like the traced ones."""
        shapes, rejected = network.shapes()[0], faults(network, self.to_map)
        sound = np.flatnonzero(~rejected)
        rejected[sound] = _iou(shapes[sound], self.truth[sound]) < self.least[sound]
        before, after = self.before[sound], _stretched(shapes[sound], self.allowed)
        rejected[sound] |= ~(_is_near(after, before) & _is_near(before, after))
        return rejected


def _corners_of_polygons(network: Network, corner: Indices) -> tuple[Indices, Indices]:
    """Polygons, and the corners that they have, in pairs."""
    counts = np.diff(network.offsets)[network.use]
    at = corner[spans(network.offsets[:-1][network.use], counts)]
    return np.repeat(network.polygon_of_use, counts), at


def _straightened(network: Network) -> Network:
    """The network without points between walls that have become one, and without walls that have no length left."""
    lines = shapely.linestrings(network.points, indices=network.arc_of_point)
    points, arc = shapely.get_coordinates(
        shapely.simplify(lines, _STRAIGHT, preserve_topology=False), return_index=True
    )
    return replace(network, points=points, offsets=np.searchsorted(arc, np.arange(len(network.offsets))))


def _stretched(shapes: NDArray[np.object_], unit: NDArray[np.float64]) -> NDArray[np.object_]:
    """The outlines with `unit` pixels as one."""
    return np.asarray(shapely.boundary(shapely.transform(shapes, lambda xy: xy / unit)), dtype=object)


def _is_near(lines: NDArray[np.object_], others: NDArray[np.object_]) -> NDArray[np.bool_]:
    """Whether each line lies within 1 of another one."""
    return np.asarray(shapely.covers(shapely.buffer(others, 1, quad_segs=4), lines), dtype=bool)


def _iou(shapes: NDArray[np.object_], truth: NDArray[np.object_]) -> NDArray[np.float64]:
    common = shapely.area(shapely.intersection(shapes, truth))
    ratio: NDArray[np.float64] = common / (shapely.area(shapes) + shapely.area(truth) - common)
    return ratio
