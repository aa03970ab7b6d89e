"""What a loss costs: the time of the steps of a run, and time and memory of the loss alone on one batch."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim.optimizer import register_optimizer_step_post_hook
from torch.utils.data import default_collate

from crispmap.data.scene import Region
from crispmap.data.windows import TrainingWindows
from crispmap.fit import build_loss
from crispmap.losses import MixedLoss
from crispmap.losses.distance import uses_distance
from crispmap.models import SegmentationModel
from crispmap.task import SegmentationTask

_ROUNDS = 9


@dataclass(frozen=True)
class Cost:
    """Of a loss alone, on one batch.

    Attributes:
        ms: Median time of a forward and a backward pass, in milliseconds.
        kept_bytes: What autograd keeps of the forward pass for the backward pass, beside logits and labels.
        peak_bytes: On a GPU, by how much the memory in use rose at its highest; None elsewhere.
    """

    ms: float
    kept_bytes: int
    peak_bytes: int | None


@contextmanager
def step_ends() -> Iterator[list[float]]:
    """Yields a list that fills with the second at which each step of any optimiser ends, while the block runs."""
    ends: list[float] = []
    handle = register_optimizer_step_post_hook(lambda *_: ends.append(time.perf_counter()))
    try:
        yield ends
    finally:
        handle.remove()


def median_step(ends: Sequence[float]) -> float | None:
    """Milliseconds from the end of a step to that of the next: the median, which validations do not move."""
    return float(np.median(np.diff(ends))) * 1000 if len(ends) > 1 else None


def loss_costs(
    losses: Mapping[str, str | dict[str, Any]],
    model: SegmentationModel,
    train: Sequence[Region],
    *,
    window: int,
    batch_size: int,
    seed: int = 0,
) -> dict[str, Cost]:
    """Measures losses on the logits of a model for one batch of training windows, in turns.

    *Convention*: weights are those of the end of training, where all parts of a mixture take part; distance maps, which
    the loader makes, are given and cost nothing here. Each loss runs once before anything is measured.

    Args:
        losses: As `fit` takes them, by name.
        model: Whose logits the losses see.
        train: Where the windows lie.
        window: Their side.
        batch_size: Their number.
        seed: Of the windows.
    """
    windows = TrainingWindows(train, window, seed, distance=any(uses_distance(build_loss(x)) for x in losses.values()))
    batch: dict[str, Tensor] = default_collate([windows[i] for i in range(batch_size)])
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with torch.inference_mode():
        logits = model.to(device)(batch.pop("image").to(device)).float()
    batch = {key: value.to(device) for key, value in batch.items()}
    passes = {name: _ready(loss, model, logits.clone(), batch) for name, loss in losses.items()}
    kept = {name: _kept_bytes(run) for name, run in passes.items()}
    peaks = {name: _peak_bytes(run, device) for name, run in passes.items()}
    times: dict[str, list[float]] = {name: [] for name in passes}
    for _ in range(_ROUNDS):
        for name, run in passes.items():
            times[name].append(_seconds(run, device))
    return {name: Cost(float(np.median(times[name])) * 1000, kept[name], peaks[name]) for name in passes}


class _Pass:
    """A forward and a backward pass of a loss."""

    def __init__(self, forward: Callable[[], Tensor], given: Sequence[Tensor]) -> None:
        self.forward = forward
        self.given = given

    def __call__(self) -> None:
        self.forward().backward()  # type: ignore[no-untyped-call]


def _ready(loss: str | dict[str, Any], model: SegmentationModel, logits: Tensor, batch: Mapping[str, Tensor]) -> _Pass:
    """A loss as a training step calls it, its weight that of the end."""
    built = SegmentationTask(model, build_loss(loss), total_steps=1).loss.to(logits.device)
    if isinstance(built, MixedLoss):
        built.set_progress(1.0)
    given = [logits.requires_grad_(), batch["label"].long()]
    given += [batch["distance"]] if uses_distance(built) else []
    return _Pass(partial(built, *given), given)


def _kept_bytes(run: _Pass) -> int:
    """Bytes of all storages that autograd saves, each counted once, those of what is given left out."""
    known = {tensor.untyped_storage().data_ptr() for tensor in run.given}
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        loss = run.forward()
    del loss  # until here, so that no address is given out twice
    return sum(kept.values())


def _peak_bytes(run: _Pass, device: torch.device) -> int | None:
    if device.type != "cuda":
        return None
    run()
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    run()
    return torch.cuda.max_memory_allocated(device) - before


def _seconds(run: _Pass, device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start = time.perf_counter()
    run()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start
