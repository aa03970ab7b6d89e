"""The weight policy against its literal truth: one run, never stopped, that follows the weights that were chosen."""

import csv
import errno
import json
import os
import re
import sys
from dataclasses import replace
from unittest.mock import Mock

import pytest
import torch

import crispmap.fit
from crispmap.errors import CrispmapError, InputError, SettingError
from crispmap.fit import fit
from crispmap.losses import BCELoss, BoundaryLoss, IoULoss, MixedLoss
from crispmap.models import load_model
from crispmap.settings import DataSettings, FitSettings, ModelSettings, OptimSettings
from crispmap.task import SegmentationTask
from crispmap.weight_search import __main__ as branch_process
from crispmap.weight_search.branches import Job, one_by_one, side_by_side
from crispmap.weight_search.plan import PolicySettings, Stage, make_plan, weighted
from crispmap.weight_search.search import search_weight
from crispmap.weight_search.tree import Branch, Tree

POLICY = PolicySettings(weights=[0.2, 0.8], from_epoch=1, every_epochs=2)


@pytest.fixture
def settings(tmp_path, two_houses):
    def make(out="run", **changes):
        given = {
            **two_houses,
            "out": tmp_path / out,
            "steps": 8,
            "steps_per_epoch": 2,
            "data": DataSettings(window=32, batch_size=2, workers=0),
            "model": ModelSettings(encoder="mobilenet_v2", decoder_channels=[8, 8, 8, 8, 8]),
            "trainer": {"precision": "32-true", "accelerator": "cpu"},
        }
        return FitSettings(**given | changes)

    return make


def without_seconds(tree):
    return [replace(branch, seconds=0) for branch in tree.branches], tree.path, tree.settings


def states_equal(one, two):
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


# --- the plan


def literal_plan(steps, epoch, first, every, weights):
    """Epoch by epoch: which weights are trained in it, and from which step of the path to which."""
    rows, step, number = [], 0, 0
    while step < steps:
        stop = min(step + epoch, steps)
        stage = 0 if number < first else (1 if first else 0) + (number - first) // every
        rows.append((stage, step, stop, (0.0,) if number < first else tuple(weights)))
        step, number = stop, number + 1
    return rows


@pytest.mark.parametrize(
    ("steps", "epoch", "first", "every"),
    [(80, 10, 3, 2), (77, 10, 3, 2), (50, 10, 0, 5), (21, 10, 2, 30), (9, 1, 8, 1)],
)
def test_stages_are_those_of_an_epoch_by_epoch_walk(settings, steps, epoch, first, every):
    policy = PolicySettings(weights=[0.3, 0.6, 0.9], from_epoch=first, every_epochs=every)
    plan = make_plan(settings(steps=steps, steps_per_epoch=epoch), policy)
    walk = literal_plan(steps, epoch, first, every, policy.weights)
    for stage in plan.stages:
        epochs = [row for row in walk if row[0] == stage.index]
        assert (stage.start, stage.stop) == (epochs[0][1], epochs[-1][2])
        assert {row[3] for row in epochs} == {stage.weights}
    assert len(plan.stages) == walk[-1][0] + 1
    assert plan.steps == steps
    assert plan.cost == sum((stop - start) * len(weights) for _, start, stop, weights in walk)


@pytest.mark.parametrize("name", ["ramp", "constant", "cosine"])
def test_other_policies_cost_as_many_steps(settings, name):
    search = make_plan(settings(steps=31), POLICY)
    other = make_plan(settings(steps=31), replace(POLICY, policy=name))
    assert search.cost == 2 + 2 * 29
    assert other.cost == other.steps == search.cost
    assert all(len(stage.weights) == 1 for stage in other.stages)
    assert all(stage.stop % 2 == 0 for stage in other.stages)


def test_plans_that_cannot_be(settings):
    with pytest.raises(SettingError, match="never begins"):
        make_plan(settings(), replace(POLICY, from_epoch=4))
    for change, says in [
        ({"weights": []}, "each once"),
        ({"weights": [0.1, 0.1]}, "each once"),
        ({"weights": [0.1, 1.5]}, "from 0 to 1"),
        ({"from_epoch": -1}, "at least 0"),
        ({"every_epochs": 0}, "at least 1"),
        ({"final_weight": 0.5}, "belongs to"),
        ({"policy": "ramp", "final_weight": 2}, "from 0 to 1"),
    ]:
        with pytest.raises(SettingError, match=says):
            replace(POLICY, **change)


