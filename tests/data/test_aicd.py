"""The AICD tree: image or pair, shadowed or not, masks of any shape, and views of one scene kept together."""

import numpy as np
import pytest

from crispmap.data.published import inspect_dataset, open_dataset
from crispmap.errors import InputError, PairingError, SettingError

HEIGHT, WIDTH = 60, 80


def mask_of(scene, view):
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[10 + scene % 30 : 25 + scene % 30, 5 + 9 * view : 35 + 9 * view] = True
    return mask


def image_of(scene, view, folder, shown):
    """Ground with noise; where the objects are shown, bright."""
    rng = np.random.default_rng([scene, view, folder == "Images_Shadows", shown])
    return (rng.integers(40, 60, (3, HEIGHT, WIDTH)) + 120 * (mask_of(scene, view) & shown)).astype("uint8")


@pytest.fixture
def build(tmp_path, write_raster):
    """Writes a tree: `build(scenes, views, shown="target", as_mask=…, alpha=…)`."""

    def make(scenes, views=(0,), shown="target", as_mask=lambda mask: mask * np.uint8(255), alpha=True):
        root = tmp_path / "Scene0099_View04_target" / "AICDDataset"
        for scene in scenes:
            for view in views:
                name = f"Scene{scene:04d}_View{view:02d}"
                for folder in ("Images_Shadows", "Images_NoShadow"):
                    for half in ("moving", "target"):
                        pixels = image_of(scene, view, folder, half == shown)
                        if alpha:  # which says nothing
                            pixels = np.concatenate([pixels, np.full((1, HEIGHT, WIDTH), 0, "uint8")])
                        write_raster(root / folder / f"{name}_{half}.png", pixels)
                write_raster(root / "GroundTruth" / f"{name}_gtmask.png", as_mask(mask_of(scene, view)))
        return root

    return make


def whole(scene):
    return scene.read(scene.image.window, (HEIGHT, WIDTH))


def names(scenes):
    return [scene.image.path.name for scene in scenes]


def test_views_of_a_scene_stay_together(build):
    data = open_dataset("aicd", build([0, 6, 7, 8, 9, 16, 17, 99], (0, 4)))
    numbers = [{name[5:9] for name in names(part)} for part in (data.train, data.val, data.test)]
    assert numbers == [{"0000", "0006", "0016"}, {"0007", "0017"}, {"0008", "0009", "0099"}]
    assert [len(part) for part in (data.train, data.val, data.test)] == [6, 4, 6]
    assert data.groups["Scene0016_View04_target"] == "Scene0016"


@pytest.mark.parametrize("shown", ["moving", "target"])
@pytest.mark.parametrize(("images", "folder"), [("shadows", "Images_Shadows"), ("noshadow", "Images_NoShadow")])
def test_the_image_that_shows_the_objects_is_read_without_its_alpha(build, images, folder, shown):
    data = open_dataset("aicd", build([3, 7], shown=shown), images=images)
    image, label = whole(data.train[0])
    np.testing.assert_array_equal(image, image_of(3, 0, folder, True))
    np.testing.assert_array_equal(label, mask_of(3, 0))
    (note,) = data.notes
    assert note.startswith(f"the {shown} images are read: the contrast along the masks' outlines is")


def test_a_pair_is_an_image_of_six_bands(build):
    data = open_dataset("aicd", build([3, 7]), pair=True)
    image, label = whole(data.train[0])
    literal = [image_of(3, 0, "Images_Shadows", half == "target") for half in ("moving", "target")]
    np.testing.assert_array_equal(image, np.concatenate(literal))
    np.testing.assert_array_equal(label, mask_of(3, 0))
    assert data.train[0].image.bands == (1, 2, 3, 4, 5, 6)
    assert data.notes == []


