"""Polygons read from their file as windows of a raster ask for them."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import rasterio
import shapely

from crispmap.geo.grid import Bounds, Placed, moved_bounds
from crispmap.geo.raster import Window
from crispmap.geo.vector import Footprints, check_crs, window_outline
from crispmap.geo.vector_file import read_features, summarize

_LEAST_ROWS = 2048  # of a band
_MOST_BANDS = 32
_BENT = 300.0  # metres by which long edges may leave their straight way when they are moved to another CRS


class _Band(NamedTuple):
    """Rows of a raster, and the polygons that touch them."""

    crs: rasterio.CRS | None
    transform: rasterio.Affine
    window: Window
    footprints: Footprints


class VectorSource:
    """A file of polygons that goes with one raster or with many.

    Files with a spatial index (GeoPackage, FlatGeobuf, Shapefile, GeoParquet with a covering) are read in bands of
    rows, of which one is held, so that memory follows the ground of a band and not that of the file; windows are best
    asked for from the top. Other files are read once and held.

    Attributes:
        path: The file.
        crs: Its coordinate reference system, or None.
        bounds: The bounds of what it holds, in its CRS; None if it holds nothing.
        has_polygons: Whether any polygon has been read.
    """

    def __init__(self, path: str | Path) -> None:
        """Looks at the file.

        Raises:
            InputError: If it cannot be read, or has several layers of polygons.
        """
        self.path = Path(path)
        self.has_polygons = False
        self._band: _Band | None = None
        self._repaired: frozenset[int] = frozenset()
        self._dropped: frozenset[int] = frozenset()
        summary = summarize(self.path)
        self._whole: Footprints | None = None
        self.crs: rasterio.CRS | None
        self.bounds: Bounds | None
        if summary is None:
            self._whole = Footprints.read(self.path)
            self.crs = self._whole.crs
            self.bounds = (
                tuple(shapely.total_bounds(self._whole.polygons).tolist()) if len(self._whole.polygons) else None
            )
            self._count(self._whole)
        else:
            self.crs, self.bounds = summary.crs, summary.bounds

    @property
    def repaired(self) -> int:
        """How many of the features read so far had an invalid ring that was repaired."""
        return len(self._repaired)

    @property
    def dropped(self) -> int:
        """How many of the features read so far were left out: they have no area, or no place in the raster's CRS."""
        return len(self._dropped)

    def near(self, raster: Placed, window: Window) -> Footprints:
        """The polygons that touch a window, and others around, in the raster's CRS.

        Args:
            raster: The raster.
            window: The window, which may reach beyond the raster.

        Raises:
            InputError: If the file cannot be read.
            PairingError: If one side has a CRS and the other has none.
        """
        if self._whole is not None:
            found = self._whole.on(raster)
            self._count(found)
            return found
        band = self._band
        if (
            band is None
            or (band.crs, band.transform) != (raster.crs, raster.transform)
            or window.intersection(band.window) != window
        ):
            around = _around(raster, window)
            band = self._band = _Band(raster.crs, raster.transform, around, self._read(raster, around))
        return band.footprints

    def forget(self) -> None:
        """Lets go of the band that is held."""
        self._band = None

    def touches(self, raster: Placed) -> bool:
        """Whether any polygon touches the raster; errors are those of `near`."""
        return self.bounds is not None and any(
            len(self.near(raster, band).within(raster, band).polygons) for band in _bands(raster)
        )

    def _read(self, raster: Placed, window: Window) -> Footprints:
        check_crs(self, raster)
        box = _search_box(raster, window, self.crs)
        found = Footprints.of(self.path, read_features(self.path, box)).on(raster)
        self._count(found)
        return found

    def _count(self, found: Footprints) -> None:
        self._repaired |= found.repaired_features
        self._dropped |= found.dropped_features
        self.has_polygons |= len(found.polygons) > 0


def _rows_of_band(raster: Placed) -> int:
    return max(_LEAST_ROWS, math.ceil(raster.height / _MOST_BANDS))


def _bands(raster: Placed) -> Iterator[Window]:
    step = _rows_of_band(raster)
    for row in range(0, raster.height, step):
        yield Window(row, 0, min(step, raster.height - row), raster.width)


def _around(raster: Placed, window: Window) -> Window:
    """The bands that a window lies in."""
    step = _rows_of_band(raster)
    top = window.row // step * step
    bottom = -(-(window.row + window.height) // step) * step
    left, right = min(0, window.col), max(raster.width, window.col + window.width)
    return Window(top, left, bottom - top, right - left)


def _search_box(raster: Placed, window: Window, crs: rasterio.CRS | None) -> Bounds | None:
    """A box in another CRS that holds what touches a window; None for the whole world."""
    ground: Bounds = window_outline(raster, window).bounds
    if crs is None or crs == raster.crs:
        return ground
    west, south, east, north = moved_bounds(ground, raster.crs, crs)
    if not all(map(math.isfinite, (west, south, east, north))) or west > east:  # a pole, or the date line
        return None
    bent = _BENT / 111_000 if crs.is_geographic else _BENT / crs.linear_units_factor[1]
    margin = 0.05 * max(east - west, north - south) + bent
    return west - margin, south - margin, east + margin, north + margin
