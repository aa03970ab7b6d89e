"""The INRIA tree: pairs, the suggested split, cities, and what is said about files that are missing or too many."""

import importlib
import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from crispmap.data.labels import Unlabelled
from crispmap.data.published import inspect_dataset, open_dataset
from crispmap.data.scene import Region
from crispmap.data.windows import GridWindows, TrainingWindows
from crispmap.errors import InputError, PairingError, SettingError
from crispmap.geo.raster import Raster, Window

TRAIN = ["austin1", "austin5", "austin6", "austin36", "tyrol-w5", "tyrol-w6", "vienna10"]
TEST = ["sfo36", "tyrol-e1"]
HEIGHT, WIDTH = 70, 90


def mask_of(i):
    """Two buildings, at places of each tile's own."""
    mask = np.zeros((HEIGHT, WIDTH), "uint8")
    mask[5 + i : 20 + i, 10:30] = 255
    mask[40:50, 60 - i : 80 - i] = 255
    return mask


@pytest.fixture
def tree(tmp_path, write_raster):
    """A small tree of the layout, below folders whose names hold cities and digits."""
    root = tmp_path / "vienna3_v2" / "AerialImageDataset"
    rng = np.random.default_rng(0)
    for i, name in enumerate(TRAIN + TEST):
        split = "train" if name in TRAIN else "test"
        pixels = rng.integers(0, 256, (3, HEIGHT, WIDTH), dtype="uint8")
        place = {"transform": from_origin(500_000 + 30 * i, 5_000_000, 0.3, 0.3)}
        write_raster(root / split / "images" / f"{name}.tif", pixels, **place)
        if name in TRAIN:
            write_raster(root / "train" / "gt" / f"{name}.tif", mask_of(i), **place)
    return root


def names(scenes):
    return [scene.image.path.stem for scene in scenes]


def test_the_first_five_tiles_of_each_city_are_for_validation(tree):
    data = open_dataset("inria", tree)
    assert names(data.train) == ["austin6", "austin36", "tyrol-w6", "vienna10"]
    assert names(data.val) == ["austin1", "austin5", "tyrol-w5"]
    assert names(data.test) == TEST
    assert data.notes == []
    assert data.groups == {
        **dict.fromkeys(["austin1", "austin5", "austin6", "austin36"], "austin"),
        **dict.fromkeys(["tyrol-w5", "tyrol-w6"], "tyrol-w"),
        "vienna10": "vienna",
        "sfo36": "sfo",
        "tyrol-e1": "tyrol-e",
    }


def test_the_folder_around_the_root_serves_too(tree):
    assert open_dataset("inria", tree.parent).root == tree
    assert names(open_dataset("inria", tree.parent).val) == names(open_dataset("inria", tree).val)
    with pytest.raises(
        InputError, match=r"nothing of INRIA .*looked for train/images/austin1.tif.*To get it: register"
    ):
        open_dataset("inria", tree.parent.parent)


