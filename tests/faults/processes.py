"""Commands in processes of their own, forked from one that has loaded everything, and ways for them to die.

A fork costs milliseconds where a start costs seconds of loading, and it is as real a process: it is killed by a real
SIGKILL, and has memory, files and children of its own. Whoever forks must not have computed with several threads.
"""

import os
import shlex
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

Arm = Callable[[], None]  # called in the new process before the command, to make something fail in it later

_LIMIT = 180  # seconds, after which a process is taken to hang
_GRACE = 15  # seconds for the children of a killed process to follow it
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_CHANGES = ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate")
_CRASHED = 70


@dataclass(frozen=True)
class Ended:
    """How a process ended.

    Attributes:
        status: Its exit status; the signal's number less than 0 if one killed it.
        seconds: That it took.
        said: What it printed on standard output and standard error.
        file_events: How often it set about changing something under the watched folder; None if it was killed.
        orphans: Children that were still there when it had been gone for a while.
    """

    status: int
    seconds: float
    said: str
    file_events: int | None = None
    orphans: int = 0

    @property
    def killed(self) -> bool:
        """Whether it was killed."""
        return self.status == -signal.SIGKILL

    @property
    def last_line(self) -> str:
        """The last that it said."""
        return next((line for line in reversed(self.said.splitlines()) if line.strip()), "")


class FileEvents:
    """Counts in a process whatever Python is about to change under a folder, and can end the process at one of them.

    Args:
        folder: The folder.
        kill_at: The number of the event, from 1, right before which the process is to be killed; by default none.
    """

    def __init__(self, folder: Path, kill_at: int | None = None) -> None:
        self.folder = str(folder)
        self.kill_at = kill_at
        self.count = 0

    def watch(self) -> None:
        """Begins to count, in this process and for the rest of its life."""
        sys.addaudithook(self._on_event)

    def _on_event(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            if not flags & _WRITING:
                return
        elif event in _CHANGES:
            path = arguments[0]
        else:
            return
        if isinstance(path, int) or not os.path.abspath(os.fsdecode(path)).startswith(self.folder):
            return
        self.count += 1
        if self.count == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)


def run(
    arguments: Sequence[str],
    log: Path,
    *,
    arms: Sequence[Arm] = (),
    events: FileEvents | None = None,
    meanwhile: tuple[float, Arm] | None = None,
    kill_after: float | None = None,
    anew: bool = False,
) -> Ended:
    """Runs ``crispmap`` with some arguments in a fork of this process, and waits for its end.

    Args:
        arguments: After the program's name.
        log: Where what it prints goes.
        arms: Called in it first.
        events: What is to be counted in it.
        meanwhile: After how many seconds to call something here, while it runs.
        kill_after: After how many seconds to kill it, if it has not ended.
        anew: Whether the fork is to become the ``crispmap`` script, which loads everything itself; it knows nothing
            of arms and events.

    Raises:
        TimeoutError: If it hangs.
    """
    process = get_context("fork").Process(target=_live, args=(arguments, log, arms, events, anew))
    began = time.monotonic()
    process.start()
    assert process.pid is not None
    if meanwhile is not None:
        _wait(process.pid, meanwhile[0])
        meanwhile[1]()
    if kill_after is not None:
        _wait(process.pid, kill_after)
        os.kill(process.pid, signal.SIGKILL)  # without effect on one that has ended and waits to be asked how
    if not _wait(process.pid, _LIMIT):
        os.killpg(process.pid, signal.SIGKILL)
        raise TimeoutError(f"crispmap {shlex.join(arguments)} hangs; it said: {log.read_text()}")
    seconds = time.monotonic() - began
    process.join()
    counted = log.with_suffix(".events")
    file_events = int(counted.read_text()) if counted.exists() else None
    counted.unlink(missing_ok=True)
    return Ended(process.exitcode, seconds, log.read_text(errors="replace"), file_events, _children_left(process.pid))


def _live(arguments: Sequence[str], log: Path, arms: Sequence[Arm], events: FileEvents | None, anew: bool) -> None:
    """What happens in the new process."""
    os.setpgrp()  # by which its children are known
    with log.open("wb") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    if anew:
        script = Path(sys.executable).with_name("crispmap")
        os.execv(script, [str(script), *arguments])
    sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False, buffering=1)
    if events is not None:
        events.watch()
    for arm in arms:
        arm()

    from crispmap.cli import main

    try:
        status = main(arguments)
    except BaseException:
        import traceback

        traceback.print_exc()
        status = _CRASHED
    if events is not None:
        log.with_suffix(".events").write_text(str(events.count))
    sys.stdout.flush()
    sys.exit(status)


def _wait(process: int, seconds: float) -> bool:
    """Waits for the end of a process, also of one that has become another program; gives whether it came."""
    end = time.monotonic() + seconds
    while os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


def _children_left(group: int) -> int:
    """How many processes of a group outlive its leader; they are ended then, so that they trouble no later trial."""
    end = time.monotonic() + _GRACE
    while members := _alive(group):
        if time.monotonic() > end:
            os.killpg(group, signal.SIGKILL)
            break
        time.sleep(0.02)
    return len(members)


def _alive(group: int) -> list[int]:
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, its_group = status.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue  # it has ended meanwhile
        if int(its_group) == group and state not in "ZX":
            found.append(int(status.parent.name))
    return found
