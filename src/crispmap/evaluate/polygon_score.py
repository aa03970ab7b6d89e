"""How well predicted polygons follow true ones: overlaps, the PoLiS distance and the number of vertices."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import Polygon, STRtree

from crispmap.errors import InputError
from crispmap.functional.object_score import Overlaps, matched_pairs

Polygons = Sequence[Polygon] | NDArray[np.object_]


def polygon_overlaps(pred_polygons: Polygons, true_polygons: Polygons) -> Overlaps:
    """Measures polygons and the areas they share.

    Polygons that touch but share no area do not overlap. Those of one side may overlap each other.

    Args:
        pred_polygons: P polygons, valid and not empty.
        true_polygons: T polygons in the same coordinates.

    Returns:
        The table, areas in square units of the coordinates; `crispmap.functional.match_objects` counts.

    Raises:
        InputError: If something is not a polygon, empty or invalid.
    """
    pred, true = _checked("predicted", pred_polygons), _checked("true", true_polygons)
    pairs = STRtree(true).query(pred, predicate="intersects").T.astype(np.int64)
    pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
    areas = shapely.area(shapely.intersection(pred[pairs[:, 0]], true[pairs[:, 1]]))
    shared = areas > 0
    return Overlaps(shapely.area(pred), shapely.area(true), pairs[shared], areas[shared])


def matched_polygons(overlaps: Overlaps, iou: float = 0.5) -> NDArray[np.int64]:
    """Pairs of polygons that match, one-to-one in falling order of their IoU.

    Args:
        overlaps: From `polygon_overlaps`.
        iou: From which on two polygons match, greater than 0 and at most 1.

    Returns:
        Indices (predicted, true), (M, 2), in rising order.

    Raises:
        SettingError: If the IoU is out of range.
    """
    return matched_pairs(overlaps, iou)


def polis(a: Polygon, b: Polygon) -> float:
    """PoLiS distance of two polygons, see `polis_distances`."""
    return float(polis_distances([a], [b], np.zeros((1, 2), np.int64))[0])


def polis_distances(pred_polygons: Polygons, true_polygons: Polygons, pairs: NDArray[np.int64]) -> NDArray[np.float64]:
    """PoLiS distances: how far the outlines of polygons lie apart, vertex to outline.

    For A with q vertices a and B with r vertices b it is 1/(2q) Σ d(a, ∂B) + 1/(2r) Σ d(b, ∂A), where d is the
    distance to the nearest point of the outline (Avbelj, Müller & Bamler 2015, "A metric for polygon comparison and
    building extraction evaluation"). 0 is the same outline; a shift along a wall counts less than one across it.

    *Convention.* The vertex that closes a ring counts once. Rings of holes are outline, and their vertices count.

    Args:
        pred_polygons: Polygons, valid and not empty.
        true_polygons: Polygons in the same coordinates, whose scale must be the same in both directions.
        pairs: Indices (predicted, true), (M, 2), as of `matched_polygons`.

    Returns:
        The distance of each pair in units of the coordinates, (M,).

    Raises:
        InputError: If something is not a polygon, empty or invalid.
    """
    pred, true = _checked("predicted", pred_polygons)[pairs[:, 0]], _checked("true", true_polygons)[pairs[:, 1]]
    return (_mean_distance(pred, true) + _mean_distance(true, pred)) / 2


def vertex_ratio(pred_polygons: Polygons, true_polygons: Polygons, pairs: NDArray[np.int64]) -> float:
    """Number of vertices of predicted polygons over that of their true partners, pooled.

    1 is as simple as the truth; traced steps and ragged outlines are well above it.

    *Convention.* Vertices are counted as in `polis_distances`. NaN without pairs.

    Args:
        pred_polygons: Polygons, valid and not empty.
        true_polygons: Polygons.
        pairs: Indices (predicted, true), (M, 2), as of `matched_polygons`.

    Returns:
        The ratio, greater than 0.

    Raises:
        InputError: If something is not a polygon, empty or invalid.
    """
    if not len(pairs):
        return float("nan")
    pred, true = _checked("predicted", pred_polygons)[pairs[:, 0]], _checked("true", true_polygons)[pairs[:, 1]]
    return float(vertex_counts(pred).sum() / vertex_counts(true).sum())


def vertex_counts(polygons: Polygons) -> NDArray[np.int64]:
    """Number of vertices of each polygon, holes included, those that close a ring once; int64, (P,)."""
    rings = 1 + shapely.get_num_interior_rings(polygons)
    return np.asarray(shapely.get_num_coordinates(polygons) - rings, np.int64)


def _mean_distance(polygons: NDArray[np.object_], others: NDArray[np.object_]) -> NDArray[np.float64]:
    """The mean distance of each polygon's vertices to the outline of its partner."""
    points, owner = _vertices(polygons)
    distances = shapely.distance(points, shapely.boundary(others)[owner])
    return np.bincount(owner, distances, len(polygons)) / np.bincount(owner, minlength=len(polygons))


def _vertices(polygons: NDArray[np.object_]) -> tuple[NDArray[np.object_], NDArray[np.intp]]:
    """All vertices as points, those that close a ring once, and the index of each one's polygon."""
    rings, owner = shapely.get_rings(polygons, return_index=True)
    coordinates, ring = shapely.get_coordinates(rings, return_index=True)
    is_first = np.ones(len(ring), bool)
    is_first[1:] = ring[1:] != ring[:-1]
    points: NDArray[np.object_] = np.asarray(shapely.points(coordinates[~is_first]))
    return points, owner[ring[~is_first]]


def _checked(side: str, polygons: Polygons) -> NDArray[np.object_]:
    found = np.empty(len(polygons), object)
    found[:] = polygons
    is_polygon = shapely.get_type_id(found) == shapely.GeometryType.POLYGON
    fit = is_polygon & ~shapely.is_empty(found) & shapely.is_valid(found)
    if not fit.all():
        i = int(np.argmin(fit))
        raise InputError(f"{side} polygon {i} {_fault(found[i])}; give valid polygons, parts of several one by one")
    return found


def _fault(geometry: Any) -> str:
    if not isinstance(geometry, Polygon):
        return "is missing" if geometry is None else f"is a {geometry.geom_type}"
    return "is empty" if geometry.is_empty else f"is invalid ({shapely.is_valid_reason(geometry)})"
