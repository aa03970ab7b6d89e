"""Models: a network with everything needed to predict with it, and the files that hold one."""

import hashlib
import json
import warnings
from dataclasses import asdict, fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from crispmap import pretrained
from crispmap.errors import ModelError, SettingError, first_line
from crispmap.input_file import check_input_file
from crispmap.model_spec import ModelSpec as ModelSpec
from crispmap.model_spec import check_spec
from crispmap.networks import build_network
from crispmap.run import MODEL_FILE

_STRIDE = 32  # what every encoder of depth 5 divides height and width by


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
        self.network = build_network(spec, weights).to(memory_format=torch.channels_last)
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


def fingerprint(model: SegmentationModel) -> str:
    """A hash of a model's weights and of what it expects, not of where and how it was trained."""
    digest = hashlib.sha256()
    spec = {name: value for name, value in asdict(model.spec).items() if name != "training"}
    digest.update(json.dumps(spec).encode())
    for name, tensor in model.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()[:16]


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
    check_input_file(file.with_name(pretrained.CONFIG_FILE))
    try:
        content, states = pretrained.read(file) if file.suffix == ".safetensors" else _read_torch(file)
        spec = _spec(content)
    except OSError:
        raise
    except Exception as error:  # foreign bytes can fail anywhere; torch's words would advise to trust them
        raise ModelError(
            f"{file} is not a crispmap model, or is damaged; give a folder that `crispmap fit` wrote"
            + (" (ONNX files are for other programs)" if file.suffix == ".onnx" else "")
        ) from error
    try:
        check_spec(spec)
        model = SegmentationModel(spec)
        state = {name.removeprefix("model."): value for name, value in states.items()}
        model.load_state_dict({name: value for name, value in state.items() if name.startswith("network.")})
        if not all(bool(weight.isfinite().all()) for weight in model.state_dict().values()):
            raise ValueError("some of its weights are no finite numbers")
    except (SettingError, RuntimeError, AttributeError, TypeError, ValueError, OverflowError) as error:
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


def _spec(content: dict[str, Any]) -> ModelSpec:
    known = {f.name for f in fields(ModelSpec)}
    tuples = {"mean", "std", "decoder_channels", "classes"}
    values: dict[str, Any] = {k: tuple(v) if k in tuples else v for k, v in content.items() if k in known}
    return ModelSpec(**values)
