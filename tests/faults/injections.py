"""Faults other than death: what makes a machine, a disk or a training fail at a chosen moment.

Those that return an `Arm` work inside the process they are armed in; the context managers change the world around it.
"""

import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from processes import Arm


def at_call(target: type, method: str, number: int, instead: Callable[..., Any]) -> Arm:
    """Replaces one call of a method, the number-th from 1, by ``instead(original, *arguments)``."""

    def arm() -> None:
        original, calls = getattr(target, method), count(1)

        def counted(*arguments: Any, **named: Any) -> Any:
            call = partial(original, **named)
            return instead(call, *arguments) if next(calls) == number else call(*arguments)

        setattr(target, method, counted)

    return arm


def nan_loss(step: int) -> Arm:
    """Has the loss be NaN at one step of training, from 1."""
    from crispmap.task import SegmentationTask

    def poisoned(original, task, batch, index):
        task.loss.register_forward_hook(lambda module, given, loss: loss * float("nan"))
        return original(task, batch, index)

    return at_call(SegmentationTask, "training_step", step, poisoned)


def nan_gradient(step: int) -> Arm:
    """Has the gradient be NaN at one step of training, while the loss is what it should be."""
    from crispmap.task import SegmentationTask

    def poisoned(original, task, batch, index):
        loss = original(task, batch, index)
        loss.register_hook(lambda gradient: gradient * float("nan"))
        return loss

    return at_call(SegmentationTask, "training_step", step, poisoned)


def out_of_memory(call: int, error: Exception) -> Arm:
    """Raises an error of the kind that means "out of memory" from one pass of a network."""
    from crispmap.models import SegmentationModel

    def failing(*_: Any) -> None:
        raise error

    return at_call(SegmentationModel, "forward", call, failing)


def little_memory(spare: int) -> Arm:
    """Lets the process map so many more bytes and no more."""

    def arm() -> None:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + spare
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    return arm


def small_files(most: int) -> Arm:
    """Lets no file grow beyond so many bytes: as near to a full disk as one comes without the right to mount one."""

    def arm() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))

    return arm


def can_mount() -> bool:
    """Whether this process may mount file systems of its own; the root of a container may not."""
    with TemporaryDirectory() as folder:
        try:
            Disk(Path(folder), 4096).remove()
        except (OSError, subprocess.CalledProcessError):
            return False
        return True


class Disk:
    """A small file system of its own, which can be full, and which can be made read-only."""

    def __init__(self, place: Path, size: int) -> None:
        self.place = place
        place.mkdir(exist_ok=True)
        _mount("-t", "tmpfs", "-o", _size(size), "tmpfs", str(place))

    def resize(self, size: int) -> None:
        """Makes room."""
        _mount("-o", f"remount,rw,{_size(size)}", str(self.place))

    def read_only(self) -> None:
        """Lets nothing be written any more."""
        _mount("-o", "remount,ro", str(self.place))

    def remove(self) -> None:
        """Unmounts it; what was on it is gone."""
        subprocess.run(["umount", "--lazy", str(self.place)], check=True)


def _size(size: int) -> str:
    return f"size={max(4096, size)}"  # 0 would mean no limit


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True, capture_output=True)


@contextmanager
def truncated(path: Path) -> Iterator[None]:
    """Has a file hold its first half only, until the block ends."""
    whole, times = path.read_bytes(), path.stat()
    path.write_bytes(whole[: len(whole) // 2])
    try:
        yield
    finally:
        path.write_bytes(whole)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


class Vanishing:
    """A file that is to vanish, and to come back as it was."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._aside = path.with_name(f"{path.name}.aside")

    def vanish(self) -> None:
        """Takes it away."""
        os.replace(self.path, self._aside)

    def come_back(self) -> None:
        """Puts it back."""
        if self._aside.exists():
            os.replace(self._aside, self.path)
