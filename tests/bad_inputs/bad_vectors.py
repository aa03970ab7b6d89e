"""Vector files that are damaged, empty, of the wrong kind or somewhere else."""

import json
import os
import sqlite3
from pathlib import Path

import geopandas as gpd
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from bad_table import CANARY, HANDLED, add, bad
from good_inputs import CRS, footprints, layer
from shapely import GeometryCollection, LineString, MultiPolygon, Point, Polygon, affinity, force_3d

UNREADABLE = "cannot be read as vectors"
NO_POLYGON = "no polygon"  # "holds no polygons", "no polygon of … lies", "but no polygon"
ELSEWHERE = "does not overlap|holds no polygons|no polygon of|lie apart|no place|lies in no UTM zone|pixels of"
AGAINST_NOTHING = {"evaluate-(pred|truth)": HANDLED}  # an empty map is a map


def _bytes(content: bytes, name: str):
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return make


def _cut(name: str, share: float):
    def make(folder: Path) -> Path:
        path = layer(folder / name, footprints() * 200)
        whole = path.read_bytes()
        path.write_bytes(whole[: int(len(whole) * share)])
        return path

    return make


def _of(geometries: list, name: str = "a.gpkg", crs: str | None = CRS, **settings):
    return lambda folder: layer(folder / name, geometries, crs, **settings)


for suffix in (".gpkg", ".geojson", ".fgb", ".parquet", ".shp"):
    add(f"no bytes called {suffix}", "vectors", _bytes(b"", f"a{suffix}"), UNREADABLE)
    add(f"text called {suffix}", "vectors", _bytes(b"these are no vectors", f"a{suffix}"), UNREADABLE)
for suffix in (".gpkg", ".geojson", ".fgb", ".parquet"):
    add(f"a {suffix} of half its bytes", "vectors", _cut(f"a{suffix}", 0.5), UNREADABLE)
add("a GeoPackage of its first page", "vectors", _cut("a.gpkg", 0.03), UNREADABLE)
add("a shapefile without its index", "vectors", lambda f: _shapefile_without(f, ".shx"), UNREADABLE)
add("a shapefile without its table", "vectors", lambda f: _shapefile_without(f, ".dbf"), HANDLED)
add("a shapefile without its CRS", "vectors", lambda f: _shapefile_without(f, ".prj"), "has no CRS")


def _shapefile_without(folder: Path, suffix: str) -> Path:
    path = layer(folder / "a.shp", footprints())
    path.with_suffix(suffix).unlink()
    return path


def _geojson(content: object, name: str = "a.geojson"):
    return _bytes(content if isinstance(content, bytes) else json.dumps(content).encode(), name)


def _features(*geometries: object) -> dict:
    return {
        "type": "FeatureCollection",
        "features": [{"type": "Feature", "properties": {}, "geometry": each} for each in geometries],
    }


SQUARE = [[15.0, 45.0], [15.1, 45.0], [15.1, 45.1], [15.0, 45.0]]
for what, content in {
    "JSON that is no GeoJSON": {"hello": [1, 2, 3]},
    "JSON of a number": b"5",
    "JSON cut off": b'{"type": "FeatureCollection", "features": [',
    "GeoJSON of an unknown type": {"type": "Blob", "coordinates": []},
    "JSON of ten thousand brackets": b"[" * 10_000,
    "GeoJSON of ten thousand collections in each other": b'{"type":"GeometryCollection","geometries":[' * 10_000,
}.items():
    add(what, "vectors", _geojson(content), f"{UNREADABLE}|{NO_POLYGON}")
for what, content in {
    "GeoJSON without features": {"type": "FeatureCollection", "features": []},
    "GeoJSON of features that are null": _features(None, None),
}.items():
    add(
        what,
        "vectors",
        _geojson(content),
        f"{NO_POLYGON}|without geometries",
        {"evaluate-(pred|truth)": f"{NO_POLYGON}|without geometries|{HANDLED}"},
    )
for what, content in {
    "GeoJSON of coordinates that are words": _features({"type": "Polygon", "coordinates": "here"}),
    "GeoJSON of rings of two points": _features({"type": "Polygon", "coordinates": [[[0, 0], [1, 1]]]}),
    "GeoJSON of coordinates that are null": _features({"type": "Polygon", "coordinates": [[None, None, None, None]]}),
    "GeoJSON of endless coordinates": _geojson(
        b'{"type":"FeatureCollection","features":[{"type":"Feature","properties":{},"geometry":{"type":"Polygon","coordinates":[[[1e999,0],[1,0],[1,1],[1e999,0]]]}}]}'
    ),
    "GeoJSON of polygons in Slovenia": _features({"type": "Polygon", "coordinates": [SQUARE]}),
}.items():
    make = content if callable(content) else _geojson(content)
    add(what, "vectors", make, f"{UNREADABLE}|{NO_POLYGON}|{ELSEWHERE}")

