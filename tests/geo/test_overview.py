"""Windows through overviews, against the ground itself: the mean of a ramp over a pixel is the ramp at its centre."""

import numpy as np
import pytest
import rasterio
from rasterio.enums import Resampling

from crispmap.data.compound import RasterPart, RasterStack
from crispmap.geo.overview import place_on_overview
from crispmap.geo.raster import Raster, Window
from crispmap.geo.resample import resample

SLOPE = np.array([[3.0, 1.0], [-2.0, 5.0]])  # of two bands, a row and a column
SIZES = [(512, 768), (517, 771)]
WINDOWS = [Window(0, 0, 240, 240), Window(37, 101, 240, 360), Window(101, 203, 199, 301), Window(256, 400, 256, 360)]


def ramp(rows, cols):
    return np.stack([1000 + a * rows[:, None] + b * cols for a, b in SLOPE])


def write(write_raster, path, size=SIZES[0], factors=(2, 4, 8), *, dtype="float32", pixels=None, **profile):
    """A ramp with overviews of means."""
    if pixels is None:
        pixels = ramp(np.arange(size[0]) + 0.5, np.arange(size[1]) + 0.5).astype(dtype)
    write_raster(path, pixels, tiled=True, blockxsize=128, blockysize=128, **profile)
    with rasterio.open(path, "r+") as file:
        file.build_overviews(factors, Resampling.average)
    return path


def forget_own_pixels(path):
    """Sets the file's own pixels to 0; its overviews stay, so that what is read tells where it comes from."""
    with rasterio.open(path, "r+") as file:
        file.write(np.zeros((file.count, *file.shape), file.dtypes[0]))


def centres(window, shape):
    rows = window.row + (np.arange(shape[0]) + 0.5) * window.height / shape[0]
    cols = window.col + (np.arange(shape[1]) + 0.5) * window.width / shape[1]
    return rows, cols


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize(
    ("factors", "wanted", "used"), [([2, 4, 8], 8, 8), ([2, 4, 8], 5, 4), ([2], 3, 2), ([4], 7, 4)]
)
def test_a_reduced_window_lies_on_the_right_ground(tmp_path, write_raster, size, window, factors, wanted, used):
    check_ground(tmp_path, write_raster, size, window, factors, wanted, used)


def check_ground(tmp_path, write_raster, size, window, factors, wanted, used):
    path = write(write_raster, tmp_path / "a.tif", size, factors)
    forget_own_pixels(path)
    shape = round(window.height / wanted), round(window.width / wanted)
    found, seen, valid = Raster.of(path).read_at(window, shape)
    off = found - ramp(*centres(window, shape))
    # A pixel of the overview is flat where the ramp is not: where n ≥ 1 of them make a new one, that moves it by an
    # eighth of one at most. Their last row stands for fewer pixels than the others where the size is odd.
    steepest = np.abs(SLOPE).sum(axis=1)[:, None, None]
    assert (np.abs(off) <= steepest * (used / 8 + 0.25)).all()
    assert (np.abs(off.mean(axis=(1, 2))) <= steepest[:, 0, 0] * (used / 16 + 0.1)).all()
    assert seen.all()
    assert valid.shape == (window.height, window.width)
    assert valid.all()


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("off", [-0.5, 0.5])
def test_half_a_pixel_of_the_overview_would_show(tmp_path, write_raster, monkeypatch, axis, off):
    real = place_on_overview
    lengths = SIZES[0]

    def shifted(start, length, full, reduced):
        first, count, (begin, end) = real(start, length, full, reduced)
        return first, count, (begin + off, end + off) if full == lengths[axis] else (begin, end)

    monkeypatch.setattr("crispmap.geo.raster.place_on_overview", shifted)
    with pytest.raises(AssertionError):
        check_ground(tmp_path, write_raster, SIZES[0], WINDOWS[1], [2, 4, 8], 8, 8)


