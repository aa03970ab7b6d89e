"""The examples run and learn, and the page that shows them shows what they are."""

import re
import runpy
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Trainer
from torch.nn import functional as F
from torch.utils.data import DataLoader

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
HEAD, *RECIPES = re.split(r"^## ", (ROOT / "docs" / "drop-in.md").read_text(), flags=re.MULTILINE)
RECIPES = [recipe for recipe in RECIPES if "(../examples/" in recipe]


def blocks(text):
    return re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def linked(recipe):
    (name,) = set(re.findall(r"\(\.\./examples/(\w+\.py)\)", recipe))
    return ROOT / "examples" / name


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs an example as a script; returns its global names."""
    monkeypatch.chdir(tmp_path)  # whatever it may write
    return lambda path: runpy.run_path(str(path), run_name="__main__")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs_learns_and_brings_the_weight_up(run, tmp_path, capsys, path):
    names = run(path)
    ((iou, perimeter_ratio),) = re.findall(r"^IoU (\S+), perimeter ratio (\S+)$", capsys.readouterr().out, re.MULTILINE)
    assert float(iou) > 0.75
    assert 0.9 < float(perimeter_ratio) < 1.3
    criterion = names["criterion"] if "criterion" in names else names["trainer"].lightning_module.criterion
    assert criterion.weight == 0.9
    assert not list(tmp_path.iterdir())


def torchgeo_task(**settings):
    """A task of the example's class, without running what the example does with it."""
    names = {}
    exec((ROOT / "examples" / "torchgeo_task.py").read_text().split("\ndef draw")[0], names)
    return names["CrispSegmentationTask"](model="fcn", num_filters=4, in_channels=1, **settings)


def sample(shape, classes):
    generator = torch.Generator().manual_seed(0)
    image, mask = torch.rand(1, 32, 48, generator=generator), torch.randint(classes, shape, generator=generator)
    return {"image": image, "mask": mask}


@pytest.mark.parametrize(
    ("settings", "shape", "classes", "entropy"),
    [
        ({"task": "binary"}, (32, 48), 2, F.binary_cross_entropy_with_logits),
        ({"task": "multiclass", "num_classes": 3}, (32, 48), 3, F.cross_entropy),
        ({"task": "multilabel", "num_labels": 2}, (2, 32, 48), 2, F.binary_cross_entropy_with_logits),
    ],
    ids=["binary", "multiclass", "multilabel"],
)
@pytest.mark.parametrize("ignore_index", [None, 255])
def test_the_torchgeo_recipe_serves_every_kind_of_task(settings, shape, classes, entropy, ignore_index):
    task, known = torchgeo_task(ignore_index=ignore_index, **settings), sample(shape, classes)
    if ignore_index is not None:
        known["mask"][..., :8] = ignore_index
    loader = DataLoader([known] * 2, batch_size=2)
    trainer = Trainer(
        max_steps=5, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(task, loader, loader)  # with validation before the first step, as Lightning does by itself
    assert torch.isfinite(trainer.callback_metrics["val_loss"])
    assert task.criterion.weight == 0.9

    logits, mask = task(known["image"][None]).squeeze(1).detach(), known["mask"][None]
    loss, parts = task.criterion(logits, mask), task.criterion.parts
    seen = slice(0 if ignore_index is None else 8, None)
    truth = mask if settings["task"] == "multiclass" else mask.float()
    torch.testing.assert_close(parts["pixel"], entropy(logits[..., seen], truth[..., seen]))
    logits[..., : seen.start] += 7
    torch.testing.assert_close(task.criterion(logits, mask), loss)


def test_the_page_has_a_recipe_for_each_example():
    assert [linked(recipe) for recipe in sorted(RECIPES, key=linked)] == EXAMPLES


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: linked(recipe).stem)
def test_the_page_shows_what_the_example_runs(recipe):
    script = linked(recipe).read_text()
    shown = blocks(recipe)
    assert shown
    assert [block for block in shown if block not in script] == []
    for part in ("MixedLoss(", "BCELoss(", "BoundaryLoss(", "IoULoss(", "RampWeight(", "set_progress("):
        assert part in "".join(shown)


def test_the_import_that_the_page_begins_with_serves_every_example():
    (line,) = blocks(HEAD)
    names = set(line.split("import ")[1].replace(",", "").split())
    for path in EXAMPLES:
        imported = re.search(r"^from crispmap import (.*)$", path.read_text(), re.MULTILINE)[1]
        assert set(imported.split(", ")) <= names
    exec(line, {})
