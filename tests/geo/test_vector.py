import sqlite3
import warnings

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from rasterio import Affine
from rasterio.transform import from_origin
from shapely import GeometryCollection, LineString, MultiPolygon, Point, Polygon, box

from crispmap.errors import InputError, PairingError
from crispmap.geo.raster import Raster, Window
from crispmap.geo.vector import Footprints, window_outline
from crispmap.geo.vector_file import Features

NORTH_WEST = (500_000, 5_000_000)  # of what write_raster makes, in pixels of 0.5 m


@pytest.fixture
def raster(tmp_path, write_raster):
    return Raster.of(write_raster(tmp_path / "image.tif", np.ones((3, 40, 60), "uint8")))


def ground(row, col, height, width):
    """A rectangle over whole pixels of the raster."""
    west, north = NORTH_WEST[0] + col / 2, NORTH_WEST[1] - row / 2
    return box(west, north - height / 2, west + width / 2, north)


def vectors(path, geometries, crs="EPSG:32633"):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "'crs' was not provided")
        frame = gpd.GeoDataFrame({"name": range(len(geometries))}, geometry=list(geometries), crs=crs)
        if path.suffix in (".parquet", ".geoparquet"):
            frame.to_parquet(path)
        else:
            frame.to_file(path)
    return path


@pytest.mark.parametrize("suffix", ["gpkg", "geojson", "shp", "fgb", "parquet", "geoparquet"])
def test_polygons_of_every_kind_of_file(tmp_path, suffix):
    shapes = [ground(0, 0, 10, 10), MultiPolygon([ground(20, 0, 5, 5), ground(20, 20, 5, 5)])]
    found = Footprints.read(vectors(tmp_path / f"v.{suffix}", shapes))
    assert len(found.polygons) == 3
    assert sorted(shapely.area(found.polygons)) == pytest.approx([6.25, 6.25, 25])
    assert (found.repaired, found.dropped) == (0, 0)


@pytest.mark.parametrize("suffix", ["gpkg", "parquet"])
def test_what_is_broken_is_repaired_and_what_has_no_area_dropped(tmp_path, suffix):
    bowtie = Polygon([(0, 0), (2, 2), (2, 0), (0, 2)])
    with_line = GeometryCollection([ground(0, 0, 4, 4), LineString([(0, 0), (5, 5)])])
    shapes = [bowtie, with_line, Point(1, 1), LineString([(0, 0), (1, 1)]), None, Polygon()]
    found = Footprints.read(vectors(tmp_path / f"v.{suffix}", shapes))
    assert shapely.is_valid(found.polygons).all()
    assert shapely.area(found.polygons).sum() == pytest.approx(2 + 4)
    assert (found.repaired, found.dropped) == (1, 4)


def test_what_is_not_vectors_is_named(tmp_path):
    (tmp_path / "v.gpkg").write_text("hello")
    with pytest.raises(InputError, match=r"v\.gpkg cannot be read as vectors"):
        Footprints.read(tmp_path / "v.gpkg")
    (tmp_path / "v.parquet").write_text("hello")
    with pytest.raises(InputError, match=r"v\.parquet cannot be read as vectors"):
        Footprints.read(tmp_path / "v.parquet")
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "table.parquet")
    with pytest.raises(InputError, match=r"table\.parquet is Parquet without geometries"):
        Footprints.read(tmp_path / "table.parquet")
    path = vectors(tmp_path / "two.gpkg", [ground(0, 0, 1, 1)])
    gpd.GeoDataFrame(geometry=[ground(0, 0, 1, 1)], crs="EPSG:32633").to_file(path, layer="other")
    with pytest.raises(InputError, match="several layers"):
        Footprints.read(path)


def test_polygons_move_to_the_crs_of_the_raster(tmp_path, raster):
    here = ground(5, 5, 10, 20)
    degrees = gpd.GeoSeries([here], crs="EPSG:32633").to_crs(4326)
    found = Footprints.read(vectors(tmp_path / "v.geojson", degrees, crs=4326)).on(raster)
    assert found.polygons[0].symmetric_difference(here).area < 0.01
    with pytest.raises(PairingError, match=r"v2\.gpkg has no CRS"):
        Footprints.read(vectors(tmp_path / "v2.gpkg", [here], crs=None)).on(raster)


def test_pixels_whose_centres_lie_inside_are_burnt(tmp_path, raster):
    found = Footprints.read(vectors(tmp_path / "v.gpkg", [ground(5, 7, 10, 20), ground(30, 50, 30, 30)]))
    expected = np.zeros((40, 60), bool)
    expected[5:15, 7:27] = expected[30:, 50:] = True
    np.testing.assert_array_equal(found.burn(raster), expected)
    np.testing.assert_array_equal(found.burn(raster, Window(8, 20, 30, 35)), expected[8:38, 20:55])
    assert len(found.within(raster, Window(20, 0, 5, 60)).polygons) == 0
    assert len(found.within(raster).polygons) == 2
    assert not found.burn(raster, Window(20, 0, 5, 60)).any()


