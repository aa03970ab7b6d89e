"""The Potsdam tree: both kinds of images and labels, six classes, ignored pixels, the official split."""

import numpy as np
import pytest
import rasterio
from rasterio.enums import ColorInterp

from crispmap.data.labels import Unlabelled
from crispmap.data.published import inspect_dataset, open_dataset
from crispmap.errors import InputError, SettingError
from crispmap.geo.raster import Window

SIDE = 64
COLOURS = {  # as published
    0: (255, 255, 255),
    1: (0, 0, 255),
    2: (0, 255, 255),
    3: (0, 255, 0),
    4: (255, 255, 0),
    5: (255, 0, 0),
    255: (0, 0, 0),
}


def numbers(seed):
    """Class numbers in blocks of 8 pixels, all six of them."""
    blocks = np.random.default_rng(seed).permutation(np.arange(64) % 6).reshape(8, 8)
    return blocks.repeat(8, axis=0).repeat(8, axis=1)


def eroded(number):
    """The same with black lines between blocks."""
    without = number.copy()
    without[::8] = without[:, ::8] = 255
    return without


def coloured(number):
    return np.array([COLOURS.get(n, (0, 0, 0)) for n in range(256)], "uint8")[number].transpose(2, 0, 1)


@pytest.fixture
def build(tmp_path, write_raster):
    """Writes a tree: `build({tile: kinds})`, kinds of "RGB", "RGBIR", "label", "label_noBoundary"; or flat."""
    folders = {"RGB": "2_Ortho_RGB", "RGBIR": "4_Ortho_RGBIR", "label": "5_Labels_all"}
    folders["label_noBoundary"] = "5_Labels_all_noBoundary"

    def make(tiles, flat=()):
        root = tmp_path / "top_potsdam_7_13_RGB" / "Potsdam"
        for i, (tile, kinds) in enumerate(tiles.items()):
            pixels = np.random.default_rng(i).integers(1, 256, (4, SIDE, SIDE), dtype="uint8")
            pixels[3, :9] = 0  # no infrared, which is not transparency
            contents = {
                "RGB": pixels[:3],
                "RGBIR": pixels,
                "label": coloured(numbers(i)),
                "label_noBoundary": coloured(eroded(numbers(i))),
            }
            for kind in kinds:
                folder = root if kind in flat else root / folders[kind]
                path = write_raster(folder / f"top_potsdam_{tile}_{kind}.tif", contents[kind], photometric="RGB")
                if kind == "RGBIR":
                    with rasterio.open(path, "r+") as file:
                        file.colorinterp = [*file.colorinterp[:3], ColorInterp.alpha]
        return root

    return make


BOTH = ("RGB", "label")


def whole(scene):
    return scene.read(scene.image.window, (scene.image.height, scene.image.width))


def test_the_official_split(build):
    train = [f"{r}_{c}" for r in (2, 3, 4, 5) for c in (10, 11, 12)] + [
        f"{r}_{c}" for r in (6, 7) for c in range(7, 13)
    ]
    test = ["2_13", "2_14", "3_13", "3_14", "4_13", "4_14", "4_15", "5_13", "5_14", "5_15"]
    test += ["6_13", "6_14", "6_15", "7_13"]
    data = open_dataset("potsdam", build(dict.fromkeys(train + test, BOTH)))
    assert (len(train), len(test)) == (24, 14)
    assert sorted({s.image.path.name for s in data.train + data.val}) == sorted(
        f"top_potsdam_{t}_RGB.tif" for t in train
    )
    assert sorted(s.image.path.name for s in data.test) == sorted(f"top_potsdam_{t}_RGB.tif" for t in test)
    assert any(note.startswith("no validation tiles: the ground is cut in two") for note in data.notes)


def test_buildings_against_the_rest(build):
    data = open_dataset("potsdam", build({"2_13": BOTH}))
    np.testing.assert_array_equal(whole(data.test[0]).label, numbers(0) == 1)


