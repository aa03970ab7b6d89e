"""Does harm to crispmap's commands, and counts what survives: kills, full disks, vanished files and the like.

``.venv/bin/python tests/faults/run.py`` kills more than a hundred processes, in about half an hour on two cores, prints
the tally and writes docs/results/faults.json and faults.md. ``--quick --out FOLDER`` does little of each in less than a
minute. The exit status is 1 if anything was lost.
"""

import argparse
import os
import shlex
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

os.environ["OMP_NUM_THREADS"] = "1"  # processes are forked, so what is loaded must not compute with several threads

from campaign import KINDS, Campaign, Outcome
from commands import World, commands
from injections import can_mount
from loading import load
from tally import kills, lost, table, write

ROOT = Path(__file__).parents[2]

Plan = dict[str, dict[str, int]]  # how many trials, by command and kind

_KILLS = ("killed at a moment", "killed at a file")
_DISK = ("full disk", "read-only disk")
_INPUT = ("vanished input", "truncated input")
_MEMORY = ("out of memory", "little memory")
_NUMBERS = ("NaN loss", "NaN gradient")

QUICK: Plan = {
    "fit": {"killed at a moment": 1, "killed at a file": 1, "full disk": 1},
    "predict": {"killed at a file": 1},
    "vectorize to gpkg": {"killed at a file": 1, "full disk": 1},
    "synthesize": {"killed at a file": 1, "full disk": 1, "read-only disk": 1},
}


def long_plan() -> Plan:
    """Every command under every fault that can strike it."""

    def of(*kinds: str, times: int = 1, kills: int) -> dict[str, int]:
        return dict.fromkeys(_KILLS, kills) | {"torn file": times} | dict.fromkeys((*_DISK, *kinds), times)

    training = of(*_INPUT, *_MEMORY, *_NUMBERS, kills=3)
    vectorize = of(*_INPUT, "little memory", "full at the end", times=2, kills=4)
    return {
        "fit": of(*_INPUT, *_MEMORY, *_NUMBERS, times=3, kills=10),
        "fit, started anew": {"killed at a moment": 3},
        "fit, with a loader process": training,
        "compare": training,
        "search-weight": training,
        "predict": of(*_INPUT, "out of memory", times=3, kills=6),
        **dict.fromkeys((f"vectorize to {suffix}" for suffix in ("gpkg", "fgb", "geojson", "parquet")), vectorize),
        "synthesize": of("little memory", "full at the end", times=4, kills=6),
        "synthesize, started anew": {"killed at a moment": 3},
        "evaluate": of(*_INPUT, kills=3),
    }


def main() -> int:
    """Carries out the trials."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="some of it in less than a minute")
    parser.add_argument("--out", type=Path, help="folder of the results (docs/results)")
    parser.add_argument("--only", metavar="NAME", nargs="+", help="some of the commands, by their names in the tally")
    asked = parser.parse_args()
    if (asked.quick or asked.only) and asked.out is None:
        parser.error("--quick and --only need --out: their numbers are not the results")
    began = time.monotonic()
    load()
    plan = QUICK if asked.quick else long_plan()
    folder = Path(mkdtemp(prefix="crispmap-faults-"))
    try:
        outcomes = list(_trials(folder, {name: plan[name] for name in asked.only or plan}))
    finally:
        shutil.rmtree(folder)
    print("\n".join(table(outcomes)))
    print(f"{kills(outcomes)} processes killed; work lost in {lost(outcomes)} of {len(outcomes)} trials")
    sys.path.append(str(ROOT / "benchmarks"))
    from machine import circumstances

    facts = {
        "command": shlex.join([".venv/bin/python", "tests/faults/run.py", *sys.argv[1:]]),
        "smoke_run": asked.quick,
        "seconds": round(time.monotonic() - began),
        "mounted": can_mount(),
        **circumstances(),
    }
    kinds = {kind: " ".join((trial.__doc__ or "").split()) for kind, trial in KINDS.items()}
    write(asked.out or ROOT / "docs" / "results", outcomes, kinds, facts)
    return 1 if lost(outcomes) else 0


def _trials(folder: Path, plan: Plan) -> Iterator[Outcome]:
    world = World(folder)
    world.make()
    campaign, known = Campaign(world), commands(world)
    shutil.copy(campaign.reference(known["fit"]).folder / "out" / "model.pt", world.model)
    for name, kinds in plan.items():
        for kind, trials in kinds.items():
            for seed in range(trials):
                outcome = campaign.try_out(known[name], kind, seed)
                struck = f"{outcome.injected} struck" if outcome.injected else "too late"
                print(f"{name}, {kind}, seed {seed}: {struck}; {'LOST' if outcome.losses else 'survived'}", flush=True)
                for loss in outcome.losses:
                    print(f"    {loss}", flush=True)
                yield outcome


if __name__ == "__main__":
    sys.exit(main())
