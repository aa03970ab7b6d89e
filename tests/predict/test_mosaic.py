import zipfile

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from crispmap.errors import InputError
from crispmap.geo.raster import Raster
from crispmap.predict.mosaic import gdal_name, stem_of, write_mosaic
from crispmap.predict.plan import plan

WEST, NORTH, STEP = 500_000, 5_000_000, 0.3  # a step that binary fractions do not hold
RNG = np.random.default_rng(0)


def place(row, col):
    return {"transform": from_origin(WEST + col * STEP, NORTH - row * STEP, STEP, STEP)}


def read(path):
    raster = Raster.of(path)
    return *raster.read(raster.window), raster


# where each tile lies (row, column, height, width); the third overlaps the second, and there are gaps
PLACES = [(0, 0, 40, 50), (10, 70, 30, 60), (25, 100, 50, 30)]


@pytest.mark.parametrize("kind", ["plain", "nodata", "alpha", "mask", "float"])
def test_pixels_are_those_of_the_tiles_and_gaps_hold_none(tmp_path, write_raster, kind):
    dtype = "float32" if kind == "float" else "uint8"
    expected, expected_valid = np.zeros((3, 75, 130), dtype), np.zeros((75, 130), bool)
    names = []
    for i, (row, col, height, width) in enumerate(PLACES):
        pixels = RNG.integers(1, 255, (3, height, width)).astype(dtype)
        valid = np.ones((height, width), bool)
        if kind != "plain":
            valid[:8, :20] = False  # in the third tile over pixels that the second has
        profile = place(row, col)
        if kind in ("nodata", "float"):
            profile["nodata"] = np.nan if kind == "float" else 0
            pixels[:, ~valid] = profile["nodata"]
        path = tmp_path / f"{i}.tif"
        if kind == "alpha":
            opacity = np.where(valid, 255, 0)[None].astype("uint8")
            write_raster(path, np.concatenate([pixels, opacity]), photometric="RGB", alpha="YES", **profile)
        else:
            write_raster(path, pixels, **profile)
        if kind == "mask":
            with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as file:
                file.write_mask(valid)
        at = slice(row, row + height), slice(col, col + width)
        expected[:, at[0], at[1]] = np.where(valid, pixels, expected[:, at[0], at[1]])
        expected_valid[at] |= valid
        names.append(str(path))
    write_mosaic(tmp_path / "m.vrt", names)
    pixels, valid, raster = read(tmp_path / "m.vrt")
    np.testing.assert_array_equal(valid, expected_valid)
    np.testing.assert_array_equal(pixels[:, valid], expected[:, valid])
    assert (raster.height, raster.width, raster.bands) == (75, 130, (1, 2, 3))
    assert (raster.transform, raster.crs.to_epsg()) == (place(0, 0)["transform"], 32633)


def test_the_first_raster_need_not_be_the_upper_left_one(tmp_path, write_raster):
    tiles = {name: RNG.integers(1, 255, (1, 20, 20)).astype("uint8") for name in "ab"}
    write_raster(tmp_path / "a.tif", tiles["a"], **place(20, 20))
    write_raster(tmp_path / "b.tif", tiles["b"], **place(0, 0))
    write_mosaic(tmp_path / "m.vrt", [str(tmp_path / f"{name}.tif") for name in "ab"])
    pixels, valid, raster = read(tmp_path / "m.vrt")
    np.testing.assert_array_equal(pixels[0, 20:, 20:], tiles["a"][0])
    np.testing.assert_array_equal(pixels[0, :20, :20], tiles["b"][0])
    assert valid.sum() == 800
    np.testing.assert_allclose(raster.transform, place(0, 0)["transform"], atol=1e-9)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (place(0.4, 20), "lies between the pixels"),
        ({"transform": from_origin(WEST, NORTH, 0.31, 0.31)}, r"has pixels of 0\.31×0\.31, but .* of 0\.3×0\.3"),
        (place(0, 20) | {"crs": "EPSG:32634"}, "has the CRS EPSG:32634, but .* EPSG:32633; gdalwarp -t_srs"),
        (place(0, 20) | {"nodata": 0}, r"has the nodata value 0\.0, but .* None; gdal_edit"),
        (place(0, 20) | {"bands": 3}, "has bands of the types"),
        (place(0, 20) | {"dtype": "uint16"}, "has bands of the types"),
        ({"transform": rasterio.Affine.rotation(3) @ rasterio.Affine.scale(STEP, -STEP)}, "is turned"),
        ({"transform": None}, "has no place"),
    ],
)
def test_what_makes_no_mosaic(tmp_path, write_raster, other, words):
    bands, dtype = other.pop("bands", 1), other.pop("dtype", "uint8")
    write_raster(tmp_path / "a.tif", np.ones((1, 20, 20), "uint8"), **place(0, 0))
    write_raster(tmp_path / "b.tif", np.ones((bands, 20, 20), dtype), **other)
    with pytest.raises(InputError, match=words):
        write_mosaic(tmp_path / "m.vrt", [str(tmp_path / f"{name}.tif") for name in "ab"])


