import math
import warnings

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from crispmap.errors import InputError
from crispmap.geo.raster import Raster, Window, parse_nodata, raster_files

RNG = np.random.default_rng(0)


def imagery(bands=3, height=6, width=8, dtype="uint8"):
    return RNG.integers(1, 200, (bands, height, width)).astype(dtype)


def test_a_raster_is_described_without_its_pixels(tmp_path, write_raster):
    raster = Raster.of(write_raster(tmp_path / "a.tif", imagery(4, dtype="uint16"), nodata=7))
    assert (raster.height, raster.width, raster.bands, raster.dtype) == (6, 8, (1, 2, 3, 4), "uint16")
    assert (raster.crs.to_epsg(), raster.nodata, raster.masked) == (32633, 7, False)
    assert raster.resolution == 0.5


@pytest.mark.parametrize(
    "window", [Window(0, 0, 6, 8), Window(2, 3, 3, 4), Window(-2, -1, 5, 5), Window(4, 6, 9, 9), Window(9, 9, 2, 2)]
)
def test_windows_may_reach_beyond(tmp_path, write_raster, window):
    pixels = imagery()
    padded = np.pad(pixels, ((0, 0), (20, 20), (20, 20)))
    inside = np.pad(np.ones((6, 8), bool), 20)
    rows = slice(window.row + 20, window.row + 20 + window.height)
    cols = slice(window.col + 20, window.col + 20 + window.width)
    found, valid = Raster.of(write_raster(tmp_path / "a.tif", pixels)).read(window)
    np.testing.assert_array_equal(found, padded[:, rows, cols])
    np.testing.assert_array_equal(valid, inside[rows, cols])


def test_nodata_only_where_all_bands_have_the_value(tmp_path, write_raster):
    pixels = imagery()
    pixels[:, 0] = 255
    pixels[:2, 1] = 255  # a white roof, not quite
    raster = Raster.of(write_raster(tmp_path / "a.tif", pixels, nodata=255))
    expected = np.ones((6, 8), bool)
    expected[0] = False
    np.testing.assert_array_equal(raster.read(raster.window)[1], expected)
    assert raster.read(raster.window, "none")[1].all()
    pixels[:, 3, 3] = 9
    raster = Raster.of(write_raster(tmp_path / "b.tif", pixels, nodata=255))
    np.testing.assert_array_equal(raster.read(raster.window, 9.0)[1], (pixels != 9).any(0))


@pytest.mark.parametrize("nodata", [None, 0, 77])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_alpha_has_the_first_word(tmp_path, write_raster, nodata, dtype):
    pixels = imagery(4, dtype=dtype)
    pixels[:3, 0] = 0 if nodata is None else nodata
    pixels[3] = 255
    pixels[3, 2:4] = 0
    path = write_raster(tmp_path / "a.tif", pixels, nodata=nodata, photometric="RGB", alpha="YES")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        raster = Raster.of(path)
        found, valid = raster.read(raster.window)
    assert raster.bands == (1, 2, 3)
    np.testing.assert_array_equal(found, pixels[:3])
    np.testing.assert_array_equal(valid, pixels[3] > 0)
    assert raster.read(raster.window, "none")[1].all()


@pytest.mark.parametrize("internal", [True, False])
def test_a_mask_band_has_the_first_word(tmp_path, write_raster, internal):
    pixels, mask = imagery(), np.ones((6, 8), bool)
    pixels[:, 0] = 0
    mask[4:, 5:] = False
    path = write_raster(tmp_path / "a.tif", pixels, nodata=0)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=internal), rasterio.open(path, "r+") as file:
        file.write_mask(mask)
    raster = Raster.of(path)
    np.testing.assert_array_equal(raster.read(raster.window)[1], mask)


