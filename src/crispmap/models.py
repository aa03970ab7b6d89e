"""Networks by name, and the files that hold everything needed to predict with one."""

import logging
import math
import warnings
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from crispmap import pretrained
from crispmap.errors import InputError, ModelError, SettingError, first_line
from crispmap.geo.raster import Raster
from crispmap.input_file import check_input_file
from crispmap.run import MODEL_FILE
from crispmap.settings import ModelSettings

_SAME_GROUND = 0.1  # by how much two ground resolutions may differ that count as the same
_STRIDE = 32  # what every encoder of depth 5 divides height and width by
_MOST_CHANNELS = 2**14  # that a file may ask for


@dataclass(frozen=True)
class ModelSpec:
    """What a network is and what it expects; written beside its weights.

    Attributes:
        architecture: A class of segmentation_models_pytorch, such as Unet or DeepLabV3Plus.
        encoder: An encoder by the name that library gives it.
        decoder_channels: Widths of the decoder's stages; the library's default where empty.
        bands: How many bands an image has.
        dtype: The type of the imagery it was trained on.
        mean: Per band, measured on the training imagery.
        std: Per band.
        classes: What the output channels mark.
        scale: Imagery is brought to this share of its own pixels a side before the network sees it.
        resolution: Instead of `scale`: metres a pixel that the network sees.
        trained_resolution: Metres a pixel that it saw in training, where that is known.
        window: The side of its training windows, in pixels that it sees.
        training: Settings, validation metrics and versions of its run.
    """

    architecture: str
    encoder: str
    bands: int
    dtype: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    window: int
    decoder_channels: tuple[int, ...] = ()
    classes: tuple[str, ...] = ("building",)
    scale: float = 1.0
    resolution: float | None = None
    trained_resolution: float | None = None
    training: dict[str, Any] = field(default_factory=dict)

    def scale_of(self, raster: Raster) -> float:
        """The share of its own pixels a side to which a raster is brought for this network.

        *Convention.* A network trained at a ground resolution sees every raster at that. One trained at a scale sees
        rasters at that scale, unless their ground resolution and that of its training are both known and it would see
        their pixels more than a tenth larger or smaller than those it was trained on: then they are brought to these.

        Raises:
            InputError: If the network wants a ground resolution and the raster's is not known.
        """
        if self.resolution is None:
            if raster.resolution is None or self.trained_resolution is None:
                return self.scale
            wanted = raster.resolution / self.trained_resolution
            return self.scale if abs(wanted / self.scale - 1) <= _SAME_GROUND else wanted
        if raster.resolution is None:
            raise InputError(
                f"{raster.path} has no CRS, so its ground resolution is unknown, but the model works at "
                f"{self.resolution:g} m; assign a CRS to the image"
            )
        return raster.resolution / self.resolution


def half_precision(device: torch.device) -> torch.dtype | None:
    """The type of half the width that a device computes with, in training as in prediction; None where there is none.

    CPUs only where they have instructions for it: the others imitate it, slowly.
    """
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    computes_bf16 = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)  # torch has no public question
    return torch.bfloat16 if device.type == "cpu" and computes_bf16() else None