def test_the_weight_gets_into_the_loss():
    default, ours = crispmap.fit.build_loss(None), crispmap.fit.build_loss(weighted(None, 0.3))
    assert ours.weight == 0.3
    for name in ("boundary", "region", "pixel"):
        assert repr(getattr(ours, name)) == repr(getattr(default, name))
    assert ours.boundary.reduction == default.boundary.reduction
    assert crispmap.fit.build_loss(weighted("crispmap.MixedLoss", 0.7)).weight == 0.7
    with pytest.raises(SettingError, match="the policy sets the weight"):
        weighted({"class_path": "crispmap.MixedLoss", "init_args": {"weight": 0.5}}, 0.3)


# --- the tree


def branch(name, *scores, parent=None):
    rows = [{"step": float(i)} | ({} if score is None else {"iou": score}) for i, score in enumerate(scores)]
    return Branch(name, parent, float(name.split("-")[1]), 0, 1, 1.0, rows)


def test_the_best_where_it_ended_is_chosen():
    stage = Stage(1, 0, 1, (0.1, 0.5, 0.9))
    for ended, chosen in [
        ([(0.9, 0.1), (0.2, 0.3), (0.1, 0.2)], "1-0.5"),  # the first was better once
        ([(0.1,), (0.3,), (0.3,)], "1-0.5"),  # equal ones
        ([(None,), (0.0,), (None,)], "1-0.5"),  # no value
        ([(None,), (None,), (None,)], "1-0.1"),
    ]:
        tree = Tree({}, {}, [branch(name, *scores) for name, scores in zip(stage.names, ended, strict=True)])
        assert tree.choose(stage, "iou").name == chosen
        assert tree.path == [chosen]


def test_branches_stand_in_the_order_of_weights_whichever_ends_first(tmp_path):
    stage = Stage(1, 0, 1, (0.1, 0.5, 0.9))
    for ended in [(0, 1, 2), (2, 1, 0), (1, 2, 0), (2, 0, 1)]:
        tree = Tree({"a": 1}, {}, [branch("0-0.0", 0.5)], ["0-0.0"])
        for i in ended:
            tree.add(branch(stage.names[i], 0.1, parent="0-0.0"), stage.names)
        assert tree.names == ["0-0.0", *stage.names]
        tree.save(tmp_path / "tree.json")
        assert Tree.load(tmp_path / "tree.json") == tree


def test_records_that_are_none(tmp_path):
    for content in ["", "{", "[]", '{"settings": {}, "versions": {}, "branches": [{"name": 1}], "path": []}']:
        (tmp_path / "search.json").write_text(content)
        with pytest.raises(InputError, match="no record of a weight search"):
            Tree.load(tmp_path / "search.json")


# --- training


class Following:
    """The weights of a path, as a schedule of a run that is never stopped."""

    def __init__(self, tree, steps):
        self.branches, self.steps = [tree[name] for name in tree.path], steps

    def __call__(self, progress):
        step = round(progress * self.steps)
        return next((b.weight for b in self.branches if b.start <= step < b.stop), self.branches[-1].weight)


def test_the_chosen_path_is_a_run_that_was_never_stopped(settings, monkeypatch):
    given = settings(model=ModelSettings(encoder="mit_b0"), steps=7)  # which drops paths at random; batch statistics
    result = search_weight(given, POLICY)
    schedule = Following(result.tree, 7)
    loss = MixedLoss(BoundaryLoss(reduction="batch"), IoULoss(), BCELoss(), weight=schedule)
    monkeypatch.setattr(crispmap.fit, "build_loss", lambda _: loss)
    straight = fit(replace(given, out=given.out.with_name("straight")))
    last = given.out / "branches" / result.tree.path[-1] / "checkpoints" / "last.ckpt"
    one, two = (torch.load(path, weights_only=True) for path in (straight.run / "checkpoints" / "last.ckpt", last))
    assert one["global_step"] == two["global_step"] == 7
    assert states_equal(one["state_dict"], two["state_dict"])
    assert one["lr_schedulers"] == two["lr_schedulers"]
    moments = [ckpt["optimizer_states"][0]["state"] for ckpt in (one, two)]
    assert all(states_equal(moments[0][i], moments[1][i]) for i in moments[0])
    rows = [row for name in result.tree.path for row in result.tree[name].validations]
    assert rows == [pytest.approx(row) for row in crispmap.fit.validations(straight.run)]


