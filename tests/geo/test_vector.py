import warnings

import geopandas as gpd
import numpy as np
import pyogrio
import pytest
import shapely
from rasterio.transform import from_origin
from shapely import GeometryCollection, LineString, MultiPolygon, Point, Polygon, box

from crispmap.errors import InputError, PairingError
from crispmap.geo.raster import Raster, Window
from crispmap.geo.vector import Footprints, window_outline, write_vectors

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
        gpd.GeoDataFrame({"name": range(len(geometries))}, geometry=list(geometries), crs=crs).to_file(path)
    return path


@pytest.mark.parametrize("suffix", ["gpkg", "geojson", "shp", "fgb"])
def test_polygons_of_every_kind_of_file(tmp_path, suffix):
    shapes = [ground(0, 0, 10, 10), MultiPolygon([ground(20, 0, 5, 5), ground(20, 20, 5, 5)])]
    found = Footprints.read(vectors(tmp_path / f"v.{suffix}", shapes))
    assert len(found.polygons) == 3
    assert sorted(shapely.area(found.polygons)) == pytest.approx([6.25, 6.25, 25])
    assert (found.repaired, found.dropped) == (0, 0)


def test_what_is_broken_is_repaired_and_what_has_no_area_dropped(tmp_path):
    bowtie = Polygon([(0, 0), (2, 2), (2, 0), (0, 2)])
    with_line = GeometryCollection([ground(0, 0, 4, 4), LineString([(0, 0), (5, 5)])])
    shapes = [bowtie, with_line, Point(1, 1), LineString([(0, 0), (1, 1)]), None, Polygon()]
    found = Footprints.read(vectors(tmp_path / "v.gpkg", shapes))
    assert shapely.is_valid(found.polygons).all()
    assert shapely.area(found.polygons).sum() == pytest.approx(2 + 4)
    assert (found.repaired, found.dropped) == (1, 4)


def test_what_is_not_vectors_is_named(tmp_path):
    (tmp_path / "v.gpkg").write_text("hello")
    with pytest.raises(InputError, match=r"v\.gpkg cannot be read as vectors"):
        Footprints.read(tmp_path / "v.gpkg")
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


@pytest.mark.parametrize("crs", ["EPSG:32633", None])
@pytest.mark.parametrize("count", [0, 2])
def test_written_polygons_come_back(tmp_path, crs, count, recwarn):
    ring = ground(0, 0, 20, 20).difference(ground(5, 5, 5, 5))
    polygons = np.array([ring, ground(30, 30, 5, 5)][:count], dtype=object)
    path = tmp_path / "out.gpkg"
    write_vectors(path, polygons, {"area_m2": np.array([93.75, 6.25][:count])}, crs)
    assert not recwarn.list
    assert pyogrio.list_layers(path).tolist() == [["footprints", "Polygon"]]
    found = gpd.read_file(path)
    assert found.crs == crs
    assert list(found.columns) == ["area_m2", "geometry"]
    assert shapely.equals(found.geometry.to_numpy(), polygons).all()


def test_polygons_burn_in_place_where_rows_go_north(tmp_path, write_raster):
    up = from_origin(100, 200, 1, -1)  # rows go north
    raster = Raster.of(write_raster(tmp_path / "up.tif", np.ones((1, 10, 10), "uint8"), transform=up))
    found = Footprints.read(vectors(tmp_path / "v.gpkg", [box(102, 203, 105, 209)]))
    expected = np.zeros((10, 10), bool)
    expected[3:9, 2:5] = True
    np.testing.assert_array_equal(found.burn(raster), expected)
