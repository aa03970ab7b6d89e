"""What files hold, as text that is equal where the content is: what does not matter, such as seconds, is left out."""

import csv
import hashlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import torch

_OF_THE_MOMENT = {"seconds", "step_ms", "train_seconds", "loss_alone", "cost", "date"}


def content(path: Path) -> str:
    """A file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def torch_file(path: Path) -> str:
    """A model or a checkpoint: weights, optimiser, schedule, position and all else, to the bit."""
    content = torch.load(path, map_location="cpu", weights_only=True)
    if "loops" in content:
        for epochs in content["loops"]["fit_loop"]["epoch_progress"].values():
            del epochs["processed"]  # Lightning adds one with every start, and goes by those completed
    return _text(content)


def table(path: Path) -> str:
    """The rows of a CSV file."""
    with path.open(newline="") as file:
        return repr(list(csv.DictReader(file)))


def results(path: Path) -> str:
    """A JSON file without what things cost and when they were done."""
    return _text(json.loads(path.read_text()))


def footprints(path: Path) -> str:
    """The features of a vector file in their order."""
    _, _, geometry, columns = pyogrio.raw.read(path)
    return _text([list(geometry), [list(column) for column in columns]])


def page(path: Path) -> str:
    """Of an HTML page only that it reaches its end: there are times on it."""
    return str(path.read_text().rstrip().endswith("</html>"))


def scalars(path: Path) -> str:
    """What TensorBoard would show of the events in a folder: names, steps and values."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    logging.getLogger("tensorboard").setLevel(logging.ERROR)  # it says what a run that went on has logged twice
    events = EventAccumulator(str(path)).Reload()
    found = {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in sorted(events.Tags()["scalars"])}
    return repr(found)


def _text(value: Any) -> str:
    if isinstance(value, torch.Tensor):
        return f"{value.dtype}{tuple(value.shape)}{_text(value.numpy().tobytes())}"
    if isinstance(value, bytes):
        return hashlib.sha256(value).hexdigest()
    if isinstance(value, np.generic):
        return repr(value.item())
    if isinstance(value, Mapping):
        kept = sorted((str(key), inner) for key, inner in value.items() if key not in _OF_THE_MOMENT)
        return "{" + ",".join(f"{key}:{_text(inner)}" for key, inner in kept) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(_text, value)) + "]"
    return repr(value)
