"""A scene's windows, against the whole image in memory."""

import numpy as np
import pytest
import rasterio
from rasterio.enums import Resampling

from crispmap.data.labels import IGNORED, RasterLabel
from crispmap.data.scene import Region, Scene
from crispmap.geo import open_files
from crispmap.geo.mask import MaskRaster
from crispmap.geo.raster import Raster, Window

FORMS = {
    "strips": ("tif", {}),
    "strips, bands apart": ("tif", {"interleave": "band"}),
    "tiles": ("tif", {"tiled": True, "blockxsize": 32, "blockysize": 48}),
    "deflated tiles": ("tif", {"tiled": True, "blockxsize": 32, "blockysize": 32, "compress": "deflate"}),
    "PNG": ("png", {}),
}
WINDOWS = [Window(0, 0, 64, 64), Window(33, 57, 48, 48), Window(-10, 90, 60, 60), Window(100, -7, 40, 80)]


@pytest.fixture(params=["kept open", "opened each time"])
def files(request, monkeypatch):
    """Whether files stay open; those of a test are too young for that by themselves."""
    monkeypatch.setattr(open_files, "_SETTLED", -60.0 if request.param == "kept open" else 60.0)
    yield
    open_files.close_kept_files()


def scene_of(folder, write_raster, form="strips", nodata=None, scale=1.0, height=130, width=140):
    """A scene and what it is made of: pixels, where they hold data, and the class."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(1, 255, (3, height, width)).astype("uint8")
    known = np.ones((height, width), bool)
    if nodata is not None:
        known[20:45, 30:77] = False
        pixels[:, ~known] = nodata
    truth = rng.random((height, width)) < 0.4
    suffix, profile = FORMS[form]
    image = write_raster(folder / f"image.{suffix}", pixels, nodata=nodata, **profile)
    label = write_raster(folder / f"label.{suffix}", truth.astype("uint8") * 255)
    scene = Scene(Raster.of(image), RasterLabel(MaskRaster.of(label)), scale)
    return scene, pixels, known, truth


def padded(array, fill, window, by=64):
    """A window of the last two axes of an array, with a fill beyond them."""
    around = [(0, 0)] * (array.ndim - 2) + [(by, by)] * 2
    rows, cols = (slice(start + by, start + by + length) for start, length in zip(window[:2], window[2:], strict=True))
    return np.pad(array, around, constant_values=fill)[..., rows, cols]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("nodata", [None, 0])
def test_windows_are_those_of_the_whole_image(tmp_path, write_raster, files, form, nodata):
    scene, pixels, known, truth = scene_of(tmp_path, write_raster, form, nodata)
    for window in WINDOWS * 3:
        sample = scene.read(window, (window.height, window.width))
        there = padded(known, False, window)
        np.testing.assert_array_equal(sample.image, np.where(there, padded(pixels, 0, window), np.float32("nan")))
        np.testing.assert_array_equal(sample.label, np.where(there, padded(truth, False, window), IGNORED))
        assert (sample.image.dtype, sample.label.dtype) == (np.float32, np.uint8)


def test_reduced_windows_are_means_of_what_is_known(tmp_path, write_raster, files):
    scene, pixels, known, truth = scene_of(tmp_path, write_raster, nodata=0, scale=0.25)
    for window in WINDOWS:
        shape = window.height // 4, window.width // 4

        def blocks(array, fill, window=window, shape=shape):
            return padded(array.astype(float), fill, window).reshape(*array.shape[:-2], shape[0], 4, shape[1], 4)

        share = blocks(known, 0).mean((-3, -1))
        with np.errstate(invalid="ignore"):
            image = blocks(pixels * known, 0).mean((-3, -1)) / share
            built = blocks(truth & known, 0).mean((-3, -1)) / share
        sample = scene.read(window, shape)
        np.testing.assert_allclose(sample.image, np.where(share >= 0.5, image, np.nan), rtol=1e-5)
        decided = np.abs(built - 0.5) > 1e-6  # a tie may fall either way in float32
        expected = np.where(share >= 0.5, built >= 0.5, IGNORED)
        np.testing.assert_array_equal(sample.label[decided], expected[decided])


def test_imagery_may_come_from_an_overview_but_labels_do_not(tmp_path, write_raster, files):
    height, width = 256, 320
    rows, cols = np.mgrid[:height, :width]
    truth = (rows // 24 + cols // 40) % 2
    image = write_raster(tmp_path / "i.tif", (rows // 2 + cols // 3)[None].astype("uint8"))
    label = write_raster(tmp_path / "l.tif", (truth * 255).astype("uint8"))
    for path in (image, label):
        with rasterio.open(path, "r+") as file:
            file.build_overviews([2, 4], Resampling.average)
            own = file.read()
            file.write(np.zeros_like(own) if path == image else 255 - own)
    with rasterio.open(label) as file:
        assert (file.read(1, out_shape=(64, 80)) != 255 - own[0, ::4, ::4]).any()  # overviews of the former labels
    scene = Scene(Raster.of(image), RasterLabel(MaskRaster.of(label)), 0.25)
    window = Window(40, 64, 128, 192)
    sample = scene.read(window, (32, 48))
    assert (sample.image > 0).all()
    shares = (1 - truth)[40:168, 64:256].reshape(32, 4, 48, 4).mean((1, 3))
    np.testing.assert_array_equal(sample.label, shares >= 0.5)


def test_a_part_of_a_scene_and_a_region_hide_the_rest(tmp_path, write_raster, files):
    scene, pixels, _, truth = scene_of(tmp_path, write_raster)
    part = scene.part(Window(10, 20, 60, 70))
    sample = part.read(Window(30, 40, 40, 40), (40, 40))
    np.testing.assert_array_equal(sample.image[:, :30, :30], pixels[:, 40:70, 60:90])
    np.testing.assert_array_equal(sample.label[:30, :30], truth[40:70, 60:90])
    hidden = np.ones((40, 40), bool)
    hidden[:30, :30] = False
    assert np.isnan(sample.image[:, hidden]).all()
    assert (sample.label[hidden] == IGNORED).all()
    again = Region(scene, Window(10, 20, 60, 70)).read(Window(40, 60, 40, 40), 40)
    np.testing.assert_array_equal(again.image, sample.image)
    np.testing.assert_array_equal(again.label, sample.label)
