"""The tally of faults: injected and survived, by command and kind, as a table, as JSON and as a page."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Any

from campaign import Outcome


def rows(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """For each command and kind: trials, faults that struck, and trials in which work was lost."""
    found = []
    for (command, kind), group in groupby(outcomes, lambda outcome: (outcome.command, outcome.kind)):
        trials = list(group)
        found.append(
            {
                "command": command,
                "kind": kind,
                "trials": len(trials),
                "injected": sum(trial.injected for trial in trials),
                "lost": sum(bool(trial.losses) for trial in trials),
            }
        )
    return found


def kills(outcomes: Sequence[Outcome]) -> int:
    """How many processes were killed."""
    return sum(outcome.injected for outcome in outcomes if outcome.kind.startswith(("killed", "torn")))


def table(outcomes: Sequence[Outcome]) -> list[str]:
    """The tally in lines of Markdown."""
    lines = ["| command | fault | trials | faults that struck | trials with a loss |", "|---|---|---|---|---|"]
    lines += [f"| {' | '.join(map(str, row.values()))} |" for row in rows(outcomes)]
    return [*lines, f"| all | | {len(outcomes)} | {sum(o.injected for o in outcomes)} | {lost(outcomes)} |"]


def lost(outcomes: Sequence[Outcome]) -> int:
    """In how many trials something was lost."""
    return sum(bool(outcome.losses) for outcome in outcomes)


def write(folder: Path, outcomes: Sequence[Outcome], kinds: dict[str, str], facts: dict[str, Any]) -> None:
    """Writes ``faults.json``, trial by trial, and the page ``faults.md`` made of it.

    Args:
        folder: For both.
        outcomes: Of all trials.
        kinds: What each kind of fault is, in a sentence.
        facts: How they were made: command, seconds, mounts, and `machine.circumstances`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    result = {**facts, "kills": kills(outcomes), "tally": rows(outcomes), "trials": [asdict(o) for o in outcomes]}
    (folder / "faults.json").write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    (folder / "faults.md").write_text("\n".join(_page(outcomes, kinds, result)) + "\n")


def _page(outcomes: Sequence[Outcome], kinds: dict[str, str], result: dict[str, Any]) -> list[str]:
    machine, versions = result["machine"], ", ".join(f"{name} {value}" for name, value in result["versions"].items())
    disk = "a file system of its own" if result["mounted"] else "a limit to the size of files, for want of a mount"
    others = sum(outcome.injected for outcome in outcomes) - result["kills"]
    return [
        "# Faults injected and survived",
        "",
        "Made from [faults.json](faults.json), which",
        "",
        "```bash",
        result["command"],
        "```",
        "",
        f"wrote on {result['date']} at commit {result['commit'][:12]}, in {result['seconds'] / 60:.0f} minutes. "
        f"{machine['processor']}, {machine['cores']} cores. {versions}.",
        "",
        f"{result['kills']} processes were killed and {others} other faults struck; work was lost in {lost(outcomes)} "
        f"of {len(outcomes)} trials. The full disk is {disk}.",
        "",
        "A trial is a command in a process of its own, a fault, and the same command again. Nothing is lost if",
        "",
        "- what is there after the fault is whole: outputs are absent or as they will be, checkpoints can be read;",
        "- a fault that the command notices ends it with one line and status 2, and no trace;",
        "- the same command ends as if nothing had happened: weights, optimiser, schedule and position of the sampler "
        "bit for bit, every value that was logged, maps byte for byte; and nothing else is left lying about.",
        "",
        "Moments follow from the seed of the trial, scaled by the time that an undisturbed run takes. Some faults come "
        "too late to strike.",
        "",
        *(["**A smoke run: these numbers mean little.**", ""] if result["smoke_run"] else []),
        *table(outcomes),
        "",
        "## The faults",
        "",
        *(f"- **{kind}**: {what}" for kind, what in kinds.items()),
    ]
