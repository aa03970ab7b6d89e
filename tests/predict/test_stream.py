import threading
import tracemalloc

import numpy as np
import pytest
import torch
from scipy.special import expit
from torch import nn

from crispmap.errors import InputError
from crispmap.geo.raster import Raster
from crispmap.predict.plan import Settings
from crispmap.predict.stream import predict_bands, tiles_of

RNG = np.random.default_rng(0)


def imagery(bands=1, height=150, width=110, dtype="uint8"):
    return RNG.integers(1, 255, (bands, height, width)).astype(dtype)


def whole(model, raster, settings):
    """All bands put together, after a look at their order."""
    bands = list(predict_bands(model, raster, settings))
    starts = np.cumsum([0] + [len(band.valid) for band in bands])
    assert [band.row for band in bands] == starts[:-1].tolist()
    assert starts[-1] == raster.height
    return np.concatenate([band.probability for band in bands]), np.concatenate([band.valid for band in bands])


def expected(pixels, mean=100.0, std=50.0, slope=3.0):
    return expit(slope * ((pixels.astype(float) - mean) / std).mean(0))


@pytest.mark.parametrize(("height", "width"), [(150, 110), (64, 200), (20, 30), (65, 63), (1, 300), (7, 1)])
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.7])
def test_windows_leave_no_trace_of_a_network_without_context(tmp_path, write_raster, pointwise, height, width, overlap):
    pixels = imagery(2, height, width)
    raster = Raster.of(write_raster(tmp_path / "a.tif", pixels))
    found, valid = whole(pointwise(2), raster, Settings(patch=64, overlap=overlap))
    np.testing.assert_allclose(found, expected(pixels), atol=1e-5)
    assert valid.all()


@pytest.mark.parametrize(("dtype", "factor"), [("uint16", 200.0), ("float32", 0.01), ("int16", -50.0)])
def test_values_are_in_the_units_of_the_file(tmp_path, write_raster, pointwise, dtype, factor):
    pixels = (imagery(3, dtype="float64") * factor).astype(dtype)
    raster = Raster.of(write_raster(tmp_path / "a.tif", pixels))
    mean, std = 100 * factor, 50 * abs(factor)
    model = pointwise(3, mean=mean, std=std, dtype=dtype)
    found, _ = whole(model, raster, Settings(patch=64))
    np.testing.assert_allclose(found, expected(pixels, mean, std), atol=1e-5)


@pytest.mark.parametrize("scale", [0.5, 0.3, 1.7])
def test_another_scale_comes_back_on_the_grid_of_the_raster(tmp_path, write_raster, pointwise, scale):
    row, col = np.mgrid[:190, :140]
    pixels = (100 + 60 * np.sin(row / 25) * np.cos(col / 19))[None].astype("float32")
    raster = Raster.of(write_raster(tmp_path / "a.tif", pixels))
    found, _ = whole(pointwise(scale=scale, dtype="float32"), raster, Settings(patch=40))
    np.testing.assert_allclose(found[4:-4, 4:-4], expected(pixels)[4:-4, 4:-4], atol=0.02)
    np.testing.assert_allclose(found, expected(pixels), atol=0.08)  # at a border half a coarse pixel is guessed
    upper, lower = found[:-1] < 0.5, found[1:] < 0.5
    truth = expected(pixels) < 0.5
    assert (upper != truth[:-1]).mean() < 0.01
    assert (lower != truth[1:]).mean() < 0.01


def test_the_scale_follows_from_the_ground_resolution(tmp_path, write_raster, pointwise):
    raster = Raster.of(write_raster(tmp_path / "a.tif", imagery()))  # 0.5 m
    settings = Settings(patch=40)
    assert tiles_of(raster, pointwise(resolution=1.0).spec, settings).size == (80, 80)
    assert tiles_of(raster, pointwise(resolution=0.25).spec, settings).size == (20, 20)
    nowhere = Raster.of(write_raster(tmp_path / "a.png", imagery()))
    with pytest.raises(InputError, match="ground resolution is unknown"):
        tiles_of(nowhere, pointwise(resolution=1.0).spec, settings)


