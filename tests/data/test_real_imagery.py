"""The folder source on real files, whose quirks no fixture would think of."""

import pytest

from crispmap.data.folder import find_scenes
from crispmap.data.split import split_by_space
from crispmap.geo.raster import Window


def test_png_tiles_with_grey_masks(real_data):
    scenes = find_scenes(real_data / "jonkoping/val/images", real_data / "jonkoping/val/masks")
    labels = [scene.read(scene.image.window, (512, 512)).label for scene in scenes]
    assert len(scenes) == 20
    assert 0.02 < sum((label == 1).mean() for label in labels) / 20 < 0.12
    assert not any((label == 255).any() for label in labels)


def test_geotiffs_beside_aux_files_with_one_geojson(real_data):
    scenes = find_scenes(real_data / "banepa/train/oam", real_data / "banepa/train/osm", resolution=0.26)
    assert len(scenes) == 48
    assert sum(len(scene.anchors) for scene in scenes) > 1400
    assert scenes[0].scale == pytest.approx(0.508, abs=0.002)  # degrees brought to metres at 27.6° north
    train, val = split_by_space(scenes, 256)
    assert len(train) + len(val) == 48
    assert len({(r.scene.image.path, r.window) for r in train + val}) == 48


def test_labels_in_another_crs_with_rings_to_repair(real_data, caplog):
    folder = real_data / "tanzania"
    (scene,) = find_scenes(folder / "image.tif", folder / "buildings.geojson")
    assert len(scene.label.footprints.polygons) == 7
    assert "8 invalid polygons repaired" in caplog.text


@pytest.mark.parametrize(("name", "dtype"), [("23429155_15", "uint16"), ("22978945_15", "uint8")])
def test_a_nodata_value_on_ordinary_imagery(real_data, name, dtype):
    folder = real_data / "massachusetts"
    (scene,) = find_scenes(folder / f"{name}.tif", folder / f"{name}.gpkg")
    assert scene.image.dtype == dtype
    assert scene.image.nodata == 255
    label = scene.read(Window(0, 0, 512, 512), (512, 512)).label
    assert not (label == 255).any()
    assert (label == 1).mean() > 0.03


def test_tiles_with_and_without_a_place(real_data):
    folder = real_data / "AerialImageDataset/train"
    scenes = find_scenes(folder / "images", folder / "gt")
    assert {scene.image.located for scene in scenes} == {True, False}
    assert len(scenes) == 10