@pytest.mark.parametrize(
    "as_mask",
    [
        lambda mask: mask * np.uint8(255),
        lambda mask: mask.astype("uint8"),
        lambda mask: np.stack([mask * np.uint8(255)] * 3),
        lambda mask: np.stack([*[mask * np.uint8(255)] * 3, np.zeros(mask.shape, "uint8")]),
        lambda mask: np.stack([mask * np.uint8(255), np.full(mask.shape, 255, "uint8")]),
    ],
    ids=["grey", "0 and 1", "RGB", "RGBA, all transparent", "grey and alpha"],
)
def test_masks_of_any_shape(build, as_mask):
    data = open_dataset("aicd", build([3, 7], as_mask=as_mask))
    np.testing.assert_array_equal(whole(data.train[0]).label, mask_of(3, 0))


def test_a_pair_shares_grid_and_type(build, write_raster):
    root = build([3, 7])
    moving = root / "Images_Shadows" / "Scene0003_View00_moving.png"
    write_raster(moving, np.zeros((3, HEIGHT, WIDTH + 1), "uint8"))
    with pytest.raises(PairingError, match=r"moving\.png is 81×60"):
        open_dataset("aicd", root, pair=True)
    write_raster(moving, np.zeros((3, HEIGHT, WIDTH), "uint16"))
    with pytest.raises(InputError, match=r"holds uint16 but .* uint8"):
        open_dataset("aicd", root, pair=True)


def test_the_values_of_masks_are_counted(build):
    found = inspect_dataset("aicd", build([3], as_mask=lambda mask: mask * np.uint16(40_000)))
    inside = int(mask_of(3, 0).sum())
    assert found.values == {"0": HEIGHT * WIDTH - inside, "40000": inside}


def test_what_is_missing_is_named(build):
    root = build([3, 4, 7])
    (root / "Images_Shadows" / "Scene0003_View00_target.png").unlink()
    (root / "GroundTruth" / "Scene0004_View00_gtmask.png").unlink()
    (root / "GroundTruth" / "readme.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"nothing of AICD"):
        open_dataset("aicd", root / "GroundTruth")
    data = open_dataset("aicd", root)
    assert not data.train or {name[:9] for name in names(data.train)} == {"Scene0007"}
    assert data.notes[1:4] == [
        "Images_Shadows/Scene0004_View00_target.png has no mask in GroundTruth: left out",
        "GroundTruth/Scene0003_View00_gtmask.png has no target image in Images_Shadows: left out",
        "GroundTruth/readme.png is not part of the dataset: left out",
    ]
    pair = open_dataset("aicd", root, pair=True)
    assert "Images_Shadows/Scene0003_View00_moving.png has no mask in GroundTruth or no partner: left out" in pair.notes


def test_scenes_stand_in_for_an_empty_part(build):
    data = open_dataset("aicd", build([0, 1, 2, 13], (0, 1)))
    assert {name[5:9] for name in names(data.train)} == {"0000", "0001", "0002"}
    assert {name[5:9] for name in names(data.val)} == {"0013"}
    assert data.notes[-1] == "no validation scenes; for validation: Scene0013"


def test_the_inspection_takes_the_images_that_are_there(build):
    root = build([3, 7])
    for path in (root / "Images_Shadows").iterdir():
        path.unlink()
    found = inspect_dataset("aicd", root.parent)
    assert [tile.name for tile, _ in found.tiles] == ["Scene0003_View00", "Scene0007_View00"]
    truth = [int(sum(f(mask_of(s, 0)).sum() for s in (3, 7))) for f in (np.logical_not, np.array)]
    assert found.values == {"0": truth[0], "255": truth[1]}
    with pytest.raises(InputError, match=r"nothing in .* can be used: GroundTruth/Scene0003_View00_gtmask.png has no"):
        open_dataset("aicd", root)


def test_choices_are_checked(tmp_path):
    with pytest.raises(SettingError, match="images is 'shadows' or 'noshadow', not 'night'"):
        open_dataset("aicd", tmp_path, images="night")