@pytest.mark.usefixtures("plain_network")
@pytest.mark.parametrize("name", ["ramp", "constant"])
def test_a_schedule_in_stages_is_the_run_of_fit(settings, name):
    given = settings(steps=5)
    result = search_weight(given, replace(POLICY, policy=name, final_weight=0.6))
    schedule = {"ramp": ("RampWeight", "to"), "constant": ("ConstantWeight", "value")}
    kind, argument = schedule[name]
    loss = weighted(None, {"class_path": f"crispmap.{kind}", "init_args": {argument: 0.6}})
    straight = fit(replace(given, out=given.out.with_name("straight"), steps=2 + 2 * 3, loss=loss))
    assert result.tree.cost["steps"] == 8
    assert result.metrics == straight.metrics
    assert states_equal(load_model(given.out).state_dict(), load_model(straight.run).state_dict())


@pytest.mark.usefixtures("plain_network")
@pytest.mark.parametrize("metric", ["iou", "boundary_f1"])
def test_what_is_chosen_and_kept(settings, metric):
    given = settings()
    policy = replace(POLICY, metric=metric)
    result = search_weight(given, policy)

    def logged(name):
        with (given.out / "branches" / name / "metrics.csv").open() as file:
            return [float(row[f"val/{metric}"]) for row in csv.DictReader(file) if row[f"val/{metric}"]]

    tree = result.tree
    assert tree.names == ["0-0.0", "1-0.2", "1-0.8", "2-0.2", "2-0.8"]
    assert [tree[name].parent for name in tree.names] == [None, "0-0.0", "0-0.0", tree.path[1], tree.path[1]]
    for i in (1, 2):
        other = f"{i}-0.8" if tree.path[i] == f"{i}-0.2" else f"{i}-0.2"
        assert logged(tree.path[i])[-1] >= logged(other)[-1]
    best = max(value for name in tree.path for value in logged(name))
    assert result.metrics[metric] == best
    spec = load_model(given.out).spec
    assert spec.training["metrics"] == result.metrics
    assert [step["weight"] for step in spec.training["search"]["path"]] == [tree[name].weight for name in tree.path]
    assert tree.cost["steps"] == make_plan(given, policy).cost == 2 + 2 * 6


@pytest.mark.usefixtures("plain_network")
def test_siblings_see_the_same_samples_and_losers_leave_no_weights(settings, monkeypatch):
    seen = []
    step = SegmentationTask.training_step

    def recording(task, batch, batch_idx):
        seen.append((task.global_step, task.loss.weight, float(batch["image"].double().sum())))
        return step(task, batch, batch_idx)

    monkeypatch.setattr(SegmentationTask, "training_step", recording)
    given = settings()
    result = search_weight(given, POLICY)
    assert len(seen) == 14
    sums = {}
    for number, _, total in seen:
        sums.setdefault(number, set()).add(total)
    assert sorted(sums) == list(range(8))
    assert all(len(totals) == 1 for totals in sums.values())
    assert len({next(iter(totals)) for totals in sums.values()}) == 8
    for name in result.tree.names:
        folder = given.out / "branches" / name
        assert (folder / "model.pt").exists() == (name in result.tree.path)
        assert (folder / "checkpoints").exists() == (name == result.tree.path[-1])


class Stopped(BaseException):
    """As a signal would."""


@pytest.mark.usefixtures("plain_network")
@pytest.mark.parametrize("stops", [[1], [5, 3, 6]])  # after so many steps of each try
def test_stopped_and_started_again_it_ends_alike(settings, monkeypatch, stops):
    undisturbed = search_weight(settings("undisturbed"), POLICY)
    step = SegmentationTask.training_step
    for stop in stops:
        left = iter(range(stop))

        def stopping(task, batch, batch_idx, left=left):
            if next(left, None) is None:
                raise Stopped
            return step(task, batch, batch_idx)

        monkeypatch.setattr(SegmentationTask, "training_step", stopping)
        with pytest.raises(Stopped):
            search_weight(settings(), POLICY)
    monkeypatch.setattr(SegmentationTask, "training_step", step)
    counted = _counting(one_by_one)
    monkeypatch.setattr("crispmap.weight_search.search.one_by_one", counted)
    result = search_weight(settings(), POLICY)
    trained = sum(counted.jobs)
    assert trained == (5 if stops == [1] else 3)  # what had ended is not trained again
    assert without_seconds(result.tree) == without_seconds(undisturbed.tree)
    assert states_equal(load_model(result.run).state_dict(), load_model(undisturbed.run).state_dict())
    again = search_weight(settings(), POLICY)  # it is done: nothing is trained
    assert sum(counted.jobs) == trained
    assert again == result


def _counting(function):
    def call(jobs, *rest):
        call.jobs.append(len(jobs))
        return function(jobs, *rest)

    call.jobs = []
    return call


