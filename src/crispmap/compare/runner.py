"""The runs of a comparison: each in a folder of its own, skipped when finished, its failure written down."""

import gc
import json
import logging
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import NoneType
from typing import Any

import numpy as np
import torch

from crispmap.compare.cost import median_step, step_ends
from crispmap.compare.measure import Counts, ValidationTile, count, examine
from crispmap.compare.plan import Plan, Run
from crispmap.errors import OutputError, SettingError, one_line
from crispmap.fit import steps_done
from crispmap.input_file import check_input_file
from crispmap.models import SegmentationModel, load_model
from crispmap.run import CHECKPOINTS, ended, essence, validations
from crispmap.settings import FitSettings
from crispmap.whole import clear, whole_file

log = logging.getLogger("crispmap")

Train = Callable[[FitSettings], Any]

STATE_FILE = "run.json"
COUNTS_FILE = "counts.json"
WEIGHTS_FILE = "last.pt"
COST_FILE = "cost.json"
OUTPUTS = ("report.html", "results.json", "results.md", COST_FILE)  # beside runs/


@dataclass(frozen=True)
class State:
    """What is written down of a run when it ends.

    Attributes:
        settings: What `fit` was told, without the run's folder and the loader's processes.
        finished: Whether it went to its end.
        seconds: That training took since it was last begun or gone on with.
        step_ms: Median time of a step; None if all had been done by then.
        steps: Steps at which the network was validated.
        curves: The validation metrics at these, by name.
        error: Why it failed, in a line.
        trace: Where.
    """

    settings: dict[str, Any]
    finished: bool
    seconds: float = 0.0
    step_ms: float | None = None
    steps: Sequence[float] = ()
    curves: dict[str, list[float]] | None = None
    error: str = ""
    trace: str = ""


_NUMBER = (int, float)
_KINDS: dict[str, type | tuple[type, ...]] = {  # of what a `State` holds, for run.json may be anyone's
    "settings": dict,
    "finished": bool,
    "seconds": _NUMBER,
    "step_ms": (*_NUMBER, NoneType),
    "steps": list,
    "curves": (dict, NoneType),
    "error": str,
    "trace": str,
}


def state_of(run: Run) -> State | None:
    """What is known of a run; None if it has not ended yet."""
    try:
        state = State(**written_down(run.folder / STATE_FILE))
    except TypeError:  # nothing is written down, or other things
        return None
    return state if all(isinstance(getattr(state, name), kind) for name, kind in _KINDS.items()) else None


def written_down(path: Path) -> dict[str, Any]:
    """What a file of a comparison holds; nothing if it is missing, or torn by a failing disk: then it is made again.

    Raises:
        InputError: If it is a pipe, whose end may never come, or the like.
    """
    check_input_file(path)
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def check_older(plan: Plan) -> None:
    """Checks that what is in the plan's folder is its own: a comparison's, and its runs made as the plan says.

    Raises:
        OutputError: If what is there is another command's.
        SettingError: If a finished run was made with other settings.
    """
    taken = [name for name in OUTPUTS if (plan.out / name).exists()]
    if taken and not any(plan.out.glob("runs/*/*/seed*")):  # a demo has runs/, too
        raise OutputError(f"{plan.out} holds a {taken[0]} that is of no comparison; give another --out")
    for run in plan.runs():
        state, wanted = state_of(run), _essence(plan.settings(run))
        if state is not None and state.finished and state.settings != wanted:
            there = state.settings
            key = next(key for key in wanted | there if there.get(key) != wanted.get(key))
            raise SettingError(
                f"{run.folder} holds a finished run with {key} {there.get(key)}, but {wanted.get(key)} is asked "
                "for; runs of one comparison have the same settings: give them, or another --out"
            )


def carry_out(plan: Plan, tiles: Sequence[ValidationTile], train: Train) -> None:
    """Trains what is not finished, seed by seed, and counts on the tiles what is not counted.

    A run that fails is written down and the next one begun; called again, it is tried again.

    Args:
        plan: What is compared.
        tiles: The validation ground.
        train: What makes a run of its settings.
    """
    runs = plan.runs()
    waiting = [run for run in runs if not _finished(run)]
    if len(waiting) < len(runs):
        log.info("%d of %d runs are finished already", len(runs) - len(waiting), len(runs))
    spent: list[float] = []
    for run in runs:
        if run in waiting:
            left = f"; about {_duration(sum(spent) / len(spent) * (len(waiting) - len(spent)))} left" if spent else ""
            log.info("\nrun %d of %d: %s, seed %d%s", runs.index(run) + 1, len(runs), run.method.name, run.seed, left)
        start = time.perf_counter()
        try:
            if run in waiting:
                _train(plan, run, train)
            clear(run.folder, [CHECKPOINTS])  # the last weights are kept, and by now the run is written down
            if counts_of(run) is None or _names(run) != [tile.name for tile in tiles]:
                _count(run, tiles)
        except Exception as error:  # whatever one run dies of, the others can do without it
            _fail(plan, run, error)
        if run in waiting:
            spent.append(time.perf_counter() - start)
            gc.collect()  # a trainer, its network and its optimiser refer to each other in circles


