"""Outlines on the ground: from pixels to the map, and their measures in metres."""

import numpy as np
import shapely
from numpy.typing import NDArray

from crispmap.geo.degrees import to_degrees
from crispmap.geo.raster import Raster
from crispmap.vectorize.topology import Move

_SEMI_MAJOR, _ECCENTRICITY_2 = 6_378_137.0, 0.00669437999014  # WGS 84


def to_map(raster: Raster) -> Move:
    """From pixels (column, row) to the raster's CRS."""
    return lambda xy: np.stack(raster.transform @ xy.T, axis=-1)


def on_map(shapes: NDArray[np.object_], raster: Raster) -> NDArray[np.object_]:
    """Polygons in pixels (column, row) moved to the raster's CRS."""
    return moved(shapes, to_map(raster))


def measures(shapes: NDArray[np.object_], raster: Raster) -> dict[str, NDArray[np.float64]]:
    """Area, perimeter and orientation of polygons in pixels.

    Returns:
        ``area_m2`` and ``perimeter_m`` (holes' outlines count), true on the ground in every CRS; ``area_px`` and
        ``perimeter_px`` where the raster has no place there. ``orientation``: of the longer side of the least
        rectangle around the polygon, in degrees clockwise from true north (from the raster's upper edge where it has
        no place), in [0, 180).
    """
    if raster.located:
        flat, area, perimeter = _in_local_metres(on_map(shapes, raster), raster), "area_m2", "perimeter_m"
    else:
        flat, area, perimeter = moved(shapes, lambda xy: xy * (1, -1)), "area_px", "perimeter_px"
    return {area: shapely.area(flat), perimeter: shapely.length(flat), "orientation": _orientation(flat)}


def _in_local_metres(polygons: NDArray[np.object_], raster: Raster) -> NDArray[np.object_]:
    """Each polygon in metres to the east and to the north of one of its points.

    Lengths of degrees are those at its middle latitude, along the ellipsoid: within a building, exact to a millionth.
    """
    degrees_of = to_degrees(raster.crs)
    degrees = moved(polygons, lambda xy: np.stack(degrees_of.transform(*xy.T), axis=-1))
    points, owner = shapely.get_coordinates(degrees, return_index=True)
    first = np.searchsorted(owner, np.arange(len(polygons)))
    bounds = shapely.bounds(degrees)
    latitude = np.radians((bounds[:, 1] + bounds[:, 3]) / 2)
    root = np.sqrt(1 - _ECCENTRICITY_2 * np.sin(latitude) ** 2)
    east = np.radians(_SEMI_MAJOR / root * np.cos(latitude))
    north = np.radians(_SEMI_MAJOR * (1 - _ECCENTRICITY_2) / root**3)
    offset = points - points[first][owner]
    offset[:, 0] = (offset[:, 0] + 180) % 360 - 180  # across the antimeridian
    return np.asarray(shapely.set_coordinates(degrees, offset * np.stack([east, north], axis=1)[owner]), dtype=object)


def _orientation(flat: NDArray[np.object_]) -> NDArray[np.float64]:
    corners = shapely.get_coordinates(shapely.oriented_envelope(flat)).reshape(-1, 5, 2)
    sides = np.diff(corners[:, :3], axis=1)
    longer = np.hypot(*np.moveaxis(sides, -1, 0)).argmax(axis=1)
    east, north = sides[np.arange(len(sides)), longer].T
    degrees: NDArray[np.float64] = np.degrees(np.arctan2(east, north)) % 180
    return degrees


def moved(shapes: NDArray[np.object_], move: Move) -> NDArray[np.object_]:
    """Polygons with their coordinates, (n, 2), elsewhere."""
    return np.asarray(shapely.transform(shapes, move), dtype=object)
