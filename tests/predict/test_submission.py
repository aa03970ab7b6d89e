"""The zip that the INRIA contest takes."""

import io
from zipfile import ZipFile

import numpy as np
import pytest
import rasterio
from rasterio.enums import MaskFlags
from rasterio.transform import from_origin

from crispmap.data.published import open_dataset
from crispmap.errors import InputError, OutputError
from crispmap.geo.raster import Raster
from crispmap.predict.plan import Settings, plan
from crispmap.predict.rasters import predict_rasters
from crispmap.predict.submission import write_submission

SETTINGS = Settings(patch=64)


@pytest.fixture
def tiles(tmp_path, write_raster):
    """Images of two test cities below a root; bright where a building stands, one with a corner without data."""
    root = tmp_path / "AerialImageDataset"
    for i, name in enumerate(["sfo1", "tyrol-e36"]):
        pixels = np.random.default_rng(i).integers(5, 195, (3, 110, 150 - i), dtype="uint8")
        pixels[:, 20:70, 30:90] = 220
        pixels[:, :9, :9] = 0
        place = {"transform": from_origin(500_000 + 30 * i, 5_000_000, 0.3, 0.3), "nodata": 0 if i else None}
        write_raster(root / "test" / "images" / f"{name}.tif", pixels, **place)
    return [scene.image for scene in open_dataset("inria", root).test]


def test_files_of_one_byte_band_with_0_and_255(tmp_path, tiles, pointwise):
    out = write_submission(pointwise(3), tiles, tmp_path / "out" / "submission.zip", SETTINGS)
    assert [path.name for path in out.parent.iterdir()] == ["submission.zip"]
    with ZipFile(out) as archive:
        assert archive.namelist() == ["sfo1.tif", "tyrol-e36.tif"]
        contents = {name: archive.read(name) for name in archive.namelist()}
    for tile in tiles:
        with rasterio.open(tile.path) as file:
            pixels = file.read().astype(float)
        with rasterio.open(io.BytesIO(contents[tile.path.name])) as file:
            assert (file.count, file.dtypes, file.driver) == (1, ("uint8",), "GTiff")
            assert (file.shape, file.crs, file.transform) == ((tile.height, tile.width), tile.crs, tile.transform)
            assert (file.nodata, file.mask_flag_enums) == (None, ([MaskFlags.all_valid],))
            levels = file.read(1)
        truth = 255 * (pixels.mean(axis=0) > 100)  # where the logit is above 0
        unsure = np.abs(pixels.mean(axis=0) - 100) < 1  # rounded to a level of 255
        np.testing.assert_array_equal(levels[~unsure], truth[~unsure])
        assert set(np.unique(levels)) == {0, 255}


def test_it_is_what_predict_writes(tmp_path, tiles, pointwise):
    settings = Settings(patch=64, threshold=0.7)
    write_submission(pointwise(3), tiles, tmp_path / "submission.zip", settings)
    predict_rasters(pointwise(3), plan([tile.path for tile in tiles], tmp_path / "maps", footprints=False), settings)
    with ZipFile(tmp_path / "submission.zip") as archive:
        for tile in tiles:
            with (
                rasterio.open(io.BytesIO(archive.read(tile.path.name))) as file,
                rasterio.open(tmp_path / "maps" / f"{tile.path.stem}_mask.tif") as mask,
            ):
                np.testing.assert_array_equal(file.read(1), mask.read(1))


def test_a_disk_that_fills_up_at_the_end_of_a_mask(tmp_path, tiles, pointwise, no_file_beyond):
    out = write_submission(pointwise(3), tiles[:1], tmp_path / "submission.zip", SETTINGS)
    with ZipFile(out) as archive:
        [mask] = archive.infolist()
    with (
        no_file_beyond(mask.file_size - 1),
        pytest.raises(OutputError, match=r"sfo1\.tif cannot be written as a whole; is the disk full\?"),
    ):
        write_submission(pointwise(3), tiles[:1], tmp_path / "second.zip", SETTINGS)
    assert not (tmp_path / "second.zip").exists()


def test_mistakes_are_found_before_anything_is_written(tmp_path, tiles, pointwise, write_raster):
    out = tmp_path / "submission.zip"
    with pytest.raises(InputError, match="no test tiles"):
        write_submission(pointwise(3), [], out)
    twin = Raster.of(write_raster(tmp_path / "twin" / "sfo1.tif", np.zeros((3, 64, 64), "uint8")))
    with pytest.raises(InputError, match=r"several tiles are called sfo1\.tif"):
        write_submission(pointwise(3), [*tiles, twin], out)
    grey = Raster.of(write_raster(tmp_path / "grey.tif", np.zeros((1, 64, 64), "uint8")))
    with pytest.raises(InputError, match="1 band of imagery"):
        write_submission(pointwise(3), [*tiles, grey], out)
    assert not out.exists()