def _finished(run: Run) -> bool:
    state = state_of(run)
    return state is not None and state.finished and (run.folder / WEIGHTS_FILE).exists()


def _train(plan: Plan, run: Run, train: Train) -> None:
    """Trains and keeps the last weights, so that nothing is chosen on the ground that is reported."""
    given = plan.settings(run)
    # On one device: by itself, Lightning would take all that there are, and the processes for them.
    settings = replace(given, trainer={"devices": 1} | given.trainer)
    clear(run.folder, [STATE_FILE, COUNTS_FILE, WEIGHTS_FILE])
    checkpoint = run.folder / CHECKPOINTS / "last.ckpt"
    start = time.perf_counter()
    with step_ends() as ends:
        if not _trained(settings, checkpoint):
            train(settings)  # else a call before this one was stopped before it had written the run down
    seconds = time.perf_counter() - start
    if (done := steps_done(checkpoint)) != plan.steps:
        raise SettingError(f"training ended at step {done} of {plan.steps}; runs are compared after equal steps")
    with whole_file(run.folder / WEIGHTS_FILE) as path:
        load_model(checkpoint).save(path)
    rows = validations(run.folder)
    curves = {key: [row[key] for row in rows] for key in rows[0] if key != "step"}
    steps = [row["step"] for row in rows]
    _write(run.folder / STATE_FILE, asdict(State(_essence(given), True, seconds, median_step(ends), steps, curves)))


def _trained(settings: FitSettings, checkpoint: Path) -> bool:
    """Whether the run is there with all of its steps, and with its learning curves."""
    whole = ended(settings) and checkpoint.exists() and steps_done(checkpoint) == settings.steps
    return whole and bool(validations(settings.out))


def _count(run: Run, tiles: Sequence[ValidationTile]) -> None:
    clear(run.folder, [COUNTS_FILE])  # of other tiles
    if (state := state_of(run)) is not None and state.error:  # counting failed the last time
        _write(run.folder / STATE_FILE, asdict(replace(state, error="", trace="")))
    model = model_of(run)
    counts = [count(examine(model, tile)) for tile in tiles]
    content = {"tiles": [tile.name for tile in tiles], "counts": {k: [tile[k] for tile in counts] for k in counts[0]}}
    _write(run.folder / COUNTS_FILE, content)


def model_of(run: Run) -> SegmentationModel:
    """The network of a finished run, with its last weights, where there is a GPU on it."""
    return load_model(run.folder / WEIGHTS_FILE).to("cuda" if torch.cuda.is_available() else "cpu")


def _fail(plan: Plan, run: Run, error: Exception) -> None:
    line = one_line(error) or type(error).__name__
    log.warning("%s, seed %d failed: %s", run.method.name, run.seed, line)
    state = state_of(run) or State(_essence(plan.settings(run)), False)  # finished, if only counting failed
    _write(run.folder / STATE_FILE, asdict(replace(state, error=line, trace=traceback.format_exc())))


def counts_of(run: Run) -> Counts | None:
    """The counts of a finished run, (tiles,) by name; None if there are none."""
    state, found = state_of(run), written_down(run.folder / COUNTS_FILE).get("counts")
    if state is None or not state.finished or not isinstance(found, dict):
        return None
    try:
        return {key: np.array(values, np.float64) for key, values in found.items()}
    except (TypeError, ValueError):
        return None


def _names(run: Run) -> list[str]:
    names: list[str] = written_down(run.folder / COUNTS_FILE).get("tiles", [])
    return names


def _essence(settings: FitSettings) -> dict[str, Any]:
    """What makes a run what it is, in the types of JSON."""
    plain = essence(settings.plain())
    for name in ("images", "labels", "val_images", "val_labels", "area"):
        plain[name] = plain[name] and str(Path(plain[name]).resolve())  # the same from wherever it is called
    found: dict[str, Any] = json.loads(json.dumps(plain, default=str))
    return found


def _write(path: Path, content: dict[str, Any]) -> None:
    with whole_file(path) as part:
        part.write_text(json.dumps(content, ensure_ascii=False) + "\n", encoding="utf-8")


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