@pytest.mark.long
def test_side_by_side_it_ends_alike(settings, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", str(torch.get_num_threads()))  # sums differ in the last bit with threads
    alone = search_weight(settings("alone", steps=4), POLICY)
    together = search_weight(settings(steps=4), POLICY, devices=2)
    assert without_seconds(together.tree) == without_seconds(alone.tree)
    assert states_equal(load_model(together.run).state_dict(), load_model(alone.run).state_dict())
    assert "step 2 of 2" in (together.run / "branches" / "0-0.0.log").read_text()


def test_a_branch_that_fails_beside_others_says_why(settings):
    with pytest.raises(CrispmapError, match=r"branch 0-0\.0: .*nonsense"):
        search_weight(settings(model=ModelSettings(encoder="nonsense")), POLICY, devices=2)


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (SettingError("a mistake\nin two lines"), "a mistake in two lines"),
        (OSError(errno.ENOSPC, "No space left on device", "last.ckpt"), "the disk or a quota is full"),
        (OSError(errno.EACCES, "Permission denied", "last.ckpt"), "Permission denied: 'last.ckpt'"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), "give a smaller --data.batch_size"),
        (MemoryError(), "out of memory"),
    ],
)
def test_what_the_user_has_to_mend_of_a_branch_is_a_line(settings, monkeypatch, error, says):
    monkeypatch.setattr(branch_process, "find_regions", Mock(side_effect=error))
    line = branch_process.train(Job("1-0.2", settings(), None, 2, "iou"))
    assert says in line
    assert "\n" not in line


def test_bugs_in_a_branch_are_raised(settings, monkeypatch):
    monkeypatch.setattr(branch_process, "find_regions", Mock(side_effect=RuntimeError("shapes do not fit")))
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        branch_process.train(Job("1-0.2", settings(), None, 2, "iou"))


@pytest.mark.skipif(os.name == "nt", reason="scripts of the shell")
@pytest.mark.parametrize(
    ("script", "kind", "says"),
    [
        ("kill -9 $$", CrispmapError, "branch 0-0.0 was killed by signal 9"),
        ("echo noise >&2; echo the disk is full; exit 2", CrispmapError, "branch 0-0.0: the disk is full"),
        ("echo the disk is full; exit 120", CrispmapError, "branch 0-0.0: the disk is full"),  # its log could not end
        ("echo a bug >&2; exit 1", RuntimeError, "ended with status 1 (a bug); see "),
    ],
)
def test_how_a_branch_beside_others_ended_is_told(settings, monkeypatch, tmp_path, script, kind, says):
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(program))
    with pytest.raises(kind, match=re.escape(says)):
        list(side_by_side([Job("0-0.0", settings(), None, 2, "iou")], 2))


@pytest.mark.usefixtures("plain_network")
def test_what_cannot_be_searched(settings):
    with pytest.raises(SettingError, match="--devices is 0"):
        search_weight(settings(), POLICY, devices=0)
    with pytest.raises(SettingError, match="patience"):
        search_weight(settings(optim=OptimSettings(patience=2)), POLICY)
    with pytest.raises(SettingError, match=r"--trainer\.devices"):
        search_weight(settings(trainer={"devices": 2}), POLICY)
    with pytest.raises(SettingError, match="no boundary weight"):
        search_weight(settings(loss="crispmap.DiceLoss"), POLICY)
    assert not settings().out.exists()
    seldom = {"accelerator": "cpu", "check_val_every_n_epoch": 2}
    with pytest.raises(SettingError, match="equal length"):
        search_weight(settings(steps=10, trainer=seldom), replace(POLICY, from_epoch=2, every_epochs=3))


@pytest.mark.usefixtures("plain_network")
def test_another_search_is_not_gone_on_with(settings):
    search_weight(settings(steps=3), POLICY)
    content = json.loads((settings().out / "search.json").read_text())
    with pytest.raises(SettingError, match=r"other settings \(steps, search\)"):
        search_weight(settings(steps=4), replace(POLICY, weights=[0.3]))
    assert json.loads((settings().out / "search.json").read_text()) == content


def test_a_run_that_starts_from_another_trains_all_of_it(settings):
    fit(settings("first", steps=1))
    fit(settings("second", init=settings("first").out, steps=1))
    one, two = (load_model(settings(name).out).state_dict() for name in ("first", "second"))
    moved = [name for name in one if "running_mean" in name and not torch.equal(one[name], two[name])]
    assert moved  # batch normalisation is in training mode, too
