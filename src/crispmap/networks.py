"""Networks by name, and what one costs."""

import logging
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from crispmap.errors import ModelError, SettingError, first_line
from crispmap.model_spec import ModelSpec
from crispmap.settings import ModelSettings


def build_network(spec: ModelSpec, weights: str | None) -> nn.Module:
    """The network that a specification names, from segmentation_models_pytorch.

    Args:
        spec: Which one, and for how many bands and classes.
        weights: The name of pretrained weights of its encoder; None for random ones.

    Raises:
        SettingError: If there is no such network.
        ModelError: If the weights cannot be had.
    """
    import segmentation_models_pytorch as smp

    settings: dict[str, Any] = {"in_channels": spec.bands, "classes": len(spec.classes)}
    if spec.decoder_channels:
        settings["decoder_channels"] = spec.decoder_channels
    architectures = [network.__name__ for network in smp.MODEL_ARCHITECTURES_MAPPING.values()]
    if spec.architecture not in architectures:
        raise SettingError(f"no architecture '{spec.architecture}'; there are {', '.join(architectures)}")
    if set(spec.encoder) & set(":/\\"):  # timm would look for it on the Hub, or in a folder
        raise SettingError(f"no encoder '{spec.encoder}'; give a name, not an address or a path")
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # it reports every retry
    try:
        network: nn.Module = smp.create_model(spec.architecture, spec.encoder, weights, **settings)
    except (KeyError, ValueError, TypeError, RuntimeError) as error:  # no such encoder, weights or shape
        raise SettingError(f"{spec.architecture} with {spec.encoder}: {first_line(error)}") from error
    except Exception as error:  # whatever a failed download may raise
        if weights is None:
            raise
        raise ModelError(
            f"the pretrained weights '{weights}' of {spec.encoder} cannot be had ({first_line(error)}); connect to the "
            "internet, or train from scratch with --model.weights null, or start from a run with --init"
        ) from error
    return network


@dataclass(frozen=True)
class NetworkCost:
    """What a network costs, whatever the machine.

    Attributes:
        parameters: That training moves.
        multiply_adds: Of one pass forward: convolutions, matrix products and attention, not the cheap rest.
    """

    parameters: int
    multiply_adds: int


def network_cost(settings: ModelSettings, *, bands: int = 3, classes: int = 1, side: int = 512) -> NetworkCost:
    """Counts a network's parameters and what it multiplies, without computing anything.

    Args:
        settings: Which network.
        bands: Of the image.
        classes: Of the logits.
        side: Of the image, in pixels.

    Raises:
        SettingError: If there is no such network.
    """
    from torch.utils.flop_counter import FlopCounterMode

    spec = ModelSpec(
        settings.architecture,
        settings.encoder,
        bands=bands,
        dtype="uint8",
        mean=(0.0,) * bands,
        std=(1.0,) * bands,
        window=side,
        decoder_channels=tuple(settings.decoder_channels),
        classes=tuple(str(i) for i in range(classes)),
    )
    try:
        with torch.device("meta"):
            network = build_network(spec, None)
    except SettingError:  # transformers of the library read tensors while they are built, and meta tensors hold nothing
        network = build_network(spec, None).to("meta")
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad(), torch.device("meta"):
        network.eval()(torch.empty(1, bands, side, side))
    return NetworkCost(sum(p.numel() for p in network.parameters()), counter.get_total_flops() // 2)
