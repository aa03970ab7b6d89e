"""Vectors read by window against the same vectors read whole."""

import warnings

import geopandas as gpd
import numpy as np
import pytest
import shapely
from rasterio import Affine
from shapely import Point, Polygon, box

from crispmap.errors import InputError, PairingError
from crispmap.geo import vector_source
from crispmap.geo.grid import Grid
from crispmap.geo.raster import Window
from crispmap.geo.vector import Footprints
from crispmap.geo.vector_source import VectorSource

SUFFIXES = ["gpkg", "fgb", "shp", "geojson", "parquet", "covered.parquet"]
BY_BOX = ["gpkg", "fgb", "shp", "covered.parquet"]
CRS = "EPSG:32633"


def write(path, geometries, crs=CRS):
    frame = gpd.GeoDataFrame({"a": range(len(geometries))}, geometry=list(geometries), crs=crs)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "'crs' was not provided")
        if path.suffix != ".parquet":
            frame.to_file(path)
        elif "covered" in path.name:
            frame.to_parquet(path, write_covering_bbox=True, row_group_size=50)
        else:
            frame.to_parquet(path)
    return path


def houses(rng, count, side):
    """Turned squares in metres, in no order, over ``side`` metres north and east of a corner."""
    middles, sizes, angles = rng.uniform(0, side, (count, 2)), rng.uniform(3, 25, count), rng.uniform(0, 90, count)
    return [
        shapely.affinity.rotate(box(x - s, y - s, x + s, y + s), a)
        for (x, y), s, a in zip(middles + np.array((500_000, 6_400_000)), sizes, angles, strict=True)
    ]


@pytest.fixture
def grid(tmp_path):
    """700 × 700 m, turned by 20°, in half metres, with bands of 100 rows."""
    transform = Affine.translation(500_000, 6_400_500) @ Affine.rotation(20) @ Affine.scale(0.5, -0.5)
    return Grid(tmp_path / "grid", 1400, 1400, transform, gpd.GeoSeries(crs=CRS).crs)


@pytest.fixture(autouse=True)
def _low_bands(monkeypatch):
    monkeypatch.setattr(vector_source, "_LEAST_ROWS", 100)


@pytest.mark.parametrize("crs", [CRS, "EPSG:4326", "EPSG:3857", "EPSG:3035"])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_windows_are_those_of_the_whole_file(tmp_path, grid, suffix, crs):
    rng = np.random.default_rng(1)
    shapes = gpd.GeoSeries(houses(rng, 400, 1500), crs=CRS).to_crs(crs)
    path = write(tmp_path / f"v.{suffix}", shapes, crs)
    whole, source = Footprints.read(path).on(grid), VectorSource(path)
    mask, ids = whole.burn(grid), whole.burn_ids(grid)
    assert len(np.unique(ids)) > 50
    strips = [Window(row, 0, 70, 1400).intersection(grid.window) for row in range(0, 1400, 70)]
    elsewhere = [Window(*map(int, (*rng.integers(0, 1300, 2), *rng.integers(1, 100, 2)))) for _ in range(15)]
    for window in strips + elsewhere:
        near = source.near(grid, window)
        np.testing.assert_array_equal(near.burn(grid, window), mask[window.slices_in(grid.window)])
        np.testing.assert_array_equal(near.burn_ids(grid, window), ids[window.slices_in(grid.window)])
        assert near.crs == grid.crs


@pytest.mark.parametrize("suffix", BY_BOX)
def test_only_what_lies_around_is_held(tmp_path, suffix):
    shapes = [box(500_000, y, 500_010, y + 3) for y in range(6_400_000, 6_405_000, 5)]
    np.random.default_rng(2).shuffle(shapes)
    if suffix == "covered.parquet":  # row groups by place, or each of them is everywhere
        shapes.sort(key=lambda shape: shape.bounds)
    grid = Grid.over(tmp_path, (500_000, 6_400_000, 500_010, 6_405_000), gpd.GeoSeries(crs=CRS).crs, 0.5)
    source = VectorSource(write(tmp_path / f"v.{suffix}", shapes))
    for row in range(0, grid.height, 100):
        window = Window(row, 0, 100, grid.width).intersection(grid.window)
        near = source.near(grid, window)
        assert len(near.within(grid, window).polygons) > 0
        assert len(near.polygons) < 90  # of 1000


