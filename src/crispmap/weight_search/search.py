"""The controller: trains the stages of a plan, chooses, and can be stopped and started again at any moment."""

import json
import logging
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from math import isfinite
from pathlib import Path
from typing import Any

from crispmap import __version__
from crispmap.data.regions import find_regions
from crispmap.errors import SettingError
from crispmap.export.stac import write_item
from crispmap.export.stac_model import model_item
from crispmap.fit import build_loss, check_trainer_arguments
from crispmap.losses import MixedLoss
from crispmap.models import load_model
from crispmap.run import MODEL_FILE, MODEL_ITEM_FILE, validations
from crispmap.settings import FitSettings
from crispmap.weight_search.branches import Ground, Job, one_by_one, side_by_side
from crispmap.weight_search.plan import Plan, PolicySettings, Stage, make_plan, weighted
from crispmap.weight_search.tree import Branch, Tree
from crispmap.whole import clear, whole_file

log = logging.getLogger("crispmap")

TREE_FILE = "search.json"
PARTS = (TREE_FILE, MODEL_FILE, MODEL_ITEM_FILE, "branches")


@dataclass(frozen=True)
class SearchResult:
    """What came of a search.

    Attributes:
        run: Its folder.
        tree: All branches, the chosen path, and the cost.
        metrics: Step and validation metrics of the model that was kept.
    """

    run: Path
    tree: Tree
    metrics: dict[str, float]


def search_weight(settings: FitSettings, policy: PolicySettings, *, devices: int = 1) -> SearchResult:
    """Trains under a weight policy, and leaves a model as `crispmap.fit.fit` does.

    With ``policy.policy`` "search", this is the policy of Bokhovkin & Burnaev 2019: from an epoch on, every so many
    epochs, the run is branched for each of several weights of the boundary loss, and the branch goes on that does best
    on validation where it ends. All branches of a stage begin with the same weights, optimiser and position, and see
    the same samples. The other policies train for as many steps as the search would, along a schedule.

    Written to ``settings.out``: ``search.json`` (the tree, its cost, the chosen path; renewed after every branch),
    ``branches/`` (a run folder for each), ``model.pt`` (of the best validation along the chosen path) and
    ``model.stac.json`` (the same in words). Called again with the same settings, it goes on from what is there; a
    branch that was under way begins anew.

    *Convention.* A branch is judged by its last validation, from whose state the next would go on; of equal ones, the
    first in the order of the weights is kept. A metric without a value (NaN) is worse than any.

    Args:
        settings: Of training; ``steps`` is the length of the search's chosen path.
        policy: How the weight is chosen.
        devices: How many branches are trained side by side, each in a process and on a device of its own.

    Raises:
        CrispmapError: If settings or data cannot work, or if another search is in the folder.
    """
    plan = make_plan(settings, policy)
    _check(settings, plan, devices)
    out = settings.out
    tree = _begin_or_go_on(out, settings, policy)
    ground: Ground | None = None
    log.info("%d stages, %d steps in all for a path of %d", len(plan.stages), plan.cost, plan.steps)
    for stage in plan.stages[len(tree.path) :]:
        if ground is None and devices == 1:
            ground = find_regions(settings)
        parent = tree.path[-1] if tree.path else None
        jobs = [job for job in _jobs(settings, policy, plan, stage, parent) if job.name not in tree.names]
        for job, seconds in one_by_one(jobs, ground) if ground is not None else side_by_side(jobs, devices):
            tree.add(_ended(job, stage, parent, seconds), stage.names)
            tree.save(out / TREE_FILE)
            score = tree[job.name].score(policy.metric)
            log.info("branch %s, to step %d: %s %.3f, %.0f s", job.name, job.stop, policy.metric, score, seconds)
        chosen = tree.choose(stage, policy.metric)
        tree.save(out / TREE_FILE)
        if len(stage.weights) > 1:
            log.info("stage %d of %d: w = %s goes on", stage.index + 1, len(plan.stages), chosen.weight)
        _clear_losers(out, tree)
    return SearchResult(out, tree, _keep_best(out, tree, policy.metric))


