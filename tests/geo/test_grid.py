"""Grids laid over bounds, and what a pixel measures on the ground."""

import math
from pathlib import Path

import numpy as np
import pytest
import rasterio
from pyproj import Geod
from rasterio import Affine
from rasterio.transform import from_origin

from crispmap.errors import InputError
from crispmap.geo.grid import Grid, metric_crs, moved_bounds
from crispmap.geo.raster import Raster, Window, kept_open

UTM = rasterio.CRS.from_epsg(32633)
DEGREES = rasterio.CRS.from_epsg(4326)


@pytest.mark.parametrize("resolution", [0.25, 0.3, 1, 7])
def test_a_grid_covers_bounds_and_a_metre_more(resolution):
    bounds = (500_000.1, 6_400_000.2, 500_040.7, 6_400_021.3)
    grid = Grid.over(Path("t"), bounds, UTM, resolution)
    west, north = grid.transform @ (0, 0)
    east, south = grid.transform @ (grid.width, grid.height)
    for line in (west, north, east, south):
        assert line / resolution == pytest.approx(round(line / resolution), abs=1e-6)
    beyond = np.array([bounds[0] - west, bounds[1] - south, east - bounds[2], north - bounds[3]])
    assert (beyond > 1 - 1e-6).all()
    assert (beyond < 1 + resolution).all()
    assert grid.window == Window(0, 0, grid.height, grid.width)
    assert grid.pixel_size == pytest.approx((resolution, resolution))
    assert grid.resolution == pytest.approx(resolution)
    assert grid.located


def test_a_grid_without_a_crs_has_no_place():
    grid = Grid.over(Path("t"), (0, 0, 10, 5), None, 1)
    assert (grid.height, grid.width) == (7, 12)
    assert not grid.located
    assert grid.pixel_size is None
    assert grid.resolution is None


def test_a_grid_that_no_one_can_fill_is_refused():
    Grid.over(Path("t.gpkg"), (0, 0, 70_000, 70_000), UTM, 0.25)  # 8 · 10¹⁰
    with pytest.raises(
        InputError, match=r"t\.gpkg .* 100,002 × 100,002 m: 1\.6e\+11 pixels of 0\.25 m; give an --area"
    ):
        Grid.over(Path("t.gpkg"), (0, 0, 100_000, 100_000), UTM, 0.25)


@pytest.mark.parametrize(
    ("epsg", "bounds", "expected"),
    [
        (32633, (5e5, 6.4e6, 5.1e5, 6.41e6), 32633),
        (3035, (4.3e6, 3.1e6, 4.31e6, 3.11e6), 3035),
        (4326, (13.3, 52.4, 13.5, 52.6), 32633),
        (4326, (151.1, -33.9, 151.3, -33.8), 32756),
        (3857, (1.48e6, 6.88e6, 1.49e6, 6.89e6), 32633),  # its metres are 0.6 m there
        (3395, (1.66e6, 8.3e6, 1.67e6, 8.31e6), 32633),  # and here half a metre
        (6933, (1.44e6, 6.3e6, 1.45e6, 6.31e6), 32633),  # areas are kept, lengths are not
        (2263, (9.8e5, 1.9e5, 9.9e5, 2.0e5), 32618),  # feet
        (3031, (0, 5.5e5, 1e4, 5.6e5), 3031),  # 85° south, where there is no UTM
    ],
)
def test_the_crs_of_metres(epsg, bounds, expected):
    assert metric_crs(Path("t"), rasterio.CRS.from_epsg(epsg), bounds) == rasterio.CRS.from_epsg(expected)


def test_no_crs_stays_none_and_poles_are_refused():
    assert metric_crs(Path("t"), None, (0, 0, 1, 1)) is None
    with pytest.raises(InputError, match="lies in no UTM zone"):
        metric_crs(Path("t"), DEGREES, (10, 88, 20, 89))


