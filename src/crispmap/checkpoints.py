"""Where a run is kept to go on from: checkpoints that are whole, and at home wherever their folder is moved."""

import io
import os
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from crispmap.whole import whole_file


class WholeCheckpoints(TorchCheckpointIO):
    """Checkpoints that are there whole or not at all: the last good one outlives a full disk and a kill.

    Lightning's own are written to the system's temporary folder first; from there to another disk they are copied, on
    top of the one before.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Writes one."""
        content = io.BytesIO()  # torch's own writer answers a full disk with words about its insides
        torch.save(checkpoint, content)
        with whole_file(path) as part:
            part.write_bytes(content.getbuffer())

    def load_checkpoint(self, path: Any, *given: Any, **settings: Any) -> dict[str, Any]:
        """Reads one, with the paths in it those of the folder where it lies now.

        Lightning's `ModelCheckpoint` takes up what it knew of the best only where its folder is the one that is written
        down. Of a run that was moved it would forget that, and in its stead keep the best of what comes.
        """
        checkpoint: dict[str, Any] = super().load_checkpoint(path, *given, **settings)
        folder = os.path.realpath(Path(path).parent)  # as ModelCheckpoint writes it
        for state in checkpoint.get("callbacks", {}).values():
            if "dirpath" in state:
                _move(state, folder)
        return checkpoint


def _move(state: dict[str, Any], folder: str) -> None:
    """Puts what a `ModelCheckpoint` knew of its files into a folder."""
    state["dirpath"] = folder
    for name in ("best_model_path", "kth_best_model_path", "last_model_path"):
        state[name] = _within(folder, state[name])
    state["best_k_models"] = {_within(folder, path): score for path, score in state["best_k_models"].items()}


def _within(folder: str, path: str) -> str:
    return path and os.path.join(folder, os.path.basename(path))  # "" stands for none
