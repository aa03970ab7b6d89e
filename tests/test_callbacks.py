"""What watches a training run: the guard against jagged masks."""

import logging
import math

import numpy as np
import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchmetrics import MetricCollection

from crispmap import (
    BCELoss,
    BinaryIoU,
    BinaryPerimeterRatio,
    BoundaryLoss,
    IoULoss,
    MixedLoss,
    RampWeight,
)
from crispmap.callbacks import JaggednessGuard
from crispmap.cli import main
from crispmap.errors import SettingError


class Scripted(LightningModule):
    """Validates once after each step and logs what the script says, whatever it has learned."""

    def __init__(self, script, loss=None, names=("val/iou", "val/perimeter_ratio")):
        super().__init__()
        self.logits = nn.Parameter(torch.linspace(-1, 1, 256).view(1, 1, 16, 16))
        self.loss = BCELoss() if loss is None else loss
        self.script = iter(script)
        self.names = names

    def training_step(self, truth, batch_idx):
        if isinstance(self.loss, MixedLoss):
            self.loss.set_progress(self.trainer.global_step / self.trainer.max_epochs)
        return self.loss(self.logits, truth)

    def validation_step(self, truth, batch_idx):
        self.log_dict(dict(zip(self.names, next(self.script), strict=True)), batch_size=1)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.0)


def trainer(guard, epochs, **settings):
    return Trainer(
        accelerator="cpu", max_epochs=epochs, callbacks=[guard], logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, **settings,
    )  # fmt: skip


BATCHES = DataLoader(torch.ones(1, 1, 16, 16).tril())


def said_in(caplog):
    records = [record for record in caplog.records if record.name == "crispmap"]
    assert all(record.levelno == logging.WARNING for record in records)
    return [record.getMessage() for record in records]


@pytest.fixture
def warned(caplog):
    """Trains a scripted module, a step for each of its validations; returns what the guard said by step."""

    def run(script, guard=None, **module):
        caplog.clear()
        guard = guard or JaggednessGuard()
        trainer(guard, len(script), num_sanity_val_steps=0).fit(Scripted(script, **module), BATCHES, BATCHES)
        return {int(line.removeprefix("step ").split(":")[0]): line for line in said_in(caplog)}

    return run


LEARNED = 0.6  # an IoU


@pytest.mark.parametrize(
    ("ratios", "steps"),
    [
        ([1.3, 1.2, 1.1, 1.0], []),
        ([1.2, 1.3, 1.9, 1.9, 2.0, 2.1], [3]),  # once, and not again while it lasts
        ([2.4, 2.4, 2.3], [2]),  # jagged from the start
        ([1.5, 1.5, 1.51], [3]),
        ([1.0, 1.6, 1.85, 2.0, 2.4, 2.5, 2.51], [2, 4, 7]),  # excess 0.6, more than 0.9, more than 1.5
        ([1.2, 1.55, 1.45, 1.55, 1.3, 1.55], [2]),  # wavering is no worsening
        ([1.2, 1.55, 1.25, 1.55], [2, 4]),  # recovered, then anew
        ([5.0, 3.0, 2.2, 1.6, 1.3], []),  # noise that clears, at an IoU that is easy to reach
        ([5.0, 3.0, 2.51, 2.2], [3]),  # excess 4, 2, then more than three quarters of that
        ([5.0], []),
        ([1.0, 0.6, 0.3, 0.0], []),  # short outlines are no jagged ones
        ([0.0, 1.9], [2]),
        ([math.nan, 1.2, math.inf, 1.9, math.nan, 1.9], [4]),
    ],
    ids=str,
)
def test_one_warning_for_each_worsening(warned, ratios, steps):
    assert list(warned([(LEARNED, ratio) for ratio in ratios])) == steps


def test_an_untrained_networks_noise_is_not_judged(warned):
    script = [(0.20, 24.4), (0.06, 3.6), (0.30, 7.9), (0.49, 7.9), (0.5, 1.3), (0.5, 1.4)]
    assert not warned(script)
    assert list(warned([*script, (0.45, 9.0), (0.55, 8.9)])) == [8]
    assert list(warned(script, JaggednessGuard(min_quality=0.2))) == [3]
    assert list(warned(script, JaggednessGuard(threshold=1.35))) == [6]