@pytest.mark.parametrize("suffix", BY_BOX)
def test_a_band_is_read_once_for_the_windows_in_it(tmp_path, grid, suffix, monkeypatch):
    source = VectorSource(write(tmp_path / f"v.{suffix}", houses(np.random.default_rng(3), 50, 700)))
    reads = []
    read = vector_source.read_features
    monkeypatch.setattr(vector_source, "read_features", lambda *args: reads.append(args) or read(*args))
    for row in range(0, 400, 20):
        source.near(grid, Window(row, 0, 20, 1400))
    assert len(reads) == 4
    source.near(grid, Window(300, -50, 20, 1500))  # beyond the sides
    assert len(reads) == 5
    source.near(grid, Window(310, 0, 5, 1400))
    assert len(reads) == 5
    source.forget()
    source.near(grid, Window(310, 0, 5, 1400))
    assert len(reads) == 6


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_was_mended_is_counted_once_however_windows_overlap(tmp_path, suffix):
    # a bow tie through all bands, another at the bottom, and a flat one
    tie = Polygon([(0, 0), (10, 900), (10, 0), (0, 900)])
    low = Polygon([(20, 0), (22, 2), (22, 0), (20, 2)])
    flat = Polygon([(30, 880), (40, 880), (35, 880)])
    shapes = [shapely.affinity.translate(s, 500_000, 6_400_000) for s in (tie, low, flat, box(50, 0, 60, 900))]
    grid = Grid.over(tmp_path, (500_000, 6_400_000, 500_100, 6_400_900), gpd.GeoSeries(crs=CRS).crs, 1)
    source = VectorSource(write(tmp_path / f"v.{suffix}", shapes))
    source.near(grid, Window(0, 0, 60, grid.width))
    assert (source.repaired, source.dropped) == ((2, 1) if suffix in BY_BOX else (3, 1))  # the low tie is far
    for row in range(0, grid.height, 40):
        source.near(grid, Window(row, 0, 90, grid.width))
    assert (source.repaired, source.dropped) == (3, 1)
    whole = Footprints.read(source.path)
    assert (whole.repaired, whole.dropped) == (3, 1)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_empty_file(tmp_path, grid, suffix):
    source = VectorSource(write(tmp_path / f"v.{suffix}", []))
    assert source.bounds is None
    assert not source.touches(grid)
    assert not source.near(grid, grid.window).burn(grid, Window(0, 0, 5, 5)).any()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_touches_the_raster(tmp_path, grid, suffix):
    inside = Point(grid.transform @ (700, 1399)).buffer(1)  # in the last band
    beside = Point(grid.transform @ (-20, 300)).buffer(1)  # in the box of the raster, not in the raster
    assert VectorSource(write(tmp_path / f"in.{suffix}", [beside, inside])).touches(grid)
    assert not VectorSource(write(tmp_path / f"out.{suffix}", [beside])).touches(grid)
    here = VectorSource(tmp_path / f"in.{suffix}")
    assert here.bounds == pytest.approx(shapely.total_bounds([beside, inside]))


@pytest.mark.parametrize("suffix", ["gpkg", "covered.parquet"])
def test_a_file_without_a_crs_is_refused(tmp_path, grid, suffix):
    source = VectorSource(write(tmp_path / f"v.{suffix}", [box(0, 0, 1, 1)], crs=None))
    with pytest.raises(PairingError, match=r"has no CRS but .*grid is in"):
        source.near(grid, grid.window)


@pytest.mark.parametrize("suffix", ["gpkg", "fgb", "parquet"])
def test_a_broken_file_is_refused(tmp_path, suffix):
    (tmp_path / f"v.{suffix}").write_text("hello")
    with pytest.raises(InputError, match=rf"v\.{suffix} cannot be read as vectors"):
        VectorSource(tmp_path / f"v.{suffix}")
    with pytest.raises(InputError, match=rf"missing\.{suffix} cannot be read as vectors"):
        VectorSource(tmp_path / f"missing.{suffix}")


@pytest.mark.parametrize("suffix", BY_BOX)
def test_long_sides_bend_on_the_way_to_another_crs(tmp_path, suffix, monkeypatch):
    monkeypatch.setattr(vector_source, "_LEAST_ROWS", 1)
    path = write(tmp_path / f"v.{suffix}", [box(14.75, 59.9, 15.25, 60)], "EPSG:4326")
    # 28 km of the 60th parallel become a straight line, in the middle 27 m further north than it was
    x, y = gpd.GeoSeries([Point(15, 60)], crs=4326).to_crs(CRS).get_coordinates().to_numpy()[0]
    grid = Grid.over(tmp_path, (x, y + 5, x + 20, y + 15), gpd.GeoSeries(crs=CRS).crs, 1)
    assert Footprints.read(path).on(grid).burn(grid).all()
    assert VectorSource(path).near(grid, grid.window).burn(grid).all()
