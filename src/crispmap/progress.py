"""Progress with a rate and the time left, on standard error, silent where no one is watching."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
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
    with Progress(*columns, console=console, disable=total is None or not sys.stderr.isatty()) as progress:
        yield ProgressBar(progress, progress.add_task(description, total=total))


class ProgressBar:
    """One bar on the screen."""

    def __init__(self, progress: Progress, task: int) -> None:
        self._progress = progress
        self._task = task

    def advance(self, steps: int = 1) -> None:
        """Moves the bar on."""
        self._progress.advance(self._task, steps)  # type: ignore[arg-type]


def track(items: Iterable[T], description: str, total: int) -> Iterator[T]:
    """Yields the items, with a bar that advances as they are consumed."""
    with progress_bar(description, total) as bar:
        for item in items:
            yield item
            bar.advance()