def test_without_a_score_of_the_area_it_counts_from_the_first_calm_ratio(warned):
    guard = JaggednessGuard("val_length", quality=None)

    def steps(*ratios):
        return list(warned([(ratio,) for ratio in ratios], guard, names=("val_length",)))

    assert steps(28.0, 8.0, 0.1, 2.0, 0.6, 2.4) == []
    assert steps(28.0, 8.0, 1.4, 1.9) == [4]
    assert steps(0.1, 0.7, 1.9) == [3]
    assert steps(9.0) == []  # of earlier runs nothing is left


def test_other_names_can_be_watched(warned):
    guard = JaggednessGuard("val_edges", quality="val_jaccard")
    (said,) = warned([(0.7, 1.2), (0.7, 1.8)], guard, names=("val_jaccard", "val_edges")).values()
    assert "(val_edges; " in said
    assert "val_jaccard 0.70" in said


def test_each_run_is_watched_by_itself(warned):
    guard = JaggednessGuard()
    for _ in range(2):
        assert list(warned([(LEARNED, 1.8), (LEARNED, 1.8), (LEARNED, 1.8)], guard)) == [2]


def test_only_validations_of_training_are_judged(caplog):
    script = [(LEARNED, 3.0), (LEARNED, 3.0), (LEARNED, 1.1), (LEARNED, 3.0)]
    module, guard = Scripted(script), JaggednessGuard()
    run = trainer(guard, 2, num_sanity_val_steps=1)
    run.fit(module, BATCHES, BATCHES)  # the first of the script is the sanity check's, the second the first of training
    run.validate(module, BATCHES, verbose=False)
    assert not said_in(caplog)


@pytest.mark.parametrize(
    ("guard", "message"),
    [
        (JaggednessGuard("val/edges"), "'val/edges', which Scripted does not log.*val/iou, val/peri.*monitor="),
        (JaggednessGuard(quality="IoU"), "'IoU', which Scripted does not log.*quality="),
    ],
)
def test_a_name_that_is_not_logged_is_an_error(warned, guard, message):
    with pytest.raises(SettingError, match=message):
        warned([(LEARNED, 1.0)], guard)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"threshold": 1.0}, "threshold is 1.0; give a perimeter ratio of more than 1"),
        ({"threshold": math.nan}, "threshold is nan"),
        ({"min_quality": 50}, "min_quality is 50; give a score from 0 to 1"),
    ],
)
def test_settings_out_of_range_are_named(settings, message):
    with pytest.raises(SettingError, match=message):
        JaggednessGuard(**settings)


def test_the_warning_names_the_numbers_and_what_they_mean(warned):
    said = warned([(0.55, 1.31), (0.58, 1.08), (0.63, 2.309)])[3]
    assert "outlines are 2.31 times as long as the true ones, and were 1.08 times at step 2" in said
    assert "(val/perimeter_ratio; 1 is right, more than 1.5 is jagged" in said
    assert "val/iou 0.63" in said
    assert "\n" not in said


class Spare(nn.Module):
    """Cross entropy, with a mixture at hand that is never called."""

    def __init__(self):
        super().__init__()
        self.running, self.spare = BCELoss(), MixedLoss(IoULoss())

    def forward(self, logits, truth):
        return self.running(logits, truth)


THETA, SUGGEST, VARIANT = "raise theta (now 7, which covers labels 3 px off)", "suggest-theta", 'variant="balanced"'
LOWER, WARM_UP = "lower the boundary weight (now 0.40)", "warm up longer"
RAMP = "weight=RampWeight(to=0.40, start=0.3, end=0.8)"
NOT_OURS = "No BoundaryLoss is at work"