def _check(settings: FitSettings, plan: Plan, devices: int) -> None:
    if devices < 1:
        raise SettingError(f"--devices is {devices}; it must be at least 1")
    if settings.optim.patience is not None:
        raise SettingError(
            "--optim.patience would end branches early, and they are compared at equal length; leave it out"
        )
    if "devices" in settings.trainer:
        raise SettingError(
            "--trainer.devices is not for a search; a branch takes one device, --devices takes many branches"
        )
    check_trainer_arguments(settings.trainer)
    loss = build_loss(settings.loss)
    if not isinstance(loss, MixedLoss):
        raise SettingError(f"{type(loss).__name__} has no boundary weight to search for; use crispmap.MixedLoss")
    for stage in plan.stages:
        for weight in stage.weights:
            build_loss(weighted(settings.loss, weight))


def _begin_or_go_on(out: Path, settings: FitSettings, policy: PolicySettings) -> Tree:
    plain = {name: value for name, value in settings.plain().items() if name != "out"}
    given: dict[str, Any] = json.loads(json.dumps(plain | {"search": asdict(policy)}))
    versions = {"crispmap": __version__, "torch": version("torch"), "lightning": version("lightning")}
    if not (out / TREE_FILE).exists():
        tree = Tree(given, versions)
        tree.save(out / TREE_FILE)  # by which the same command knows that what is in the folder is its own
        return tree
    tree = Tree.load(out / TREE_FILE)
    changed = [name for name in given | tree.settings if given.get(name) != tree.settings.get(name)]
    if changed:
        raise SettingError(
            f"{out} holds a search with other settings ({', '.join(changed)}); repeat its command to go on with it, or "
            "give another --out or --overwrite"
        )
    _clear_losers(out, tree)
    return tree


def _jobs(settings: FitSettings, policy: PolicySettings, plan: Plan, stage: Stage, parent: str | None) -> Iterator[Job]:
    for name, weight in zip(stage.names, stage.weights, strict=True):
        branch = replace(
            settings,
            out=_folder(settings.out, name),
            steps=plan.steps,
            steps_per_epoch=plan.epoch,
            loss=weighted(settings.loss, weight),
            trainer={"devices": 1} | settings.trainer,
        )
        start = _folder(settings.out, parent) / "checkpoints" / "last.ckpt" if parent is not None else None
        yield Job(name, branch, start, stage.stop, policy.metric)


def _ended(job: Job, stage: Stage, parent: str | None, seconds: float) -> Branch:
    logged = validations(job.settings.out)
    rows = [{name: value for name, value in row.items() if isfinite(value)} for row in logged]
    if rows[-1]["step"] != stage.stop:
        raise SettingError(
            f"branch {job.name} ended at step {rows[-1]['step']:.0f} instead of {stage.stop}, and branches are "
            "compared at equal length; leave out what changes that among --trainer.*"
        )
    weight = stage.weights[stage.names.index(job.name)]
    return Branch(job.name, parent, weight, stage.start, stage.stop, round(seconds, 1), rows)


def _folder(out: Path, name: str) -> Path:
    return out / "branches" / name


def _clear_losers(out: Path, tree: Tree) -> None:
    """Of branches that were decided on, leaves only what is still needed: weights take much room."""
    decided = {branch.name.partition("-")[0] for branch in map(tree.__getitem__, tree.path)}
    for branch in tree.branches:
        if branch.name.partition("-")[0] not in decided:
            continue
        if branch.name not in tree.path:
            clear(_folder(out, branch.name), [MODEL_FILE, "checkpoints"])
        elif branch.name != tree.path[-1]:
            clear(_folder(out, branch.name), ["checkpoints"])


def _keep_best(out: Path, tree: Tree, metric: str) -> dict[str, float]:
    """Writes the model of the best validation along the path, and its item; its step and metrics."""
    best = max((tree[name] for name in tree.path), key=lambda branch: branch.best(metric))
    model = load_model(_folder(out, best.name))
    steps = [{"name": name, "weight": tree[name].weight, "stop": tree[name].stop} for name in tree.path]
    search = {"policy": tree.settings["search"], "path": steps, "cost": tree.cost}
    model.spec = replace(model.spec, training=model.spec.training | {"search": search})
    write_item(model_item(model, out / MODEL_FILE, out), out / MODEL_ITEM_FILE)
    with whole_file(out / MODEL_FILE) as path:
        model.save(path)
    metrics: dict[str, float] = model.spec.training["metrics"]
    return metrics
