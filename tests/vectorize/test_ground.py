"""Measures of footprints are those on the ellipsoid, in every CRS."""

import numpy as np
import pytest
import shapely
from pyproj import Geod, Transformer
from rasterio import Affine
from rasterio.transform import from_origin
from shapely import Polygon, affinity, box

from crispmap.geo.raster import Raster
from crispmap.vectorize.ground import measures, on_map

GEOD = Geod(ellps="WGS84")
PLACES = {
    "utm": ("EPSG:32633", from_origin(500_000, 6_600_000, 0.5, 0.5)),
    "utm, far from its meridian": ("EPSG:32633", from_origin(750_000, 6_600_000, 0.5, 0.5)),
    "utm turned": ("EPSG:32633", Affine.translation(5e5, 6.6e6) @ Affine.rotation(30) @ Affine.scale(0.5, -0.5)),
    "degrees": ("EPSG:4326", from_origin(15, 60, 8e-6, 5e-6)),
    "antimeridian": ("EPSG:4326", from_origin(180 - 4e-4, -17, 5e-6, 5e-6)),
    "web mercator": ("EPSG:3857", from_origin(1.67e6, 8.4e6, 1, 1)),
    "feet": ("EPSG:2263", from_origin(980_000, 200_000, 1, 1)),
}
SHAPES = np.array(
    [
        affinity.rotate(box(20, 30, 80, 60), 33),
        box(10, 10, 60, 40).difference(box(20, 20, 30, 30)),
        Polygon([(5, 5), (90, 20), (85, 40), (5, 25)]),
    ],
    dtype=object,
)


@pytest.mark.parametrize("place", PLACES)
def test_area_and_perimeter_are_those_along_the_ellipsoid(levels_file, place):
    crs, transform = PLACES[place]
    raster = Raster.of(levels_file(np.zeros((100, 100), "uint8"), crs, transform))
    found = measures(SHAPES, raster)
    to_degrees = Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    for i, polygon in enumerate(on_map(SHAPES, raster)):
        degrees = shapely.transform(polygon, lambda xy: np.stack(to_degrees.transform(*xy.T), axis=-1))
        rings = [GEOD.geometry_area_perimeter(Polygon(ring)) for ring in shapely.get_rings(degrees)]
        areas = [abs(area) for area, _ in rings]
        assert found["area_m2"][i] == pytest.approx(areas[0] - sum(areas[1:]), rel=1e-5)
        assert found["perimeter_m"][i] == pytest.approx(sum(length for _, length in rings), rel=1e-5)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("azimuth", [0.0, 20.0, 90.0, 135.0, 179.0])
def test_orientation_is_the_azimuth_of_the_longer_side(levels_file, place, azimuth):
    crs, transform = PLACES[place]
    raster = Raster.of(levels_file(np.zeros((100, 100), "uint8"), crs, transform))
    to_degrees = Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    lon, lat = to_degrees.transform(*(transform @ (50, 50)))
    along = GEOD.fwd([lon] * 2, [lat] * 2, [azimuth, azimuth + 180], [10, 10])[:2]
    corners = [
        GEOD.fwd(x, y, azimuth + side, 4)[:2]
        for x, y, sides in ((along[0][0], along[1][0], (90, -90)), (along[0][1], along[1][1], (-90, 90)))
        for side in sides
    ]
    to_map = Transformer.from_crs("EPSG:4326", crs, always_xy=True)
    xs, ys = to_map.transform(*np.transpose(corners))
    if place == "antimeridian":
        xs = xs % 360
    pixels = np.stack(~transform @ (xs, ys), axis=-1)
    found = measures(np.array([Polygon(pixels)], dtype=object), raster)["orientation"][0]
    assert abs((found - azimuth + 90) % 180 - 90) < 0.01


def test_without_a_place_measures_are_in_pixels(levels_file):
    raster = Raster.of(levels_file(np.zeros((100, 100), "uint8"), None, None))
    found = measures(np.array([box(10, 10, 60, 40), box(0, 0, 3, 9)], dtype=object), raster)
    assert {name: values.tolist() for name, values in found.items()} == {
        "area_px": [1500, 27],
        "perimeter_px": [160, 24],
        "orientation": [90, 0],
    }
