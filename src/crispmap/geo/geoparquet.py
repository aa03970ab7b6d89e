"""GeoParquet: rows by bounding box where the file has a covering of boxes (GeoParquet 1.1), else all of them."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import geopandas as gpd
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import rasterio
import shapely
from numpy.typing import NDArray

from crispmap.errors import InputError
from crispmap.geo.grid import Bounds

_DAMAGED = (ValueError, TypeError, KeyError, AttributeError, RuntimeError)  # where descriptions are not as they must be
_SIDES = ("xmin", "ymin", "xmax", "ymax")


class Rows(NamedTuple):
    """Some rows of a file.

    Attributes:
        geometries: Their geometries, (n,), object; None where there is none.
        numbers: Their places in the file from 0, (n,), ascending.
    """

    geometries: NDArray[np.object_]
    numbers: NDArray[np.int64]


class GeoParquet:
    """A GeoParquet file; its footer is read at once, its rows when they are asked for.

    Attributes:
        path: The file.
        crs: The coordinate reference system of its primary geometry, or None.
        boxes: The bounds of each row group, (groups, 4); None where the file has no covering of boxes.
        count: How many rows there are.
    """

    def __init__(self, path: Path) -> None:
        """Reads the footer.

        Raises:
            InputError: If it is no GeoParquet.
        """
        self.path = path
        try:
            with pq.ParquetFile(path) as file:
                footer, schema = file.metadata, file.schema_arrow
        except (OSError, ValueError, pa.ArrowException) as error:
            raise InputError(f"{path} cannot be read as vectors; is it whole? ({error})") from error
        described = (schema.metadata or {}).get(b"geo")
        if described is None:
            raise InputError(f"{path} is Parquet without geometries; give GeoParquet")
        self.count: int = footer.num_rows
        try:
            geo = json.loads(described)
            self._geometry: str = geo["primary_column"]
            column = geo["columns"][self._geometry]
            projection = column.get("crs", "OGC:CRS84")  # the format's default; null says that it is unknown
            self.crs = None if projection is None else rasterio.CRS.from_user_input(gpd.GeoSeries(crs=projection).crs)
            covering = column.get("covering", {}).get("bbox") if column["encoding"] == "WKB" else None
            self._covering: list[list[str]] | None = covering and [covering[side] for side in _SIDES]
            self.boxes = _group_boxes(footer, self._covering) if self._covering else None
        except _DAMAGED as error:  # it may be any JSON, or none
            raise InputError(f"{path} cannot be read as vectors: its GeoParquet description is damaged") from error

    @property
    def bounds(self) -> Bounds | None:
        """What the covering covers; None where there is none, or no row."""
        if self.boxes is None or not self.count:
            return None
        west, south = np.nanmin(self.boxes[:, :2], axis=0).tolist()
        east, north = np.nanmax(self.boxes[:, 2:], axis=0).tolist()
        return west, south, east, north

    def read(self, box: Bounds | None = None) -> Rows:
        """Reads rows.

        Args:
            box: In the file's CRS: only rows whose boxes touch it are read, if the file has a covering.

        Raises:
            InputError: If the rows cannot be read.
        """
        try:
            if box is None or self.boxes is None:
                geometry = gpd.read_parquet(self.path, columns=[self._geometry]).geometry
                return Rows(geometry.to_numpy(), np.arange(len(geometry)))
            return self._near(box, self.boxes)
        except (OSError, pa.ArrowException, shapely.errors.ShapelyError, *_DAMAGED) as error:
            raise InputError(f"{self.path} cannot be read as vectors; is it whole? ({error})") from error

    def _near(self, box: Bounds, boxes: NDArray[np.float64]) -> Rows:
        paths = self._covering or []
        found = [Rows(np.empty(0, object), np.empty(0, np.int64))]
        with pq.ParquetFile(self.path) as file:
            sizes = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
            starts = np.cumsum([0, *sizes])
            for group in np.flatnonzero(_touches(boxes, box)).tolist():
                rows = file.read_row_group(group, [self._geometry, *map(".".join, paths)])
                sides = [pc.struct_field(rows[path[0]], path[1:]).to_numpy() for path in paths]
                near = np.flatnonzero(_touches(np.column_stack(sides), box))
                geometries = shapely.from_wkb(rows[self._geometry].take(pa.array(near)).to_numpy())
                found.append(Rows(geometries, starts[group] + near))
        return Rows(*(np.concatenate(parts) for parts in zip(*found, strict=True)))


def _group_boxes(footer: pq.FileMetaData, covering: list[list[str]]) -> NDArray[np.float64] | None:
    """The bounds of each row group by its statistics; None where one lacks them."""
    wanted = [".".join(path) for path in covering]
    boxes = []
    for i in range(footer.num_row_groups):
        group = footer.row_group(i)
        if group.num_rows == 0:
            boxes.append([np.nan] * 4)
            continue
        columns = {group.column(j).path_in_schema: group.column(j).statistics for j in range(group.num_columns)}
        statistics: list[Any] = [columns.get(path) for path in wanted]
        if not all(statistic and statistic.has_min_max for statistic in statistics):
            return None
        boxes.append([s.min for s in statistics[:2]] + [s.max for s in statistics[2:]])
    return np.array(boxes, float).reshape(-1, 4)


def _touches(boxes: NDArray[np.float64], box: Bounds) -> NDArray[np.bool_]:
    west, south, east, north = boxes.T
    touching: NDArray[np.bool_] = (west <= box[2]) & (south <= box[3]) & (east >= box[0]) & (north >= box[1])
    return touching
