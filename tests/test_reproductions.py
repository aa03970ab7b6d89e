"""What the result files of the paper's losses say, in the README and in docs/results."""

import importlib
import json
import re
from pathlib import Path

import numpy as np
import pytest

from crispmap.data.published import open_dataset

ROOT = Path(__file__).parents[1]
METRICS = ("iou", "boundary_f1_1px", "boundary_f1_2px", "boundary_f1_3px", "boundary_iou", "perimeter_ratio")


@pytest.fixture
def bench(monkeypatch):
    """Imports a module of benchmarks/ by its name."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module


def result(**iou):
    """A result file in which every loss has the same scores but for the IoU of some, seed by seed."""
    losses = ("bce", "iou", "dice", "sensitivity-specificity", "bce+iou", "paper", "balanced")
    usual = [0.60, 0.61, 0.62, 0.60, 0.61]
    scores = {loss: {key: {"by_seed": usual} for key in METRICS} for loss in losses}
    for loss, values in iou.items():
        scores[loss.replace("_", "+")]["iou"] = {"by_seed": values}
    return {
        "plan": {"steps": 7, "networks": "small", "data": {"batch_size": 2, "window": 64}},
        "methods": [{"loss_name": loss, "seeds": [0, 1, 2, 3, 4], "scores": scores[loss]} for loss in losses],
    }


def test_the_claim_is_judged_by_the_intervals_of_paired_differences(bench):
    page = bench("reproductions_page")
    noisy = [0.5, 0.7, 0.5, 0.7, 0.63]  # about the same mean as the paper's, and far apart
    found = {
        "jonkoping": result(paper=[0.70, 0.71, 0.72, 0.70, 0.72], bce=[0.6] * 5, iou=[0.8] * 5, dice=noisy),
    }
    said = page.verdict(found)
    assert "on Jönköping it is better than bce and worse than iou and not to be told from dice" in said
    text = page.headline(found)
    assert "| paper | 0.710 · 0.608 · 0.61 |" in text
    assert "7 steps" in text
    assert "Not measured" in text
    differences = np.array([0.1, 0.11, 0.12, 0.1, 0.12])
    half = 2.7764 * differences.std(ddof=1) / np.sqrt(5)  # the t quantile for four degrees of freedom
    mean = differences.mean()
    expected = f"paper − bce {mean:+.3f} [{mean - half:+.3f}, {mean + half:+.3f}], p < 0.001"
    assert expected in page.summary(found)


def test_the_headline_replaces_what_stood_between_its_marks(bench):
    page = bench("reproductions_page")
    before = f"a\n{page.BEGIN}\nformer table\n{page.END}\nb\n"
    after = page.with_headline(before, {"jonkoping": result()})
    assert after.startswith(f"a\n{page.BEGIN}\n| loss |")
    assert after.endswith(f"{page.END}\nb\n")
    assert "former" not in after
    assert page.with_headline(after, {"jonkoping": result()}) == after


def test_readme_and_summary_are_what_the_files_say(bench):
    page = bench("reproductions_page")
    found = page.published()
    if not found:
        pytest.skip("not measured yet")
    readme = (ROOT / "README.md").read_text()
    assert page.with_headline(readme, found) == readme
    assert (ROOT / "docs" / "results" / "reproduced.md").read_text() == page.summary(found)


def test_every_measured_subject_has_a_title(bench):
    page = bench("reproductions_page")
    assert set(page.MEASURED) <= set(page.SUBJECTS)
    for path in (ROOT / "docs" / "results").glob("reproduced-*.json"):
        found = json.loads(path.read_text())
        assert path.stem.removeprefix("reproduced-") in page.SUBJECTS
        assert found["commit"]
        assert not re.search(r'"(images|labels|val_images|val_labels|out)": "/', path.read_text())


def test_the_tree_made_for_aicd_can_be_read(bench, tmp_path):
    bench("reproductions").write_aicd_tree(tmp_path / "AICDDataset", scenes=9, height=96, width=128)
    data = open_dataset("aicd", tmp_path, val_split="test")
    assert [len(data.train), len(data.val)] == [7, 1]
    assert "the target images are read" in data.notes[0]
    label = data.train[0].read(data.train[0].image.window, (96, 128)).label
    assert 0.02 < (label == 1).mean() < 0.8