def test_the_outline_of_a_window(raster):
    assert window_outline(raster, Window(2, 4, 10, 20)).equals(ground(2, 4, 10, 20))


def test_polygons_burn_in_place_where_rows_go_north(tmp_path, write_raster):
    up = from_origin(100, 200, 1, -1)  # rows go north
    raster = Raster.of(write_raster(tmp_path / "up.tif", np.ones((1, 10, 10), "uint8"), transform=up))
    found = Footprints.read(vectors(tmp_path / "v.gpkg", [box(102, 203, 105, 209)]))
    expected = np.zeros((10, 10), bool)
    expected[3:9, 2:5] = True
    np.testing.assert_array_equal(found.burn(raster), expected)


TRANSFORMS = {
    "north up": Affine(0.3, 0, 500_000.1, 0, -0.3, 6_400_000.7),
    "turned": Affine.translation(500_000.1, 6_400_000.7) @ Affine.rotation(33) @ Affine.scale(0.3, -0.3),
    "sheared": Affine(0.3, 0.11, 2_500_000.3, -0.07, -0.3, 1_200_000.9),
}


def stars(rng, count, height, width, step):
    """Polygons in pixels, corners at multiples of ``step`` if that is above 0, a third of them with a hole."""
    found = []
    while len(found) < count:
        corners = rng.integers(3, 9)
        angle, radius = np.sort(rng.uniform(0, 2 * np.pi, corners)), rng.uniform(3, 60, corners)
        middle = rng.uniform(-10, (width + 10, height + 10))
        xy = middle + np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])
        star = Polygon(np.round(xy / step) * step if step else xy)
        if star.is_valid and star.area > 0:
            hole = shapely.affinity.scale(star, 0.5, 0.5, origin=star.representative_point())
            found.append(star.difference(hole) if len(found) % 3 == 0 else star)
    return np.array(found)


def on_ground(polygons, transform):
    return shapely.transform(polygons, lambda xy: np.column_stack(transform @ (xy[:, 0], xy[:, 1])))


def random_windows(rng, height, width, count):
    for _ in range(count):
        row, col = rng.integers(-20, height), rng.integers(-20, width)
        yield Window(int(row), int(col), int(rng.integers(1, 90)), int(rng.integers(1, 90)))


def crop(whole, window, margin):
    """A window of an array that starts at pixel (-margin, -margin)."""
    return whole[
        window.row + margin : window.row + margin + window.height,
        window.col + margin : window.col + margin + window.width,
    ]


# corners and sides at pixel centres are the hard case: there, the last bit decides
@pytest.mark.parametrize("step", [0, 0.5, 0.25])
@pytest.mark.parametrize("place", TRANSFORMS)
def test_a_window_is_burnt_as_the_whole(tmp_path, write_raster, place, step):
    rng = np.random.default_rng(5)
    pixels = np.ones((1, 110, 140), "uint8")
    raster = Raster.of(write_raster(tmp_path / "image.tif", pixels, transform=TRANSFORMS[place]))
    found = Footprints.read(vectors(tmp_path / "v.gpkg", on_ground(stars(rng, 25, 110, 140, step), raster.transform)))
    around = Window(-100, -100, 310, 340)
    mask, ids = found.burn(raster, around), found.burn_ids(raster, around)
    assert len(np.unique(ids)) > 15
    np.testing.assert_array_equal(ids > 0, mask)
    for window in random_windows(rng, 110, 140, 60):
        np.testing.assert_array_equal(found.burn(raster, window), crop(mask, window, 100))
        np.testing.assert_array_equal(found.burn_ids(raster, window), crop(ids, window, 100))


@pytest.mark.parametrize("place", TRANSFORMS)
def test_ids_are_those_of_the_last_polygon_over_a_pixel(tmp_path, write_raster, place):
    rng = np.random.default_rng(6)
    pixels = np.ones((1, 60, 80), "uint8")
    raster = Raster.of(write_raster(tmp_path / "image.tif", pixels, transform=TRANSFORMS[place]))
    shapes = on_ground(stars(rng, 20, 60, 80, 0), raster.transform)
    found = Footprints.read(vectors(tmp_path / "v.gpkg", [*shapes[:5], MultiPolygon(), *shapes[5:]]))
    rows, cols = np.mgrid[:60, :80] + 0.5
    xs, ys = raster.transform @ (cols, rows)
    expected = np.zeros((60, 80), np.int64)
    for polygon, number in zip(found.polygons, found.ids, strict=True):
        expected[shapely.contains_xy(polygon, xs, ys)] = number
    assert len(np.unique(expected)) > 10
    np.testing.assert_array_equal(found.burn_ids(raster), expected)


