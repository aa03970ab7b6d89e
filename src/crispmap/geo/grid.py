"""Grids: pixels on the ground, be they those of a file or laid where polygons are compared with polygons."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import geopandas as gpd
import rasterio
from rasterio._err import CPLE_BaseError
from rasterio.warp import transform_bounds
from shapely import box

from crispmap.errors import InputError
from crispmap.geo.metres import pixel_size
from crispmap.geo.raster import Window

Bounds = tuple[float, float, float, float]

_MARGIN = 1.0  # metres around what is compared, so that outlines at its edge have a background beyond
_MOST_PIXELS = 10**11


class Referenced(Protocol):
    """What has coordinates: rasters, grids, polygons."""

    @property
    def path(self) -> Path:
        """The file."""

    @property
    def crs(self) -> rasterio.CRS | None:
        """What its coordinates refer to."""


class Placed(Referenced, Protocol):
    """What a raster and a grid have in common: pixels, and their place."""

    @property
    def height(self) -> int:
        """Rows."""

    @property
    def width(self) -> int:
        """Columns."""

    @property
    def transform(self) -> rasterio.Affine:
        """Pixel (column, row) to map coordinates."""

    @property
    def window(self) -> Window:
        """The whole of it."""


@dataclass(frozen=True)
class Grid:
    """Square pixels, north up, that no file holds.

    Attributes:
        path: The file whose CRS it has, or whose place.
        height: Rows.
        width: Columns.
        transform: Pixel (column, row) to map coordinates.
        crs: The coordinate reference system, or None.
    """

    path: Path
    height: int
    width: int
    transform: rasterio.Affine
    crs: rasterio.CRS | None

    @classmethod
    def over(cls, path: Path, bounds: Bounds, crs: rasterio.CRS | None, resolution: float) -> "Grid":
        """Lays a grid over bounds and a metre around them, its lines at multiples of the resolution.

        Args:
            path: The file that stands for it in messages.
            bounds: West, south, east and north in `crs`.
            crs: A CRS in metres, or None.
            resolution: The side of a pixel in units of the CRS.

        Raises:
            InputError: If it would have more than 10¹¹ pixels.
        """
        west, south = (math.floor((low - _MARGIN) / resolution) for low in bounds[:2])
        east, north = (math.ceil((high + _MARGIN) / resolution) for high in bounds[2:])
        height, width = north - south, east - west
        if height * width > _MOST_PIXELS:
            raise InputError(
                f"{path} and what it is compared with lie in {width * resolution:,.0f} × {height * resolution:,.0f} m: "
                f"{height * width:.1e} pixels of {resolution:g} m; give an --area or a coarser --resolution"
            )
        scale = rasterio.Affine.scale(resolution, -resolution)
        transform = rasterio.Affine.translation(west * resolution, north * resolution) @ scale
        return cls(path, height, width, transform, crs)

    @property
    def window(self) -> Window:
        """The whole of it."""
        return Window(0, 0, self.height, self.width)

    @property
    def located(self) -> bool:
        """Whether it has a place on the ground."""
        return self.crs is not None and (self.crs.is_projected or self.crs.is_geographic)

    @property
    def pixel_size(self) -> tuple[float, float] | None:
        """Metres on the ground from row to row and from column to column; None if unknown."""
        if self.crs is None or not self.located:
            return None
        return pixel_size(self.path, self.transform, self.crs, (self.height, self.width))

    @property
    def resolution(self) -> float | None:
        """The side of a pixel on the ground in metres; None if unknown."""
        return None if self.pixel_size is None else math.sqrt(math.prod(self.pixel_size))


def metric_crs(path: Path, crs: rasterio.CRS | None, bounds: Bounds) -> rasterio.CRS | None:
    """The CRS itself where a unit of it is a metre on the ground, or it has no place; else the UTM zone.

    *Convention.* Both are judged at the middle of the bounds. Near the poles, where there is no UTM, a CRS in metres
    stays what it is.

    Args:
        path: The file that stands for it in messages.
        crs: The coordinate reference system, or None.
        bounds: West, south, east and north in it.

    Raises:
        InputError: If their middle is no place on the earth, or no UTM zone is there and the CRS not in metres.
    """
    if crs is None or not (crs.is_projected or crs.is_geographic):
        return crs
    in_metres = crs.is_projected and crs.linear_units_factor[1] == 1
    if in_metres and pixel_size(path, _at_middle(bounds), crs, (0, 0)) == (1, 1):
        return crs
    try:
        return rasterio.CRS.from_user_input(gpd.GeoSeries([box(*bounds)], crs=crs).estimate_utm_crs())
    except RuntimeError as error:
        if in_metres:  # of a pole, as a rule; lengths are measured on the ground wherever they matter
            return crs
        raise InputError(f"{path} lies in no UTM zone; reproject it to a CRS in metres") from error


def _at_middle(bounds: Bounds) -> rasterio.Affine:
    """Pixels of one unit that begin in the middle of bounds."""
    west, south, east, north = bounds
    return rasterio.Affine.translation((west + east) / 2, (south + north) / 2)


def moved_bounds(bounds: Bounds, source: rasterio.CRS | None, target: rasterio.CRS | None) -> Bounds:
    """Bounds in another CRS, wide enough for what bends on the way; not finite where they have no place there."""
    if source == target:
        return bounds
    try:
        moved: Bounds = transform_bounds(source, target, *bounds, densify_pts=21)
    except (rasterio.errors.CRSError, CPLE_BaseError):  # rasterio gives some of GDAL's own errors as they are
        return (math.nan,) * 4
    return moved
