import numpy as np
import pytest
import rasterio

from crispmap.errors import InputError
from crispmap.geo.raster import Raster


@pytest.mark.parametrize("transform", [(0, 0, 5, 0, 0, 5), (1, 0, 5, 0, 0, 5), (float("nan"), 0, 5, 0, -1, 5)])
def test_pixels_need_a_size(tmp_path, write_raster, transform):
    path = write_raster(tmp_path / "flat.tif", np.ones((4, 4), "uint8"), transform=rasterio.Affine(*transform))
    with pytest.raises(InputError, match=r"flat\.tif has pixels without a size"):
        Raster.of(path)


def test_imagery_is_more_than_alpha(tmp_path, write_raster):
    path = write_raster(tmp_path / "a.tif", np.ones((4, 4), "uint8"))
    with rasterio.open(path, "r+") as file:
        file.colorinterp = [rasterio.enums.ColorInterp.alpha]
    with pytest.raises(InputError, match="only an alpha band"):
        Raster.of(path)


def test_a_png_that_is_cut_off_is_never_read_in_part(tmp_path, write_raster):
    pixels = np.random.default_rng(0).integers(0, 255, (200, 300)).astype("uint8")
    path = write_raster(tmp_path / "a.png", pixels)
    path.write_bytes(path.read_bytes()[:30_000])
    raster = Raster.of(path)
    with pytest.raises(InputError, match=r"a\.png cannot be read"):
        raster.read(raster.window)