def test_bounds_in_another_crs_hold_every_point():
    bounds = (4.0e5, 6.4e6, 6.0e5, 6.6e6)
    west, south, east, north = moved_bounds(bounds, UTM, DEGREES)
    xs, ys = np.meshgrid(np.linspace(4.0e5, 6.0e5, 101), np.linspace(6.4e6, 6.6e6, 101))
    lon, lat = rasterio.warp.transform(UTM, DEGREES, xs.ravel(), ys.ravel())
    assert (west, south) == pytest.approx((min(lon), min(lat)), abs=1e-5)
    assert (east, north) == pytest.approx((max(lon), max(lat)), abs=1e-5)
    assert moved_bounds(bounds, UTM, UTM) == bounds


@pytest.mark.parametrize(
    ("crs", "transform", "expected"),
    [
        (32633, from_origin(5e5, 6.4e6, 0.3, 0.7), (0.7, 0.3)),
        (32633, Affine.translation(5e5, 6.4e6) @ Affine.rotation(30) @ Affine.scale(0.3, -0.7), (0.7, 0.3)),
        (2263, from_origin(9.8e5, 2e5, 1, 2), (2 * 0.3048006, 0.3048006)),
        (None, from_origin(0, 9, 1, 1), None),
    ],
)
def test_rows_and_columns_in_metres(tmp_path, write_raster, crs, transform, expected):
    crs = None if crs is None else f"EPSG:{crs}"
    raster = Raster.of(write_raster(tmp_path / "r.tif", np.ones((4, 6), "uint8"), crs=crs, transform=transform))
    assert raster.pixel_size == (expected and pytest.approx(expected, rel=1e-6))


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:3857"])
def test_rows_and_columns_along_the_ellipsoid(tmp_path, write_raster, crs):
    step = 1e-5 if crs == "EPSG:4326" else 1.0
    x, y = (15.0, 60.0) if crs == "EPSG:4326" else rasterio.warp.transform(DEGREES, crs, [15.0], [60.0])
    corner = from_origin(np.ravel(x)[0], np.ravel(y)[0], step, 2 * step)
    raster = Raster.of(write_raster(tmp_path / "r.tif", np.ones((2, 2), "uint8"), crs=crs, transform=corner))
    xs, ys = zip(*(corner @ (col, row) for col, row in ((1, 1), (1, 2), (2, 1))), strict=True)
    lon, lat = rasterio.warp.transform(crs, DEGREES, xs, ys)
    geod = Geod(ellps="WGS84")
    rows, cols = (geod.inv(lon[0], lat[0], lon[i], lat[i])[2] for i in (1, 2))
    assert raster.pixel_size == pytest.approx((rows, cols), rel=1e-6)
    assert raster.resolution == pytest.approx(math.sqrt(rows * cols))
    assert rows == pytest.approx(2 * cols if crs == "EPSG:3857" else 4 * cols, rel=0.01)


def test_a_raster_kept_open_is_opened_once(tmp_path, write_raster, monkeypatch):
    pixels = np.arange(24, dtype="uint8").reshape(1, 4, 6)
    raster = Raster.of(write_raster(tmp_path / "r.tif", pixels, nodata=3))
    opened = []
    open_ = rasterio.open
    monkeypatch.setattr(rasterio, "open", lambda *args: opened.append(args) or open_(*args))
    with kept_open(raster) as same:
        for row in range(4):
            for found, expected in zip(
                same.read(Window(row, -1, 1, 8)), raster.read(Window(row, -1, 1, 8)), strict=True
            ):
                np.testing.assert_array_equal(found, expected)
        assert same.window == raster.window
        file = same.file
    assert len(opened) == 5  # once, and by each read of the other
    assert file.closed


def test_mistakes_in_a_raster_kept_open_are_named(tmp_path, write_raster):
    noise = np.random.default_rng(0).integers(0, 256, (1, 400, 600)).astype("uint8")
    raster = Raster.of(write_raster(tmp_path / "r.tif", noise, compress="deflate"))
    with kept_open(raster) as same:
        raster.path.write_bytes(raster.path.read_bytes()[:400])
        with pytest.raises(InputError, match=r"r\.tif cannot be read as a raster"):
            same.read(raster.window)
    raster.path.unlink()
    with pytest.raises(InputError, match=r"image not found: .*r\.tif"), kept_open(raster):
        pass
