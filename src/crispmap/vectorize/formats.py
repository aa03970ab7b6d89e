"""Files of footprints, written batch by batch as they come.

GeoPackage, FlatGeobuf and GeoJSON take a stream of Arrow batches through pyogrio; GeoParquet is written a row group at
a time, with the covering of boxes by which it is read in parts (GeoParquet 1.1). None is held in memory, save what
FlatGeobuf needs for its spatial index: some bytes a feature. GDAL does not say whether its last bytes have reached the
file, so what it has written is read again.

*Convention.* GeoJSON is that of RFC 7946: in degrees of longitude and latitude to seven decimals, whatever the CRS of
the raster. Without a CRS that has a place on the ground, coordinates are what they are.
"""

import json
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyogrio
import pyproj
import rasterio
import shapely
from numpy.typing import NDArray

from crispmap.errors import OutputError
from crispmap.geo.degrees import to_degrees
from crispmap.geo.read_back import check_vectors
from crispmap.geo.vector_file import check_vector_name
from crispmap.vectorize.ground import moved

_DRIVERS = {".gpkg": "GPKG", ".fgb": "FlatGeobuf", ".geojson": "GeoJSON", ".json": "GeoJSON"}
_PARQUET = (".parquet", ".geoparquet")
_ROWS_A_GROUP = 2**14
_BOX = pa.struct([(side, pa.float64()) for side in ("xmin", "ymin", "xmax", "ymax")])


class Batch(NamedTuple):
    """Some footprints: polygons, (n,), and their attributes by name, each (n,)."""

    polygons: NDArray[np.object_]
    attributes: dict[str, NDArray[np.float64]]


def check_format(path: Path) -> None:
    """Checks that the suffix names a format, and that the file can have that name.

    Raises:
        OutputError: If not.
    """
    suffixes = (*_DRIVERS, *_PARQUET)
    if path.suffix.lower() not in suffixes:
        raise OutputError(f"{path} names no format that footprints are written in; end it with {', '.join(suffixes)}")
    check_vector_name(path)


def write_batches(path: Path, batches: Iterable[Batch], attributes: tuple[str, ...], crs: rasterio.CRS | None) -> None:
    """Writes footprints as a layer "footprints"; no batches make an empty layer.

    Args:
        path: Its suffix says the format.
        batches: In the CRS. Whatever they raise is raised.
        attributes: Their names.
        crs: The coordinate reference system, or None.

    Raises:
        OutputError: If the suffix names no format or the file cannot be written as a whole.
    """
    check_format(path)
    if path.suffix.lower() in _PARQUET:
        _write_parquet(path, batches, attributes, crs)
    else:
        _write_stream(path, batches, attributes, crs)


def _write_stream(path: Path, batches: Iterable[Batch], attributes: tuple[str, ...], crs: rasterio.CRS | None) -> None:
    driver, options = _DRIVERS[path.suffix.lower()], {}
    if driver == "GeoJSON" and crs is not None and (crs.is_projected or crs.is_geographic):
        degrees_of = to_degrees(crs)
        batches = (
            Batch(moved(polygons, lambda xy: np.stack(degrees_of.transform(*xy.T), axis=-1)), values)
            for polygons, values in batches
        )
        crs, options = rasterio.CRS.from_epsg(4326), {"RFC7946": "YES"}
    geometry = pa.field("geometry", pa.binary(), metadata={"ARROW:extension:name": "geoarrow.wkb"})
    schema = pa.schema([geometry, *((name, pa.float64()) for name in attributes)])
    source = _Source(_record(batch, schema) for batch in batches)
    reader = pa.RecordBatchReader.from_batches(schema, source.batches())
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "'crs' was not provided")  # rasters without a place are welcome
        try:
            pyogrio.write_arrow(
                reader,
                path,
                layer="footprints",
                driver=driver,
                geometry_name="geometry",
                geometry_type="Polygon",
                crs=None if crs is None else crs.to_wkt(),
                layer_options=options,
            )
        except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, RuntimeError) as error:
            if source.error is None:
                raise OutputError(f"{path} cannot be written; is the disk full? ({error})") from error
    if source.error is not None:
        raise source.error
    check_vectors(path, source.rows)


class _Source:
    """What a writer in C takes from Python.

    Attributes:
        rows: How many it has taken.
        error: What went wrong in Python, of which the writer can only say that something did.
    """

    def __init__(self, batches: Iterable[pa.RecordBatch]) -> None:
        self._batches = batches
        self.rows = 0
        self.error: BaseException | None = None

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The batches, one after the other."""
        try:
            for batch in self._batches:
                self.rows += batch.num_rows
                yield batch
        except (Exception, KeyboardInterrupt) as error:
            self.error = error
            raise


def _record(batch: Batch, schema: pa.Schema) -> pa.RecordBatch:
    columns = [pa.array(shapely.to_wkb(batch.polygons), pa.binary())]
    columns += [pa.array(batch.attributes[name], pa.float64()) for name in schema.names[1:]]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _write_parquet(path: Path, batches: Iterable[Batch], attributes: tuple[str, ...], crs: rasterio.CRS | None) -> None:
    column: dict[str, Any] = {
        "encoding": "WKB",
        "geometry_types": ["Polygon"],
        "crs": None if crs is None else json.loads(pyproj.CRS.from_user_input(crs).to_json()),
        "covering": {"bbox": {side.name: ["bbox", side.name] for side in _BOX}},
    }
    geo = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}
    fields = [*((name, pa.float64()) for name in attributes), ("geometry", pa.binary()), ("bbox", _BOX)]
    schema = pa.schema(fields, metadata={"geo": json.dumps(geo)})
    with pq.ParquetWriter(path, schema) as file:
        for polygons, values in _gathered(batches):
            boxes = [pa.array(side) for side in shapely.bounds(polygons).T]
            columns = [pa.array(values[name], pa.float64()) for name in attributes]
            columns += [pa.array(shapely.to_wkb(polygons), pa.binary())]
            columns += [pa.StructArray.from_arrays(boxes, fields=list(_BOX))]
            file.write_table(pa.Table.from_arrays(columns, schema=schema))


def _gathered(batches: Iterable[Batch]) -> Iterator[Batch]:
    """Small batches put together, so that a file has no more row groups than it needs."""
    held: list[Batch] = []
    for batch in batches:
        held.append(batch)
        if sum(len(each.polygons) for each in held) >= _ROWS_A_GROUP:
            yield _joined(held)
            held = []
    if any(len(batch.polygons) for batch in held):
        yield _joined(held)


def _joined(batches: list[Batch]) -> Batch:
    names = batches[0].attributes
    return Batch(
        np.concatenate([batch.polygons for batch in batches]),
        {name: np.concatenate([batch.attributes[name] for batch in batches]) for name in names},
    )
