"""What lengths on a map are on the ground."""

import math
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyproj
import rasterio
from pyproj import Geod, Transformer
from pyproj.exceptions import ProjError

from crispmap.errors import InputError, one_line
from crispmap.geo.degrees import to_degrees

_CLOSE = 0.01  # how far lengths on a map may be off, as a share, and still be taken for those on the ground


def pixel_size(
    path: Path, transform: rasterio.Affine, crs: rasterio.CRS, shape: tuple[int, int]
) -> tuple[float, float]:
    """Metres on the ground from row to row and from column to column, at the centre of pixels shaped `shape`.

    *Convention.* They are measured along the ellipsoid: a metre of Mercator is half a metre at 60° north, and in
    projections of equal areas what rows gain columns lose. A projected CRS that is within a hundredth of that in both
    directions, such as UTM in and about its zone, is taken at its word.

    Args:
        path: The file that messages name.
        transform: Pixel (column, row) to map coordinates.
        crs: A projected or geographic CRS.
        shape: Height and width.

    Raises:
        InputError: If the centre has no place on the ground.
    """
    t = transform
    row, col = shape[0] / 2, shape[1] / 2
    xs, ys = zip(t @ (col, row), t @ (col, row + 1), t @ (col + 1, row), strict=True)
    way = _way_to_the_ground(crs)
    lon, lat = np.multiply(way.to_angles.transform(xs, ys), way.radians)
    _, _, sides = way.ellipsoid.inv([lon[0]] * 2, [lat[0]] * 2, lon[1:], lat[1:], radians=True)
    height, width = map(float, sides)
    if not 0 < min(height, width) <= max(height, width) < math.inf:
        raise InputError(f"{path} lies at {xs[0]:g}, {ys[0]:g}, which is no place in {crs}; is its CRS right?")
    if crs.is_projected:
        unit = crs.linear_units_factor[1]
        stated = math.hypot(t.b, t.e) * unit, math.hypot(t.a, t.d) * unit
        if np.allclose(stated, (height, width), rtol=_CLOSE, atol=0):
            return stated
    return height, width


class _Way(NamedTuple):
    """From a CRS to longitude and latitude."""

    to_angles: Transformer
    radians: float  # in one of the angles
    ellipsoid: Geod  # that they are on


@lru_cache(maxsize=64)
def _way_to_the_ground(crs: rasterio.CRS) -> _Way:
    """A projected CRS's own angles, without the change of datum that may differ from one pixel to the next."""
    if not crs.is_projected:
        return _Way(to_degrees(crs), math.radians(1), Geod(ellps="WGS84"))
    try:
        projected = pyproj.CRS.from_user_input(crs)
        angles, ellipsoid = projected.geodetic_crs, projected.get_geod()
        assert angles is not None, "a projected CRS is made of another one"
        assert ellipsoid is not None, "and that has an ellipsoid"
        to_angles = Transformer.from_crs(projected, angles, always_xy=True)
    except ProjError as error:
        raise InputError(f"lengths in {crs} cannot be told ({one_line(error)}); reproject the file") from error
    return _Way(to_angles, angles.axis_info[0].unit_conversion_factor, ellipsoid)
