import numpy as np
import pytest
import torch
from scipy.special import expit
from torch import nn

from crispmap.errors import SettingError
from crispmap.predict.inference import check_precision, device_of, orientations, probabilities, with_batch_size
from crispmap.predict.plan import Settings

CPU = torch.device("cpu")


class Slanted(nn.Module):
    """The logit of a pixel is twice its upper left neighbour but 0.5: every flip and turn sees something else."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.shapes = []

    def forward(self, x):
        self.shapes.append(tuple(x.shape))
        x = x[:, :1, :-1, :-1]
        return 2 * nn.functional.pad(x, (1, 0, 1, 0)) - 0.5


def slanted(image):
    shifted = np.zeros_like(image)
    shifted[1:, 1:] = image[:-1, :-1]
    return expit(2 * shifted - 0.5)


def turned(image, turns, flip):
    image = image[:, ::-1] if flip else image
    return np.rot90(image, turns)


def turned_back(image, turns, flip):
    image = np.rot90(image, -turns)
    return image[:, ::-1] if flip else image


@pytest.mark.parametrize("count", [1, 4, 8])
def test_the_mean_over_flips_and_turns(hand_model, count):
    images = np.random.default_rng(0).normal(size=(2, 1, 32, 64)).astype("float32")
    model = hand_model(Slanted(), mean=0.0, std=1.0)
    found = probabilities(model, images, (32, 64), Settings(tta=count))
    ways = {1: [(0, False)], 4: [(0, False), (0, True), (2, False), (2, True)]}.get(
        count, [(turns, flip) for turns in range(4) for flip in (False, True)]
    )
    for image, mean in zip(images[:, 0], found, strict=True):
        each = [turned_back(slanted(turned(image, *way)), *way) for way in ways]
        np.testing.assert_allclose(mean, np.mean(each, axis=0), atol=1e-6)
    assert len(model.network.shapes) == count
    assert set(model.network.shapes) == {(2, 1, 32, 64), (2, 1, 64, 32)} if count == 8 else {(2, 1, 32, 64)}


def test_eight_orientations_are_all_there_are():
    image = np.arange(6).reshape(2, 3)
    assert len({turned(image, *way).tobytes() + bytes(turned(image, *way).shape) for way in orientations(8)}) == 8


def test_probabilities_come_in_the_pixels_of_the_raster(hand_model):
    model = hand_model(Slanted(), mean=0.0, std=1.0)
    flat = np.full((1, 1, 32, 64), 0.25, "float32")
    found = probabilities(model, flat, (50, 99), Settings(tta=8))
    assert found.shape == (1, 50, 99)
    np.testing.assert_allclose(found[:, 4:-4, 4:-4], 0.5, atol=1e-6)


class Watching(nn.Module):
    """Says in what type a product comes out."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(1, 1, 1)
        self.types = set()

    def forward(self, x):
        y = self.layer(x)
        self.types.add(y.dtype)
        return y


@pytest.mark.parametrize(
    ("precision", "computes", "dtype"),
    [
        ("32", True, torch.float32),
        ("auto", True, torch.bfloat16),
        ("auto", False, torch.float32),
        ("bf16", True, torch.bfloat16),
    ],
)
def test_precision(hand_model, monkeypatch, precision, computes, dtype):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: computes)
    model = hand_model(Watching())
    found = probabilities(model, np.zeros((1, 1, 32, 32), "float32"), (32, 32), Settings(precision=precision))
    assert model.network.types == {dtype}
    assert found.dtype == np.float32


def test_bf16_where_it_would_be_imitated(monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    check_precision("32", CPU)
    check_precision("auto", CPU)
    with pytest.raises(SettingError, match="does not compute with bfloat16"):
        check_precision("bf16", CPU)


class Hungry(nn.Module):
    """Runs out of memory above so many pixels."""

    def __init__(self, windows):
        super().__init__()
        self.layer = nn.Conv2d(1, 1, 1)
        self.most = windows

    def forward(self, x):
        if len(x) > self.most:
            raise torch.OutOfMemoryError
        return self.layer(x)


def test_the_batch_is_halved_until_it_fits(hand_model, monkeypatch):
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    from crispmap.predict.inference import _fitting_batch

    sizes = [_fitting_batch(hand_model(Hungry(most)), Settings(patch=32)) for most in (100, 32, 31, 5, 1)]
    assert sizes == [32, 32, 16, 4, 1]
    with pytest.raises(SettingError, match="smaller --patch"):
        _fitting_batch(hand_model(Hungry(0)), Settings(patch=32))


def test_a_cpu_has_a_fixed_batch(hand_model):
    assert with_batch_size(hand_model(Watching()), Settings()).batch_size == 2
    assert with_batch_size(hand_model(Watching()), Settings(batch_size=7)).batch_size == 7


def test_devices():
    assert device_of("cpu") == CPU
    assert device_of("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    for name in ("gpu", "cuda:99"):
        with pytest.raises(SettingError, match=f"no device '{name}'"):
            device_of(name)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_on_a_gpu(hand_model):
    images = np.random.default_rng(0).normal(size=(2, 1, 32, 64)).astype("float32")
    model = hand_model(Slanted(), mean=0.0, std=1.0)
    expected = probabilities(model, images, (32, 64), Settings(tta=8))
    model = model.cuda()
    settings = with_batch_size(model, Settings(patch=64, tta=8, precision="32"))
    assert settings.batch_size == 32
    np.testing.assert_allclose(probabilities(model, images, (32, 64), settings), expected, atol=1e-6)