def test_six_classes(build):
    (scene,) = open_dataset("potsdam", build({"2_13": BOTH}), classes="all").test
    np.testing.assert_array_equal(whole(scene).label, numbers(0))
    found = {numbers(0)[row, col] for row, col in scene.anchors.tolist()}
    assert found == set(range(6))
    half = scene.read(Window(0, 0, SIDE, SIDE), (SIDE // 2, SIDE // 2)).label
    np.testing.assert_array_equal(half, numbers(0)[::2, ::2])
    # of a block of 24 × 24 pixels, a class than which none has more of them
    thirds = scene.read(Window(0, 0, 48, 48), (2, 2)).label
    for r in (0, 1):
        for c in (0, 1):
            counts = np.bincount(numbers(0)[24 * r : 24 * r + 24, 24 * c : 24 * c + 24].ravel())
            assert counts[thirds[r, c]] == counts.max()


@pytest.mark.parametrize("classes", ["building", "all"])
def test_pixels_at_boundaries_are_ignored(build, classes):
    root = build({"2_13": ("RGB", "label", "label_noBoundary")})
    (scene,) = open_dataset("potsdam", root, classes=classes, boundaries=False).test
    truth = eroded(numbers(0))
    expected = truth if classes == "all" else np.where(truth == 255, 255, truth == 1)
    np.testing.assert_array_equal(whole(scene).label, expected)
    assert not (whole(open_dataset("potsdam", root, classes=classes).test[0]).label == 255).any()


def test_the_other_kind_of_labels_is_read_where_one_is_missing_and_said(build):
    data = open_dataset("potsdam", build({"2_13": ("RGB", "label_noBoundary"), "2_14": BOTH}), classes="all")
    np.testing.assert_array_equal(whole(data.test[0]).label, eroded(numbers(0)))
    np.testing.assert_array_equal(whole(data.test[1]).label, numbers(1))
    assert "5_Labels_all has no label of 2_13: those in 5_Labels_all_noBoundary are read" in data.notes


@pytest.mark.parametrize("flat", [("label",), ("RGB", "label"), ("RGB",)])
def test_files_lie_in_folders_or_flat(build, flat):
    root = build({"2_13": BOTH}, flat)
    for given in (root, root.parent):
        data = open_dataset("potsdam", given)
        np.testing.assert_array_equal(whole(data.test[0]).label, numbers(0) == 1)
        assert data.notes == ["there is nothing to train or validate on"]


def test_labels_in_a_folder_of_another_name(build):
    root = build({"2_13": BOTH})
    (root / "5_Labels_all").rename(root / "5_Labels_for_participants")
    assert not isinstance(open_dataset("potsdam", root).test[0].label, Unlabelled)


def test_the_infrared_band_is_a_band(build):
    root = build({"2_13": ("RGBIR", "label")})
    (scene,) = open_dataset("potsdam", root, bands="rgbir").test
    with rasterio.open(scene.image.path) as file:
        assert file.colorinterp[3] == ColorInterp.alpha  # as GDAL has it
        pixels = file.read()
    image, label = whole(scene)
    np.testing.assert_array_equal(image, pixels)
    assert not (label == 255).any()
    data = open_dataset("potsdam", root)
    np.testing.assert_array_equal(whole(data.test[0]).image, pixels[:3])
    assert "2_Ortho_RGB is not there: the first three bands of 4_Ortho_RGBIR are read" in data.notes


def test_colours_that_are_off_by_some_levels_are_what_they_nearly_are(build, write_raster):
    root = build({"2_13": BOTH})
    colours = np.clip(coloured(numbers(0)).astype(int) + np.array([-3, 5, 0])[:, None, None], 0, 255).astype("uint8")
    write_raster(root / "5_Labels_all" / "top_potsdam_2_13_label.tif", colours)
    (scene,) = open_dataset("potsdam", root, classes="all").test
    np.testing.assert_array_equal(whole(scene).label, numbers(0))
    off = ((colours > 0) & (colours < 255)).any(axis=0).sum()
    assert inspect_dataset("potsdam", root).values["of these in colours that are off"] == off


def test_what_is_missing_or_too_many_is_named(build, write_raster):
    root = build({"2_10": ("RGB",), "2_13": ("RGB",), "2_14": ("label",), "3_14": BOTH})
    for name in ("top_potsdam_9_99_RGB.tif", "top_potsdam_2_13_IRRG.tif"):
        write_raster(root / "2_Ortho_RGB" / name, np.zeros((3, 8, 8), "uint8"))
    write_raster(root / "top_potsdam_3_14_label.tif", coloured(numbers(9)))  # again, beside that in its folder
    data = open_dataset("potsdam", root)
    assert [s.image.path.name[12:16] for s in data.test] == ["2_13", "3_14"]
    assert isinstance(data.test[0].label, Unlabelled)
    np.testing.assert_array_equal(whole(data.test[1]).label, numbers(3) == 1)
    assert data.notes[:-1] == [
        "2_Ortho_RGB/top_potsdam_2_10_RGB.tif has no label: left out",
        "5_Labels_all/top_potsdam_2_14_label.tif has no image in 2_Ortho_RGB: left out",
        "2_Ortho_RGB/top_potsdam_9_99_RGB.tif is not part of the dataset: left out",
        "top_potsdam_3_14_label.tif is not part of the dataset: left out",
    ]


def test_packed_archives_are_pointed_at(tmp_path):
    (tmp_path / "2_Ortho_RGB.zip").write_bytes(b"")
    with pytest.raises(InputError, match=r"nothing of ISPRS Potsdam.*unpack 2_Ortho_RGB.zip first.*To get it"):
        open_dataset("potsdam", tmp_path)


@pytest.mark.parametrize(("choice", "value"), [("classes", "six"), ("bands", "irrg")])
def test_choices_are_checked(tmp_path, choice, value):
    with pytest.raises(SettingError, match=f"{choice} is .*, not '{value}'"):
        open_dataset("potsdam", tmp_path, **{choice: value})


def test_the_real_tile(real_data):
    data = open_dataset("potsdam", real_data)
    assert data.notes == [
        "no validation tiles: the ground is cut in two by a straight line; for validation: columns 397 to 511 of "
        "top_potsdam_2_10_RGB.tif"
    ]
    with rasterio.open(real_data / "Potsdam/5_Labels_all/top_potsdam_2_10_label.tif") as file:
        truth = (file.read() == np.array([0, 0, 255])[:, None, None]).all(axis=0)
    found = np.concatenate([whole(scene).label for scene in (*data.train, *data.val)], axis=1)
    np.testing.assert_array_equal(found, truth)
    values = inspect_dataset("potsdam", real_data).values
    assert values["building"] == truth.sum()
    assert sum(values.values()) == 512**2
