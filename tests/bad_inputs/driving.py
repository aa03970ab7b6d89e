"""Drives a command into an input and says what came of it."""

import contextlib
import faulthandler
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bad_table import CANARY, HANDLED, Bad
from doors import Door
from good_inputs import Good

TALLY: Counter[str] = Counter()


class Hang(BaseException):
    """A command did not end in time; no `except Exception` may swallow it."""


@dataclass(frozen=True)
class Outcome:
    """What a command did: its exit status, what it said, and a trace if it fell."""

    status: int | None
    out: str
    err: str
    trace: str = ""


@contextlib.contextmanager
def _alarm(seconds: int) -> Iterator[None]:
    """Raises `Hang` in time; where Python cannot, because C never returns, ends the process with all its stacks."""

    def ring(*_: object) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    faulthandler.dump_traceback_later(seconds + 30, exit=True, file=sys.__stderr__)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def in_process(argv: Sequence[str], seconds: int) -> Outcome:
    """Runs a command in this process."""
    from crispmap.cli import main

    out, err = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), _alarm(seconds):
            status = main(argv)
    except Hang:
        return Outcome(None, out.getvalue(), err.getvalue(), f"no end within {seconds} s")
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return Outcome(None, out.getvalue(), err.getvalue(), "".join(traceback.format_exception(error)))
    return Outcome(status, out.getvalue(), err.getvalue())


def in_a_process(argv: Sequence[str], seconds: int) -> Outcome:
    """Runs a command as users do."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", "from crispmap.cli import entry_point; entry_point()", *argv],
            capture_output=True,
            timeout=seconds,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        return Outcome(None, "", "", f"no end within {seconds} s")
    out, err = (stream.decode(errors="replace") for stream in (done.stdout, done.stderr))
    return Outcome(done.returncode, out, err, err if "Traceback" in err else "")


def drive(bad: Bad, door: Door, good: Good, folder: Path, run=in_process) -> list[str]:
    """Makes an input, drives a command into it, and says what is wrong with what came of it; counts it, too.

    Args:
        bad: The input.
        door: Where it is given.
        good: What stands beside it.
        folder: An empty one.
        run: How the command is run.
    """
    made = folder / "in"
    made.mkdir()
    path, out = bad.make(made), folder / "out"
    argv = [str(each) for each in door.arguments(path, good, out)]
    before = _listed(made)
    outcome = run(argv, door.seconds)
    faults = _faults(bad, door, outcome, out)
    if list(folder.rglob(CANARY)):
        faults.append("something in the input was run")
    leftovers = sorted((_listed(made) | _listed(out)) - before)
    faults += [f"{left} was left behind" for left in leftovers if left.endswith(".part")]
    TALLY[f"{argv[0]}: " + ("failed" if faults else "refused" if outcome.status else "handled")] += 1
    shutil.rmtree(folder, ignore_errors=True)
    return faults


def _faults(bad: Bad, door: Door, outcome: Outcome, out: Path) -> list[str]:
    expected = bad.expected(door.name)
    if outcome.status is None or outcome.trace:
        return [outcome.trace]
    lines = [line for line in outcome.err.splitlines() if line.startswith("crispmap ")]
    if outcome.status == 0:
        if HANDLED not in expected:
            return [f"it was taken for good: {outcome.out} {outcome.err}"]
        lacking = door.makes and not list(out.glob(door.makes))
        return [f"no {door.makes} was made"] if lacking else []
    if outcome.status != 2 or len(lines) != 1:
        return [f"status {outcome.status}, and on standard error: {outcome.err}"]
    faults = []
    if door.name.startswith("suggest-theta"):  # what is odd may leave nothing to measure, which is said
        expected += "|could be measured"
    if not re.search(expected, lines[0], re.IGNORECASE):
        faults.append(f"expected {expected!r}: {lines[0]}")
    if len(lines[0]) > 1500:
        faults.append(f"a refusal of {len(lines[0])} characters: {lines[0][:300]}")
    if door.makes and list(out.glob(door.makes)):
        faults.append(f"refused, and yet {door.makes} was made")
    return faults


def _listed(folder: Path) -> set[str]:
    return {os.path.join(at, name) for at, folders, names in os.walk(folder) for name in folders + names}