@pytest.mark.parametrize(
    ("loss", "said", "unsaid"),
    [
        (
            MixedLoss(BoundaryLoss(theta=7, variant="paper"), weight=RampWeight(to=0.4, start=0.2, end=0.5)),
            [THETA, SUGGEST, VARIANT, LOWER, "warm up longer than RampWeight(to=0.4, start=0.2, end=0.5)"],
            [RAMP, NOT_OURS],
        ),
        (
            MixedLoss(BoundaryLoss(theta=7, variant="balanced"), weight=0.4),
            [THETA, SUGGEST, LOWER, RAMP],
            [VARIANT, WARM_UP, NOT_OURS],
        ),
        (
            MixedLoss(boundary=IoULoss(), weight=0.4),  # somebody else's boundary term
            [LOWER, RAMP],
            ["theta", VARIANT, NOT_OURS],
        ),
        (
            BoundaryLoss(theta=7, variant="paper"),
            [THETA, SUGGEST, VARIANT, "less weight, beside losses of pixels and area (crispmap.MixedLoss)"],
            ["lower", WARM_UP, NOT_OURS],
        ),
        (BCELoss(), [NOT_OURS, "lower learning rate", SUGGEST], ["theta (", VARIANT, "boundary weight"]),
        (Spare(), [NOT_OURS], ["boundary weight"]),
        (MixedLoss(weight=0), [NOT_OURS], ["theta (", VARIANT, "boundary weight"]),
        (MixedLoss(weight=RampWeight(start=0.9, end=1)), [NOT_OURS], ["theta (", VARIANT, "boundary weight"]),
    ],
)
def test_the_remedy_is_for_the_loss_that_runs(warned, loss, said, unsaid):
    # six calm validations, so that the seventh, after the step at 6/7 of training, is past the first ramp
    line = warned([(LEARNED, 1.0)] * 6 + [(LEARNED, 1.8)], loss=loss)[7]
    assert [part for part in said if part not in line] == []
    assert [part for part in unsaid if part in line] == []


class MovingSquares(Dataset):
    """The label of one square, each time up to 4 px off."""

    def __init__(self, count):
        self.offsets = torch.randint(-4, 5, (count, 2), generator=torch.Generator().manual_seed(0))

    def __len__(self):
        return len(self.offsets)

    def __getitem__(self, index):
        return square(*self.offsets[index].tolist())


def square(down, right):
    mask = torch.zeros(1, 64, 64)
    mask[:, 20 + down : 44 + down, 20 + right : 44 + right] = 1
    return mask


class FreeLogits(LightningModule):
    """A map that is learned pixel by pixel, examined on the square where it truly is."""

    def __init__(self, weight):
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(1, 1, 64, 64))
        self.loss = MixedLoss(BoundaryLoss(variant="paper"), weight=weight)

    def training_step(self, truth, batch_idx):
        self.loss.set_progress(self.global_step / self.trainer.estimated_stepping_batches)
        return self.loss(self.logits, truth)

    def validation_step(self, truth, batch_idx):
        for name, metric in (("val/iou", BinaryIoU()), ("val/perimeter_ratio", BinaryPerimeterRatio())):
            metric.update(self.logits.sigmoid(), truth.int())
            self.log(name, metric.compute().float())

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.2)


@pytest.mark.parametrize(("weight", "jagged"), [(RampWeight(to=0.9, start=0.3, end=0.5), True), (0.0, False)])
def test_labels_that_move_about_make_the_published_loss_jagged_and_the_guard_says_so(caplog, weight, jagged):
    module = FreeLogits(weight)
    run = trainer(JaggednessGuard(), epochs=6, num_sanity_val_steps=0)
    run.fit(module, DataLoader(MovingSquares(25)), DataLoader(square(0, 0)[None]))
    assert (run.callback_metrics["val/perimeter_ratio"] > 2.5) == jagged
    said = said_in(caplog)
    assert bool(said) == jagged
    assert all("raise theta (now 5" in line and VARIANT in line for line in said)
    assert not any(line.startswith(("step 25:", "step 50:")) for line in said)  # the weight is 0 until 45


def test_crispmap_fit_has_the_guard(tmp_path, write_raster, monkeypatch, capsys):
    image = np.random.default_rng(0).integers(0, 255, (3, 64, 96)).astype("uint8")
    for folder, pixels in (("images", image), ("masks", 255 * (image[0] > 127).astype("uint8"))):
        write_raster(tmp_path / folder / "scene.tif", pixels)
    ratios = iter([1.1, 2.0])

    def scripted(_):
        values = {"val/iou": 0.6, "val/boundary_f1": 0.6, "val/perimeter_ratio": next(ratios)}
        return {name: torch.tensor(value) for name, value in values.items()}

    monkeypatch.setattr(MetricCollection, "compute", scripted)
    arguments = "--steps 2 --steps-per-epoch 1 --data.window 32 --data.batch-size 2 --data.workers 0".split()
    arguments += "--model.encoder timm-mobilenetv3_small_minimal_100 --trainer.precision 32-true".split()
    places = ["--images", tmp_path / "images", "--labels", tmp_path / "masks", "--out", tmp_path / "run"]
    assert main(["fit", *map(str, places), *arguments]) == 0
    (said,) = [line for line in capsys.readouterr().err.splitlines() if "jagged" in line]
    assert said.startswith("step 2: the masks are jagged: their outlines are 2.00 times")
