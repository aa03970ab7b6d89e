"""Trials: a command, a fault, the same command again, and a look at what became of the work."""

import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from commands import Command, World
from injections import (
    Disk,
    Vanishing,
    can_mount,
    little_memory,
    nan_gradient,
    nan_loss,
    out_of_memory,
    small_files,
    truncated,
)
from processes import Arm, Ended, FileEvents, run

_MEGABYTE = 2**20
_ROOM = 2**30
_MOST_KILLS = 3  # of one output
_DONE_ALREADY = "exists already"
_LOGS = ("tensorboard", "metrics.csv")
_LONGEST_LINE = 600  # characters


@dataclass
class Outcome:
    """What came of a trial.

    Attributes:
        command: Its name.
        kind: Of fault.
        seed: From which the trial's moments follow.
        injected: How many faults struck: some come too late, when the command has ended.
        losses: What was lost or went wrong, in words; the work survived if there are none.
    """

    command: str
    kind: str
    seed: int
    injected: int = 0
    losses: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Reference:
    """An undisturbed run: its outputs, how long it took and how often it set about changing a file."""

    folder: Path
    seconds: float
    file_events: int

    @property
    def bytes(self) -> int:
        """The room that its outputs take."""
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())

    @property
    def largest_file(self) -> int:
        """In bytes."""
        return max(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())


