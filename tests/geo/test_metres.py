"""Metres on the ground against the textbook formulas of each projection (Snyder 1987), on the ellipsoid WGS 84."""

import math
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio import Affine

from crispmap.errors import InputError
from crispmap.geo.metres import pixel_size

A, E2 = 6_378_137.0, 0.0066943799901413165
PATH = Path("r.tif")


def east(latitude):
    """Metres a radian of longitude."""
    return A * math.cos(math.radians(latitude)) / math.sqrt(1 - E2 * math.sin(math.radians(latitude)) ** 2)


def north(latitude):
    """Metres a radian of latitude."""
    return A * (1 - E2) / (1 - E2 * math.sin(math.radians(latitude)) ** 2) ** 1.5


def sizes(code, longitude, latitude, side):
    """What pixels of a side measure at a place."""
    crs = rasterio.CRS.from_user_input(code)
    (x,), (y,) = rasterio.warp.transform("EPSG:4326", crs, [longitude], [latitude])
    return pixel_size(PATH, Affine(side, 0, x, 0, -side, y), crs, (0, 0))


@pytest.mark.parametrize("latitude", [-33.0, 21.0, 60.0])
def test_projections_stretch_as_their_formulas_say(latitude):
    mercator = east(latitude) / A
    assert sizes("EPSG:3395", 15, latitude, 10) == pytest.approx([10 * mercator] * 2, rel=1e-5)
    # with its true scale on a parallel, 41° south
    assert sizes("EPSG:3994", 15, latitude, 10) == pytest.approx([10 * east(latitude) / east(41)] * 2, rel=1e-5)
    # the web's, spherical formulas on the ellipsoid
    web = [north(latitude) * math.cos(math.radians(latitude)) / A, mercator]
    assert sizes("EPSG:3857", 15, latitude, 10) == pytest.approx(np.multiply(web, 10), rel=1e-5)
    # meridians at equal distances; PROJ has formulas of the sphere for it, by which rows are some thousandths off
    rows, cols = sizes("EPSG:4087", 15, latitude, 10)
    assert rows == pytest.approx(10, rel=0.01)
    assert cols == pytest.approx(10 * east(latitude) / A, rel=1e-5)
    # parallels squeezed so that areas are kept, with the true scale at 30°
    parallel = east(latitude) / east(30)
    assert sizes("EPSG:6933", 15, latitude, 10) == pytest.approx([10 / parallel, 10 * parallel], rel=1e-5)


@pytest.mark.parametrize(
    ("code", "longitude", "latitude", "unit"),
    [
        ("EPSG:32633", 15, 60, 1),
        ("EPSG:32633", 20, 60, 1),  # beyond the zone
        ("EPSG:3035", 13, 52, 1),
        ("EPSG:2154", 3, 46, 1),
        ("EPSG:27700", -2, 53, 1),
        ("EPSG:6677", 139.8, 35.7, 1),
        ("EPSG:2263", -74, 40.7, 1200 / 3937),  # US survey feet
    ],
)
def test_crss_of_a_country_are_taken_at_their_word(code, longitude, latitude, unit):
    assert sizes(code, longitude, latitude, 0.3) == pytest.approx([0.3 * unit] * 2, rel=1e-12)


def test_degrees_are_as_long_as_at_their_place():
    expected = [math.radians(1e-5) * length for length in (north(60), east(60))]
    assert sizes("EPSG:4326", 15, 60, 1e-5) == pytest.approx(expected, rel=1e-5)


def test_turned_pixels_are_measured_along_their_rows_and_columns():
    (x,), (y,) = rasterio.warp.transform("EPSG:4326", "EPSG:6933", [15.0], [60.0])
    turned = Affine(0, 10, x, 10, 0, y)  # rows go east
    parallel = east(60) / east(30)
    crs = rasterio.CRS.from_epsg(6933)
    assert pixel_size(PATH, turned, crs, (0, 0)) == pytest.approx([10 * parallel, 10 / parallel], rel=1e-5)


def test_it_is_the_middle_that_counts():
    (_, _), (south, middle) = rasterio.warp.transform("EPSG:4326", "EPSG:3395", [15.0] * 2, [50.0, 60.0])
    tall = Affine(1000, 0, 0, 0, -1000, 2 * middle - south)
    shape = (round(2 * (middle - south) / 1000), 10)
    height, width = pixel_size(PATH, tall, rasterio.CRS.from_epsg(3395), shape)
    assert (height, width) == pytest.approx([1000 * east(60) / A] * 2, rel=1e-3)


def test_other_bodies_are_measured_on_their_own():
    moon = rasterio.CRS.from_user_input("+proj=eqc +R=1737400 +units=m +no_defs")
    found = pixel_size(PATH, Affine(5, 0, 0, 0, -7, 900_000), moon, (0, 0))
    assert found == pytest.approx((7, 5 * math.cos(900_000 / 1_737_400)), rel=1e-5)


def test_no_place_on_the_earth_is_named():
    with pytest.raises(InputError, match=r"r\.tif lies at 1e\+12, 0, which is no place in EPSG:32633"):
        pixel_size(PATH, Affine(1, 0, 1e12, 0, -1, 0), rasterio.CRS.from_epsg(32633), (0, 0))
