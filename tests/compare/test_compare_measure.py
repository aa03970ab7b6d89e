"""Tiles, and counts of them, against the functions that score masks directly."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from crispmap.compare.measure import BAND, TOLERANCES, Examined, count, examine, scores, tiles_of
from crispmap.data.folder import find_scenes
from crispmap.data.scene import Region
from crispmap.functional.band_score import boundary_iou, boundary_iou_counts
from crispmap.functional.boundary_score import boundary_counts, boundary_f1
from crispmap.functional.outline_score import perimeter_counts, perimeter_ratio
from crispmap.functional.region_score import confusion_counts, iou
from crispmap.geo.raster import Window


def random_tiles(tiles: int, seed: int = 0) -> list[Examined]:
    generator = torch.Generator().manual_seed(seed)
    found = []
    for i in range(tiles):
        blocks = torch.rand((3, 6 + i, 9), generator=generator) > torch.tensor([0.5, 0.5, 0.1])[:, None, None]
        pred, truth, valid = (mask.repeat_interleave(5, 0).repeat_interleave(5, 1) for mask in blocks)
        found.append(Examined(np.zeros((1, *pred.shape), np.float32), pred, truth, valid))
    return found


def test_scores_of_pooled_counts_are_those_of_the_masks():
    seen = random_tiles(4)
    counts = [count(tile) for tile in seen]
    found = scores({key: np.array(sum(each[key] for each in counts), float) for key in counts[0]})
    masks = [(tile.pred[None], tile.truth[None], tile.valid[None]) for tile in seen]

    def joined(each: list) -> tuple:
        return type(each[0])(*(torch.cat(parts) for parts in zip(*each, strict=True)))

    area = joined([confusion_counts(*each) for each in masks])
    edges = joined([boundary_counts(p, t, TOLERANCES, "pixels", v) for p, t, v in masks])
    bands = joined([boundary_iou_counts(p, t, BAND, v) for p, t, v in masks])
    lengths = joined([perimeter_counts(*each) for each in masks])
    assert found["iou"] == pytest.approx(float(iou(area)))
    for i, tolerance in enumerate(TOLERANCES):
        f1 = boundary_f1(edges, "pixels", "pooled")[i]
        assert found[f"boundary_f1_{tolerance:g}px"] == pytest.approx(float(f1))
    assert found["boundary_iou"] == pytest.approx(float(boundary_iou(bands)))
    assert found["perimeter_ratio"] == pytest.approx(float(perimeter_ratio(lengths)))
    assert 0.05 < found["iou"] < 0.95


@pytest.mark.parametrize(("pred", "truth"), [(False, False), (True, False), (False, True)])
def test_empty_masks(pred, truth):
    """An object in the middle, or none; as the convention says, and NaN where nothing is to be divided."""
    masks = []
    for there in (pred, truth):
        mask = torch.zeros((20, 30), dtype=torch.bool)
        mask[5:12, 8:20] = there
        masks.append(mask)
    seen = Examined(np.zeros((1, 20, 30), np.float32), *masks, torch.ones((20, 30), dtype=torch.bool))
    found = scores({key: np.array(value, float) for key, value in count(seen).items()})
    edges = boundary_counts(*(mask[None] for mask in masks), TOLERANCES, "pixels")
    expected = boundary_f1(edges, "pixels", "pooled")
    assert found["boundary_f1_2px"] == pytest.approx(float(expected[1]))
    assert np.isnan(found["iou"]) == (not pred and not truth)
    assert np.isnan(found["perimeter_ratio"]) == (not pred and not truth)


@pytest.fixture
def scene(tmp_path, write_raster):
    rng = np.random.default_rng(0)
    write_raster(tmp_path / "images" / "town.tif", rng.integers(0, 255, (3, 90, 130)).astype("uint8"))
    mask = np.zeros((90, 130), "uint8")
    mask[20:60, 30:100] = 1
    write_raster(tmp_path / "masks" / "town.tif", mask)
    return find_scenes(tmp_path / "images", tmp_path / "masks")[0]


@pytest.mark.parametrize("scale", [1.0, 0.5, 0.37])
@pytest.mark.parametrize("window", [Window(0, 0, 90, 130), Window(10, 33, 71, 64)])
def test_tiles_cover_a_region_once(scene, scale, window):
    tiles = tiles_of([Region(replace(scene, scale=scale), window)], side=20)
    times = np.zeros((90, 130), int)
    for tile in tiles:
        rows, cols = tile.window.slices_in(Window(0, 0, 90, 130))
        times[rows, cols] += 1
        assert max(tile.window.height, tile.window.width) * scale <= 20 + scale
    inside = np.zeros((90, 130), int)
    inside[window.row : window.row + window.height, window.col : window.col + window.width] = 1
    assert (times == inside).all()
    assert len({tile.name for tile in tiles}) == len(tiles) > 1


def test_a_small_image_is_one_tile_of_its_own_name(scene):
    (tile,) = tiles_of([Region(scene, scene.image.window)])
    assert tile.name == "town"
    assert tile.window == scene.image.window
    part = tiles_of([Region(scene, Window(0, 0, 90, 60))])
    assert [tile.name for tile in part] == ["town, rows 0–90, columns 0–60"]


class Bright(torch.nn.Module):
    """Says that what is bright is foreground."""

    def __init__(self) -> None:
        super().__init__()
        self.at = torch.nn.Parameter(torch.tensor(120.0))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image[:, :1] - self.at


def test_a_tile_is_examined_where_it_lies(scene):
    tile = tiles_of([Region(scene, scene.image.window)], side=50)[-1]
    assert tile.window == Window(50, 100, 40, 30)
    seen = examine(Bright(), tile)
    pixels, _ = scene.image.read(scene.image.window, "file")
    assert (seen.pred.numpy() == (pixels[0, 50:, 100:] >= 120)).all()
    truth = np.zeros((90, 130), bool)
    truth[20:60, 30:100] = True
    assert (seen.truth.numpy() == truth[50:, 100:]).all()
    assert seen.valid.all()
    assert seen.image.shape == (3, 40, 30)