class Campaign:
    """Trials in one world, each in a place for outputs that is empty at first.

    Args:
        world: That has been made.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self._log = world.folder / "log"
        self._references: dict[str, Reference] = {}
        self._mounts = can_mount()

    def reference(self, command: Command) -> Reference:
        """What an undisturbed run of a command is like.

        Raises:
            RuntimeError: If it fails by itself.
        """
        if command.name not in self._references:
            ended = self._run(command, events=FileEvents(self.world.disk))
            if ended.status:
                raise RuntimeError(f"{command.name} fails undisturbed: {ended.said}")
            folder = self.world.folder / "references" / command.name.replace(" ", "-")
            shutil.copytree(self.world.disk, folder)
            self._references[command.name] = Reference(folder, ended.seconds, ended.file_events or 0)
            self._empty()
        return self._references[command.name]

    def try_out(self, command: Command, kind: str, seed: int) -> Outcome:
        """One trial of a command under one kind of fault, all of it a function of the seed."""
        reference = self.reference(command)
        outcome = Outcome(command.name, kind, seed)
        try:
            KINDS[kind](self, command, reference, random.Random(f"{command.name} {kind} {seed}"), outcome)
        except TimeoutError as error:
            outcome.losses.append(str(error))
        finally:
            self._empty()
        return outcome

    # --- faults, one method each

    def killed_at_a_moment(self, command: Command, reference: Reference, rng: random.Random, outcome: Outcome) -> None:
        """SIGKILL after some part of the time that the command takes, up to three times."""
        for _ in range(rng.randint(1, _MOST_KILLS)):
            ended = self._run(command, kill_after=rng.uniform(0.02, 1) * reference.seconds)
            if not self._after_kill(command, reference, ended, outcome):
                break
        self._go_on(command, reference, outcome)

    def killed_at_a_file(self, command: Command, reference: Reference, rng: random.Random, outcome: Outcome) -> None:
        """SIGKILL right before a file is opened, renamed or removed, up to three times."""
        for _ in range(rng.randint(1, _MOST_KILLS)):
            events = FileEvents(self.world.disk, rng.randint(1, reference.file_events))
            if not self._after_kill(command, reference, self._run(command, events=events), outcome):
                break
        self._go_on(command, reference, outcome)

    def full_disk(self, command: Command, reference: Reference, rng: random.Random, outcome: Outcome) -> None:
        """A disk that holds a part of what is to be written; or, where none can be mounted, a limit to files."""
        share = rng.uniform(0.05, 0.95)
        if not self._mounts:
            ended = self._run(command, arms=[small_files(int(share * reference.largest_file))])
            self._after_failure(command, reference, ended, outcome)
            self._go_on(command, reference, outcome)
            return
        disk = Disk(self.world.disk, int(share * reference.bytes))
        try:
            self._after_failure(command, reference, self._run(command), outcome)
            disk.resize(_ROOM)
            self._go_on(command, reference, outcome)
        finally:
            disk.remove()

    def full_at_the_end(self, command: Command, reference: Reference, rng: random.Random, outcome: Outcome) -> None:
        """A limit to files that only the last bytes of the largest one exceed."""
        last = rng.randint(2, 5000)  # a GeoJSON without its last line break is whole
        ended = self._run(command, arms=[small_files(reference.largest_file - last)])
        self._after_failure(command, reference, ended, outcome)
        self._go_on(command, reference, outcome)

    def read_only_disk(self, command: Command, reference: Reference, rng: random.Random, outcome: Outcome) -> None:
        """A disk on which nothing can be written; or, for users who may not mount one, a folder of that kind."""
        if not self._mounts:
            self.world.disk.chmod(0o555)
            self._after_failure(command, reference, self._run(command), outcome)
            self.world.disk.chmod(0o755)
            self._go_on(command, reference, outcome)
            return
        disk = Disk(self.world.disk, _ROOM)
        try:
            disk.read_only()
            self._after_failure(command, reference, self._run(command), outcome)
            disk.resize(_ROOM)
            self._go_on(command, reference, outcome)
        finally:
            disk.remove()

    def vanished_input(self, command: Command, reference: Reference, rng: random.Random, outcome: Outcome) -> None:
        """A file that is read goes away while the command runs, and is back when it is called again."""
        file = Vanishing(command.input)
        try:
            ended = self._run(command, meanwhile=(rng.uniform(0, 0.9) * reference.seconds, file.vanish))
        finally:
            file.come_back()
        self._after_failure(command, reference, ended, outcome)
        self._go_on(command, reference, outcome)

    def truncated_input(self, command: Command, reference: Reference, rng: random.Random, outcome: Outcome) -> None:
        """A file that is read has lost its second half, and is whole again when the command is repeated."""
        with truncated(command.input):
            ended = self._run(command)
        self._after_failure(command, reference, ended, outcome)
        self._go_on(command, reference, outcome)

    def nan_loss(self, command: Command, reference: Reference, rng: random.Random, outcome: Outcome) -> None:
        """A loss that is NaN at one step."""
        self._fail_by(command, reference, [nan_loss(rng.randint(1, 6))], outcome)

    def nan_gradient(self, command: Command, reference: Reference, rng: random.Random, outcome: Outcome) -> None:
        """A gradient that is NaN at one step, whose loss is what it should be."""
        self._fail_by(command, reference, [nan_gradient(rng.randint(1, 6))], outcome)

    def out_of_memory(self, command: Command, reference: Reference, rng: random.Random, outcome: Outcome) -> None:
        """A pass of the network that does not get its memory, as each device puts it."""
        import torch

        words = "DefaultCPUAllocator: can't allocate memory: you tried to allocate 8589934592 bytes. Error code 12"
        error = rng.choice(
            [
                MemoryError(),
                torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity …"),
                RuntimeError(f"[enforce fail at alloc_cpu.cpp:127] err == 0. {words} (Cannot allocate memory)"),
            ]
        )
        self._fail_by(command, reference, [out_of_memory(rng.randint(1, 6), error)], outcome)

    def little_memory(self, command: Command, reference: Reference, rng: random.Random, outcome: Outcome) -> None:
        """A real limit to the memory of the process, somewhere below what it takes."""
        self._fail_by(command, reference, [little_memory(rng.randint(3, 30) * _MEGABYTE)], outcome)

    def torn_file(self, command: Command, reference: Reference, rng: random.Random, outcome: Outcome) -> None:
        """SIGKILL, and a file that it leaves, though no log, is cut to half, as a failing disk may do."""
        events = FileEvents(self.world.disk, rng.randint(reference.file_events // 2, reference.file_events))
        ended = self._run(command, events=events)
        files = [path for path in self.world.disk.rglob("*") if path.is_file() and not {*path.parts} & {*_LOGS}]
        if not ended.killed or not files:
            return
        outcome.injected = 1
        torn = rng.choice(sorted(files))
        torn.write_bytes(torn.read_bytes()[: torn.stat().st_size // 2])
        ended = self._run(command)
        if ended.status == 0:
            outcome.losses += self._differences(command, reference)
        else:
            self.check_line(command, ended, outcome)

    # --- what all of them do

    def _run(self, command: Command, *, arms: list[Arm] | None = None, **how: Any) -> Ended:
        return run(command.arguments, self._log, arms=[*command.arms, *(arms or [])], anew=command.anew, **how)

    def _after_kill(self, command: Command, reference: Reference, ended: Ended, outcome: Outcome) -> bool:
        """Notes what a kill has done; gives whether it came before the end."""
        if ended.orphans:
            outcome.losses.append(f"{ended.orphans} processes outlived the one that was killed")
        if not ended.killed:
            if ended.status and _DONE_ALREADY not in ended.last_line:
                outcome.losses.append(f"called again it ended with {ended.status}: {ended.said[-2000:]}")
            return False
        outcome.injected += 1
        outcome.losses += command.damage(self.world.disk, reference.folder)
        return True

    def _fail_by(self, command: Command, reference: Reference, arms: list[Arm], outcome: Outcome) -> None:
        self._after_failure(command, reference, self._run(command, arms=arms), outcome)
        self._go_on(command, reference, outcome)

    def _after_failure(self, command: Command, reference: Reference, ended: Ended, outcome: Outcome) -> None:
        """Notes what a fault has done that a command must answer with a line, or not be touched by."""
        untouched = ended.status == 0 and "failed" not in ended.said
        if not untouched:
            outcome.injected = 1
            if ended.status or not command.tolerates:
                self.check_line(command, ended, outcome)
        outcome.losses += command.damage(self.world.disk, reference.folder)

    def check_line(self, command: Command, ended: Ended, outcome: Outcome) -> None:
        """Notes an end that tells the user nothing."""
        line = ended.last_line
        named = line.startswith(f"crispmap {command.arguments[0]}: ")
        if ended.status != 2 or not named or "Traceback" in ended.said or len(line) > _LONGEST_LINE:
            outcome.losses.append(f"no clear line, status {ended.status}: {ended.said[-3000:]}")

    def _go_on(self, command: Command, reference: Reference, outcome: Outcome) -> None:
        """The same command once more, which must end as if nothing had happened."""
        ended = self._run(command)
        if ended.status and not (ended.status == 2 and _DONE_ALREADY in ended.last_line):
            outcome.losses.append(f"called again it ended with {ended.status}: {ended.said[-3000:]}")
        outcome.losses += self._differences(command, reference)

    def _differences(self, command: Command, reference: Reference) -> list[str]:
        return command.differences(self.world.disk, reference.folder)

    def _empty(self) -> None:
        shutil.rmtree(self.world.disk, ignore_errors=True)
        self.world.disk.mkdir()


Trial = Callable[[Campaign, Command, Reference, random.Random, Outcome], None]

KINDS: dict[str, Trial] = {
    "killed at a moment": Campaign.killed_at_a_moment,
    "killed at a file": Campaign.killed_at_a_file,
    "full disk": Campaign.full_disk,
    "full at the end": Campaign.full_at_the_end,
    "read-only disk": Campaign.read_only_disk,
    "vanished input": Campaign.vanished_input,
    "truncated input": Campaign.truncated_input,
    "NaN loss": Campaign.nan_loss,
    "NaN gradient": Campaign.nan_gradient,
    "out of memory": Campaign.out_of_memory,
    "little memory": Campaign.little_memory,
    "torn file": Campaign.torn_file,
}
