from pathlib import Path

import numpy as np
import pytest
import rasterio

from crispmap.errors import InputError
from crispmap.geo.mask import MaskRaster, check_mask_set
from crispmap.geo.raster import Window


def write(path: Path, *bands, dtype="uint8", **profile) -> Path:
    height, width = np.shape(bands[0])
    with rasterio.open(path, "w", height=height, width=width, count=len(bands), dtype=dtype, **profile) as file:
        file.write(np.array(bands, dtype))
    return path


def read(mask: MaskRaster, **settings):
    return mask.read(mask.raster.window, **settings)


@pytest.mark.parametrize(
    ("values", "dtype", "full_scale", "expected"),
    [
        ([[0, 1], [1, 0]], "uint8", 1, [[0, 1], [1, 0]]),
        ([[0, 255], [255, 0]], "uint8", 255, [[0, 1], [1, 0]]),
        ([[0, 127], [128, 255]], "uint8", 255, [[0, 0], [1, 1]]),
        ([[0, 255], [200, 90]], "uint16", 255, [[0, 1], [1, 0]]),
        ([[0, 65535], [40000, 30000]], "uint16", 65535, [[0, 1], [1, 0]]),
        ([[0.0, 0.49], [0.5, 1.0]], "float32", 1, [[0, 0], [1, 1]]),
        ([[0.0, 1.004], [-0.004, 0.3]], "float32", 1, [[0, 1], [0, 0]]),
        ([[0, 0], [0, 0]], "uint8", 1, [[0, 0], [0, 0]]),
    ],
    ids=["0-1", "0-255", "anti-aliased", "uint16 of bytes", "uint16", "probability", "overshoot", "empty"],
)
def test_every_kind_of_mask_is_cut_at_half_of_its_scale(tmp_path, values, dtype, full_scale, expected):
    mask = MaskRaster.of(write(tmp_path / "m.tif", values, dtype=dtype))
    found, valid = read(mask)
    assert mask.full_scale == full_scale
    assert found.dtype == bool
    assert found.tolist() == np.array(expected, bool).tolist()
    assert valid.all()


def test_threshold_is_a_share_of_the_full_scale(tmp_path):
    bytes_ = MaskRaster.of(write(tmp_path / "b.tif", [[0, 60, 70, 255]]))
    floats = MaskRaster.of(write(tmp_path / "f.tif", [[0, 0.24, 0.26, 1]], dtype="float32"))
    for mask in (bytes_, floats):
        assert read(mask, threshold=0.25)[0].tolist() == [[False, False, True, True]]


def test_a_window_beyond_the_raster_holds_no_data_there(tmp_path):
    mask = MaskRaster.of(write(tmp_path / "m.tif", np.full((3, 4), 255)))
    found, valid = mask.read(Window(-1, 2, 3, 4))
    assert valid.tolist() == [[0, 0, 0, 0], [1, 1, 0, 0], [1, 1, 0, 0]]
    assert found.tolist() == valid.tolist()


def test_large_files_are_looked_through_in_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr("crispmap.geo.raster._PIXELS_AT_ONCE", 10)
    values = np.zeros((7, 4))
    values[6, 3] = 255
    assert MaskRaster.of(write(tmp_path / "m.tif", values)).maximum == 255


class TestNodata:
    def test_a_declared_zero_is_the_background(self, tmp_path):
        found, valid = read(MaskRaster.of(write(tmp_path / "m.tif", [[0, 255]], nodata=0)))
        assert valid.all()
        assert found.tolist() == [[False, True]]

    def test_the_only_other_value_is_the_class(self, tmp_path):
        mask = MaskRaster.of(write(tmp_path / "m.tif", [[0, 255]], nodata=255))
        found, valid = read(mask)
        assert valid.all()
        assert found.tolist() == [[False, True]]

    def test_a_third_value_is_nodata(self, tmp_path):
        mask = MaskRaster.of(write(tmp_path / "m.tif", [[0, 1, 255]], nodata=255))
        found, valid = read(mask)
        assert (mask.maximum, mask.full_scale) == (1, 1)
        assert found.tolist() == [[False, True, False]]
        assert valid.tolist() == [[True, True, False]]

    def test_nothing_but_nodata_is_no_class(self, tmp_path):
        path = write(tmp_path / "m.tif", np.full((3, 4), 255), nodata=255)
        found, valid = read(MaskRaster.of(path))
        assert not found.any()
        assert not valid.any()

    @pytest.mark.parametrize("nodata", [-9999, float("nan")])
    def test_what_cannot_be_a_class_is_nodata(self, tmp_path, nodata):
        path = write(tmp_path / "m.tif", [[0, nodata]], dtype="float32", nodata=nodata)
        assert read(MaskRaster.of(path))[1].tolist() == [[True, False]]

    def test_an_alpha_band_goes_before_the_declared_value(self, tmp_path):
        path = write(tmp_path / "m.png", [[0, 255, 255]], [[255, 255, 0]], driver="PNG", nodata=255)
        found, valid = read(MaskRaster.of(path))
        assert found.tolist() == [[False, True, False]]
        assert valid.tolist() == [[True, True, False]]

    def test_the_word_of_the_user_replaces_the_file_s(self, tmp_path):
        path = write(tmp_path / "m.tif", [[0, 1, 255]], nodata=255)
        assert read(MaskRaster.of(path, "none"))[0].tolist() == [[False, False, True]]
        assert read(MaskRaster.of(path, 0))[1].tolist() == [[False, True, True]]


