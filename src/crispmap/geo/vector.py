"""Footprints: polygons read in the CRS of a raster, burnt into its grid, and written with attributes."""

import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pyogrio
import rasterio
import shapely
from numpy.typing import NDArray
from rasterio.features import rasterize
from shapely import Polygon

from crispmap.errors import InputError, PairingError
from crispmap.geo.raster import Raster, Window

VECTOR_SUFFIXES = (".gpkg", ".geojson", ".json", ".shp", ".fgb")


@dataclass(frozen=True)
class Footprints:
    """Polygons in map coordinates.

    Attributes:
        path: Where they come from.
        polygons: Valid, non-empty polygons, as an object array.
        crs: Their coordinate reference system, or None.
        repaired: How many features had an invalid ring that was repaired.
        dropped: How many features were left out: points, lines, empty ones and those without an area.
    """

    path: Path
    polygons: NDArray[np.object_]
    crs: rasterio.CRS | None
    repaired: int = 0
    dropped: int = 0
    _moved: dict[str, "Footprints"] = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def read(cls, path: str | Path) -> "Footprints":
        """Reads every polygon of a file; parts of multipolygons become polygons of their own.

        Raises:
            InputError: If the file cannot be read, or has several layers of polygons.
        """
        path = Path(path)
        try:
            geometry = gpd.read_file(path, layer=_polygon_layer(path), columns=[]).geometry
        except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, AttributeError) as error:
            raise InputError(f"{path} cannot be read as vectors; is it whole? ({error})") from error
        crs = None if geometry.crs is None else rasterio.CRS.from_user_input(geometry.crs)
        features = shapely.force_2d(geometry.to_numpy())
        invalid = ~shapely.is_valid(features) & ~shapely.is_missing(features)
        features[invalid] = shapely.make_valid(features[invalid])
        parts, feature = shapely.get_parts(shapely.get_parts(features), return_index=True)
        owner = np.repeat(np.arange(len(features)), shapely.get_num_geometries(features))[feature]
        keep = (shapely.get_type_id(parts) == shapely.GeometryType.POLYGON) & (shapely.area(parts) > 0)
        kept = len(np.unique(owner[keep]))
        return cls(path, parts[keep], crs, repaired=int(invalid.sum()), dropped=len(features) - kept)

    def on(self, raster: Raster) -> "Footprints":
        """These polygons in the raster's CRS; they are moved there once for all rasters in it.

        Raises:
            PairingError: If one side has a CRS and the other has none.
        """
        if (self.crs is None) != (raster.crs is None):
            lacking, other, crs = (
                (self.path, raster.path, raster.crs) if self.crs is None else (raster.path, self.path, self.crs)
            )
            raise PairingError(f"{lacking} has no CRS but {other} is in {crs}; assign the CRS to the former")
        if self.crs == raster.crs:
            return self
        crs = str(raster.crs)
        if crs not in self._moved:
            self._moved[crs] = self._to(raster.crs)
        return self._moved[crs]

    def _to(self, crs: rasterio.CRS) -> "Footprints":
        moved = gpd.GeoSeries(self.polygons, crs=self.crs).to_crs(crs).to_numpy()
        sound = np.array([bool(shapely.is_valid(p)) and np.isfinite(p.bounds).all() for p in moved], bool)
        dropped = self.dropped + int((~sound).sum())
        return Footprints(self.path, moved[sound], crs, self.repaired, dropped)

    def within(self, raster: Raster, window: Window | None = None) -> "Footprints":
        """Those that touch a raster, or a window of it; they must be in its CRS."""
        ground = window_outline(raster, window or raster.window)
        hit = shapely.intersects(ground, self.polygons)
        return Footprints(self.path, self.polygons[hit], self.crs, self.repaired, self.dropped)

    def in_pixels(self, raster: Raster) -> list[Polygon]:
        """These polygons in the pixel coordinates of a raster, x the column and y the row; they must be in its CRS."""
        t = ~raster.transform
        moved = shapely.transform(self.polygons, lambda xy: np.column_stack(t @ (xy[:, 0], xy[:, 1])))
        return list(moved)

    def cover(self, raster: Raster, pixels: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which pixels (row, column) of the raster, shaped (n, 2), have their centres in a polygon."""
        xs, ys = raster.transform @ (pixels[:, 1] + 0.5, pixels[:, 0] + 0.5)
        inside = np.zeros(len(pixels), bool)
        for polygon in self.polygons:
            inside |= shapely.contains_xy(polygon, xs, ys)
        return inside

    def burn(self, raster: Raster, window: Window | None = None) -> NDArray[np.bool_]:
        """The pixels of a window of the raster whose centres lie in a polygon; they must be in its CRS."""
        window = window or raster.window
        near = self.within(raster, window).polygons
        if not len(near):
            return np.zeros((window.height, window.width), bool)
        transform = raster.transform @ rasterio.Affine.translation(window.col, window.row)
        burnt: NDArray[np.uint8] = rasterize(
            near.tolist(), out_shape=(window.height, window.width), transform=transform, dtype="uint8"
        )
        return burnt.astype(bool)


def window_outline(raster: Raster, window: Window) -> Polygon:
    """The window's outline in map coordinates."""
    rows = [window.row, window.row, window.row + window.height, window.row + window.height]
    cols = [window.col, window.col + window.width, window.col + window.width, window.col]
    return Polygon([raster.transform @ (col, row) for row, col in zip(rows, cols, strict=True)])


def write_vectors(path: str | Path, polygons: NDArray[Any], attributes: dict[str, Any], crs: Any) -> None:
    """Writes polygons with attributes as a layer "footprints"; no polygons make an empty layer."""
    frame = gpd.GeoDataFrame(attributes, geometry=gpd.GeoSeries(polygons, crs=crs), crs=crs)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "'crs' was not provided")  # rasters without a place are welcome
        frame.to_file(path, layer="footprints", geometry_type="Polygon")


def _polygon_layer(path: Path) -> str | None:
    layers = [
        name for name, kind in pyogrio.list_layers(path) if kind is None or "Polygon" in kind or kind == "Unknown"
    ]
    if len(layers) > 1:
        raise InputError(f"{path} has several layers ({', '.join(layers)}); give a file with one")
    return layers[0] if layers else None
