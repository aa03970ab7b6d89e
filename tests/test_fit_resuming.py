"""A run that was stopped and goes on ends as the one that never was: weights, metrics and logs."""

import csv
import signal
import subprocess
import sys
import time
from dataclasses import replace
from platform import node

import pytest
import torch

from crispmap.cli import main
from crispmap.fit import fit
from crispmap.models import load_model
from crispmap.run import unfinished
from crispmap.settings import DataSettings, FitSettings, ModelSettings
from crispmap.task import SegmentationTask


class Stopped(BaseException):
    """As a signal would."""


@pytest.fixture
def settings(tmp_path, two_houses):
    def make(out, **changes):
        given = {
            **two_houses,
            "out": tmp_path / out,
            "steps": 8,
            "steps_per_epoch": 3,
            "data": DataSettings(window=32, batch_size=2, workers=0),
            "model": ModelSettings(encoder="mobilenet_v2", decoder_channels=[8] * 5),
            "trainer": {"precision": "32-true", "accelerator": "cpu", "log_every_n_steps": 1},
        }
        return FitSettings(**given | changes)

    return make


def weights(file):
    content = torch.load(file, weights_only=True)
    return content["state_dict"]


def logged(run):
    with (run / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def alike(one, other):
    for file in ("model.pt", "checkpoints/last.ckpt", "checkpoints/best.ckpt"):
        a, b = weights(one.run / file), weights(other.run / file)
        assert a.keys() == b.keys()
        assert all(torch.equal(a[name], b[name]) for name in a), file
    assert logged(one.run) == logged(other.run)
    assert one.metrics == other.metrics


def stop_after(monkeypatch, calls, method):
    """Has a method of the task fail as if the process ended, after so many calls; undone by undoing the patch."""
    original, left = getattr(SegmentationTask, method), iter(range(calls))

    def stopping(task, *arguments):
        if next(left, None) is None:
            raise Stopped
        return original(task, *arguments)

    monkeypatch.setattr(SegmentationTask, method, stopping)


@pytest.mark.usefixtures("plain_network")
@pytest.mark.parametrize(
    "stops",
    [
        [("training_step", 2)],  # before the first validation: it begins anew
        [("training_step", 5), ("training_step", 1), ("validation_step", 1)],
        [("on_save_checkpoint", 3)],  # while the second validation's checkpoints are written
    ],
)
def test_weights_metrics_and_logs_are_those_of_a_run_that_was_never_stopped(settings, monkeypatch, stops):
    whole = fit(settings("whole"))
    for method, calls in stops:
        with monkeypatch.context() as patch:
            stop_after(patch, calls, method)
            with pytest.raises(Stopped):
                fit(settings("run"), resume=True)
        assert unfinished(settings("run"))
    alike(fit(settings("run"), resume=True), whole)
    assert not unfinished(settings("run"))


@pytest.mark.usefixtures("plain_network")
def test_only_steps_after_the_last_validation_are_repeated(settings, monkeypatch):
    done = []
    step = SegmentationTask.training_step
    monkeypatch.setattr(SegmentationTask, "training_step", lambda *a: (done.append(a[0].global_step), step(*a))[1])
    with monkeypatch.context() as patch:
        stop_after(patch, 5, "training_step")
        with pytest.raises(Stopped):
            fit(settings("run"), resume=True)
    left_behind = settings("run").out / f"checkpoints/.last.ckpt.{node()}.999999999.part"
    left_behind.mkdir()  # as a kill does right after the renaming
    workers = replace(settings("run").data, workers=1)
    assert unfinished(settings("run", data=workers))  # a window is the same whoever reads it
    assert not unfinished(settings("run", steps=9))
    fit(settings("run"), resume=True)
    assert done == [0, 1, 2, 3, 4, 3, 4, 5, 6, 7]
    assert not left_behind.exists()


@pytest.mark.usefixtures("plain_network")
@pytest.mark.parametrize(("seed", "resume"), [(0, False), (1, True)])
def test_other_settings_or_none_asked_begin_anew(settings, monkeypatch, seed, resume):
    with monkeypatch.context() as patch:
        stop_after(patch, 3, "training_step")
        with pytest.raises(Stopped):
            fit(settings("run", steps=4, steps_per_epoch=2))
    fit(settings("run", seed=seed, steps=4, steps_per_epoch=2), resume=resume)
    assert [int(row["step"]) for row in logged(settings("run").out) if row["train/loss"]] == [0, 1, 2, 3]


@pytest.fixture
def best_at_first(monkeypatch):
    """Each validation is worse than the one before, so that the best checkpoint is of the first."""

    def falling(task):
        scores = {"val/boundary_f1": 0.5, "val/perimeter_ratio": 1.0}
        task.log_dict({"val/iou": 1 / (1 + task.global_step)} | scores)

    monkeypatch.setattr(SegmentationTask, "on_validation_epoch_end", falling)


@pytest.mark.usefixtures("plain_network", "best_at_first")
def test_a_run_that_was_moved_remembers_its_best_checkpoint(settings, monkeypatch):
    whole = fit(settings("whole"))
    assert whole.metrics["step"] == 3
    with monkeypatch.context() as patch:
        stop_after(patch, 5, "training_step")
        with pytest.raises(Stopped):
            fit(settings("here"), resume=True)
    settings("here").out.rename(settings("there").out)
    alike(fit(settings("there"), resume=True), whole)
    assert not settings("here").out.exists()


@pytest.mark.usefixtures("plain_network", "best_at_first")
@pytest.mark.parametrize(("length", "left"), [(0, []), (-9, [0, 1, 2])])  # of the table: all is lost, or a validation
def test_what_a_table_has_lost_does_not_keep_a_run_from_its_end(settings, monkeypatch, length, left):
    with monkeypatch.context() as patch:
        stop_after(patch, 4, "training_step")
        with pytest.raises(Stopped):
            fit(settings("run"), resume=True)
    table = settings("run").out / "metrics.csv"
    table.write_bytes(table.read_bytes()[:length])
    result = fit(settings("run"), resume=True)
    assert (result.metrics["step"], result.metrics["iou"]) == (3, pytest.approx(0.25))
    assert load_model(result.run).spec.training["metrics"] == result.metrics
    assert (result.run / "model.stac.json").exists()
    assert [int(row["step"]) for row in logged(result.run) if row["train/loss"]] == [*left, 3, 4, 5, 6, 7]


def test_killed_for_real_the_same_command_goes_on(settings, tmp_path, capsys):
    whole = settings("whole", steps=6, steps_per_epoch=2)
    fit(whole)
    config = whole.out / "config.yaml"
    command = ["fit", "--config", str(config), "--out", str(tmp_path / "run")]
    code = f"import sys; from crispmap.cli import main; sys.exit(main({command!r}))"
    child = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 60
        while not (tmp_path / "run/checkpoints/last.ckpt").exists():
            assert time.monotonic() < end
            assert child.poll() is None, "it ended before it could be killed"
            time.sleep(0.005)
        child.send_signal(signal.SIGKILL)
    finally:
        child.kill()
        child.wait()
    if not (tmp_path / "run/model.pt").exists():
        assert main(command) == 0
        assert "going on from step" in capsys.readouterr().err
    assert logged(tmp_path / "run") == logged(whole.out)
    a, b = weights(tmp_path / "run/model.pt"), weights(whole.out / "model.pt")
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert main(command) == 2  # it is finished: nothing is replaced
    assert "exists already" in capsys.readouterr().err
