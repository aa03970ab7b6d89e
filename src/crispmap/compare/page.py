"""What a comparison found, laid out for its page."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from crispmap.compare.gallery import TOLERANCE
from crispmap.compare.measure import METRICS, RANKED_BY
from crispmap.compare.plan import Method, Plan
from crispmap.compare.results import Comparison, cost_texts, facts, p_text
from crispmap.compare.runner import State
from crispmap.compare.statistics import DRAWS, ENOUGH, TEST, Difference, mean_interval
from crispmap.report import Chart, Curve, MethodResult, Metric
from crispmap.report.comparison import (
    ComparisonPage,
    Contest,
    ContestedWindow,
    Estimate,
    RankedMethod,
    ScoreCell,
)
from crispmap.report.table import row

COSTS = (
    ("a step, ms", "median time from the end of a step to that of the next in the runs, loading and network included"),
    ("loss alone, ms", "a forward and a backward pass on the logits of one batch, median of passes taken in turns"),
    ("loss keeps, MB", "what autograd keeps of the loss between the two passes, beside logits and labels"),
    ("peak on the GPU, MB", "by how much one forward and backward pass of the loss raises the memory in use"),
)
_JAGGED = 1.5  # perimeter ratio, as the guard against jagged masks has it
_FEW_TILES = 10
_CURVES = {
    "iou": "IoU",
    "boundary_f1": "Boundary F1, convention pixels, 2 px",
    "perimeter_ratio": "Perimeter ratio",
}


def page_of(comparison: Comparison, windows: Sequence[ContestedWindow]) -> ComparisonPage:
    """Everything that the page shows.

    Args:
        comparison: What was found; at least one method of it has a finished run.
        windows: Where methods differ most.
    """
    plan = comparison.plan
    return ComparisonPage(
        title=f"{len(plan.loss_map)} losses compared",
        lead=_lead(comparison),
        facts=_facts(comparison),
        metrics=METRICS,
        ranked_by=_metric(RANKED_BY).label,
        methods=_ranking(comparison),
        contests=_contests(comparison),
        legend=(
            "95 % interval over seeds, paired t test: training once more on this ground",
            f"95 % interval over seeds and tiles, {DRAWS:,} bootstrap draws: other ground too",
        ),
        charts=_charts(comparison),
        costs=COSTS if _on_gpu(comparison) else COSTS[:-1],
        tolerance=TOLERANCE,
        windows=windows,
        failures=[(f"{failure.method}, seed {failure.seed}", failure.error) for failure in comparison.failures],
        notes=_notes(comparison),
        made=[("Command", comparison.command), *((name.capitalize(), value) for name, value in facts().items())],
    )


def _metric(key: str) -> Metric:
    return next(metric for metric in METRICS if metric.key == key)


def _lead(comparison: Comparison) -> str:
    plan, best = comparison.plan, comparison.methods[0]
    seeds = len(plan.seed_list)
    start = (
        f"{len(plan.methods())} ways to train, {seeds} {'seed' if seeds == 1 else 'seeds'} each, {plan.steps} steps "
        "each. Of one seed all start from the same weights and see the same windows in the same light and order; only "
        f"the loss differs{' and the network' if len(plan.network_map) > 1 else ''}. "
    )
    label = _metric(RANKED_BY).label
    ratio = float(comparison.scores(best.name)["perimeter_ratio"].mean())
    jagged = f" Its outlines, however, are {ratio:.1f} times as long as the true ones." if ratio > _JAGGED else ""
    if best.loss_name == plan.reference_loss:
        return start + f"By {label}, the reference, {best.name}, comes first.{jagged}"
    ahead = [d for d in comparison.differences if d.method == best.name and d.metric == RANKED_BY]
    if not ahead:
        return start + f"By {label}, {best.name} comes first.{jagged}"
    t = ahead[0].over_seeds
    interval = "" if math.isnan(t.low) else f", 95 % interval {t.low:+.3f} to {t.high:+.3f}".replace("-", "−")
    by = f"{t.mean:+.3f}".replace("-", "−")
    against = f"{by} against {ahead[0].reference}{interval}, {p_text(ahead[0].p_holm)}"
    return start + f"By {label}, {best.name} comes first: {against}.{jagged}"


def _facts(comparison: Comparison) -> list[tuple[str, str]]:
    plan = comparison.plan
    found = [
        ("imagery to learn from", _place(plan.images)),
        ("labels", "its own" if plan.labels is None else _place(plan.labels)),
        ("examined on", _examined_on(plan)),
        ("tiles", f"{len(comparison.tiles):,}"),
        (
            "networks",
            ", ".join(plan.network_map) + (f", {plan.model.weights}" if plan.model.weights else ", from scratch"),
        ),
        ("seeds", ", ".join(map(str, plan.seed_list))),
        ("steps", f"{plan.steps:,} of {plan.data.batch_size} windows of {plan.data.window}² px"),
        ("reference", plan.reference_loss),
    ]
    if plan.resolution is not None:
        found.append(("ground resolution", f"{plan.resolution:g} m"))
    if plan.scale != 1:
        found.append(("scale", f"{plan.scale:g}"))
    return found


def _place(path: Path) -> str:
    """A folder with the one it lies in: many are called "images"."""
    return "/".join(path.parts[-2:])


def _examined_on(plan: Plan) -> str:
    if plan.dataset is not None:
        return "the data set's own split"
    return _place(plan.val_images) if plan.val_images else "a part of the ground, kept for it"


def _ranking(comparison: Comparison) -> list[RankedMethod]:
    numbers = {method.name: i for i, method in enumerate(comparison.plan.methods())}
    every = {method.name: comparison.scores(method.name) for method in comparison.methods}
    means = [
        MethodResult(name, "", {key: float(values.mean()) for key, values in found.items()})
        for name, found in every.items()
    ]
    rows = [row(metric, means) for metric in METRICS]
    ranked = []
    for i, method in enumerate(comparison.methods):
        spreads = [mean_interval(every[method.name][metric.key])[0] for metric in METRICS]
        cells = [
            ScoreCell(
                each.cells[i].text,
                "" if math.isnan(spread.low) else f"± {spread.mean - spread.low:.3f}",
                each.cells[i].best,
            )
            for each, spread in zip(rows, spreads, strict=True)
        ]
        costs = cost_texts(comparison.step_ms(method.name), comparison.costs.get(method.loss_name))
        ranked.append(
            RankedMethod(
                method.name,
                numbers[method.name],
                method.description,
                len(comparison.counts[method.name]),
                cells,
                costs if _on_gpu(comparison) else costs[:-1],
                method.loss_name == comparison.plan.reference_loss,
            )
        )
    return ranked


def _on_gpu(comparison: Comparison) -> bool:
    return any(cost.peak_bytes is not None for cost in comparison.costs.values())


def _contests(comparison: Comparison) -> list[Contest]:
    order = [method.name for method in comparison.methods]
    contests = []
    for metric in METRICS:
        rows = [each for each in comparison.differences if each.metric == metric.key]
        if not rows:
            continue
        nearest = metric.best == "nearest 1"
        contests.append(
            Contest(
                f"{metric.label}: distance from 1" if nearest else metric.label,
                "|ratio − 1| of a method less that of the reference"
                if nearest
                else "a method's score less the reference's",
                not nearest,
                [_estimate(each) for each in sorted(rows, key=lambda each: order.index(each.method))],
            )
        )
    return contests


def _estimate(difference: Difference) -> Estimate:
    t, tiles = difference.over_seeds, difference.over_tiles
    return Estimate(difference.method, t.mean, (t.low, t.high), (tiles.low, tiles.high), p_text(difference.p_holm))


def _charts(comparison: Comparison) -> list[Chart]:
    methods = [method for method in comparison.plan.methods() if method.name in comparison.states]
    charts = [
        Chart(title, [_curve(method, list(comparison.states[method.name].values()), key) for method in methods])
        for key, title in _CURVES.items()
    ]
    return charts if any(len(curve.x) > 1 for curve in charts[0].curves) else []


def _curve(method: Method, states: Sequence[State], key: str) -> Curve:
    """The mean over seeds at the steps that are known of all of them: a failing disk may have torn a run's table."""
    curves = [dict(zip(state.steps, (state.curves or {}).get(key, ()), strict=False)) for state in states]
    steps = [step for step in curves[0] if all(step in curve for curve in curves)]
    return Curve(method.name, steps, [float(np.mean([curve[step] for curve in curves])) for step in steps])


def _notes(comparison: Comparison) -> list[str]:
    plan, seeds = comparison.plan, min(len(found) for found in comparison.counts.values())
    notes = [
        f"Test: {TEST}.",
        "Scored are the last weights of every run, so that nothing was chosen on the tiles that are reported. Whoever "
        "chooses a loss or its settings on them, however, needs other ground to report it on.",
    ]
    if seeds < ENOUGH:
        notes.append(
            f"Some methods have {seeds} finished {'run' if seeds == 1 else 'runs'}: with fewer than {ENOUGH} seeds "
            "intervals are rough, and with one there are none over seeds."
        )
    if (tiles := len(comparison.tiles)) < _FEW_TILES:
        notes.append(
            f"There {'is one tile' if tiles == 1 else f'are {tiles} tiles'}: too few for the bootstrap to say much of "
            "other ground. More validation imagery would help."
        )
    if plan.val_images is None:
        notes.append(
            "No validation imagery was given: the tiles are a part of the ground, parted from the rest by one cut."
        )
    return notes
