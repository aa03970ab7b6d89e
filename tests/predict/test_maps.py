import numpy as np
import pytest
import rasterio
from rasterio.enums import ColorInterp, MaskFlags
from scipy import ndimage

from crispmap.errors import OutputError
from crispmap.geo.raster import Raster
from crispmap.predict.maps import write_mask, write_probability
from crispmap.predict.spool import Journal, RowSpool

TAGS = {"CRISPMAP_RUN": "runs/<houses> & more", "TIFFTAG_ARTIST": "Ångström"}


@pytest.fixture
def spool(tmp_path, write_raster):
    """Levels and where they are valid, the spool they went to band by band, and the raster."""

    def make(height, width, **profile):
        rng = np.random.default_rng(0)
        levels = ndimage.gaussian_filter(rng.normal(size=(height, width)), 6)
        levels = np.uint8(np.clip(127 + 900 * levels, 0, 255))
        valid = np.ones((height, width), bool)
        valid[: height // 3, : width // 4] = False
        levels[~valid] = 0
        raster = Raster.of(write_raster(tmp_path / "in.tif", levels, **profile))
        with RowSpool.opened(Journal(tmp_path, {}, 1), width) as rows:
            for row in range(0, height, 70):
                rows.append(levels[row : row + 70], valid[row : row + 70])
        return levels, valid, tmp_path / "rows.raw", raster

    return make


@pytest.mark.parametrize(
    ("height", "width", "overviews"),
    [(1300, 700, [2, 4]), (40, 30, []), (1, 600, [2]), (600, 1, [1]), (1, 1, [])],  # a column stays a column
)
def test_levels_come_back(tmp_path, spool, height, width, overviews):
    levels, valid, rows, raster = spool(height, width)
    write_probability(tmp_path / "p.tif", rows, raster, TAGS)
    write_mask(tmp_path / "m.tif", rows, raster, 0.3, TAGS)
    for name, expected in (("p", levels), ("m", np.where(levels >= 0.3 * 255, 255, 0))):
        with rasterio.open(tmp_path / f"{name}.tif") as file:
            np.testing.assert_array_equal(file.read(1), expected)
            np.testing.assert_array_equal(file.dataset_mask() > 0, valid)
            assert file.mask_flag_enums == ([MaskFlags.per_dataset],)
            assert (file.crs, file.transform) == (raster.crs, raster.transform)
            assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
            assert file.tags() == TAGS | {"AREA_OR_POINT": "Area"}
            assert file.overviews(1) == overviews
    assert not list(tmp_path.glob("*.vrt"))


def test_they_are_cloud_optimized(tmp_path, spool):
    cogeo = pytest.importorskip("rio_cogeo.cogeo")
    _, _, rows, raster = spool(1300, 700)
    write_probability(tmp_path / "p.tif", rows, raster, {})
    write_mask(tmp_path / "m.tif", rows, raster, 0.5, {})
    for name in ("p.tif", "m.tif"):
        valid, errors, warnings = cogeo.cog_validate(tmp_path / name, strict=True)
        assert valid
        assert not errors
        assert not warnings


def test_overviews_are_means_and_majorities(tmp_path, spool):
    levels, _, rows, raster = spool(1200, 800)
    write_probability(tmp_path / "p.tif", rows, raster, {})
    write_mask(tmp_path / "m.tif", rows, raster, 0.5, {})
    inside = np.s_[200:, 100:]  # in pixels of the overview: no nodata
    blocks = levels.reshape(600, 2, 400, 2).transpose(0, 2, 1, 3).reshape(600, 400, 4)
    with rasterio.open(tmp_path / "p.tif", overview_level=0) as file:
        np.testing.assert_allclose(file.read(1)[inside], blocks.mean(-1)[inside], atol=0.51)
        valid = file.dataset_mask() > 0
        assert valid[inside].all()
        assert not valid[:199, :99].any()
    with rasterio.open(tmp_path / "m.tif", overview_level=0) as file:
        found, votes = file.read(1), (blocks >= 127.5).sum(-1)
        assert set(np.unique(found)) == {0, 255}
        sure = votes != 2
        np.testing.assert_array_equal(found[inside][sure[inside]] > 0, (votes > 2)[inside][sure[inside]])


def test_the_mask_has_colours(tmp_path, spool):
    _, _, rows, raster = spool(60, 50)
    write_mask(tmp_path / "m.tif", rows, raster, 0.5, {})
    with rasterio.open(tmp_path / "m.tif") as file:
        assert file.colorinterp == (ColorInterp.palette,)
        assert file.colormap(1)[0] == (0, 0, 0, 255)
        assert file.colormap(1)[255] == (228, 26, 28, 255)


@pytest.mark.parametrize("threshold", [0.001, 0.1, 0.2, 1 / 3, 0.5, 127 / 255, 0.6, 0.998, 0.9999])
def test_every_level_falls_on_its_side_of_the_threshold(tmp_path, write_raster, threshold):
    levels = np.arange(256, dtype="uint8")[None]
    raster = Raster.of(write_raster(tmp_path / "in.tif", levels))
    with RowSpool.opened(Journal(tmp_path, {}, 1), 256) as rows:
        rows.append(levels, np.ones_like(levels, bool))
    write_mask(tmp_path / "m.tif", tmp_path / "rows.raw", raster, threshold, {})
    with rasterio.open(tmp_path / "m.tif") as file:
        assert [value > 0 for value in file.read(1)[0]] == [level >= threshold * 255 for level in range(256)]


@pytest.mark.filterwarnings("error::UserWarning")
def test_rasters_without_a_place(tmp_path, spool, write_raster):
    pixels = np.zeros((8, 9), "uint8")
    raster = Raster.of(write_raster(tmp_path / "in.png", pixels))
    with RowSpool.opened(Journal(tmp_path, {}, 1), 9) as rows:
        rows.append(pixels, pixels == 0)
    write_probability(tmp_path / "p.tif", tmp_path / "rows.raw", raster, {})
    found = Raster.of(tmp_path / "p.tif")
    assert found.crs is None
    assert found.transform.is_identity


@pytest.mark.parametrize("cut", [1, 100, 4097])
def test_a_disk_that_fills_up_at_the_very_end(tmp_path, spool, no_file_beyond, cut):
    _, _, rows, raster = spool(700, 600)
    for write in (write_probability, lambda path, rows, raster, tags: write_mask(path, rows, raster, 0.5, tags)):
        write(tmp_path / "whole.tif", rows, raster, TAGS)
        size = (tmp_path / "whole.tif").stat().st_size
        with no_file_beyond(size - cut), pytest.raises(OutputError, match=r"cut\.tif cannot be .* is the disk full\?"):
            write(tmp_path / "cut.tif", rows, raster, TAGS)


def test_a_place_that_cannot_be_written(tmp_path, spool):
    _, _, rows, raster = spool(60, 50)
    (tmp_path / "p.tif").mkdir()
    with pytest.raises(OutputError, match=r"p\.tif cannot be written"):
        write_probability(tmp_path / "p.tif", rows, raster, {})
