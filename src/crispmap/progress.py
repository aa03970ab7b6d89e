"""Progress with a rate and the time left, on standard error or in a notebook, silent where no one is watching."""

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from threading import RLock
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Task as ProgressTask
from rich.text import Text

T = TypeVar("T")


class _RateColumn(TextColumn):
    """Steps a second, or seconds a step where that is the friendlier number."""

    def __init__(self) -> None:
        super().__init__("")

    def render(self, task: ProgressTask) -> Text:
        """Draws the rate of one task."""
        speed = task.finished_speed or task.speed
        if not speed:
            return Text("")
        return Text(f"{speed:.1f}/s" if speed >= 1 else f"{1 / speed:.1f} s each", style="dim")


class _NotebookProgress(Progress):
    """Draws at a step or at its end, in turn with other bars: a notebook mixes up what threads draw at once."""

    _turn = RLock()
    _pause = 0.1  # seconds between two drawings

    def __init__(self, *columns: ProgressColumn, **settings: Any) -> None:
        super().__init__(*columns, auto_refresh=False, redirect_stdout=False, redirect_stderr=False, **settings)
        self._drawn = 0.0

    def start(self) -> None:
        with self._turn:
            super().start()

    def refresh(self) -> None:
        with self._turn:
            super().refresh()

    def advance(self, task_id: TaskID, advance: float = 1) -> None:
        super().advance(task_id, advance)
        if time.monotonic() - self._drawn >= self._pause:
            self.refresh()
            self._drawn = time.monotonic()

    def stop(self) -> None:
        self.refresh()  # or the state of a moment ago would stay
        super().stop()


@contextmanager
def progress_bar(description: str, total: int | None) -> Iterator["ProgressBar"]:
    """Shows a bar for ``total`` steps, or none if it is None; the block calls ``advance()`` on what it is given."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _RateColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    kind = _NotebookProgress if console.is_jupyter else Progress
    watched = console.is_jupyter or sys.stderr.isatty()
    with kind(*columns, console=console, disable=total is None or not watched) as progress:
        yield ProgressBar(progress, progress.add_task(description, total=total))


class ProgressBar:
    """One bar on the screen."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task

    def advance(self, steps: int = 1) -> None:
        """Moves the bar on."""
        self._progress.advance(self._task, steps)


def track(items: Iterable[T], description: str, total: int) -> Iterator[T]:
    """Yields the items, with a bar that advances as they are consumed."""
    with progress_bar(description, total) as bar:
        for item in items:
            yield item
            bar.advance()
