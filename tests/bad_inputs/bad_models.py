"""Models and checkpoints that are damaged, hostile or wrong."""

import os
import pickle
import zipfile
from pathlib import Path

from bad_table import CANARY, add, bad
from good_inputs import model


class _Runs:
    """Unpickled, it runs a command."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


NO_MODEL = "is not a crispmap model|does not hold a network|no model at"


def _run(content: bytes, name: str = "model.pt"):
    def make(folder: Path) -> Path:
        (folder / "run").mkdir()
        (folder / "run" / name).write_bytes(content)
        return folder / "run"

    return make


for what, content in {
    "a model of no bytes": b"",
    "a model of text": b"no model",
    "a model of zeros": bytes(1000),
    "a model that is a zip of nothing": b"PK\x05\x06" + bytes(18),
    "a model that is a deep pickle": b"\x80\x02" + b"(" * 100_000,
}.items():
    add(what, "model", _run(content), NO_MODEL)
add("a run that has not finished", "model", _run(b"steps: 1", "config.yaml"), "no model at")


@bad("model", NO_MODEL)
def _a_model_of_half_its_bytes(folder):
    path = model(folder / "run" / "model.pt")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return folder / "run"


@bad("model", NO_MODEL)
def _a_model_that_is_a_malicious_pickle(folder):
    (folder / "run").mkdir()
    (folder / "run" / "model.pt").write_bytes(pickle.dumps(_Runs(f"touch {folder / CANARY}")))
    return folder / "run"


@bad("model", NO_MODEL)
def _a_model_with_a_malicious_pickle_inside(folder):
    import torch

    (folder / "run").mkdir()
    torch.save({"crispmap": {}, "state_dict": _Runs(f"touch {folder / CANARY}")}, folder / "run" / "model.pt")
    return folder / "run"


@bad("model", NO_MODEL)
def _a_model_whose_archive_climbs_out(folder):
    (folder / "run").mkdir()
    with zipfile.ZipFile(folder / "run" / "model.pt", "w") as archive:
        archive.writestr(f"../../{CANARY}", "out")
    return folder / "run"


def _model_with(**changes: object):
    def make(folder: Path) -> Path:
        import torch

        path = model(folder / "run" / "model.pt")
        content = torch.load(path, weights_only=True)
        content["crispmap"] |= changes
        torch.save(content, path)
        return folder / "run"

    return make


for what, changes in {
    "a model of no bands": {"bands": 0},
    "a model of a million million bands": {"bands": 10**12},
    "a model of an unknown network": {"architecture": "Unknown"},
    "a model of an encoder from the network": {"encoder": "tu-hf-hub:nobody/nothing"},
    "a model of another encoder": {"encoder": "resnet18"},
    "a model of normalisation in words": {"mean": ("dark",) * 3},
    "a model of normalisation by nothing": {"std": (0.0,) * 3},
    "a model of two means": {"mean": (1.0, 2.0)},
    "a model of a scale below none": {"scale": -1.0},
    "a model of a scale of no number": {"scale": float("nan")},
    "a model of a resolution of nothing": {"resolution": 0.0},
    "a model of a resolution in words": {"resolution": "fine"},
    "a model of a resolution seen of nothing": {"trained_resolution": 0.0},
    "a model of a window in words": {"window": "wide"},
    "a model of a type that is not there": {"dtype": "uint7"},
    "a model of classes without end": {"classes": tuple("x" * 1000)},
    "a model of decoder channels below none": {"decoder_channels": (-8,) * 5},
    "a model of a scale of a thousand": {"scale": 1000.0},
    "a model of a scale of next to nothing": {"scale": 1e-300},
    "a model of a resolution of next to nothing": {"resolution": 1e-300},
    "a model of endless decoder channels": {"decoder_channels": (2**14,) * 5},
    "a model of means of four hundred digits": {"mean": (10**400,) * 3},
    "a model of a class of half a sign": {"classes": ("\ud800",)},
    "a model of a training that is a word": {"training": "long"},
    "a model of a training from a list": {"training": {"settings": {"init": ["a"]}}},
    "a model of a training without data": {"training": {"settings": {"data": None}}},
    "a model of a training with names of two parts": {"training": {"settings": {("a", 1): 2}}},
    "a model of a training of endless steps": {"training": {"metrics": {"step": float("inf"), "iou": 1.0}}},
    "a model of a training of no step": {"training": {"metrics": {"iou": 1.0}}},
    "a model of a training with bytes": {"training": {"settings": {"loss": b"x"}}},
}.items():
    add(what, "model", _model_with(**changes), NO_MODEL)


@bad("model", "config.json is a pipe")
def _a_model_of_the_Hub_described_by_a_pipe(folder):
    (folder / "run").mkdir()
    (folder / "run" / "model.safetensors").write_bytes(b"")
    os.mkfifo(folder / "run" / "config.json")
    return folder / "run"


@bad("model", NO_MODEL)
def _a_model_of_weights_that_are_no_numbers(folder):
    import torch

    path = model(folder / "run" / "model.pt")
    content = torch.load(path, weights_only=True)
    for value in content["state_dict"].values():
        if value.is_floating_point():
            value.fill_(float("nan"))
    torch.save(content, path)
    return folder / "run"


def _resumed(content: bytes):
    """A run that was stopped, whose last checkpoint is not what it was."""

    def make(folder: Path) -> Path:
        (folder / "run" / "checkpoints").mkdir(parents=True)
        (folder / "run" / "checkpoints" / "last.ckpt").write_bytes(content)
        return folder / "run"

    return make


add("a last checkpoint of no bytes", "stopped", _resumed(b""), ".")
add("a last checkpoint of text", "stopped", _resumed(b"no checkpoint"), ".")


@bad("stopped", ".")
def _a_last_checkpoint_that_is_a_malicious_pickle(folder):
    return _resumed(pickle.dumps(_Runs(f"touch {folder / CANARY}")))(folder)