def test_pixels_and_labels_are_those_of_the_files(tree):
    data = open_dataset("inria", tree)
    for scene in data.train + data.val:
        name = scene.image.path.stem
        with rasterio.open(tree / "train" / "images" / f"{name}.tif") as file:
            pixels = file.read()
        image, label = scene.read(Window(-3, 15, 50, 80), (50, 80))  # reaches beyond the tile above and to the right
        np.testing.assert_array_equal(image[:, 3:, :75], pixels[:, :47, 15:])
        np.testing.assert_array_equal(label[3:, :75], mask_of(TRAIN.index(name))[:47, 15:] // 255)
        outside = np.ones(label.shape, bool)
        outside[3:, :75] = False
        assert np.isnan(image[:, outside]).all()
        assert (label[outside] == 255).all()


def test_anchors_lie_on_buildings_and_every_building_has_one(tree):
    (scene,) = [scene for scene in open_dataset("inria", tree).train if scene.image.path.stem == "austin6"]
    mask = mask_of(TRAIN.index("austin6"))
    rows, cols = scene.anchors.T
    assert (mask[rows, cols] == 255).all()
    cells = {(row // 32, col // 32) for row, col in np.argwhere(mask).tolist()}
    assert sorted(cells) == sorted((row // 32, col // 32) for row, col in scene.anchors.tolist())


def test_test_cities_have_nothing_known(tree):
    (scene, _) = open_dataset("inria", tree).test
    assert isinstance(scene.label, Unlabelled)
    assert (scene.read(Window(0, 0, 20, 30), (20, 30)).label == 255).all()
    assert scene.anchors.shape == (0, 2)


def test_windows_are_drawn_from_it(tree):
    data = open_dataset("inria", tree)
    regions = [Region(scene, scene.image.window) for scene in data.train]
    windows = TrainingWindows(regions, 32, seed=0, class_share=1.0)
    assert all((windows[i]["label"] == 1).any() for i in range(20))
    val = GridWindows([Region(scene, scene.image.window) for scene in data.val], 32, 100)
    assert len(val) == 3 * 3 * 3


def test_another_value_in_a_label_is_named(tree, write_raster):
    write_raster(tree / "train" / "gt" / "austin6.tif", mask_of(0) // 255, crs=None, transform=None)
    scene = next(s for s in open_dataset("inria", tree).train if s.image.path.stem == "austin6")
    with pytest.raises(InputError, match=r"gt/austin6.tif holds 1, which the published labels do not"):
        scene.read(scene.image.window, (HEIGHT, WIDTH))
    with pytest.raises(InputError, match=r"austin6.tif holds 1"):
        _ = scene.anchors


def test_a_label_of_several_bands_is_refused(tree, write_raster):
    write_raster(tree / "train" / "gt" / "austin6.tif", np.stack([mask_of(0)] * 3), crs=None, transform=None)
    with pytest.raises(InputError, match=r"gt/austin6\.tif has 3 bands, but the published labels have one"):
        open_dataset("inria", tree)


def test_a_label_of_another_type_is_refused(tree, write_raster):
    write_raster(tree / "train" / "gt" / "austin6.tif", mask_of(0).astype("int16") + 1, crs=None, transform=None)
    with pytest.raises(InputError, match=r"gt/austin6\.tif holds int16, but the published labels hold uint8"):
        open_dataset("inria", tree)


def test_a_declared_nodata_value_does_not_hide_the_background(tree, write_raster):
    write_raster(tree / "train" / "gt" / "austin1.tif", mask_of(0), nodata=0, crs=None, transform=None)
    scene = open_dataset("inria", tree).val[0]
    np.testing.assert_array_equal(scene.read(scene.image.window, (HEIGHT, WIDTH)).label, mask_of(0) // 255)


def test_files_without_a_partner_and_surplus_ones_are_named(tree, write_raster):
    (tree / "train" / "gt" / "austin6.tif").unlink()
    (tree / "train" / "images" / "vienna10.tif").unlink()
    write_raster(tree / "train" / "images" / "austin37.tif", np.zeros((3, 8, 8), "uint8"))
    (tree / "train" / "images" / "._austin1.tif").write_bytes(b"left by another system")
    data = open_dataset("inria", tree)
    assert names(data.train) == ["austin36", "tyrol-w6"]
    assert data.notes == [
        "train/images/austin6.tif has no label in train/gt: left out",
        "train/gt/vienna10.tif has no image in train/images: left out",
        "train/images/austin37.tif is not part of the dataset: left out",
    ]


def test_a_label_of_another_size_is_refused(tree, write_raster):
    write_raster(tree / "train" / "gt" / "austin6.tif", mask_of(0)[:-1], crs=None, transform=None)
    with pytest.raises(PairingError, match=r"austin6.tif is 90×69 pixels but .* is 90×70"):
        open_dataset("inria", tree)


@pytest.mark.parametrize("kept", [["austin6", "vienna10"], ["austin1"]])
def test_an_empty_part_is_cut_from_the_other(tree, kept):
    for name in set(TRAIN) - set(kept):
        (tree / "train" / "images" / f"{name}.tif").unlink()
        (tree / "train" / "gt" / f"{name}.tif").unlink()
    data = open_dataset("inria", tree)
    assert data.train
    assert data.val
    empty = "training" if kept == ["austin1"] else "validation"
    (note,) = data.notes
    assert note.startswith(f"no {empty} tiles: the ground is cut in two by a straight line")
    seen = {name: np.zeros((HEIGHT, WIDTH), int) for name in kept}
    truths = {name: mask_of(TRAIN.index(name)) // 255 for name in kept}
    for scene in data.train + data.val:
        whole = next(tile for tile in kept if tile == scene.image.path.stem)
        with rasterio.open(scene.image.path) as file:
            pixels, transform = file.read(), file.transform
        col, row = (round(value) for value in ~transform @ (scene.image.transform.c, scene.image.transform.f))
        place = np.s_[row : row + scene.image.height, col : col + scene.image.width]
        image, label = scene.read(
            Window(0, -5, scene.image.height, scene.image.width + 9), (scene.image.height, scene.image.width + 9)
        )
        seen[whole][place] += 1
        np.testing.assert_array_equal(image[:, :, 5 : 5 + scene.image.width], pixels[:, *place])
        np.testing.assert_array_equal(label[:, 5 : 5 + scene.image.width], truths[whole][place])
        assert (label[:, :5] == 255).all()
        assert (label[:, 5 + scene.image.width :] == 255).all()
        assert truths[whole][place][tuple(scene.anchors.T)].all()
        assert len(scene.anchors)
    assert all((count == 1).all() for count in seen.values())  # every pixel in one part, none in both


def test_a_dataset_twice_below_a_folder_is_refused(tree):
    (tree.parent / "copy" / "train" / "gt").mkdir(parents=True)
    (tree.parent / "copy" / "train" / "gt" / "austin1.tif").write_bytes((tree / "train/gt/austin1.tif").read_bytes())
    with pytest.raises(InputError, match=r"more than once \(AerialImageDataset, copy\)"):
        open_dataset("inria", tree.parent)


def test_names_and_choices_are_checked(tree):
    with pytest.raises(SettingError, match=r"no dataset 'iniria'; there are aicd, inria, potsdam"):
        open_dataset("iniria", tree)
    with pytest.raises(SettingError, match="inria leaves no choice of 'bands'"):
        open_dataset("inria", tree, bands="rgb")


def test_the_inspection_counts(tree, write_raster):
    (tree / "train" / "images" / "austin5.tif").write_bytes(b"no raster")
    write_raster(tree / "train" / "gt" / "austin6.tif", np.full((HEIGHT, WIDTH), 7, "uint8"), crs=None, transform=None)
    found = inspect_dataset("inria", tree.parent)
    assert [tile.name for tile, _ in found.tiles] == [n for n in TRAIN if n not in ("austin5", "austin6")] + TEST
    assert any("austin5.tif cannot be read" in note for note in found.notes)
    assert any("gt/austin6.tif holds 7, which the published labels do not" in note for note in found.notes)
    truth = np.concatenate([np.full((HEIGHT, WIDTH), 7, "uint8") if n == "austin6" else mask_of(i)
                            for i, n in enumerate(TRAIN) if n != "austin5"])  # fmt: skip
    values, counts = np.unique(truth, return_counts=True)
    assert found.values == dict(zip(map(str, values.tolist()), counts.tolist(), strict=True))
    lines = found.lines()
    assert f"INRIA Aerial Image Labeling in {tree}" in lines
    assert any(line.startswith("train/images: 7 of 180 files; missing austin2.tif, austin3.tif") for line in lines)
    assert "  90×70, 3 bands of uint8 (6); unreadable (1); published at 5000×5000 pixels" in lines
    assert "val: 2 usable tiles (austin (1); tyrol-w (1))" in lines


def test_the_real_tree(real_data):
    data = open_dataset("inria", real_data)
    assert names(data.val) == ["austin1", "chicago1", "kitsap1", "tyrol-w1", "vienna1"]
    assert len(data.train) == 5
    label = data.val[0].read(Window(0, 0, 1000, 1000), (1000, 1000)).label
    with rasterio.open(real_data / "AerialImageDataset/train/gt/austin1.tif") as file:
        np.testing.assert_array_equal(label, file.read(1) == 255)


def test_tiles_are_read_by_window(tree, monkeypatch):
    data = open_dataset("inria", tree)
    areas = []
    read = Raster.read

    def watched(self, window, nodata="file"):
        areas.append(window.height * window.width)
        return read(self, window, nodata)

    monkeypatch.setattr(Raster, "read", watched)
    windows = TrainingWindows([Region(scene, scene.image.window) for scene in data.train], 16, seed=0)
    assert max(areas) == 32 * WIDTH  # labels are looked through in strips
    areas.clear()
    _ = windows[0]
    assert areas == [16 * 16] * 2  # an image and its label


@pytest.mark.long
def test_loading_is_compared_with_torchgeo(tmp_path, monkeypatch):
    pytest.importorskip("torchgeo")
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    loading = importlib.import_module("inria_loading")
    machine = {"versions": {}, "machine": {"processor": "a", "cores": 2}, "commit": "0" * 40, "date": "2020-01-01"}
    monkeypatch.setattr(loading, "circumstances", lambda: machine)
    loading.main(["--quick", "--out", str(tmp_path)])
    found = json.loads((tmp_path / "inria-loading.json").read_text())
    assert found["smoke_run"]
    rates = {name: row["median"] for name, row in found["contenders"].items()}
    assert set(rates) == {"crispmap", "rasterio by hand", "torchgeo"}
    assert found["contenders"]["crispmap"]["times_torchgeo"] == pytest.approx(
        rates["crispmap"] / rates["torchgeo"], rel=0.05
    )
    assert "these numbers mean nothing" in (tmp_path / "inria-loading.md").read_text()
    met = found["contenders"] | {"crispmap": found["contenders"]["crispmap"] | {"times_torchgeo": 300.0}}
    assert "torchgeo: met (300.0)" in loading.page(found | {"contenders": met})
    with pytest.raises(SystemExit):
        loading.main(["--quick"])
