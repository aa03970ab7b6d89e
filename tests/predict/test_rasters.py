import geopandas as gpd
import numpy as np
import pytest
import rasterio
from rasterio.enums import MaskFlags
from rasterio.errors import NotGeoreferencedWarning
from scipy.special import expit

from crispmap.errors import InputError
from crispmap.predict.plan import Settings, plan
from crispmap.predict.rasters import predict_rasters

SETTINGS = Settings(patch=64)


def scene(height=120, width=150, bands=3):
    """Ground at 20 and a building at 220."""
    pixels = np.random.default_rng(0).integers(15, 25, (bands, height, width)).astype("uint8")
    pixels[:, 30:70, 50:100] += 200
    return pixels


def contents(path):
    with rasterio.open(path) as file:
        return file.read(1), file.dataset_mask()


def test_rasters_lie_on_the_grid_of_the_image(tmp_path, write_raster, pointwise, predicted):
    pixels = scene()
    pixels[:, :, :20] = 0
    image = write_raster(tmp_path / "a.tif", pixels, nodata=0)
    (prediction,) = predict_rasters(pointwise(3), plan([image], tmp_path / "out"), SETTINGS)
    assert prediction.footprints == 1

    level, valid = contents(tmp_path / "out" / "a_probability.tif")
    probability = expit(3 * ((pixels.astype(float) - 100) / 50).mean(0))
    assert np.abs(level[:, 20:] - 255 * probability[:, 20:]).max() <= 0.5 + 1e-3
    assert not level[:, :20].any()
    np.testing.assert_array_equal(valid > 0, pixels.any(0))
    mask, mask_valid = contents(tmp_path / "out" / "a_mask.tif")
    np.testing.assert_array_equal(mask, np.where((pixels[0] > 100) & (valid > 0), 255, 0))
    np.testing.assert_array_equal(mask_valid, valid)
    for kind, scale, name in (("probability", 1 / 255, "probability of building"), ("mask", 1, "building")):
        with rasterio.open(image) as source, rasterio.open(tmp_path / "out" / f"a_{kind}.tif") as file:
            assert (file.crs, file.transform, file.shape) == (source.crs, source.transform, source.shape)
            assert (file.dtypes, file.compression.value, file.nodata) == (("uint8",), "DEFLATE", None)
            assert (file.block_shapes, file.scales, file.descriptions) == ([(512, 512)], (scale,), (name,))
            assert file.mask_flag_enums == ([MaskFlags.per_dataset],)
    assert {path.name for path in (tmp_path / "out").iterdir()} == predicted("a")

    footprints = gpd.read_file(tmp_path / "out" / "a_footprints.gpkg")
    assert footprints.crs.to_epsg() == 32633
    assert footprints.geometry[0].bounds == (500_025, 4_999_965, 500_050, 4_999_985)
    assert footprints.area_m2[0] == pytest.approx(500, rel=1e-3)
    assert footprints.probability[0] == pytest.approx(level[30:70, 50:100].mean() / 255, abs=1e-4)


@pytest.mark.parametrize("threshold", [0.15, 0.3, 0.5, 0.77])
def test_probability_and_mask_agree(tmp_path, write_raster, pointwise, threshold):
    image = write_raster(tmp_path / "a.tif", np.arange(256, dtype="uint8").repeat(4).reshape(32, 32))
    settings = Settings(patch=64, threshold=threshold)
    predict_rasters(pointwise(slope=1.0), plan([image], tmp_path, footprints=False), settings)
    level, mask = contents(tmp_path / "a_probability.tif")[0], contents(tmp_path / "a_mask.tif")[0]
    np.testing.assert_array_equal(mask, np.where(level / 255 >= threshold, 255, 0))
    assert 0 < mask.mean() < 255


@pytest.mark.filterwarnings("error::UserWarning")
def test_images_without_a_place(tmp_path, write_raster, pointwise):
    images = write_raster(tmp_path / "in" / "a.png", scene()).parent
    predict_rasters(pointwise(3), plan([images], tmp_path / "out"), SETTINGS)
    with (
        pytest.warns(NotGeoreferencedWarning),
        rasterio.open(tmp_path / "out" / "a_mask.tif") as file,
    ):
        assert file.crs is None
    footprints = gpd.read_file(tmp_path / "out" / "a_footprints.gpkg")
    assert footprints.crs is None
    assert footprints.geometry[0].bounds == (50, 30, 100, 70)
    assert list(footprints.columns) == ["area_px", "probability", "perimeter_px", "orientation", "geometry"]


def test_geographic_coordinates(tmp_path, write_raster, pointwise):
    transform = rasterio.transform.from_origin(15, 60, 8e-6, 4e-6)
    image = write_raster(tmp_path / "a.tif", scene(), crs="EPSG:4326", transform=transform)
    predict_rasters(pointwise(3), plan([image], tmp_path), SETTINGS)
    footprints = gpd.read_file(tmp_path / "a_footprints.gpkg")
    expected = (15 + 50 * 8e-6, 60 - 70 * 4e-6, 15 + 100 * 8e-6, 60 - 30 * 4e-6)
    assert footprints.geometry[0].bounds == pytest.approx(expected, abs=1e-9)
    metres = 50 * 8e-6 * 55_800.4, 40 * 4e-6 * 111_412.3
    assert footprints.area_m2[0] == pytest.approx(metres[0] * metres[1], rel=1e-4)


def test_every_image_is_checked_before_the_first_is_predicted(tmp_path, write_raster, pointwise):
    images = write_raster(tmp_path / "in" / "a.tif", scene()).parent
    write_raster(images / "b.tif", scene(bands=1))
    with pytest.raises(InputError, match=r"b\.tif has 1 band"):
        predict_rasters(pointwise(3), plan([images], tmp_path / "out"), SETTINGS)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_fails_halfway_leaves_no_output(tmp_path, write_raster, pointwise, predicted, overwrite):
    """The second image is cut short, which shows only when its last rows are read."""
    images = write_raster(tmp_path / "in" / "a.tif", scene()).parent
    cut = write_raster(images / "b.tif", scene(height=400), compress="deflate", blockysize=16)
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    out = tmp_path / "out"
    out.mkdir()
    if overwrite:
        (out / "b_mask.tif").write_text("old")
    with pytest.raises(InputError, match=r"b\.tif cannot be read"):
        predict_rasters(pointwise(3), plan([images], out, overwrite=overwrite), SETTINGS)
    before = {"b_mask.tif"} if overwrite else set()
    unfinished = {".a.partial", ".b.partial"}
    assert {path.name for path in out.iterdir()} - unfinished == before | predicted("a")
    if overwrite:
        assert (out / "b_mask.tif").read_text() == "old"


def test_predicting_again_gives_the_same_bytes(tmp_path, write_raster, pointwise):
    image = write_raster(tmp_path / "a.tif", scene())
    runs = []
    for _ in range(2):
        predict_rasters(pointwise(3), plan([image], tmp_path, overwrite=True), SETTINGS)
        runs.append([(tmp_path / f"a_{kind}.tif").read_bytes() for kind in ("probability", "mask")])
    assert runs[0] == runs[1]
