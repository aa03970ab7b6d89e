"""Training branches: one after the other here, or side by side in processes of their own, one a device."""

import os
import pickle
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from crispmap.data.scene import Region
from crispmap.errors import CrispmapError, SettingError
from crispmap.fit import fit_regions
from crispmap.settings import FitSettings

Ground = tuple[list[Region], list[Region]]


@dataclass(frozen=True)
class Job:
    """One branch to train.

    Attributes:
        name: Of the branch.
        settings: With its folder and its loss.
        start: The checkpoint that it goes on from.
        stop: The step after which it ends.
        metric: By which its best model is kept.
    """

    name: str
    settings: FitSettings
    start: Path | None
    stop: int
    metric: str

    def run(self, ground: Ground) -> None:
        """Trains it."""
        fit_regions(self.settings, *ground, start=self.start, stop=self.stop, monitor=self.metric)


def one_by_one(jobs: Sequence[Job], ground: Ground) -> Iterator[tuple[Job, float]]:
    """Trains branches in turn; yields each with its seconds as it ends."""
    for job in jobs:
        began = time.monotonic()
        job.run(ground)
        yield job, time.monotonic() - began


def side_by_side(jobs: Sequence[Job], devices: int) -> Iterator[tuple[Job, float]]:
    """Trains branches in processes of their own, one a device; yields each with its seconds as it ends.

    What a process prints goes to a log beside the branch's folder. No process outlives this one, however it ends: each
    leaves when the pipe from here closes.

    Raises:
        SettingError: If there are fewer GPUs than asked for.
        CrispmapError: If a branch cannot be trained, or its process is killed; the others are stopped.
        RuntimeError: If a branch ends otherwise than well, likewise.
    """
    waiting = list(jobs)
    free = list(range(devices))
    running: dict[int, tuple[Job, subprocess.Popen[bytes], float]] = {}
    _check_devices(jobs, devices)
    try:
        while waiting or running:
            while waiting and free:
                job, device = waiting.pop(0), free.pop(0)
                running[device] = (job, _launch(job, device, devices), time.monotonic())
            for device, (job, process, began) in list(running.items()):
                if process.poll() is not None:
                    del running[device]
                    free.append(device)
                    with process:
                        _complain_of(job, process)
                    yield job, time.monotonic() - began
            time.sleep(0.1)
    finally:
        for _, process, _ in running.values():
            with process:  # waits for it, and closes its pipes
                process.kill()


def _on_gpus(settings: FitSettings) -> bool:
    return settings.trainer.get("accelerator", "auto") != "cpu" and torch.cuda.is_available()


def _check_devices(jobs: Sequence[Job], devices: int) -> None:
    if any(_on_gpus(job.settings) for job in jobs) and torch.cuda.device_count() < devices:
        raise SettingError(f"--devices is {devices}, but there are {torch.cuda.device_count()} GPUs")


def _launch(job: Job, device: int, devices: int) -> subprocess.Popen[bytes]:
    environment = dict(os.environ)
    trainer: dict[str, Any] = job.settings.trainer
    if _on_gpus(job.settings):
        trainer = trainer | {"devices": [device]}
    else:
        environment.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // devices)))
    job = replace(job, settings=replace(job.settings, trainer=trainer))
    with _log_of(job).open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "crispmap.weight_search"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=environment,
            bufsize=0,  # so that nothing waits to be written to a process that has ended
        )
    assert process.stdin is not None
    with suppress(BrokenPipeError):  # of one that has ended already; how, will be seen
        process.stdin.write(pickle.dumps(job))  # and left open: its end is the sign to leave
    return process


def _log_of(job: Job) -> Path:
    out = job.settings.out
    out.parent.mkdir(parents=True, exist_ok=True)
    return out.with_name(f"{out.name}.log")


def _complain_of(job: Job, process: subprocess.Popen[bytes]) -> None:
    """Raises what a process has ended with, unless that was well."""
    status = process.returncode
    if status < 0:  # what it said is not waited for: loaders that it leaves behind hold that pipe open for a while
        raise CrispmapError(
            f"the process of branch {job.name} was killed by signal {-status}, likely for want of memory; the same "
            "command goes on where it was: give it more, or fewer --devices"
        )
    assert process.stdout is not None
    if said := process.stdout.read().decode(errors="replace").strip():
        raise CrispmapError(f"branch {job.name}: {said}")
    if status > 0:
        last = (_log_of(job).read_text(errors="replace").strip().splitlines() or ["nothing was printed"])[-1]
        raise RuntimeError(f"branch {job.name} ended with status {status} ({last}); see {_log_of(job)}")
