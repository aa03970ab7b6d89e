"""Models as folders of the Hugging Face Hub: weights without pickles, a specification in JSON, and a card.

What is in a folder executes nothing when it is read.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from crispmap import __version__
from crispmap.errors import ModelError, OutputError, first_line
from crispmap.whole import whole_folder

WEIGHTS_FILE = "model.safetensors"
CONFIG_FILE = "config.json"
CARD_FILE = "README.md"

_PATHS = {"images", "labels", "out", "val_images", "val_labels", "area", "init"}  # among a run's settings


def save(spec: dict[str, Any], state: Mapping[str, Tensor], folder: Path) -> None:
    """Writes the three files of a model; what else is in the folder stays.

    Args:
        spec: Its specification, in plain types.
        state: Its weights.
        folder: Is made if need be.
    """
    from safetensors.torch import save_file

    config = {"library_name": "crispmap", "crispmap_version": __version__, **_portable(spec)}
    with whole_folder(folder) as part:
        weights = {name: value.contiguous() for name, value in state.items()}
        save_file(weights, part / WEIGHTS_FILE, metadata={"format": "pt"})
        (part / CONFIG_FILE).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        (part / CARD_FILE).write_text(_card(config), encoding="utf-8")


def read(weights: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The specification and the weights of a folder, neither of them checked."""
    from safetensors.torch import load_file

    return json.loads(weights.with_name(CONFIG_FILE).read_text(encoding="utf-8")), load_file(weights)


def push(folder: Path, repository: str, *, private: bool) -> str:
    """Uploads a folder and gives the address; a card that is in the repository already stays.

    Raises:
        OutputError: If the Hub does not take it.
    """
    from huggingface_hub import HfApi

    hub = HfApi(library_name="crispmap", library_version=__version__)
    try:
        hub.create_repo(repository, private=private, exist_ok=True)
        kept = [CARD_FILE] if hub.file_exists(repository, CARD_FILE) else None
        pushed = hub.upload_folder(
            repo_id=repository, folder_path=folder, ignore_patterns=kept, commit_message="Model of crispmap"
        )
    except Exception as error:  # whatever a connection may raise
        raise OutputError(
            f"the Hugging Face Hub did not take {repository} ({first_line(error)}); is the name right, and have you "
            "logged in with `hf auth login`?"
        ) from error
    return str(pushed)


def download(repository: str) -> Path:
    """The folder of a repository of the Hugging Face Hub, downloaded unless it is here already.

    Raises:
        ModelError: If it cannot be had.
    """
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(repository, allow_patterns=[WEIGHTS_FILE, CONFIG_FILE]))
    except Exception as error:  # whatever a name or a failed download may raise
        raise ModelError(
            f"no model at {repository}: nothing is there under that name, and it cannot be had from the Hugging Face "
            f"Hub ({first_line(error)})"
        ) from error


def _portable(config: dict[str, Any]) -> dict[str, Any]:
    """A specification whose settings tell nothing of the machine: no folders, and no loggers, which may hold keys."""
    training = dict(config["training"])
    settings = dict(training.get("settings") or {})
    if settings.get("trainer"):
        settings["trainer"] = {name: value for name, value in settings["trainer"].items() if name != "logger"}
    for name in _PATHS & settings.keys():
        if settings[name] is not None:
            settings[name] = Path(str(settings[name])).name
    return config | {"training": training | ({"settings": settings} if settings else {})}


def _card(config: dict[str, Any]) -> str:
    """The model card of a specification, in the Hub's Markdown."""
    from jinja2 import ChainableUndefined, Environment, PackageLoader
    from yaml import safe_dump

    environment = Environment(
        loader=PackageLoader("crispmap", "."),
        undefined=ChainableUndefined,  # an older run has not recorded all that newer ones do
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["yaml"] = lambda value: safe_dump(value, sort_keys=False)
    return environment.get_template("model_card.md.jinja").render(config) + "\n"
