"""The whole of a comparison: train what is missing, count, compare, and write what was found."""

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

from crispmap.compare.cost import Cost, loss_costs
from crispmap.compare.gallery import contested_windows
from crispmap.compare.measure import tiles_of
from crispmap.compare.page import page_of
from crispmap.compare.plan import Plan, Run
from crispmap.compare.results import Comparison, gather, write_json, write_markdown
from crispmap.compare.runner import (
    COST_FILE,
    Train,
    carry_out,
    check_older,
    counts_of,
    model_of,
    state_of,
    written_down,
)
from crispmap.data.regions import find_regions
from crispmap.data.scene import Region
from crispmap.errors import SettingError
from crispmap.fit import build_loss, check_trainer_arguments, fit_regions
from crispmap.report.comparison import write_comparison_page
from crispmap.settings import FitSettings
from crispmap.whole import whole_file

log = logging.getLogger("crispmap")

Ground = tuple[Sequence[Region], Sequence[Region]]


def compare(
    plan: Plan, *, ground: Ground | None = None, train: Train | None = None, command: str = "crispmap compare"
) -> Comparison:
    """Trains every loss on every network with every seed of a plan, and compares them on the validation ground.

    Of one network and seed all start from the same weights and see the same windows in the same light and order: both
    follow from the seed alone. Runs that are finished are not repeated, ones that were interrupted begin anew, and one
    that fails leaves the rest standing. Written to ``plan.out``: ``report.html``, ``results.json``, ``results.md``,
    ``cost.json``, and a folder for each run under ``runs/``.

    Args:
        plan: What is compared.
        ground: Where training windows lie and what the networks are examined on; what the plan's paths say by default.
        train: What makes a run folder of its settings; `crispmap.fit.fit_regions` on that ground by default.
        command: What the page says was called.

    Raises:
        CrispmapError: If plan, losses or data cannot work, before anything is trained; or if no run ended well.
    """
    runs = plan.runs()
    check_trainer_arguments(plan.trainer)
    _check_losses(plan)
    check_older(plan)
    learn, examined = find_regions(plan.settings(runs[0])) if ground is None else ground
    tiles = tiles_of(examined)
    carry_out(plan, tiles, train or partial(_train, ground=(learn, examined)))
    done = [run for run in runs if counts_of(run) is not None]
    if not done:
        state = state_of(runs[0])
        raise SettingError(f"none of {len(runs)} runs ended well; the first: {state.error if state else 'not begun'}")
    costs = _costs(plan, done, learn)
    log.info("comparing %d runs on %d tiles", len(done), len(tiles))
    comparison = gather(plan, [tile.name for tile in tiles], costs, command)
    write_json(plan.out / "results.json", comparison)
    write_markdown(plan.out / "results.md", comparison)
    seed = _shown_seed(done)
    shown = {run.method.name: run for run in done if run.seed == seed}
    windows = contested_windows(shown, comparison.methods, comparison.counts, tiles)
    write_comparison_page(plan.out / "report.html", page_of(comparison, windows))
    return comparison


def _train(settings: FitSettings, ground: Ground) -> None:
    fit_regions(settings, list(ground[0]), list(ground[1]), resume=True)


def _check_losses(plan: Plan) -> None:
    """Builds each loss once, as a run will."""
    for name, named in plan.loss_map.items():
        try:
            build_loss(named.loss)
        except SettingError as error:
            raise SettingError(f"the loss '{name}': {error}") from error


def _shown_seed(done: Sequence[Run]) -> int:
    """The seed that most methods have finished, the first of several."""
    seeds = [run.seed for run in done]
    return max(dict.fromkeys(seeds), key=seeds.count)


def _known_costs(path: Path) -> dict[str, Cost]:
    """Those of the last time; none where the file is missing, torn, or another's."""
    try:
        return {name: Cost(**cost) for name, cost in written_down(path).items()}
    except TypeError:
        return {}


def _costs(plan: Plan, done: Sequence[Run], learn: Sequence[Region]) -> dict[str, Cost]:
    """Of each loss with a finished run: measured together, or as they were the last time, if all are there."""
    path, losses = plan.out / COST_FILE, {run.method.loss_name: run.method.loss for run in done}
    known = _known_costs(path)
    if not set(losses) <= set(known):
        log.info("measuring the cost of the losses")
        data = plan.data
        known = loss_costs(losses, model_of(done[0]), learn, window=data.window, batch_size=data.batch_size)
        with whole_file(path) as part:
            part.write_text(json.dumps({name: asdict(cost) for name, cost in known.items()}) + "\n", encoding="utf-8")
    return {name: known[name] for name in losses}