def test_what_is_not_finite_is_never_data(tmp_path, write_raster):
    pixels = imagery(2, dtype="float32")
    pixels[0, 1, 1], pixels[1, 2, 2], pixels[:, 3, 3], pixels[:, 4, 4] = np.nan, np.inf, np.nan, -9999
    expected = np.ones((6, 8), bool)
    expected[[1, 2, 3], [1, 2, 3]] = False
    for nodata in (None, math.nan):
        raster = Raster.of(write_raster(tmp_path / "a.tif", pixels, nodata=nodata))
        np.testing.assert_array_equal(raster.read(raster.window)[1], expected)
    raster = Raster.of(write_raster(tmp_path / "b.tif", pixels, nodata=-9999))
    expected[4, 4] = False
    np.testing.assert_array_equal(raster.read(raster.window)[1], expected)


@pytest.mark.parametrize(
    ("crs", "transform", "metres"),
    [
        ("EPSG:32633", from_origin(5e5, 5e6, 0.3, 0.3), 0.3),
        ("EPSG:2263", from_origin(1e6, 2e5, 1, 1), 0.3048),
        ("EPSG:4326", from_origin(15, 60, 1e-5, 1e-5), 0.78847),  # 111 412 m by 55 800 m a degree
        ("EPSG:3857", from_origin(1.67e6, 8_399_738, 1, 1), 0.5008),  # 60° N, about half as long as it says
        (None, from_origin(0, 0, 2, 2), None),
        ("EPSG:32633", rasterio.Affine.identity(), None),
        ('LOCAL_CS["site",UNIT["metre",1]]', from_origin(0, 0, 1, 1), None),
    ],
)
def test_resolution_is_metres_on_the_ground(tmp_path, write_raster, crs, transform, metres):
    raster = Raster.of(write_raster(tmp_path / "a.tif", imagery(), crs=crs, transform=transform))
    assert raster.resolution == (metres if metres is None else pytest.approx(metres, rel=1e-4))
    assert raster.located == (metres is not None)


def test_resolution_of_turned_pixels(tmp_path, write_raster):
    turned = rasterio.Affine.translation(5e5, 5e6) @ rasterio.Affine.rotation(30) @ rasterio.Affine.scale(0.4, -0.1)
    raster = Raster.of(write_raster(tmp_path / "a.tif", imagery(), transform=turned))
    assert raster.resolution == pytest.approx(0.2)


def test_what_cannot_be_read_is_named(tmp_path, write_raster):
    with pytest.raises(InputError, match=r"image not found: .*nowhere\.tif"):
        Raster.of(tmp_path / "nowhere.tif")
    (tmp_path / "text.tif").write_text("hello")
    with pytest.raises(InputError, match=r"text\.tif cannot be read"):
        Raster.of(tmp_path / "text.tif")
    path = write_raster(tmp_path / "cut.tif", imagery(height=300, width=300))
    path.write_bytes(path.read_bytes()[:100_000])
    raster = Raster.of(path)
    with pytest.raises(InputError, match=r"cut\.tif cannot be read"):
        raster.read(raster.window)
    with pytest.raises(InputError, match="complex"):
        Raster.of(write_raster(tmp_path / "c.tif", imagery(dtype="complex64")))


def test_rasters_of_a_folder_by_name(tmp_path, write_raster):
    with pytest.raises(InputError, match="no images in"):
        raster_files(tmp_path)
    for name in ("b.tif", "a.png", "c.TIFF"):
        write_raster(tmp_path / name, imagery(), driver="GTiff")
    (tmp_path / "a.txt").write_text("")
    (tmp_path / "._a.png").write_text("")  # macOS
    (tmp_path / "b.tif.aux.xml").write_text("")
    assert [path.name for path in raster_files(tmp_path)] == ["a.png", "b.tif", "c.TIFF"]


def test_nodata_as_people_type_it():
    assert parse_nodata(None) == "file"
    assert parse_nodata("none") == "none"
    assert parse_nodata("-9999") == -9999
    assert math.isnan(parse_nodata("nan"))
    with pytest.raises(InputError, match="not 'white'"):
        parse_nodata("white")