add("points", "vectors", _of([Point(500_010, 4_999_990)]), NO_POLYGON)
add("lines", "vectors", _of([LineString([(500_000, 4_999_990), (500_020, 4_999_980)])]), NO_POLYGON)
add(
    "points, lines, polygons and null",
    "vectors",
    _of(
        [Point(500_010, 4_999_990), LineString([(500_000, 4_999_990), (500_020, 4_999_980)]), None, *footprints()],
        "a.geojson",
    ),
    HANDLED,
)
add(
    "a collection of geometries",
    "vectors",
    _of([GeometryCollection([Point(500_010, 4_999_990), *footprints()])]),
    HANDLED,
)
add("polygons that are null and empty", "vectors", _of([None, Polygon(), MultiPolygon()]), NO_POLYGON, AGAINST_NOTHING)
add("polygons without an area", "vectors", _of([Polygon([(500_001, 4_999_990)] * 4)]), f"{NO_POLYGON}|{ELSEWHERE}")
add("polygons in three dimensions", "vectors", _of([force_3d(each, 120.0) for each in footprints()]), HANDLED)
add("multipolygons in three dimensions", "vectors", _of([force_3d(MultiPolygon(footprints()), 7.0)]), HANDLED)
add(
    "a bow-tie",
    "vectors",
    _of([Polygon([(500_002, 4_999_995), (500_040, 4_999_975), (500_040, 4_999_995), (500_002, 4_999_975)])]),
    HANDLED,
)
add("the same polygons a hundred times", "vectors", _of(footprints() * 100), HANDLED)
add(
    "a polygon around the whole world",
    "vectors",
    _of([Polygon([(-180, -90), (180, -90), (180, 90), (-180, 90)])], "a.geojson", "EPSG:4326"),
    f"{ELSEWHERE}|{HANDLED}|nothing to learn|known|every|background",
)
add(
    "polygons at the antimeridian",
    "vectors",
    _of([Polygon([(179.9, 1), (-179.9, 1), (-179.9, 2), (179.9, 2)])], "a.geojson", "EPSG:4326"),
    f"{ELSEWHERE}|{HANDLED}",
)
add(
    "polygons with axes swapped",
    "vectors",
    _of([Polygon([(y, x) for x, y in each.exterior.coords]) for each in footprints()]),
    ELSEWHERE,
)
add(
    "polygons on the other side of the earth",
    "vectors",
    _of([affinity.translate(each, -3e6, -9e6) for each in footprints()]),
    ELSEWHERE,
)
add(
    "polygons of infinite coordinates",
    "vectors",
    _of([Polygon([(float("inf"), 0), (1, 0), (1, 1)])]),
    f"{UNREADABLE}|{NO_POLYGON}|{ELSEWHERE}",
)
add("polygons without a CRS", "vectors", _of(footprints(), crs=None), "has no CRS")
add(
    "polygons in a local CRS",
    "vectors",
    _of(footprints(), crs='LOCAL_CS["site",UNIT["metre",1]]'),
    "LOCAL_CS|site|CRS|no place",
)
add(
    "polygons in another CRS",
    "vectors",
    lambda f: gpd.GeoSeries(footprints(), crs=CRS).to_crs(3857).to_file(f / "a.gpkg") or f / "a.gpkg",
    HANDLED,
)


@bad("vectors", NO_POLYGON, AGAINST_NOTHING)
def _an_empty_layer(folder):
    frame = gpd.GeoDataFrame(geometry=gpd.GeoSeries([], crs=CRS), crs=CRS)
    frame.to_file(folder / "a.gpkg", geometry_type="Polygon")
    return folder / "a.gpkg"


@bad("vectors", "several layers")
def _two_layers_of_polygons(folder):
    for name in ("one", "two"):
        layer(folder / "a.gpkg", footprints(), layer=name)
    return folder / "a.gpkg"


@bad("vectors", f"without geometries|{UNREADABLE}|{NO_POLYGON}")
def _a_table_without_geometries(folder):
    import pyogrio

    pyogrio.write_dataframe(pd.DataFrame({"a": [1, 2]}), folder / "a.gpkg")
    return folder / "a.gpkg"


