import numpy as np
import pytest
import rasterio
import torch
from rasterio.transform import from_origin
from torch.utils.data import DataLoader

from crispmap import SurfaceLoss
from crispmap.data.augment import flip_and_turn, photometric
from crispmap.data.folder import find_scenes
from crispmap.data.module import WindowDataModule
from crispmap.data.scene import Region, Sample
from crispmap.data.split import split_by_space
from crispmap.data.statistics import Statistics, measure
from crispmap.data.windows import GridWindows, TrainingWindows
from crispmap.errors import InputError
from crispmap.geo.raster import Window


@pytest.fixture
def scenes(tmp_path, write_raster):
    """Four located scenes of 0.5 m in a row from west to east, of mixed sizes; each pixel tells where it is."""
    rng = np.random.default_rng(0)
    for i, (height, width) in enumerate([(120, 150), (100, 150), (40, 150), (120, 150)]):
        rows, cols = np.mgrid[:height, :width]
        image = np.stack([rows, cols, np.full_like(rows, 50 * i)]).astype("uint8")
        label = np.zeros((height, width), "uint8")
        for _ in range(4):
            row, col = rng.integers(0, height - 8), rng.integers(0, width - 8)
            label[row : row + 8, col : col + 8] = 255
        place = {"transform": from_origin(500_000 + 75 * i, 5_000_000, 0.5, 0.5)}
        write_raster(tmp_path / "images" / f"s_{i}.tif", image, **place)
        write_raster(tmp_path / "labels" / f"s_{i}.tif", label, **place)
    return find_scenes(tmp_path / "images", tmp_path / "labels")


def whole(scenes):
    return [Region(scene, scene.image.window) for scene in scenes]


def test_a_sample_is_a_function_of_seed_and_index(scenes):
    a, b = (TrainingWindows(whole(scenes), 32, seed=5, statistics=measure(scenes)) for _ in range(2))
    for index in (0, 7, 1000, 7):
        torch.testing.assert_close(a[index], b[index], rtol=0, atol=0, equal_nan=True)
    other = TrainingWindows(whole(scenes), 32, seed=6)
    assert any(not torch.equal(a[i]["label"], other[i]["label"]) for i in range(5))


def test_workers_do_not_change_what_is_drawn(scenes):
    windows = TrainingWindows(whole(scenes), 32, seed=1)
    epochs = []
    for workers in (0, 2):
        loader = DataLoader(windows, 4, sampler=range(5, 17), num_workers=workers)
        epochs.append(torch.cat([batch["label"] for batch in loader]))
    assert torch.equal(*epochs)


def test_the_stated_share_of_windows_holds_the_class(scenes):
    for share, low in ((1.0, 1.0), (0.5, 0.5)):
        windows = TrainingWindows(whole(scenes), 16, seed=2, class_share=share)
        held = np.mean([bool((windows[i]["label"] == 1).any()) for i in range(200)])
        assert held >= low - 0.1
    empty_too = TrainingWindows(whole(scenes), 16, seed=2, class_share=0.0)
    assert np.mean([bool((empty_too[i]["label"] == 1).any()) for i in range(200)]) < 0.5


def test_windows_lie_inside_scenes_that_hold_them(scenes):
    windows = TrainingWindows(whole(scenes), 32, seed=3)
    assert not any((windows[i]["label"] == 255).any() for i in range(100))


def test_scenes_smaller_than_the_window_are_padded(scenes):
    small = Region(scenes[2], scenes[2].image.window)  # 40 rows
    sample = TrainingWindows([small], 64, seed=4)[0]
    assert sample["image"].shape == (3, 64, 64)
    assert (sample["label"] != 255).sum() == 40 * 64
    assert torch.equal(torch.isnan(sample["image"]).all(0), sample["label"] == 255)


def test_grid_covers_every_pixel_once(scenes):
    grid = GridWindows(whole(scenes), 64, limit=1000)
    known = sum(int((grid[i]["label"] != 255).sum()) for i in range(len(grid)))
    assert known == sum(scene.image.height * scene.image.width for scene in scenes)
    assert len(GridWindows(whole(scenes), 64, limit=5)) == 5


