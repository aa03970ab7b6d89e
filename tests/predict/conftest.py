"""A model whose every pixel can be computed by hand."""

import pytest
import torch
from torch import nn

from crispmap.models import ModelSpec, SegmentationModel


@pytest.fixture(scope="session")
def _smallest():
    """Building an encoder takes a while; its network is replaced in every test."""
    return ModelSpec("Unet", "resnet18", 1, "uint8", (0.0,), (1.0,), 64, decoder_channels=(8, 8, 8, 8, 8))


@pytest.fixture
def hand_model(_smallest, monkeypatch):
    """Makes a model around a module: `hand_model(network, bands=…, mean=…, std=…, scale=…, dtype=…)`."""

    def make(network: nn.Module, bands=1, mean=100.0, std=50.0, **spec):
        given = {"mean": (mean,) * bands, "std": (std,) * bands, "bands": bands} | spec
        monkeypatch.setattr("crispmap.models.build_network", lambda *_: network)
        return SegmentationModel(ModelSpec(**{**vars(_smallest), **given})).eval()

    return make


@pytest.fixture
def pointwise(hand_model):
    """A model whose logit is `slope` times the mean of a pixel's normalised bands."""

    def make(bands=1, slope=3.0, **spec):
        network = nn.Conv2d(bands, 1, 1, bias=False)
        nn.init.constant_(network.weight, slope / bands)
        return hand_model(network, bands, **spec)

    return make


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def _full_width(monkeypatch):
    """What is computed by hand is computed in float32, also on a CPU that has bf16."""
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
