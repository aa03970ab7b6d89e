"""GeoParquet, as geopandas writes it and as others might."""

import json

import geopandas as gpd
import numpy as np
import pyarrow.parquet as pq
import pytest
import rasterio
import shapely
from shapely import Point, box

from crispmap.errors import InputError
from crispmap.geo.geoparquet import GeoParquet

BOX = (20.0, 30.0, 60.0, 45.0)


@pytest.fixture
def shapes():
    corners = np.random.default_rng(4).uniform(0, 100, (500, 2))
    return [*(box(x, y, x + 3, y + 4) for x, y in corners), None, Point(30, 40)]


def write(path, shapes, crs="EPSG:32633", **how):
    gpd.GeoDataFrame({"name": range(len(shapes))}, geometry=list(shapes), crs=crs).to_parquet(path, **how)
    return path


def retold(path, change):
    """Changes what a file says about its geometry."""
    table = pq.read_table(path)
    geo = json.loads(table.schema.metadata[b"geo"])
    change(geo["columns"]["geometry"])
    pq.write_table(table.replace_schema_metadata({b"geo": json.dumps(geo).encode()}), path)
    return path


@pytest.mark.parametrize("groups", [7, 64, 10_000])
def test_rows_by_box_keep_their_numbers(tmp_path, shapes, groups):
    path = write(tmp_path / "v.parquet", shapes, write_covering_bbox=True, row_group_size=groups)
    file = GeoParquet(path)
    bounds = shapely.bounds(np.array(shapes))
    expected = [
        i for i, (w, s, e, n) in enumerate(bounds) if w <= BOX[2] and s <= BOX[3] and e >= BOX[0] and n >= BOX[1]
    ]
    found = file.read(BOX)
    assert found.numbers.tolist() == expected
    assert 0 < len(expected) < 200
    assert shapely.equals(found.geometries, np.array(shapes)[expected]).all()
    assert file.bounds == pytest.approx(shapely.total_bounds(np.array(shapes)))
    assert file.crs == rasterio.CRS.from_epsg(32633)
    assert len(file.read((-9, -9, -8, -8)).numbers) == 0


@pytest.mark.parametrize(
    ("how", "change"),
    [
        ({}, None),
        ({"geometry_encoding": "geoarrow"}, None),
        ({"write_covering_bbox": True, "geometry_encoding": "geoarrow"}, None),
        # a covering of columns that are not there
        ({"write_covering_bbox": True}, lambda column: column["covering"]["bbox"].update(xmin=["bbox", "west"])),
    ],
)
def test_without_a_covering_all_rows_are_read(tmp_path, shapes, how, change):
    polygons = shapes[:500]
    path = write(tmp_path / "v.parquet", polygons, **how)
    if change:
        retold(path, change)
    file = GeoParquet(path)
    assert file.boxes is None
    assert file.bounds is None
    found = file.read(BOX)
    assert found.numbers.tolist() == list(range(500))
    assert shapely.equals(found.geometries, np.array(polygons)).all()


def test_the_crs_may_be_unsaid_or_unknown(tmp_path, shapes):
    path = write(tmp_path / "v.parquet", shapes)
    retold(path, lambda column: column.pop("crs"))
    assert GeoParquet(path).crs.to_dict() == rasterio.CRS.from_user_input("OGC:CRS84").to_dict()
    assert GeoParquet(path).crs.is_geographic
    assert GeoParquet(write(tmp_path / "none.parquet", shapes, crs=None)).crs is None


def test_broken_rows_are_named(tmp_path, shapes):
    path = write(tmp_path / "v.parquet", shapes, write_covering_bbox=True)
    content = bytearray(path.read_bytes())
    end = len(content) - 8 - int.from_bytes(content[-8:-4], "little")  # where the footer begins
    content[4:end] = bytes(end - 4)
    path.write_bytes(content)
    for box_ in (None, BOX):
        with pytest.raises(InputError, match=r"v\.parquet cannot be read as vectors"):
            GeoParquet(path).read(box_)
