"""IoU and accuracy by city against their definitions."""

import numpy as np
import pytest
from rasterio.transform import from_origin

from crispmap.data.published import open_dataset
from crispmap.errors import PairingError
from crispmap.predict.city_scores import city_scores

TILES = ["austin1", "austin2", "tyrol-w3"]


@pytest.fixture
def maps(tmp_path, write_raster):
    """A root with three validation tiles and one for training, a folder of masks for the three, both as arrays."""
    rng = np.random.default_rng(0)
    arrays = {}
    for i, name in enumerate([*TILES, "vienna6"]):
        truth, pred = rng.random((2, 50 + 10 * i, 64)) < np.array([0.3, 0.4])[:, None, None]
        arrays[name] = truth, pred
        place = {"transform": from_origin(500_000 + 30 * i, 5_000_000, 0.3, 0.3)}
        root = tmp_path / "AerialImageDataset/train"
        write_raster(root / "images" / f"{name}.tif", np.zeros((3, *truth.shape), "uint8"), **place)
        write_raster(root / "gt" / f"{name}.tif", truth * np.uint8(255), **place)
        write_raster(tmp_path / "maps" / f"{name}{'_mask' if i else ''}.tif", pred * np.uint8(255), **place)
    return open_dataset("inria", tmp_path), tmp_path / "maps", arrays


def test_pixels_are_pooled_by_city_and_over_all(maps, monkeypatch):
    monkeypatch.setattr("crispmap.geo.raster._PIXELS_AT_ONCE", 64 * 7)  # several strips
    data, folder, arrays = maps
    found = city_scores(folder, data.val, data.groups)
    assert list(found) == ["austin", "tyrol-w", "overall"]
    for city, names in (("austin", TILES[:2]), ("tyrol-w", TILES[2:]), ("overall", TILES)):
        truth, pred = (np.concatenate([arrays[name][k].ravel() for name in names]) for k in (0, 1))
        assert found[city].iou == pytest.approx((truth & pred).sum() / (truth | pred).sum(), rel=1e-12)
        assert found[city].accuracy == pytest.approx((truth == pred).mean(), rel=1e-12)
        assert found[city].n_tiles == len(names)


def test_cities_without_a_building_have_no_iou(maps, write_raster):
    data, folder, arrays = maps
    nothing = np.zeros(arrays["tyrol-w3"][0].shape, "uint8")
    for path in (folder / "tyrol-w3_mask.tif", data.val[2].image.path.parents[1] / "gt" / "tyrol-w3.tif"):
        write_raster(path, nothing, crs=None, transform=None)
    found = city_scores(folder, data.val, data.groups)
    assert np.isnan(found["tyrol-w"].iou)
    assert found["tyrol-w"].accuracy == 1
    assert found["overall"].iou == pytest.approx(found["austin"].iou)


def test_a_mask_that_is_not_there_is_named(maps):
    data, folder, _ = maps
    (folder / "austin2_mask.tif").unlink()
    with pytest.raises(PairingError, match=r"no mask for austin2\.tif in .*; looked for austin2_mask\.tif and"):
        city_scores(folder, data.val, data.groups)
    assert city_scores(folder, [], {}) == {}
