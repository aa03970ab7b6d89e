"""What a run leaves when training fails: nothing that is broken, and words of its own."""

import csv
import re

import pytest
import torch

from crispmap.checkpoints import WholeCheckpoints
from crispmap.errors import InputError, SettingError
from crispmap.fit import fit
from crispmap.loggers import MetricsTable
from crispmap.settings import DataSettings, FitSettings, ModelSettings
from crispmap.task import SegmentationTask

ENCODER = "timm-mobilenetv3_small_minimal_100"


@pytest.fixture
def settings(tmp_path, two_houses):
    def make(**data):
        return FitSettings(
            **two_houses,
            out=tmp_path / "run",
            steps=4,
            steps_per_epoch=2,
            data=DataSettings(**{"window": 32, "batch_size": 2, "workers": 0} | data),
            model=ModelSettings(encoder=ENCODER, decoder_channels=[8] * 5),
            trainer={"precision": "32-true", "accelerator": "cpu"},
        )

    return make


def test_broken_weights_do_not_replace_the_last_good_checkpoint(settings, monkeypatch):
    """A gradient may be no number where the loss is one, and the weights are broken then, before any loss shows it."""
    step = SegmentationTask.training_step

    def poisoned(task, batch, index):
        loss = step(task, batch, index)
        if task.global_step == 3:
            loss.register_hook(lambda gradient: gradient * float("nan"))
        return loss

    monkeypatch.setattr(SegmentationTask, "training_step", poisoned)
    with pytest.raises(SettingError, match=r"weights became nan by step 4; lower --optim\.learning_rate"):
        fit(settings())
    content = torch.load(settings().out / "checkpoints" / "last.ckpt", weights_only=True)
    assert content["global_step"] == 2
    assert all(torch.isfinite(weight).all() for weight in content["state_dict"].values())


def test_an_error_in_a_loader_process_is_told_in_its_own_words(settings, monkeypatch):
    def vanished(*_):
        raise InputError("image not found: a.tif")

    monkeypatch.setattr("crispmap.data.windows.TrainingWindows.__getitem__", vanished)
    with pytest.raises(InputError, match=re.compile(r"^image not found: a\.tif$")):
        fit(settings(workers=1))


def test_the_last_checkpoint_outlives_a_full_disk(tmp_path, monkeypatch):
    path = tmp_path / "last.ckpt"
    WholeCheckpoints().save_checkpoint({"step": torch.tensor(1)}, path)

    def full(part, content):
        with part.open("wb") as file:
            file.write(bytes(content)[:100])
        raise OSError(28, "No space left on device", str(part))

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(OSError, match=r"No space left on device: .*last\.ckpt"):
        WholeCheckpoints().save_checkpoint({"step": torch.tensor(2)}, path)
    assert torch.load(path, weights_only=True) == {"step": torch.tensor(1)}
    assert [each.name for each in tmp_path.iterdir()] == ["last.ckpt"]


def test_a_table_of_metrics_takes_what_comes_and_keeps_what_was(tmp_path):
    path = tmp_path / "metrics.csv"
    table = MetricsTable(path, [{"epoch": "0", "step": "0", "train/loss": "0.5"}])
    table.log_metrics({"epoch": 1, "train/loss": 0.25}, 1)
    table.log_metrics({"epoch": 1, "val/iou": 0.1}, 1)
    assert not path.exists()
    table.save()
    table.save()
    with path.open(newline="") as file:
        assert list(csv.DictReader(file)) == [
            {"epoch": "0", "step": "0", "train/loss": "0.5", "val/iou": ""},
            {"epoch": "1", "step": "1", "train/loss": "0.25", "val/iou": ""},
            {"epoch": "1", "step": "1", "train/loss": "", "val/iou": "0.1"},
        ]