def test_tiles_of_a_web_map_meet_without_a_gap(tmp_path, write_raster, caplog):
    """In degrees their pixels shrink from tile to tile, so that none but the first lies on its own grid exactly."""
    caplog.set_level("INFO", "crispmap")
    pixels = RNG.integers(1, 255, (3, 5 * 512, 16)).astype("uint8")
    north, names = 27.6, []
    for i in range(5):
        step = 1.19e-6 * (1 + 2e-5 * i)
        transform = rasterio.Affine(1.34e-6, 0, 85.5, 0, -step, north)
        rows = slice(512 * i, 512 * (i + 1))
        names.append(write_raster(tmp_path / f"{i}.tif", pixels[:, rows], transform=transform, crs="EPSG:4326"))
        north -= 512 * step
    write_mosaic(tmp_path / "all.vrt", list(map(str, names)))
    found, valid, _ = read(tmp_path / "all.vrt")
    np.testing.assert_array_equal(found, pixels)
    assert valid.all()
    assert "4.tif: taken to the nearest pixel of the mosaic's grid, 0.06 pixels away" in caplog.text


@pytest.mark.parametrize("declared", [None, 0])
def test_gaps_are_of_the_nodata_value_that_is_given(tmp_path, write_raster, declared):
    names = []
    for i, col in enumerate((0, 50)):
        pixels = np.full((3, 20, 30), i, "uint8")
        pixels[:, :5] = 255
        names.append(str(write_raster(tmp_path / f"{i}.tif", pixels, nodata=declared, **place(0, col))))
    write_mosaic(tmp_path / "all.vrt", names, nodata=255.0)
    raster = Raster.of(tmp_path / "all.vrt")
    pixels, valid = raster.read(raster.window, 255.0)
    expected = np.zeros((20, 80), bool)
    expected[5:, :30] = expected[5:, 50:] = True
    np.testing.assert_array_equal(valid, expected)
    assert (pixels[:, 5:, 50:] == 1).all()
    for beyond in (-9999.0, 0.5, np.nan, np.inf):  # no pixel has it, so nothing can be made of it
        write_mosaic(tmp_path / "beyond.vrt", names, nodata=beyond)
        assert not Raster.of(tmp_path / "beyond.vrt").read(raster.window)[1][:, 30:50].any()


def test_names():
    assert gdal_name("https://a.org/x/y.tif?v=1") == "/vsicurl/https://a.org/x/y.tif?v=1"
    assert gdal_name("s3://bucket/y.tif") == "/vsis3/bucket/y.tif"
    assert gdal_name("/vsicurl/http://a.org/y.tif") == "/vsicurl/http://a.org/y.tif"
    assert gdal_name("in/y.tif") == "in/y.tif"
    names = ["/vsicurl/https://a.org/x/y.tif?v=1.5", "/vsizip/a.zip/y.tif", "in/y.tif", "y.v2.tif"]
    assert [stem_of(name) for name in names] == ["y", "y", "y", "y.v2"]


def test_an_archive_is_predicted_from_without_unpacking(tmp_path, write_raster):
    pixels = RNG.integers(1, 255, (1, 20, 20)).astype("uint8")
    path = write_raster(tmp_path / "a.tif", pixels)
    with zipfile.ZipFile(tmp_path / "tiles.zip", "w") as archive:
        archive.write(path, "inner/a.tif")
    (job,) = plan([f"/vsizip/{tmp_path}/tiles.zip/inner/a.tif"], tmp_path / "out")
    np.testing.assert_array_equal(job.raster.read(job.raster.window)[0], pixels)
    assert job.mask == tmp_path / "out" / "a_mask.tif"


def test_a_folder_as_one_mosaic(tmp_path, write_raster):
    for i, (row, col, height, width) in enumerate(PLACES):
        write_raster(tmp_path / "in" / f"{i}.tif", np.full((1, height, width), i + 1, "uint8"), **place(row, col))
    (job,) = plan([tmp_path / "in"], tmp_path / "out", mosaic=True)
    assert (job.raster.height, job.raster.width, job.stem) == (75, 130, "mosaic")
    assert len(job.inputs) == 3
