"""Footprints: polygons read in the CRS of a raster, and burnt into its grid."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import geopandas as gpd
import numpy as np
import rasterio
import shapely
from numpy.typing import NDArray
from pyproj.exceptions import ProjError
from rasterio.features import rasterize
from shapely import Polygon

from crispmap.errors import InputError, PairingError
from crispmap.geo.grid import Placed, Referenced
from crispmap.geo.raster import Window
from crispmap.geo.vector_file import VECTOR_SUFFIXES, Features, read_features

__all__ = ["VECTOR_SUFFIXES", "Footprints", "check_crs", "window_outline"]

_PART_BITS = 24  # of a polygon's id say which part of its feature it is
_SNAP = 2.0**20
_SLIVER = 1e-6  # of a polygon, up to which a part is what rounding has cut off


@dataclass(frozen=True)
class Footprints:
    """Polygons in map coordinates.

    Attributes:
        path: Where they come from.
        polygons: Valid, non-empty polygons, (n,), as an object array in the order of the file.
        ids: Numbers above 0 that tell them apart, (n,), int64, ascending, and the same whatever else of the file is
            read. Parts into which a polygon falls where it is moved to another CRS share its number.
        crs: Their coordinate reference system, or None.
        repaired_features: The numbers of the features that had an invalid ring, in the file or after their way to the
            CRS of the raster; it was repaired.
        dropped_features: Those of features that were left out: points, lines, empty ones and those without an area,
            or without a place in the CRS of the raster.
    """

    path: Path
    polygons: NDArray[np.object_]
    ids: NDArray[np.int64]
    crs: rasterio.CRS | None
    repaired_features: frozenset[int] = frozenset()
    dropped_features: frozenset[int] = frozenset()
    _moved: dict[str, "Footprints"] = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def read(cls, path: str | Path) -> "Footprints":
        """Reads every polygon of a file; parts of multipolygons become polygons of their own.

        Raises:
            InputError: If the file cannot be read, or has several layers of polygons.
        """
        path = Path(path)
        return cls.of(path, read_features(path))

    @classmethod
    def of(cls, path: Path, features: Features) -> "Footprints":
        """The polygons of features.

        Raises:
            InputError: If the numbers of the features are too large.
        """
        geometries, numbers, crs = features
        polygons, owner, repaired = _mended(_finite(geometries))
        dropped = np.ones(len(numbers), bool)
        dropped[owner] = False
        return cls(
            path,
            polygons,
            _polygon_ids(path, numbers, owner),
            crs,
            repaired_features=frozenset(numbers[repaired].tolist()),
            dropped_features=frozenset(numbers[dropped].tolist()),
        )

    @property
    def repaired(self) -> int:
        """How many features had an invalid ring that was repaired."""
        return len(self.repaired_features)

    @property
    def dropped(self) -> int:
        """How many features were left out."""
        return len(self.dropped_features)

    def on(self, raster: Placed) -> "Footprints":
        """These polygons in the raster's CRS; they are moved there once for all rasters in it.

        Raises:
            PairingError: If one side has a CRS and the other has none.
        """
        check_crs(self, raster)
        if self.crs == raster.crs:
            return self
        crs = str(raster.crs)
        if crs not in self._moved:
            self._moved[crs] = self._to(raster.crs)
        return self._moved[crs]

    def _to(self, crs: rasterio.CRS) -> "Footprints":
        try:
            moved = gpd.GeoSeries(self.polygons, crs=self.crs).to_crs(crs).to_numpy()
        except ProjError as error:
            raise PairingError(
                f"{self.path} is in {self.crs}, from which there is no way to {crs}; is one of the CRSs wrong?"
            ) from error
        # straight edges bend on the way, so a courtyard that touched a wall may now reach through it
        polygons, owner, repaired = _mended(_finite(moved))
        area = shapely.area(polygons)
        whole = area > _SLIVER * np.bincount(owner, area, len(moved))[owner]
        polygons, owner = polygons[whole], owner[whole]
        dropped = np.ones(len(moved), bool)
        dropped[owner] = False
        return Footprints(
            self.path,
            polygons,
            self.ids[owner],
            crs,
            self.repaired_features | _features_of(self.ids[repaired]),
            self.dropped_features | _features_of(self.ids[dropped]),
        )

    @cached_property
    def tree(self) -> shapely.STRtree:
        """The polygons by place."""
        return shapely.STRtree(self.polygons)

    def within(self, raster: Placed, window: Window | None = None) -> "Footprints":
        """Those that touch a raster, or a window of it; they must be in its CRS."""
        hit = self._touching(raster, window or raster.window)
        return Footprints(
            self.path, self.polygons[hit], self.ids[hit], self.crs, self.repaired_features, self.dropped_features
        )

    def _touching(self, raster: Placed, window: Window) -> NDArray[np.int64]:
        return np.sort(self.tree.query(window_outline(raster, window), predicate="intersects"))

    def in_pixels(self, raster: Placed) -> list[Polygon]:
        """These polygons in the pixel coordinates of a raster, x the column and y the row; they must be in its CRS."""
        t = ~raster.transform
        moved = shapely.transform(self.polygons, lambda xy: np.column_stack(t @ (xy[:, 0], xy[:, 1])))
        return list(moved)

    def cover(self, raster: Placed, pixels: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which pixels (row, column) of the raster, shaped (n, 2), have their centres in a polygon."""
        xs, ys = raster.transform @ (pixels[:, 1] + 0.5, pixels[:, 0] + 0.5)
        inside = np.zeros(len(pixels), bool)
        for polygon in self.polygons:
            inside |= shapely.contains_xy(polygon, xs, ys)
        return inside

    def burn(self, raster: Placed, window: Window | None = None) -> NDArray[np.bool_]:
        """The pixels of a window of the raster whose centres lie in a polygon; they must be in its CRS.

        *Convention.* A window has the pixels that it has in the whole raster, whatever of the polygons lies beyond.
        """
        window = window or raster.window
        near = self._touching(raster, window)
        return self._painted(raster, window, near, [1] * len(near), "uint8").astype(bool)

    def burn_ids(self, raster: Placed, window: Window | None = None) -> NDArray[np.int64]:
        """The ids of the polygons in which the centres of a window's pixels lie; they must be in the raster's CRS.

        *Convention.* 0 is the background; where polygons overlap, the later one in the file is seen. The foreground
        is that of `burn`.
        """
        window = window or raster.window
        near = self._touching(raster, window)
        places = self._painted(raster, window, near, range(1, len(near) + 1), "int32")
        ids: NDArray[np.int64] = np.concatenate([[0], self.ids[near]])[places]
        return ids

    def _painted(
        self, raster: Placed, window: Window, near: NDArray[np.int64], values: Sequence[int], dtype: str
    ) -> NDArray[Any]:
        if not len(near):
            return np.zeros((window.height, window.width), dtype)
        inverse = ~raster.transform

        def to_window(xy: NDArray[np.float64]) -> NDArray[np.float64]:
            pixels = np.column_stack(inverse @ (xy[:, 0], xy[:, 1]))
            # to a millionth of a pixel: what is left of rounding then cannot tell one window from another
            snapped: NDArray[np.float64] = np.round(pixels * _SNAP) / _SNAP - (window.col, window.row)
            return snapped

        polygons = shapely.transform(self.polygons[near], to_window)
        painted: NDArray[Any] = rasterize(
            zip(polygons, values, strict=True), out_shape=(window.height, window.width), dtype=dtype
        )
        return painted