@bad("vectors", UNREADABLE)
def _a_database_that_is_no_GeoPackage(folder):
    with sqlite3.connect(folder / "a.gpkg") as database:
        database.execute("CREATE TABLE houses (name TEXT)")
    return folder / "a.gpkg"


@bad("vectors", f"{UNREADABLE}|{NO_POLYGON}|without geometries")
def _a_GeoPackage_of_garbage_geometries(folder):
    path = layer(folder / "a.gpkg", footprints())
    with sqlite3.connect(path) as database:
        database.execute("DROP TRIGGER IF EXISTS rtree_a_geom_update1")
        for trigger in [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type='trigger'")]:
            database.execute(f'DROP TRIGGER "{trigger}"')
        database.execute("UPDATE a SET geom = x'00112233'")
    return path


@bad("vectors", "Parquet without geometries")
def _Parquet_without_geometries(folder):
    pq.write_table(pa.table({"a": [1, 2]}), folder / "a.parquet")
    return folder / "a.parquet"


def _parquet(geo: bytes, geometry: list[bytes]):
    def make(folder: Path) -> Path:
        table = pa.table({"geometry": pa.array(geometry, pa.binary())}).replace_schema_metadata({"geo": geo})
        pq.write_table(table, folder / "a.parquet")
        return folder / "a.parquet"

    return make


def _column(**column: object) -> bytes:
    described = {"encoding": "WKB", "geometry_types": []} | column
    return json.dumps({"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": described}}).encode()


_COVERED = {"bbox": {side: ["no", side] for side in ("xmin", "ymin", "xmax", "ymax")}}
for what, geo, geometry in [
    ("GeoParquet whose description is no JSON", b"{", [b""]),
    ("GeoParquet whose description is a list", b"[]", [b""]),
    ("GeoParquet whose description is empty", b"{}", [b""]),
    ("GeoParquet of another column", json.dumps({"primary_column": "shape", "columns": {}}).encode(), [b""]),
    ("GeoParquet of no WKB", _column(), [b"here", b""]),
    ("GeoParquet of an unknown encoding", _column(encoding="carrier pigeon"), [b"here"]),
    ("GeoParquet of an unknown CRS", _column(crs={"type": "GeographicCRS"}), [b""]),
    ("GeoParquet whose covering is not there", _column(covering=_COVERED), [b""]),
]:
    add(what, "vectors", _parquet(geo, geometry), UNREADABLE)


@bad("vectors", f"{UNREADABLE}|{NO_POLYGON}|several layers|without geometries")
def _a_vector_VRT_with_a_source_on_the_network(folder):
    (folder / "a.geojson").write_text(
        "<OGRVRTDataSource><OGRVRTLayer name='a'><SrcDataSource>/vsicurl/http://127.0.0.1:9/a.gpkg</SrcDataSource>"
        "</OGRVRTLayer></OGRVRTDataSource>"
    )
    return folder / "a.geojson"


@bad("vectors", UNREADABLE)
def _a_vector_VRT_with_a_statement_for_a_database(folder):
    layer(folder / "b.gpkg", footprints())
    (folder / "a.geojson").write_text(
        f"<OGRVRTDataSource><OGRVRTLayer name='b'><SrcDataSource>{folder / 'b.gpkg'}</SrcDataSource>"
        f"<SrcSQL>VACUUM INTO '{folder / CANARY}'</SrcSQL></OGRVRTLayer></OGRVRTDataSource>"
    )
    return folder / "a.geojson"


@bad("vectors", UNREADABLE)
def _JSON_that_is_a_command_of_GDAL(folder):
    source = layer(folder / "b.gpkg", footprints())
    command = f"gdal vector pipeline ! read {source} --oo \"PRELUDE_STATEMENTS=VACUUM INTO '{folder / CANARY}'\""
    return _geojson({"type": "gdal_streamed_alg", "command_line": command})(folder)


def _with_a_pipe(name: str, beside: str):
    def make(folder: Path) -> Path:
        path = layer(folder / name, footprints())
        (folder / beside).unlink(missing_ok=True)
        os.mkfifo(folder / beside)
        return path

    return make


for beside in ("a.dbf", "a.shx", "a.prj", "a.cpg", "a.qix", "a.DBF"):
    add(f"a shapefile beside a pipe called {beside}", "vectors", _with_a_pipe("a.shp", beside), "is a pipe")
add("a GeoPackage with a pipe for a journal", "vectors", _with_a_pipe("a.gpkg", "a.gpkg-journal"), "is a pipe")


@bad("vectors", UNREADABLE)
def _a_raster_called_gpkg(folder):
    from good_inputs import label, save

    return save(folder / "a.tif", label()).rename(folder / "a.gpkg")
