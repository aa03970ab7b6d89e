import pytest
import torch

from crispmap.errors import SettingError
from crispmap.models import ModelSpec, SegmentationModel
from crispmap.networks import network_cost
from crispmap.settings import NETWORKS, ModelSettings, network


def member(settings, bands=3):
    return SegmentationModel(
        ModelSpec(
            settings.architecture,
            settings.encoder,
            bands,
            "uint8",
            (100.0,) * bands,
            (50.0,) * bands,
            64,
            decoder_channels=tuple(settings.decoder_channels),
        )
    )


@pytest.mark.parametrize("name", NETWORKS)
@torch.inference_mode()
def test_every_network_of_the_family_sees_an_image_of_any_size(name):
    logits = member(network(name), bands=2).eval()(torch.rand(2, 2, 40, 70) * 300)
    assert logits.shape == (2, 1, 40, 70)
    assert logits.isfinite().all()
    assert not torch.equal(logits[0], logits[1])


def test_networks_by_name_are_ones_own():
    mine = network("small")
    mine.decoder_channels.append(1)
    assert network("small") == NETWORKS["small"] != mine
    with pytest.raises(SettingError, match="no network 'smal'; there are small, "):
        network("smal")


def counted(model, bands, side):
    """Multiply-adds by the definition: for each number that a layer puts out, as many as went into it."""
    total = 0

    def look(layer, inputs, output):
        nonlocal total
        if isinstance(layer, torch.nn.Linear):
            total += output.numel() * layer.in_features
        else:
            total += output.numel() * layer.in_channels // layer.groups * layer.kernel_size[0] * layer.kernel_size[1]

    for layer in model.network.modules():
        if isinstance(layer, torch.nn.Linear | torch.nn.Conv2d):
            layer.register_forward_hook(look)
    with torch.inference_mode():
        model.eval()(torch.zeros(1, bands, side, side))
    return total


@pytest.mark.parametrize(
    ("name", "bands", "side"), [("small", 3, 64), ("small", 5, 96), ("unet-efficientnet-b3", 3, 64)]
)
def test_costs_are_what_the_layers_say(name, bands, side):
    model = member(network(name), bands)
    cost = network_cost(network(name), bands=bands, side=side)
    assert cost.parameters == sum(p.numel() for p in model.parameters())
    assert cost.multiply_adds == counted(model, bands, side)


def test_attention_is_counted():
    """Its products of matrices belong to no layer."""
    settings = network("segformer-b2")
    assert network_cost(settings, side=64).multiply_adds > counted(member(settings), 3, 64)


def test_costs_against_numbers_that_others_published():
    """ResNet-18 at 224² takes 1.8 billion multiply-adds and holds 11.7 million parameters, 0.5 in its last layer."""
    import torchvision

    whole = torchvision.models.resnet18(weights=None)
    encoder = sum(p.numel() for p in whole.parameters()) - sum(p.numel() for p in whole.fc.parameters())
    thin, wide = (network_cost(ModelSettings("Unet", "resnet18", decoder_channels=[n] * 5), side=224) for n in (1, 256))
    assert encoder < thin.parameters < encoder + 20_000
    assert thin.multiply_adds == pytest.approx(1.81e9, rel=0.02)
    assert wide.multiply_adds > 3 * thin.multiply_adds


def test_the_small_network_is_cheap():
    small, default = network_cost(network("small")), network_cost(ModelSettings())
    assert small.parameters < default.parameters / 2
    assert small.multiply_adds < 0.6 * default.multiply_adds


def test_the_cost_of_what_there_is_not():
    with pytest.raises(SettingError, match="no architecture 'Vnet'"):
        network_cost(ModelSettings("Vnet"))