class Numbered(nn.Module):
    """Every window gets a logit of its own, in the order in which windows are seen."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.logits, self.seen = np.random.default_rng(1).normal(size=100), 0

    def forward(self, x):
        first, self.seen = self.seen, self.seen + len(x)
        logits = torch.tensor(self.logits[first : self.seen], dtype=torch.float32)
        return logits.view(-1, 1, 1, 1).expand(-1, 1, *x.shape[-2:])


def test_windows_are_blended_by_a_ramp_over_their_overlap(tmp_path, write_raster, hand_model):
    raster = Raster.of(write_raster(tmp_path / "a.tif", imagery(height=100, width=80)))
    found, _ = whole(hand_model(Numbered()), raster, Settings(patch=40, overlap=0.25))
    total, weights, number = np.zeros((100, 80)), np.zeros((100, 80)), 0
    probabilities = expit(Numbered().logits)
    for top in (0, 30, 60):
        for left in (0, 30, 40):
            for row in range(top, top + 40):
                for col in range(left, left + 40):
                    across = min(row - top, top + 39 - row) + 0.5, min(col - left, left + 39 - col) + 0.5
                    weight = min(1, across[0] / 10) * min(1, across[1] / 10)
                    total[row, col] += weight * probabilities[number]
                    weights[row, col] += weight
            number += 1
    np.testing.assert_allclose(found, total / weights, atol=1e-5)


def test_the_batch_does_not_matter(tmp_path, write_raster, hand_model):
    raster = Raster.of(write_raster(tmp_path / "a.tif", imagery(height=200, width=170)))
    one, two, many = (
        whole(hand_model(Numbered()), raster, Settings(patch=48, batch_size=size))[0] for size in (1, 5, 64)
    )
    np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(one, many)


class Watching(nn.Module):
    """Keeps what it is shown."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.shown = []

    def forward(self, x):
        self.shown += list(x.numpy().copy())
        return x[:, :1]


@pytest.mark.parametrize("kind", ["value", "alpha", "float"])
def test_nodata_stays_nodata_and_is_never_shown(tmp_path, write_raster, hand_model, kind):
    pixels = imagery(3, 200, 150, "float32" if kind == "float" else "uint8")
    valid = np.ones((200, 150), bool)
    valid[:90] = valid[:, 120:] = valid[150:153] = False
    profile = {}
    pixels[:, ~valid] = {"value": 0, "alpha": 250, "float": np.nan}[kind]
    if kind == "value":
        profile["nodata"] = 0
    if kind == "alpha":
        pixels = np.concatenate([pixels, np.where(valid, 255, 0)[None].astype("uint8")])
        profile |= {"photometric": "RGB", "alpha": "YES"}
    raster = Raster.of(write_raster(tmp_path / "a.tif", pixels, **profile))
    network = Watching()
    model = hand_model(network, 3, dtype=raster.dtype)
    found, found_valid = whole(model, raster, Settings(patch=64))
    np.testing.assert_array_equal(found_valid, valid)
    assert (found[~valid] == 0).all()
    logits = (pixels[0].astype(float) - 100) / 50
    np.testing.assert_allclose(found[valid], expit(logits[valid]), atol=1e-5)
    # rows 0, 48, 96 and 136 by columns 0, 48 and 86: the first row holds no data, the rest some
    assert len(network.shown) == 9
    assert (network.shown[0][:, : 90 - 48] == 0).all()


def test_a_raster_without_any_data(tmp_path, write_raster, hand_model):
    raster = Raster.of(write_raster(tmp_path / "a.tif", imagery(height=300) * 0, nodata=0))
    network = Watching()
    found, valid = whole(hand_model(network), raster, Settings(patch=32))
    assert not valid.any()
    assert not found.any()
    assert not network.shown
    found, valid = whole(hand_model(network), raster, Settings(patch=32, nodata="none"))
    assert valid.all()
    np.testing.assert_allclose(found, expit(-2), atol=1e-6)


def test_memory_does_not_grow_with_height(tmp_path, write_raster, pointwise):
    settings, model, peaks = Settings(patch=96), pointwise(), []
    for height in (400, 3200):
        raster = Raster.of(write_raster(tmp_path / f"{height}.tif", imagery(height=height, width=1200)))
        tracemalloc.start()
        largest = max(len(band.valid) for band in predict_bands(model, raster, settings))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert largest <= 96
    assert peaks[1] < 1.3 * peaks[0]  # how many windows wait is a matter of timing