def test_nothing_outside_a_region_is_seen(scenes):
    region = Region(scenes[0], Window(0, 0, 120, 60))
    for i in range(30):
        sample = TrainingWindows([region], 32, seed=i)[0]
        cols = sample["image"][1]
        assert (cols[~torch.isnan(cols)] < 60).all()
    edge = region.read(Window(0, 40, 64, 64), 32)
    assert (edge.label[:, 10:] == 255).all()
    assert (edge.label[:, :10] != 255).all()


class TestSplit:
    def test_validation_lies_beyond_one_cut(self, scenes):
        train, val = split_by_space(scenes, 16, share=0.25)

        def east(region):
            t = region.scene.image.transform
            return t.c + region.window.col * t.a, t.c + (region.window.col + region.window.width) * t.a

        assert max(east(r)[1] for r in train) <= min(east(r)[0] for r in val)
        anchors = [sum(len(r.anchors) for r in part) for part in (train, val)]
        assert 0.1 < anchors[1] / sum(anchors) < 0.45

    def test_the_cut_does_not_know_the_antimeridian(self, tmp_path, write_raster):
        """Rows of tiles in a CRS that goes on beyond 180°, from one place and from there a little further east."""
        (line,), (south,) = rasterio.warp.transform("EPSG:4326", "EPSG:3832", [180.0], [-17.0])
        parts = []
        for start in (line - 4000, line - 144, line - 112, line - 16):
            folder = tmp_path / str(start)
            for i in range(5):
                place = {"crs": "EPSG:3832", "transform": from_origin(start + 64 * i, south, 1, 1)}
                write_raster(folder / "i" / f"t_{i}.tif", np.full((1, 64, 64), 9, "uint8"), **place)
                write_raster(folder / "l" / f"t_{i}.tif", np.eye(64, dtype="uint8")[None], **place)
            split = split_by_space(find_scenes(folder / "i", folder / "l"), 16, share=0.25)
            parts.append([[(r.scene.image.path.stem, r.window) for r in part] for part in split])
        assert [name for name, _ in parts[0][0]] == ["t_0", "t_1", "t_2", "t_3"]
        assert all(part == parts[0] for part in parts)

    def test_a_single_image_is_cut_with_a_gap(self, scenes):
        train, val = split_by_space(scenes[:1], 16, share=0.3)
        (one,), (two,) = train, val
        assert {one.scene.image.path, two.scene.image.path} == {scenes[0].image.path}
        assert two.window.col - (one.window.col + one.window.width) == 8

    def test_a_single_image_narrower_than_two_windows_is_cut_all_the_same(self, scenes):
        (one,), (two,) = split_by_space(scenes[:1], 128, share=0.3)
        assert len(one.anchors)
        assert len(two.anchors)
        assert two.window.col == one.window.width

    def test_images_without_a_place_follow_their_names(self, tmp_path, write_raster):
        for i in (1, 2, 10, 11):
            write_raster(tmp_path / "i" / f"t_{i}.png", np.full((1, 32, 32), 9, "uint8"))
            write_raster(tmp_path / "l" / f"t_{i}.png", np.eye(32, dtype="uint8")[None])
        train, val = split_by_space(find_scenes(tmp_path / "i", tmp_path / "l"), 32, share=0.25)
        assert [r.scene.image.path.stem for r in train] == ["t_1", "t_2", "t_10"]
        assert [r.scene.image.path.stem for r in val] == ["t_11"]

    def test_too_little_to_divide(self, tmp_path, write_raster):
        label = np.zeros((1, 64, 64), "uint8")
        label[0, 5:9, 5:9] = 1
        image = write_raster(tmp_path / "i.tif", np.full((1, 64, 64), 9, "uint8"))
        with pytest.raises(InputError, match="--val-images"):
            split_by_space(find_scenes(image, write_raster(tmp_path / "l.tif", label)), 32)