class TestBands:
    def test_equal_bands_count_as_one(self, tmp_path):
        band = [[0, 255], [255, 0]]
        assert (
            read(MaskRaster.of(write(tmp_path / "m.tif", band, band, band)))[0].tolist() == np.equal(band, 255).tolist()
        )

    def test_bands_that_differ_are_refused(self, tmp_path):
        with pytest.raises(InputError, match=r"rgb\.tif has 3 bands that differ"):
            MaskRaster.of(write(tmp_path / "rgb.tif", [[0, 1]], [[0, 1]], [[1, 1]]))


class TestSet:
    def test_an_empty_tile_is_read_on_the_scale_of_the_others(self, tmp_path):
        full = MaskRaster.of(write(tmp_path / "full.tif", [[0, 255]]))
        specks = MaskRaster.of(write(tmp_path / "specks.tif", [[0, 1]]))  # as JPEG leaves them in an empty tile
        assert read(specks)[0].any()
        _, judged = check_mask_set([full, specks])
        assert not read(judged)[0].any()

    def test_probabilities_keep_their_own_scale(self, tmp_path):
        masks = [
            MaskRaster.of(write(tmp_path / "a.tif", [[0, 255]])),
            MaskRaster.of(write(tmp_path / "b.tif", [[0, 0.9]], dtype="float32")),
        ]
        assert [mask.full_scale for mask in check_mask_set(masks)] == [255, 1]

    def test_nodata_means_the_same_in_every_tile(self, tmp_path):
        built = MaskRaster.of(write(tmp_path / "built.tif", [[0, 1, 255]], nodata=255))
        unbuilt = MaskRaster.of(write(tmp_path / "unbuilt.tif", [[0, 255]], nodata=255))
        assert read(unbuilt)[0].any()
        _, judged = check_mask_set([built, unbuilt])
        found, valid = read(judged)
        assert not found.any()
        assert valid.tolist() == [[True, False]]

    def test_a_tile_of_nothing_but_the_class_is_told_by_the_others(self, tmp_path):
        full = MaskRaster.of(write(tmp_path / "full.tif", [[255, 255]], nodata=255))
        empty = MaskRaster.of(write(tmp_path / "empty.tif", [[0, 0]], nodata=255))
        built = MaskRaster.of(write(tmp_path / "built.tif", [[0, 255]], nodata=255))
        assert not read(check_mask_set([full, empty])[0])[1].any()
        for found, expected in zip(check_mask_set([full, empty, built]), ([1, 1], [0, 0], [0, 1]), strict=True):
            assert read(found)[0].tolist() == [expected]
            assert read(found)[1].all()

    @pytest.mark.parametrize(
        ("values", "dtype"), [([[0, 5]], "uint8"), ([[0, 3000]], "uint16"), ([[0, 60.5]], "float32")]
    )
    def test_class_numbers_are_refused(self, tmp_path, values, dtype):
        masks = [
            MaskRaster.of(write(tmp_path / "a.tif", [[0, 1]], dtype=dtype)),
            MaskRaster.of(write(tmp_path / "classes.tif", values, dtype=dtype)),
        ]
        with pytest.raises(InputError, match=r"0…\S+ in .*classes\.tif: neither \{0,1\} nor \{0,255\}"):
            check_mask_set(masks)

    def test_one_alone_and_none(self, tmp_path):
        mask = MaskRaster.of(write(tmp_path / "a.tif", [[0, 1]]))
        assert check_mask_set([mask]) == [mask]
        assert check_mask_set([]) == []


def test_logits_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"values from -4\.5 to 3; give a mask"):
        MaskRaster.of(write(tmp_path / "m.tif", [[-4.5, 3]], dtype="float32"))


def test_a_file_that_is_no_raster_is_named(tmp_path):
    (tmp_path / "m.tif").write_text("no raster")
    with pytest.raises(InputError, match=r"m\.tif cannot be read as a raster"):
        MaskRaster.of(tmp_path / "m.tif")


def test_a_file_that_states_its_scale_is_taken_at_its_word(tmp_path):
    path = write(tmp_path / "unsure.tif", [[0, 40], [100, 90]])
    with rasterio.open(path, "r+") as file:
        file.scales = (1 / 255,)
    (mask,) = check_mask_set([MaskRaster.of(path)])
    assert mask.full_scale == 255
    assert not read(mask)[0].any()
    assert read(mask, threshold=0.3)[0].tolist() == [[False, False], [True, True]]