def test_whole_pixels_of_an_overview_are_taken_as_they_are(tmp_path, write_raster):
    pixels = np.random.default_rng(0).random((1, 256, 256)).astype("float32")
    path = write(write_raster, tmp_path / "a.tif", pixels=pixels)
    forget_own_pixels(path)
    found, _, _ = Raster.of(path).read_at(Window(64, 32, 128, 160), (32, 40))
    expected = pixels[:, 64:192, 32:192].reshape(1, 32, 4, 40, 4).mean((2, 4))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_smooth_imagery_of_bytes_is_that_of_its_own_pixels(tmp_path, write_raster):
    rows, cols = np.mgrid[:512, :768]
    waves = 120 + 60 * np.sin(rows / 23 + cols / 31) + 50 * np.cos(cols / 19 - rows / 41)
    pixels = waves[None].round().astype("uint8")
    raster = Raster.of(write(write_raster, tmp_path / "a.tif", pixels=pixels, compress="deflate"))
    for window in WINDOWS:
        shape = (window.height // 6, window.width // 6)
        found, _, _ = raster.read_at(window, shape)
        expected, _ = resample(*raster.read(window), shape)
        assert np.abs(found - expected).max() < 4  # of 255; the steepest pixel of an overview changes by 18
        assert np.abs(found - expected).mean() < 1


def test_overviews_in_a_file_of_their_own(tmp_path, write_raster):
    path = write_raster(tmp_path / "a.tif", np.ones((1, 256, 256), "uint8"))
    with rasterio.Env(TIFF_USE_OVR=True), rasterio.open(path, "r+") as file:
        file.build_overviews([4], Resampling.average)
    assert (tmp_path / "a.tif.ovr").exists()
    forget_own_pixels(path)
    assert (Raster.of(path).read_at(Window(0, 0, 256, 256), (64, 64))[0] == 1).all()


@pytest.mark.parametrize(
    ("window", "shape"),
    [
        (Window(0, 0, 240, 240), (240, 240)),
        (Window(0, 0, 240, 240), (130, 130)),  # no overview is so fine
        (Window(-8, 0, 240, 240), (30, 30)),  # beyond the raster
        (Window(400, 700, 240, 240), (30, 30)),
        (Window(900, 900, 24, 24), (3, 3)),
    ],
)
def test_other_windows_are_read_at_the_raster_s_own_pixels(tmp_path, write_raster, window, shape):
    raster = Raster.of(write(write_raster, tmp_path / "a.tif"))
    check_own_pixels(raster, window, shape)


def check_own_pixels(raster, window, shape, nodata="file"):
    """Bit for bit what the window's own pixels give."""
    pixels, known = raster.read(window, nodata)
    expected = (*resample(pixels, known, shape), known)
    for found, value in zip(raster.read_at(window, shape, nodata), expected, strict=True):
        np.testing.assert_array_equal(found, value)


def speckled(dtype="uint8"):
    """Two bands with a patch, and single pixels, without data; and where data are."""
    pixels = np.random.default_rng(1).integers(1, 200, (2, 512, 768)).astype(dtype)
    known = np.ones((512, 768), bool)
    known[100:150, 100:163] = False
    known[300:400:7, 300:400:5] = False
    return np.where(known, pixels, 0).astype(dtype), known


class TestWithoutData:
    @pytest.fixture(params=["declared", "alpha", "mask", "mask beside", "not a number"])
    def raster(self, request, tmp_path, write_raster):
        pixels, known = speckled("float32" if request.param == "not a number" else "uint8")
        path, profile = tmp_path / "a.tif", {}
        if request.param == "declared":
            profile = {"nodata": 0}
        elif request.param == "alpha":
            pixels = np.concatenate([pixels, pixels[:1], known[None] * np.uint8(255)])
            profile = {"photometric": "RGB", "alpha": "YES"}
        elif request.param == "not a number":
            pixels = np.where(known, pixels, np.nan).astype("float32")
        write_raster(path, pixels, tiled=True, blockxsize=128, blockysize=128, **profile)
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=request.param == "mask"), rasterio.open(path, "r+") as file:
            if request.param.startswith("mask"):
                file.write_mask(known)
            file.build_overviews([2, 4], Resampling.average)
        return Raster.of(path)

    @pytest.mark.parametrize("window", [Window(64, 64, 160, 160), Window(0, 0, 512, 768)])
    def test_what_touches_it_is_read_at_own_pixels(self, raster, window):
        check_own_pixels(raster, window, (window.height // 4, window.width // 4))

    def test_the_rest_comes_by_way_of_the_overview(self, raster):
        forget_own_pixels_of(raster)
        found, seen, valid = raster.read_at(Window(400, 400, 96, 96), (24, 24))
        assert len(found) == len(raster.bands)
        assert (found > 0).all()
        assert seen.all()
        assert valid.all()

    def test_the_word_of_the_user_is_not_in_the_overviews(self, raster):
        for nodata in (7.0, "none") if raster.nodata is not None or raster.masked else (7.0,):
            check_own_pixels(raster, Window(400, 400, 96, 96), (24, 24), nodata)


def forget_own_pixels_of(raster):
    with rasterio.open(raster.path, "r+") as file:
        for band in raster.bands:
            file.write(np.zeros(file.shape, file.dtypes[0]), band)


@pytest.mark.parametrize("internal", [True, False])
def test_a_mask_that_came_after_the_overviews_counts(tmp_path, write_raster, internal):
    path = write(write_raster, tmp_path / "a.tif", pixels=speckled()[0] + np.uint8(1))
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=internal), rasterio.open(path, "r+") as file:
        file.write_mask(speckled()[1])
    raster = Raster.of(path)
    assert raster.masked
    check_own_pixels(raster, Window(64, 64, 160, 160), (40, 40))


def test_parts_and_stacks_see_through_overviews_too(tmp_path, write_raster):
    paths = [write(write_raster, tmp_path / f"{name}.tif") for name in "ab"]
    for path in paths:
        forget_own_pixels(path)
    one, other = map(Raster.of, paths)
    part = RasterPart.cut(one, Window(101, 203, 300, 400))
    window, shape = Window(11, 17, 160, 240), (20, 30)
    inside = one.read_at(Window(112, 220, 160, 240), shape)[0]
    assert (inside > 0).all()
    np.testing.assert_array_equal(part.read_at(window, shape)[0], inside)
    stack = RasterStack.of_layers(one, other)
    np.testing.assert_array_equal(stack.read_at(window, shape)[0], np.concatenate([one.read_at(window, shape)[0]] * 2))
    beyond, _, valid = part.read_at(Window(200, 300, 160, 240), shape)
    assert (beyond == 0).all()
    assert valid.sum() == 100 * 100


def test_a_stack_needs_overviews_in_all_of_its_layers(tmp_path, write_raster):
    with_them = Raster.of(write(write_raster, tmp_path / "a.tif"))
    without = Raster.of(write(write_raster, tmp_path / "b.tif", factors=()))
    check_own_pixels(RasterStack.of_layers(with_them, without), Window(11, 17, 160, 240), (20, 30))


def test_a_place_on_an_overview_covers_the_ground_and_no_pixel_more():
    for full in (64, 101, 1003):
        for reduced in (-(-full // 2), -(-full // 8)):
            for start in range(0, full, 7):
                for length in (1, 5, full - start):
                    if start + length > full:
                        continue
                    first, count, (begin, end) = place_on_overview(start, length, full, reduced)
                    assert 0 <= first < first + count <= reduced
                    assert 0 <= begin < 1
                    assert count - 1 < end <= count
                    assert (first + begin) * full / reduced == pytest.approx(start, abs=1e-6)
                    assert (first + end) * full / reduced == pytest.approx(start + length, abs=1e-6)