def check_crs(one: Referenced, other: Referenced) -> None:
    """Checks that one can be brought to the other.

    Raises:
        PairingError: If one has a CRS and the other has none.
    """
    if (one.crs is None) != (other.crs is None):
        lacking, known = (one, other) if one.crs is None else (other, one)
        raise PairingError(
            f"{lacking.path} has no CRS but {known.path} is in {known.crs}; assign the CRS to the former"
        )


def window_outline(raster: Placed, window: Window) -> Polygon:
    """The window's outline in map coordinates."""
    rows = [window.row, window.row, window.row + window.height, window.row + window.height]
    cols = [window.col, window.col + window.width, window.col + window.width, window.col]
    return Polygon([raster.transform @ (col, row) for row, col in zip(rows, cols, strict=True)])


class _Mended(NamedTuple):
    """Valid polygons made of n geometries."""

    polygons: NDArray[np.object_]  # (p,), each with an area
    owner: NDArray[np.intp]  # (p,), which of the geometries each is from, in rising order
    repaired: NDArray[np.bool_]  # (n,), which of the geometries were invalid


def _mended(geometries: NDArray[np.object_]) -> _Mended:
    """The polygons that geometries consist of, those of invalid ones as GEOS makes them valid."""
    invalid = ~shapely.is_valid(geometries) & ~shapely.is_missing(geometries)
    if invalid.any():
        geometries = geometries.copy()
        geometries[invalid] = shapely.make_valid(geometries[invalid])
    parts, place = shapely.get_parts(shapely.get_parts(geometries), return_index=True)
    owner = np.repeat(np.arange(len(geometries)), shapely.get_num_geometries(geometries))[place]
    keep = (shapely.get_type_id(parts) == shapely.GeometryType.POLYGON) & (shapely.area(parts) > 0)
    return _Mended(parts[keep], owner[keep], invalid)


def _finite(geometries: NDArray[np.object_]) -> NDArray[np.object_]:
    """None in the place of geometries with a coordinate that is no finite number, which GEOS cannot judge."""
    coordinates, owner = shapely.get_coordinates(geometries, return_index=True)
    endless = np.zeros(len(geometries), bool)
    endless[owner[~np.isfinite(coordinates).all(axis=1)]] = True
    if not endless.any():
        return geometries
    kept = geometries.copy()
    kept[endless] = None
    return kept


def _features_of(ids: NDArray[np.int64]) -> frozenset[int]:
    """The numbers of the features that polygons are from."""
    return frozenset((ids >> _PART_BITS).tolist())


def _polygon_ids(path: Path, numbers: NDArray[np.int64], owner: NDArray[np.intp]) -> NDArray[np.int64]:
    """An id for each part: the number of its feature, then its place among the feature's parts."""
    first = np.searchsorted(owner, owner)  # owners ascend
    part = np.arange(len(owner)) - first
    own = numbers[owner]
    if len(own) and (own.min() < 0 or own.max() >= 2 ** (63 - _PART_BITS) or part.max() >= 2**_PART_BITS - 1):
        raise InputError(
            f"{path} numbers its features from {own.min()} to {own.max()} and has up to {part.max() + 1} polygons in "
            "one; give a file with numbers from 0 to 10¹¹, as ogr2ogr -unsetFid writes it"
        )
    return (own << _PART_BITS) + part + 1
