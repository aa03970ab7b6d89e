"""Vector files: their features, whole or by bounding box."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyogrio
import pyproj
import rasterio
import shapely
from numpy.typing import NDArray

from crispmap.errors import InputError, OutputError
from crispmap.geo.drivers import choose_vector_drivers
from crispmap.geo.geoparquet import GeoParquet
from crispmap.geo.grid import Bounds
from crispmap.input_file import check_input_file

VECTOR_SUFFIXES = (".gpkg", ".geojson", ".json", ".shp", ".fgb", ".parquet", ".geoparquet")

_PARQUET = (".parquet", ".geoparquet")
# of a damaged file, pyogrio's own errors (RuntimeError) are not all that may come
_FAILURES = (RuntimeError, ValueError, IndexError, OverflowError, shapely.errors.ShapelyError)
_BY_BOX = (".gpkg", ".shp", ".fgb")  # what else GDAL reads here is parsed whole at every look
_BEGINNINGS = (b"SQLite format 3\0", b"fgb", b"\0\0\x27\x0a", b"{")  # GeoPackage, FlatGeobuf, Shapefile, JSON
_COMMAND = b"gdal_streamed_alg"  # JSON of this type is a command line
_HEAD = 2**16


class Features(NamedTuple):
    """Some features of a file, in its order.

    Attributes:
        geometries: Geometries in two dimensions, (n,), object; None where there is none.
        numbers: Numbers that tell them apart, (n,), ascending, the same whatever else is read.
        crs: The coordinate reference system, or None.
    """

    geometries: NDArray[np.object_]
    numbers: NDArray[np.int64]
    crs: rasterio.CRS | None


class Summary(NamedTuple):
    """What a file says about itself.

    Attributes:
        crs: The coordinate reference system, or None.
        bounds: Their bounds; None where there are no features.
    """

    crs: rasterio.CRS | None
    bounds: Bounds | None


def summarize(path: Path) -> Summary | None:
    """Looks at a file that can be read by bounding box; None if it must be read whole.

    Raises:
        InputError: If the file cannot be read, or has several layers of polygons.
    """
    _check_file(path)
    if path.suffix.lower() in _PARQUET:
        file = GeoParquet(path)
        return None if file.boxes is None else Summary(file.crs, file.bounds)
    if path.suffix.lower() not in _BY_BOX:
        return None
    try:
        info = pyogrio.read_info(path, layer=_polygon_layer(path), force_feature_count=True, force_total_bounds=True)
    except _FAILURES as error:
        raise InputError(f"{path} cannot be read as vectors; is it whole? ({error})") from error
    if info["geometry_type"] is None:
        raise InputError(f"{path} holds a table without geometries; give polygons")
    bounds = info["total_bounds"] if info["features"] else None
    return Summary(_crs(path, info["crs"]), bounds)


def read_features(path: Path, box: Bounds | None = None) -> Features:
    """Reads features.

    Args:
        path: The file.
        box: In the file's CRS: only features that touch it are read, and perhaps some others. Files that
            `summarize` knows nothing of are read whole.

    Raises:
        InputError: If the file cannot be read, or has several layers of polygons.
    """
    _check_file(path)
    if path.suffix.lower() in _PARQUET:
        file = GeoParquet(path)
        rows = file.read(box)
        return Features(shapely.force_2d(rows.geometries), rows.numbers, file.crs)
    by_box = path.suffix.lower() in _BY_BOX
    try:
        meta, numbers, encoded, _ = pyogrio.raw.read(
            path,
            layer=_polygon_layer(path),
            columns=[],
            force_2d=True,
            return_fids=True,
            bbox=box if by_box else None,
        )
        if encoded is None:
            raise InputError(f"{path} holds a table without geometries; give polygons")
        geometries = shapely.from_wkb(encoded)
    except _FAILURES as error:
        raise InputError(f"{path} cannot be read as vectors; is it whole? ({error})") from error
    if not by_box:  # GeoJSON may give its features numbers in any order
        return Features(geometries, np.arange(len(geometries)), _crs(path, meta["crs"]))
    order = np.argsort(numbers)  # an index gives features in an order of its own
    return Features(geometries[order], numbers[order], _crs(path, meta["crs"]))


def check_vector_name(path: str | Path) -> None:
    """Checks that a file of vectors can be written by a name: pyogrio looks for addresses and archives in it.

    Raises:
        OutputError: If it would be written by another.
    """
    if _is_taken_apart(path):
        raise OutputError(f"{str(path)!r} cannot be written by that name; leave out ; ! tabs and newlines")


def _is_taken_apart(path: str | Path) -> bool:
    return any(sign in str(path) for sign in ";!\n\r\t")


def _check_file(path: Path) -> None:
    check_input_file(path, beside=True)
    if path.is_dir():
        if path.suffix.lower() != ".gdb":  # GDAL would look into every file there
            raise InputError(f"{path} is a folder; give a file of polygons")
        for part in path.iterdir():
            check_input_file(part)
    if _is_taken_apart(path):
        raise InputError(f"{str(path)!r} cannot be read by that name; rename it without ; ! tabs and newlines")
    if path.is_file() and path.suffix.lower() not in _PARQUET:
        _check_beginning(path)
    choose_vector_drivers()


def _check_beginning(path: Path) -> None:
    """Checks that a file is of a known format by its first bytes, as GDAL does, whatever drivers that may have."""
    with path.open("rb") as file:
        head = file.read(_HEAD).removeprefix(b"\xef\xbb\xbf").lstrip()
    if not head.startswith(_BEGINNINGS) or (head.startswith(b"{") and _COMMAND in head):
        raise InputError(
            f"{path} cannot be read as vectors: it is no GeoPackage, GeoJSON, Shapefile, FlatGeobuf or GeoParquet"
        )


def _crs(path: Path, text: str | None) -> rasterio.CRS | None:
    try:
        return None if text is None else rasterio.CRS.from_user_input(pyproj.CRS(text))
    except (pyproj.exceptions.CRSError, rasterio.errors.CRSError) as error:
        raise InputError(f"{path} cannot be read as vectors: its CRS is none ({error})") from error


def _polygon_layer(path: Path) -> str | None:
    layers = [
        name for name, kind in pyogrio.list_layers(path) if kind is None or "Polygon" in kind or kind == "Unknown"
    ]
    if len(layers) > 1:
        raise InputError(f"{path} has several layers ({', '.join(layers)}); give a file with one")
    return layers[0] if layers else None