def test_every_part_has_an_id_of_its_own(tmp_path, raster):
    shapes = [ground(0, 0, 9, 9), MultiPolygon([ground(20, 0, 5, 5), ground(20, 20, 5, 5)]), ground(0, 20, 9, 9)]
    found = Footprints.read(vectors(tmp_path / "v.gpkg", shapes))
    assert found.ids.dtype == np.int64
    assert found.ids.min() > 0
    assert (np.diff(found.ids) > 0).all()
    ids = found.burn_ids(raster)
    assert len({ids[4, 4], ids[22, 2], ids[22, 22], ids[4, 24], 0}) == 5
    nothing = Footprints.read(vectors(tmp_path / "empty.gpkg", [])).burn_ids(raster, Window(3, 3, 2, 4))
    assert nothing.shape == (2, 4)
    assert nothing.dtype == np.int64
    assert not nothing.any()


def test_numbers_of_features_beyond_what_ids_hold_are_refused(tmp_path):
    path = vectors(tmp_path / "v.gpkg", [ground(0, 0, 9, 9)])
    with sqlite3.connect(path) as database:
        for trigger in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            database.execute(f'DROP TRIGGER "{trigger[0]}"')
        database.execute("UPDATE v SET fid = 1 << 40")
    with pytest.raises(InputError, match=r"v\.gpkg numbers its features from 1099511627776"):
        Footprints.read(path)


def test_sides_on_pixel_centres_are_all_treated_alike(tmp_path, write_raster):
    fine = Affine(0.1, 0, 512_345.67, 0, -0.1, 6_423_456.78)
    raster = Raster.of(write_raster(tmp_path / "image.tif", np.ones((1, 90, 90), "uint8"), transform=fine))
    corners = np.random.default_rng(8).integers(2, 70, (100, 2)) + 0.5
    shapes = on_ground(np.array([box(x, y, x + 10, y + 7) for x, y in corners]), raster.transform)
    for shape in shapes:
        found = Footprints.of(tmp_path, Features(np.array([shape]), np.array([0]), raster.crs))
        assert found.burn(raster).sum() == 70


def with_court(west, south, side, *court):
    """A square building in degrees; its courtyard's corners are given as shares of the side, from the south-west."""
    wall = box(west, south, west + side, south + side)
    return Polygon(wall.exterior, [[(west + side * x, south + side * y) for x, y in court]])


def test_courtyards_that_touch_a_wall_outlive_the_way_to_another_crs(tmp_path, raster):
    touching = ((0.5, 0), (0.6, 0.4), (0.4, 0.4))
    shapes = np.array([with_court(15.0 + i * 1e-3, 45.15, 2e-4, *touching) for i in range(20)])
    assert shapely.is_valid(shapes).all()
    found = Footprints.of(tmp_path, Features(shapes, np.arange(20), "EPSG:4326"))
    assert (found.repaired, found.dropped) == (0, 0)
    moved = found.on(raster)
    shapes_there = gpd.GeoSeries(shapes, crs=4326).to_crs(raster.crs).to_numpy()
    assert not shapely.is_valid(shapes_there).any(), "walls bend, and the courtyards reach through them"
    assert shapely.is_valid(moved.polygons).all()
    np.testing.assert_array_equal(moved.ids, found.ids)
    np.testing.assert_allclose(shapely.area(moved.polygons), shapely.area(shapes_there), rtol=1e-6)
    assert (moved.repaired, moved.dropped) == (20, 0)


def test_parts_of_a_polygon_that_falls_apart_on_the_way_keep_its_number(tmp_path, raster):
    arch = ((0.3, 0), (0.3, 0.5), (0.7, 0.5), (0.7, 1e-7), (0.6, 0.3), (0.4, 0.3))
    whole = with_court(15.0, 45.15, 2e-3, *arch)
    found = Footprints.of(tmp_path, Features(np.array([whole]), np.array([7]), "EPSG:4326"))
    assert len(found.polygons) == 1
    moved = found.on(raster)
    assert len(moved.polygons) == 2
    assert set(moved.ids) == set(found.ids)
    assert moved.repaired_features == {7}


def test_what_has_no_place_in_the_crs_of_the_raster_is_dropped(tmp_path, raster):
    shapes = np.array([box(15, 45, 15.1, 45.1), box(105, 0, 105.1, 0.1)])  # at the horizon, infinitely far
    found = Footprints.of(tmp_path, Features(shapes, np.array([3, 4]), "EPSG:4326")).on(raster)
    assert len(found.polygons) == 1
    assert (found.dropped_features, found.repaired) == ({4}, 0)