class SegmentationModel(nn.Module):
    """A network with its normalisation inside: raw pixel values in, logits out.

    Convention: input float32 (N, bands, H, W) in the units of the files, NaN where there is no data; output
    logits (N, classes, H, W). Any height and width will do: the input is padded to what the encoder divides by.
    """

    def __init__(self, spec: ModelSpec, weights: str | None = None) -> None:
        """Builds the network.

        Args:
            spec: What to build.
            weights: Pretrained encoder weights by the library's name ("imagenet"), or None.

        Raises:
            SettingError: If the architecture, the encoder or its weights have no such name.
            ModelError: If the weights cannot be had.
        """
        super().__init__()
        self.spec = spec
        self.network = _network(spec, weights).to(memory_format=torch.channels_last)
        self.mean: Tensor
        self.std: Tensor
        shape = (1, spec.bands, 1, 1)
        self.register_buffer("mean", torch.tensor(spec.mean, dtype=torch.float32).view(shape), persistent=False)
        self.register_buffer("std", torch.tensor(spec.std, dtype=torch.float32).view(shape), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """Logits of raw imagery."""
        height, width = image.shape[-2:]
        x = torch.nan_to_num((image - self.mean) / self.std, nan=0.0, posinf=0.0, neginf=0.0)
        x = F.pad(x, (0, -width % _STRIDE, 0, -height % _STRIDE))
        logits: Tensor = self.network(x.contiguous(memory_format=torch.channels_last))
        return logits[..., :height, :width]

    def save(self, path: Path) -> None:
        """Writes the weights and the specification into one file."""
        torch.save({"crispmap": asdict(self.spec), "state_dict": self.state_dict()}, path)

    @classmethod
    def from_pretrained(cls, source: str | Path) -> "SegmentationModel":
        """Loads a model from here or from the Hugging Face Hub, executing nothing that its files hold.

        Args:
            source: Whatever `load_model` takes, or else a repository of the Hub, such as "owner/name", which is
                downloaded once.

        Returns:
            The model in evaluation mode, on the CPU.

        Raises:
            ModelError: If there is no model.
        """
        return load_model(source if Path(source).exists() else pretrained.download(str(source)))

    def save_pretrained(self, folder: str | Path) -> None:
        """Writes a folder as the Hugging Face Hub has them, from which `load_model` and ``from_pretrained`` load.

        Written: ``model.safetensors`` (weights), ``config.json`` (the specification) and ``README.md`` (a model card
        filled from it, with a marked place for the licence).

        *Convention.* Of the paths in the run's settings only the last part is kept: folders of one machine are of no
        use elsewhere.

        Args:
            folder: What is there under the three names is replaced; the rest stays.
        """
        pretrained.save(asdict(self.spec), self.state_dict(), Path(folder))

    def push_to_hub(self, repository: str, *, private: bool = False) -> str:
        """Writes what `save_pretrained` does into a repository of the Hugging Face Hub, which is made if need be.

        A model card that is there already stays, since its owner may have written in it.

        Args:
            repository: Such as "owner/name". Log in with ``hf auth login`` first.
            private: Whether a repository that is made is for its owner alone.

        Returns:
            The address of what was pushed.

        Raises:
            OutputError: If the Hub does not take it.
        """
        with TemporaryDirectory() as folder:
            self.save_pretrained(folder)
            return pretrained.push(Path(folder), repository, private=private)


def load_model(path: str | Path) -> SegmentationModel:
    """Loads a trained model, executing nothing that its file holds.

    Args:
        path: A run folder, its model.pt, a checkpoint of one of its epochs, or a folder that
            `SegmentationModel.save_pretrained` wrote.

    Returns:
        The model in evaluation mode, on the CPU.

    Raises:
        ModelError: If there is no model there.
    """
    path = Path(path)
    file = model_file(path)
    if not file.exists():
        hint = "; has `crispmap fit` finished there?" if path.is_dir() else ""
        raise ModelError(f"no model at {file}{hint}")
    check_input_file(file)
    if file.suffix == ".safetensors" and not file.with_name(pretrained.CONFIG_FILE).exists():
        raise ModelError(f"no {pretrained.CONFIG_FILE} beside {file}, which would say what network it belongs to")
    try:
        content, states = pretrained.read(file) if file.suffix == ".safetensors" else _read_torch(file)
        spec = _spec(content)
    except OSError:
        raise
    except Exception as error:  # foreign bytes can fail anywhere; torch's words would advise to trust them
        raise ModelError(
            f"{file} is not a crispmap model, or is damaged; give a folder that `crispmap fit` wrote"
        ) from error
    try:
        _check(spec)
        model = SegmentationModel(spec)
        state = {name.removeprefix("model."): value for name, value in states.items()}
        model.load_state_dict({name: value for name, value in state.items() if name.startswith("network.")})
        if not all(bool(weight.isfinite().all()) for weight in model.state_dict().values()):
            raise ValueError("some of its weights are no finite numbers")
    except (SettingError, RuntimeError, AttributeError, TypeError, ValueError) as error:
        raise ModelError(f"{file} does not hold a network that can be built here: {first_line(error)}") from error
    return model.eval()


def model_file(path: str | Path) -> Path:
    """The file that holds the weights of what `load_model` takes, whether it is there or not.

    Of a run folder it is model.pt, even if weights of the other kind lie beside it.
    """
    path = Path(path)
    if not path.is_dir():
        return path
    of_run, of_hub = path / MODEL_FILE, path / pretrained.WEIGHTS_FILE
    return of_hub if of_hub.exists() and not of_run.exists() else of_run


def _read_torch(file: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about foreign files, which are refused
        content = torch.load(file, map_location="cpu", weights_only=True)
    return content["crispmap"], dict(content["state_dict"].items())


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
            network = _network(spec, None)
    except SettingError:  # transformers of the library read tensors while they are built, and meta tensors hold nothing
        network = _network(spec, None).to("meta")
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad(), torch.device("meta"):
        network.eval()(torch.empty(1, bands, side, side))
    return NetworkCost(sum(p.numel() for p in network.parameters()), counter.get_total_flops() // 2)


def _spec(content: dict[str, Any]) -> ModelSpec:
    known = {f.name for f in fields(ModelSpec)}
    tuples = {"mean", "std", "decoder_channels", "classes"}
    values: dict[str, Any] = {k: tuple(v) if k in tuples else v for k, v in content.items() if k in known}
    return ModelSpec(**values)


def _check(spec: ModelSpec) -> None:
    """Checks what a file says of its model: its writer may have written anything.

    Raises:
        TypeError: If a value is of another type than it must be.
        ValueError: If it cannot be.
    """
    for name, most in (("bands", _MOST_CHANNELS), ("window", 2**20)):
        value = getattr(spec, name)
        if type(value) is not int or not 1 <= value <= most:
            raise ValueError(f"its {name} cannot be {value!r}")
    if not all(type(width) is int and 1 <= width <= _MOST_CHANNELS for width in spec.decoder_channels):
        raise ValueError(f"its decoder_channels cannot be {spec.decoder_channels!r}")
    if len(spec.mean) != spec.bands or len(spec.std) != spec.bands:
        raise ValueError(f"its mean and std do not have {spec.bands} values, one a band")
    lengths = [spec.scale, *(length for length in (spec.resolution, spec.trained_resolution) if length is not None)]
    if not all(map(math.isfinite, (*spec.mean, *spec.std, *lengths))) or min(*lengths, *spec.std) <= 0:
        raise ValueError("its mean, std, scale and resolution are not all finite, and the last three above 0")
    if not spec.classes or not all(isinstance(name, str) for name in spec.classes):
        raise ValueError(f"its classes cannot be {spec.classes!r}")
    if np.dtype(spec.dtype).kind not in "uif":
        raise ValueError(f"its dtype cannot be {spec.dtype!r}")
    record = {"training": spec.training, **_within(spec.training, "settings", "metrics", "versions")}
    record |= _within(record.get("settings"), "data", "model", "optim")
    for name, value in record.items():
        if not isinstance(value, dict):
            raise TypeError(f"its {name} is no mapping")


def _within(record: Any, *names: str) -> dict[str, Any]:
    """Parts of a run's record, as far as it has them."""
    return {name: record[name] for name in names if record.get(name) is not None} if isinstance(record, dict) else {}


def _network(spec: ModelSpec, weights: str | None) -> nn.Module:
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