class Context(nn.Module):
    """Every pixel depends on its surroundings."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Conv2d(1, 4, 5, padding=2), nn.Tanh(), nn.Conv2d(4, 1, 5, padding=2))

    def forward(self, x):
        return 9 * self.layers(x)


def one_after_the_other(model, raster, settings):
    """Every window alone, read, predicted and added where it lies; no threads, no bands."""
    total = np.zeros((raster.height, raster.width))
    for tile in tiles_of(raster, model.spec, settings):
        row, col, height, width = tile.window
        pixels, _ = raster.read(tile.window)
        with torch.inference_mode():
            logits = model(torch.from_numpy(pixels[None].astype("float32")))[0, 0].numpy()
        total[row : row + height, col : col + width] += expit(logits) * tile.share
    return total


@pytest.mark.parametrize(("height", "width"), [(300, 170), (64, 500), (500, 64), (30, 20), (1, 90)])
def test_what_overlaps_in_time_gives_what_comes_one_after_the_other(
    tmp_path, write_raster, hand_model, height, width, monkeypatch
):
    raster = Raster.of(write_raster(tmp_path / "a.tif", imagery(height=height, width=width)))
    model, settings = hand_model(Context()), Settings(patch=64, batch_size=3)
    found, _ = whole(model, raster, settings)
    np.testing.assert_allclose(found, one_after_the_other(model, raster, settings), atol=1e-5)
    monkeypatch.setattr("crispmap.predict.stream.made_ahead", lambda items, depth: items)
    np.testing.assert_array_equal(whole(model, raster, settings)[0], found)


@pytest.mark.parametrize("overlap", [0.25, 0.7])
@pytest.mark.parametrize("section", [1, 7, 64])
def test_from_any_row_on_it_gives_the_same_to_the_last_bit(
    tmp_path, write_raster, hand_model, monkeypatch, overlap, section
):
    monkeypatch.setattr("crispmap.predict.stream._SECTION", section)
    pixels = imagery(height=260, width=150)
    pixels[:, 70:150] = 0
    raster = Raster.of(write_raster(tmp_path / "a.tif", pixels, nodata=0))
    model, settings = hand_model(Context()), Settings(patch=64, overlap=overlap, batch_size=3)
    expected, _ = whole(model, raster, settings)
    windows = len(tiles_of(raster, model.spec, settings))
    for start in (1, 30, 47, 48, 64, 149, 200, 259):
        done = []
        bands = list(predict_bands(model, raster, settings, done.append, start=start))
        assert bands[0].row == start
        np.testing.assert_array_equal(np.concatenate([band.probability for band in bands]), expected[start:])
        assert sum(done) == windows


def test_every_window_is_counted(tmp_path, write_raster, pointwise):
    pixels = imagery(height=300)
    pixels[:, 60:240] = 0
    raster = Raster.of(write_raster(tmp_path / "a.tif", pixels, nodata=0))
    done, settings = [], Settings(patch=40)
    list(predict_bands(pointwise(), raster, settings, done.append))
    assert sum(done) == len(tiles_of(raster, pointwise().spec, settings))


def test_a_damaged_raster_ends_it_and_its_threads(tmp_path, write_raster, pointwise):
    path = write_raster(tmp_path / "a.tif", imagery(height=600), compress="deflate", blockysize=16)
    raster = Raster.of(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    before = threading.active_count()
    with pytest.raises(InputError, match=r"a\.tif cannot be read"):
        list(predict_bands(pointwise(), raster, Settings(patch=40)))
    assert threading.active_count() == before
    assert [path.name for path in tmp_path.iterdir()] == ["a.tif"]


def test_an_interruption_ends_its_threads(tmp_path, write_raster, pointwise):
    raster = Raster.of(write_raster(tmp_path / "a.tif", imagery(height=600)))
    before = threading.active_count()

    def interrupt(count):
        if count:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(predict_bands(pointwise(), raster, Settings(patch=40), interrupt))
    assert threading.active_count() == before
