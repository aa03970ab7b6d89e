"""What a comparison found, as numbers for programs (JSON) and as tables for people (Markdown)."""

import json
import math
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from crispmap import __version__
from crispmap.compare.cost import Cost
from crispmap.compare.measure import METRICS, RANKED_BY, Counts, scores
from crispmap.compare.plan import Method, Plan
from crispmap.compare.runner import State, counts_of, state_of
from crispmap.compare.statistics import TEST, Difference, Interval, against, mean_interval
from crispmap.whole import whole_file


@dataclass(frozen=True)
class Failure:
    """A run that did not end well."""

    method: str
    seed: int
    error: str


@dataclass(frozen=True)
class Comparison:
    """What came of a plan.

    Attributes:
        plan: What was compared.
        tiles: Names of the tiles that the networks were examined on.
        methods: Those with a finished run, the best by boundary F1 at 2 px first.
        counts: Of each method and seed, (tiles,) by name.
        states: What is known of these runs, by method and seed.
        failures: Runs that failed.
        differences: To the reference on the same network, metric by metric.
        costs: Of the losses alone, by their names.
        command: That made it.
    """

    plan: Plan
    tiles: Sequence[str]
    methods: Sequence[Method]
    counts: Mapping[str, Mapping[int, Counts]]
    states: Mapping[str, Mapping[int, State]]
    failures: Sequence[Failure]
    differences: Sequence[Difference]
    costs: Mapping[str, Cost]
    command: str

    def scores(self, method: str) -> dict[str, NDArray[np.float64]]:
        """The scores of a method's seeds, in their order, pooled over the tiles of each, by metric."""
        runs = [scores({k: v.sum() for k, v in counts.items()}) for _, counts in sorted(self.counts[method].items())]
        return {metric.key: np.array([run[metric.key] for run in runs], np.float64) for metric in METRICS}

    def step_ms(self, method: str) -> float | None:
        """The median over a method's runs of their median step, in milliseconds."""
        known = [state.step_ms for state in self.states[method].values() if state.step_ms is not None]
        return float(np.median(known)) if known else None


def gather(plan: Plan, tiles: Sequence[str], costs: Mapping[str, Cost], command: str) -> Comparison:
    """Reads what the finished runs of a plan left, ranks the methods and compares them."""
    counts: dict[str, dict[int, Counts]] = {}
    states: dict[str, dict[int, State]] = {}
    failures = []
    for run in plan.runs():
        found, state = counts_of(run), state_of(run)
        if found is not None and state is not None:
            counts.setdefault(run.method.name, {})[run.seed] = found
            states.setdefault(run.method.name, {})[run.seed] = state
        elif state is not None:
            failures.append(Failure(run.method.name, run.seed, state.error))
    methods = [method for method in plan.methods() if method.name in counts]
    differences = [row for network in plan.network_map for row in _on(network, plan, methods, counts)]
    unranked = Comparison(plan, tiles, methods, counts, states, failures, differences, costs, command)
    return replace(unranked, methods=sorted(methods, key=lambda method: _rank(unranked, method)))


def _on(
    network: str, plan: Plan, methods: Sequence[Method], counts: Mapping[str, Mapping[int, Counts]]
) -> list[Difference]:
    here = {method.loss_name: method.name for method in methods if method.network == network}
    reference = here.pop(plan.reference_loss, None)
    return [] if reference is None else against(reference, counts, list(here.values()))


def _rank(comparison: Comparison, method: Method) -> float:
    score = float(comparison.scores(method.name)[RANKED_BY].mean())
    return math.inf if math.isnan(score) else -score


def facts() -> dict[str, str]:
    """Versions, machine and date."""
    packages = {name: version(name) for name in ("torch", "lightning", "segmentation_models_pytorch", "numpy")}
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return {
        "versions": ", ".join(f"{name} {number}" for name, number in ({"crispmap": __version__} | packages).items())
        + f", Python {platform.python_version()}",
        "machine": f"{_processor()}, {os.cpu_count()} processors, {torch.get_num_threads()} threads, {gpu}",
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
    }


def _processor() -> str:
    listing = Path("/proc/cpuinfo")
    lines = listing.read_text().splitlines() if listing.exists() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def to_dict(comparison: Comparison) -> dict[str, Any]:
    """All of it in the types of JSON; what is not known is null."""
    plan = {key: str(value) if isinstance(value, Path) else value for key, value in asdict(comparison.plan).items()}
    found = {
        "command": comparison.command,
        **facts(),
        "plan": plan,
        "reference": comparison.plan.reference_loss,
        "ranked_by": RANKED_BY,
        "metrics": {metric.key: metric.definition for metric in METRICS},
        "test": TEST,
        "tiles": list(comparison.tiles),
        "methods": [_method(comparison, method) for method in comparison.methods],
        "differences": [asdict(row) for row in comparison.differences],
        "failures": [asdict(failure) for failure in comparison.failures],
    }
    known: dict[str, Any] = _without_nan(found)
    return known


