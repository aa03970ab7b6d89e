import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from crispmap.errors import InputError
from crispmap.geo.degrees import to_degrees
from crispmap.geo.raster import Raster


def test_longitude_comes_first():
    lon, lat = to_degrees(rasterio.CRS.from_epsg(32633)).transform(500_000, 0)
    assert (lon, lat) == pytest.approx((15, 0), abs=1e-9)  # the zone's middle, on the equator


def test_there_is_no_way_from_the_moon():
    with pytest.raises(InputError, match="no way"):
        to_degrees(rasterio.CRS.from_user_input("+proj=longlat +R=1737400 +no_defs"))


def test_a_raster_beyond_the_poles_is_named(tmp_path, write_raster):
    path = write_raster(
        tmp_path / "far.tif", np.ones((4, 4), "uint8"), crs="EPSG:4326", transform=from_origin(0, 400, 1, 1)
    )
    with pytest.raises(InputError, match=r"far\.tif lies at"):
        _ = Raster.of(path).pixel_size