def test_flips_and_turns_move_image_and_label_alike():
    rng = np.random.default_rng(0)
    label = np.arange(25, dtype="uint8").reshape(5, 5)
    seen = set()
    for _ in range(100):
        sample = flip_and_turn(Sample(label[None].astype("float32"), label), rng)
        np.testing.assert_array_equal(sample.image[0], sample.label)
        seen.add(sample.label.tobytes())
    assert len(seen) == 8


@pytest.mark.parametrize("side", [15, 16, 40])
def test_turned_samples_lie_in_order_of_memory(side):
    """They go on as tensors, which know no steps backwards; and not a value changes."""
    image = np.random.default_rng(0).random((2, side, side)).astype("float32")
    image[:, 3, 4] = np.nan
    forms = {np.rot90(image, k, (1, 2))[..., ::step].tobytes() for k in range(4) for step in (1, -1)}
    seen = set()
    for seed in range(60):
        sample = flip_and_turn(Sample(image, (image[0] > 0.5).astype("uint8")), np.random.default_rng(seed))
        assert sample.image.flags.c_contiguous
        assert sample.label.flags.c_contiguous
        np.testing.assert_array_equal(sample.label, sample.image[0] > 0.5)
        seen.add(sample.image.tobytes())
    assert seen == forms


def test_photometric_changes_keep_nodata():
    image = np.full((2, 4, 4), 100, "float32")
    image[:, 0, 0] = np.nan
    sample = photometric(
        Sample(image, np.zeros((4, 4), "uint8")), Statistics((90, 90), (10, 10)), np.random.default_rng(0)
    )
    assert np.isnan(sample.image[:, 0, 0]).all()
    assert np.isfinite(sample.image[:, 1:]).all()
    assert not np.allclose(sample.image[:, 1:], 100)


def test_statistics_leave_nodata_out(tmp_path, write_raster):
    rng = np.random.default_rng(0)
    pixels = rng.integers(100, 200, (2, 64, 64)).astype("uint16")
    pixels[:, :32] = 0
    image = write_raster(tmp_path / "i.tif", pixels, nodata=0)
    label = write_raster(tmp_path / "l.tif", np.eye(64, dtype="uint8"))
    found = measure(find_scenes(image, label))
    known = pixels[:, 32:].astype(float)
    np.testing.assert_allclose(found.mean, known.mean((1, 2)))
    np.testing.assert_allclose(found.std, known.std((1, 2)))


def test_distance_maps_are_those_of_the_labels_as_the_network_sees_them(scenes):
    windows, plain = (
        TrainingWindows(whole(scenes), 64, seed=7, class_share=1.0, distance=asked) for asked in (True, False)
    )
    criterion = SurfaceLoss(ignore_index=255)
    logits = torch.randn(1, 1, 64, 64)
    ignored = 0
    for i in range(12):
        sample = windows[i]
        assert set(sample) == {"image", "label", "distance"}
        assert torch.equal(sample["label"], plain[i]["label"])
        assert sample["distance"].dtype == torch.float32
        label, distance = sample["label"][None], sample["distance"][None]
        assert torch.equal(criterion(logits, label, distance), criterion(logits, label))
        assert (distance[label == 1] <= 0).all()
        assert (distance[label == 0] >= 0).all()
        assert distance.any()
        ignored += int((label == 255).sum())
    assert ignored  # one of the scenes is smaller than the window
    assert "distance" not in plain[0]


def test_batches_hold_distance_maps_only_where_asked_for(scenes):
    for asked in (False, True):
        settings = {"window": 32, "batch_size": 2, "steps": 3, "steps_per_epoch": 3, "seed": 0, "workers": 0}
        data = WindowDataModule(whole(scenes), whole(scenes), **settings, distance=asked)
        batch = next(iter(data.train_dataloader()))
        assert ("distance" in batch) == asked
        assert not asked or batch["distance"].shape == (2, 32, 32)
        assert "distance" not in next(iter(data.val_dataloader()))