def _method(comparison: Comparison, method: Method) -> dict[str, Any]:
    found, states = comparison.scores(method.name), comparison.states[method.name]
    cost = comparison.costs.get(method.loss_name)
    return {
        **asdict(method),
        "seeds": sorted(states),
        "scores": {key: {"by_seed": v.tolist(), **asdict(mean_interval(v)[0])} for key, v in found.items()},
        "step_ms": comparison.step_ms(method.name),
        "train_seconds": [states[seed].seconds for seed in sorted(states)],
        "loss_alone": None if cost is None else asdict(cost),
        "curves": {str(seed): {"step": s.steps, **(s.curves or {})} for seed, s in sorted(states.items())},
    }


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_json(path: Path, comparison: Comparison) -> None:
    """Writes ``results.json``."""
    with whole_file(path) as part:
        part.write_text(json.dumps(to_dict(comparison), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def write_markdown(path: Path, comparison: Comparison) -> None:
    """Writes the tables: scores, differences and costs."""
    plan, heads = comparison.plan, [metric.label for metric in METRICS]
    lines = [
        "# Losses compared",
        "",
        f"{len(plan.methods())} methods, {len(plan.seed_list)} seeds, {plan.steps} steps each, examined on "
        f"{len(comparison.tiles)} tiles; ranked by {_label(RANKED_BY)}. Mean over seeds ± half of the 95 % t interval.",
        "",
        *_table(["method", "seeds", *heads], (_scores_row(comparison, method) for method in comparison.methods)),
        "",
        "## Differences to the reference",
        "",
        f"Less the reference's score: {TEST}. Of the perimeter ratio its distance from 1 is compared: below 0 is "
        "better there. Each cell: mean, [t interval], {bootstrap interval}, corrected p.",
        "",
        *_table(["method − reference", "seeds", *heads], _difference_rows(comparison)),
        "",
        "## Cost",
        "",
        *_table(
            ["method", "step, ms", "loss alone, ms", "loss keeps, MB", "loss's peak on the GPU, MB"],
            (_cost_row(comparison, method) for method in comparison.methods),
        ),
        "",
        *[f"- **{f.method}, seed {f.seed}, failed**: {f.error}" for f in comparison.failures],
        "",
        f"Made by `{comparison.command}`.",
        *(f"{name.capitalize()}: {value}." for name, value in facts().items()),
    ]
    with whole_file(path) as part:
        part.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _label(key: str) -> str:
    return next(metric.label for metric in METRICS if metric.key == key)


def _table(heads: Sequence[str], rows: Any) -> list[str]:
    every = [heads, ["---"] * len(heads), *rows]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in every]


def _scores_row(comparison: Comparison, method: Method) -> list[str]:
    found = comparison.scores(method.name)
    cells = [score_text(mean_interval(found[metric.key])[0]) for metric in METRICS]
    return [method.name, str(len(comparison.counts[method.name])), *cells]


def score_text(interval: Interval) -> str:
    """A score and half of its interval's width."""
    if math.isnan(interval.mean):
        return "–"
    return f"{interval.mean:.3f}" + ("" if math.isnan(interval.low) else f" ± {interval.mean - interval.low:.3f}")


def _difference_rows(comparison: Comparison) -> list[list[str]]:
    rows: dict[str, list[str]] = {}
    for row in comparison.differences:
        cells = rows.setdefault(row.method, [f"{row.method} − {row.reference}", str(len(row.seeds))])
        t, tiles = row.over_seeds, row.over_tiles
        cells.append(
            f"{t.mean:+.3f} [{t.low:+.3f}, {t.high:+.3f}] {{{tiles.low:+.3f}, {tiles.high:+.3f}}} {p_text(row.p_holm)}"
        )
    return list(rows.values())


def p_text(p: float) -> str:
    """A p value in three decimals, or that it is below them."""
    if math.isnan(p):
        return "p –"
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def _cost_row(comparison: Comparison, method: Method) -> list[str]:
    return [method.name, *cost_texts(comparison.step_ms(method.name), comparison.costs.get(method.loss_name))]


def cost_texts(step: float | None, cost: Cost | None) -> list[str]:
    """Milliseconds of a step and of the loss alone, and megabytes that it keeps and takes at most."""
    alone = [None, None, None] if cost is None else [cost.ms, cost.kept_bytes / 1e6, _megabytes(cost.peak_bytes)]
    return ["–" if value is None else _short(value) for value in [step, *alone]]


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def _megabytes(count: int | None) -> float | None:
    return None if count is None else count / 1e6
