"""Rows of a raster predicted apart, against the whole raster predicted at once."""

import numpy as np
import pytest
import torch
from torch import nn

from crispmap.geo.raster import Raster
from crispmap.predict.plan import Settings, plan
from crispmap.predict.shards import Shard, join_shards, shards_of, write_shard
from crispmap.predict.spool import ROWS_FILE, Journal
from crispmap.predict.stream import predict_bands, tiles_of


class Context(nn.Module):
    """Every pixel depends on its surroundings, and a little on how many windows are shown with it."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Conv2d(1, 4, 5, padding=2), nn.Tanh(), nn.Conv2d(4, 1, 5, padding=2))
        self.shown = 0

    def forward(self, x):
        self.shown += len(x)
        return 9 * self.layers(x) + 0.01 * x.mean()


@pytest.fixture
def image(tmp_path, write_raster):
    pixels = np.random.default_rng(0).integers(1, 255, (1, 700, 150)).astype("uint8")
    pixels[:, 70:150] = 0
    pixels[:, 300:420, :60] = 0
    return write_raster(tmp_path / "in" / "a.tif", pixels, nodata=0)


def rows(bands):
    bands = list(bands)
    return bands[0].row, np.concatenate([band.probability for band in bands])


@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.7])
@pytest.mark.parametrize("section", [1, 7, 64])
@pytest.mark.parametrize("windows", [1, 20])
def test_shards_are_the_whole_to_the_last_bit(image, hand_model, monkeypatch, overlap, section, windows):
    monkeypatch.setattr("crispmap.predict.stream._SECTION", section)
    raster, network = Raster.of(image), Context()
    model, settings = hand_model(network), Settings(patch=64, overlap=overlap, batch_size=3)
    _, whole = rows(predict_bands(model, raster, settings))
    grid = tiles_of(raster, model.spec, settings)
    shards = shards_of(grid, raster.height, windows)
    assert [shard.first for shard in shards] == [0, *(shard.end for shard in shards[:-1])]
    assert shards[-1].end == raster.height
    assert sum(shard.windows for shard in shards) == len(grid)
    assert all(shard.windows >= windows for shard in shards[:-1])
    if (section, windows) == (1, 1):
        assert len(shards) == len(grid.tops)
    holding = [tile.window for tile in grid if raster.read(tile.window)[1].any()]
    for shard in shards:
        network.shown = 0
        first, found = rows(predict_bands(model, raster, settings, start=shard.first, stop=shard.end))
        assert first == shard.first
        np.testing.assert_array_equal(found, whole[shard.first : shard.end])
        touching = sum(row < shard.end and row + height > shard.first for row, _, height, _ in holding)
        assert touching <= network.shown < touching + settings.batch_size


@pytest.mark.parametrize(("start", "stop"), [(0, 1), (0, 48), (47, 64), (100, 300), (299, 699), (699, 700), (80, 140)])
def test_any_rows_are_those_of_the_whole(image, hand_model, monkeypatch, start, stop):
    monkeypatch.setattr("crispmap.predict.stream._SECTION", 7)
    raster, model, settings = Raster.of(image), hand_model(Context()), Settings(patch=64, batch_size=3)
    _, whole = rows(predict_bands(model, raster, settings))
    done = []
    first, found = rows(predict_bands(model, raster, settings, done.append, start=start, stop=stop))
    assert first == start
    np.testing.assert_array_equal(found, whole[start:stop])
    assert sum(done) == len(tiles_of(raster, model.spec, settings))


def test_by_default_little_is_predicted_twice(tmp_path, write_raster, pointwise):
    raster = Raster.of(write_raster(tmp_path / "a.tif", np.ones((1, 3000, 3000), "uint8")))
    settings = Settings(patch=64)
    grid = tiles_of(raster, pointwise().spec, settings)
    shards = shards_of(grid, raster.height)
    assert len(shards) > 4
    again = sum(
        row < shard.end < row + height for shard in shards[:-1] for row, _, height, _ in (t.window for t in grid)
    )
    assert again <= len(grid) / 8


def test_shards_are_joined_below_rows_that_are_there(tmp_path, image, hand_model):
    """The first rows were spooled by an engine that goes from top to bottom, and some after its last commit."""
    model, settings = hand_model(Context()), Settings(patch=64, batch_size=3)
    (job,) = plan([image], tmp_path / "out")
    levels = np.concatenate([band.levels for band in predict_bands(model, job.raster, settings)])
    valid = np.concatenate([band.valid for band in predict_bands(model, job.raster, settings)])
    journal = Journal(job.unfinished, {}, batch_size=3, rows=100)
    journal.write()
    lines = np.stack([levels, valid * np.uint8(255)], axis=1)
    (job.unfinished / ROWS_FILE).write_bytes(lines[:100].tobytes() + b"not counted")
    shards = [Shard(100, 350, 0), Shard(350, 700, 0)]
    for shard in reversed(shards):
        write_shard(model, job, settings, shard)
    join_shards(job, journal, shards)
    assert (job.unfinished / ROWS_FILE).read_bytes() == lines.tobytes()
    assert Journal.read(job.unfinished).rows == 700
    assert sorted(path.name for path in job.unfinished.iterdir()) == ["journal.json", ROWS_FILE]
