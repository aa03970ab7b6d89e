"""docs/metrics.md says what the code does: its tables come from it, its snippets run, its numbers hold elsewhere."""

import importlib
import json
import math
import re
import shlex
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import crispmap
from crispmap import metrics
from crispmap.cli.evaluate import build_parser
from crispmap.evaluate import Scores, evaluate

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "metrics.md"
RESULTS = ROOT / "docs" / "results"
TEXT = PAGE.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def bench():
    """Imports a module of benchmarks/ by its name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "benchmarks")
        yield importlib.import_module


@pytest.fixture(scope="module")
def found(bench):
    return bench("metrics_failures").values()


def edge_literal(mask, convention):
    """Boundary pixels one by one."""
    height, width = mask.shape

    def at(row, column):
        inside = 0 <= row < height and 0 <= column < width
        return bool(mask[row, column]) if inside else None

    edge = set()
    for row, column in np.ndindex(mask.shape):
        if convention == "davis":
            after = [at(row, column + 1), at(row + 1, column), at(row + 1, column + 1)]
            if any(other is not None and other != mask[row, column] for other in after):
                edge.add((row, column))
            continue
        around = [at(row - 1, column), at(row + 1, column), at(row, column - 1), at(row, column + 1)]
        beyond = convention == "csurka" and None in around
        if mask[row, column] and (beyond or False in around):
            edge.add((row, column))
    return edge


def counts_literal(pred, truth, convention, tolerance):
    """Matched and all boundary pixels of the prediction, then of the truth."""
    sides = [edge_literal(mask, convention) for mask in (pred, truth)]
    counts = []
    for edge, other in (sides, sides[::-1]):
        nearest = [min((math.dist(pixel, each) for each in other), default=math.inf) for pixel in edge]
        matched = [d < tolerance if convention == "csurka" else d <= tolerance for d in nearest]
        counts += [sum(matched), len(edge)]
    return np.array(counts)


def f1_literal(counts, convention):
    matched_pred, pred, matched_true, true = counts
    if not pred or not true:
        return math.nan if convention == "csurka" else float(pred == true)
    precision, recall = matched_pred / pred, matched_true / true
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def test_the_page_is_what_the_code_makes_of_it(bench, found):
    conventions = json.loads((RESULTS / "metric-conventions.json").read_text(encoding="utf-8"))
    assert bench("metrics_page").page(conventions, found) == TEXT, "run benchmarks/metrics_page.py again"


def test_the_results_are_what_the_code_finds(bench, found):
    written = json.loads((RESULTS / "metric-failures.json").read_text(encoding="utf-8"))
    assert written.keys() >= {"command", "versions", "machine", "commit", "date"}
    assert written["failures"] == {failure.key: failure.text for failure in bench("metrics_failures").failures()}
    assert written["values"].keys() == found.keys()
    for failure, values in found.items():
        was = {key: math.nan if value is None else value for key, value in written["values"][failure].items()}
        assert was == pytest.approx(values, rel=1e-9, nan_ok=True)


def test_the_page_of_conventions_shows_its_numbers(bench):
    file = RESULTS / "metric-conventions.json"
    written = json.loads(file.read_text(encoding="utf-8"))
    assert written.keys() >= {"command", "versions", "machine", "commit", "date"}
    page = bench("metrics_conventions").page(written)
    assert file.with_suffix(".md").read_text(encoding="utf-8") == page
    for place in written["places"]:
        for row in place["rows"]:
            assert all(0 <= row[column] <= 1 for column in ("image", "pooled", "mosaic"))
            assert f"{row['image']:.3f}" in page


def test_failures_are_what_they_say(bench):
    modules = bench("metrics_failures")
    by_key = {failure.key: failure for failure in modules.failures()}
    for failure in by_key.values():
        assert failure.truth.shape == failure.pred.shape == (modules.SIZE, modules.SIZE)
        assert (failure.truth != failure.pred).any()
    assert (by_key["speckle"].pred & ~by_key["speckle"].truth).sum() == modules.DOTS
    rows, columns = np.nonzero(by_key["shift"].truth)
    assert by_key["shift"].pred[rows + modules.SHIFT, columns + modules.SHIFT].all()
    assert (by_key["shed"].truth & ~by_key["shed"].pred).sum() == modules.SHED**2
    for key, difference in (
        ("comb", "pred"),
        ("gap", "pred"),
        ("merged", "pred"),
        ("corners", "truth"),
        ("split", "truth"),
    ):
        other = "truth" if difference == "pred" else "pred"
        assert not (getattr(by_key[key], other) & ~getattr(by_key[key], difference)).any(), key


def test_boundary_scores_and_lengths_counted_one_by_one(bench, found):
    for failure in bench("metrics_failures").failures():
        values = found[failure.key]
        for convention in ("csurka", "davis", "pixels"):
            expected = f1_literal(counts_literal(failure.pred, failure.truth, convention, 3), convention)
            assert values[f"boundary_f1_{convention}"] == pytest.approx(expected, abs=1e-10)  # means are kept in 2⁻³⁶
        lengths = [
            sum(int(np.abs(np.diff(mask.astype(int), axis=axis)).sum()) for axis in (0, 1)) for mask in failure[3:]
        ]
        assert values["perimeter_ratio"] == pytest.approx(lengths[1] / lengths[0])
        union = (failure.pred | failure.truth).sum()
        assert values["iou"] == pytest.approx((failure.pred & failure.truth).sum() / union)


def test_the_command_gives_the_same_values(bench, found, tmp_path):
    for failure in bench("metrics_failures").failures():
        for side in ("pred", "truth"):
            (tmp_path / side).mkdir(exist_ok=True)
            Image.fromarray(np.where(getattr(failure, side), 255, 0).astype(np.uint8)).save(
                tmp_path / side / f"{failure.key}.png"
            )
    images = evaluate(tmp_path / "pred", tmp_path / "truth", tolerance="3px", band_width="3px").images
    assert {image.name for image in images} == set(found)
    for image in images:
        scores = image.flat()
        values = found[image.name] | {"boundary_f1": found[image.name]["boundary_f1_csurka"]}
        compared = {key: value for key, value in values.items() if scores.get(key) is not None}
        assert len(compared) == 12, "IoU to split, but of boundary F1 only one"
        assert {key: scores[key] for key in compared} == pytest.approx(compared, abs=1e-10)


@pytest.mark.parametrize(
    ("kind", "value", "mark"),
    [
        ("score", 0.951, "○"),
        ("score", 0.949, "◐"),
        ("score", 0.899, "●"),
        ("ratio", 1.0, "○"),
        ("ratio", 1.06, "◐"),
        ("ratio", 0.89, "●"),
        ("ratio", 1.11, "●"),
        ("length", 0.49, "○"),
        ("length", 0.51, "◐"),
        ("length", 1.0, "●"),
        ("count", 0, "○"),
        ("count", 1, "●"),
        ("score", math.nan, ""),
    ],
)
def test_verdicts(bench, kind, value, mark):
    assert bench("metrics_failures").verdict(kind, value) == mark


def test_everything_named_is_there(bench):
    options = build_parser().format_help()
    keys = {field.name for field in fields(Scores)}
    for metric, name, twin, key, flags in bench("metrics_page").PLACES:
        assert key in keys, metric
        assert all(re.search(rf"{flag}\b", options) for flag in flags.split()), metric
        if name:
            assert getattr(crispmap, name) is getattr(metrics, name)
        *module, function = twin.split(".")
        assert callable(getattr(importlib.import_module(".".join(["crispmap", *module])), function)), metric
    named = {name for _, name, *_ in bench("metrics_page").PLACES if name}
    assert named == {name for name in metrics.__all__ if name.startswith("Binary")}


def test_which_metrics_have_a_multiclass_twin():
    binary = [name for name in metrics.__all__ if name.startswith("Binary")]
    lacking = {name for name in binary if name.replace("Binary", "Multiclass") not in metrics.__all__}
    assert lacking == {"BinaryIoU", "BinaryF1", "BinaryObjectAveragePrecision"}


def test_the_snippets_run(capsys):
    generator = torch.Generator().manual_seed(0)
    truth = torch.rand(2, 1, 40, 50, generator=generator) > 0.5
    snippets = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    assert len(snippets) == 2
    exec(compile(snippets[0], "metrics.md", "exec"), {"pred": truth.float(), "truth": truth})
    assert capsys.readouterr().out.startswith("tensor(1.")
    names = {"pred": truth[:, 0], "truth": truth[:, 0]}
    exec(compile(snippets[1], "metrics.md", "exec"), names)
    assert names["f1"].tolist() == [1.0, 1.0]


def test_the_command_parses():
    lines = [line for line in re.findall(r"```bash\n(.*?)```", TEXT, re.DOTALL)[0].splitlines() if line]
    for line in lines:
        program, command, *arguments = shlex.split(line)
        assert (program, command) == ("crispmap", "evaluate")
        build_parser().parse_args(arguments)


def test_pictures_are_there_and_draw_what_is_counted(bench, tmp_path):
    failures = {failure.key: failure for failure in bench("metrics_failures").failures()}
    shown = re.findall(r"!\[.*?\]\((metrics/(\w+)\.png)\)", TEXT)
    assert [key for _, key in shown] == list(failures)
    pictures = bench("metrics_pictures")
    pictures.draw(failures["speckle"], tmp_path / "speckle.png")
    for file, _ in shown:
        assert Image.open(PAGE.parent / file).size == Image.open(tmp_path / "speckle.png").size
    picture = np.asarray(Image.open(tmp_path / "speckle.png").convert("RGB"))[: 2 * 750 // 3]  # no legend
    amounts = {
        name: (np.abs(picture.astype(int) - _rgb(pictures.STYLES[name]["facecolor"])).max(2) < 12).sum()
        for name in ("matched", "spurious")
    }
    spurious, matched = bench("metrics_failures").DOTS, len(edge_literal(failures["speckle"].truth, "csurka"))
    assert amounts["matched"] / amounts["spurious"] == pytest.approx(matched / spurious, rel=0.15)


def _rgb(colour):
    return np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])


def test_conventions_measure_tiles_and_their_mosaic(bench):
    conventions = bench("conventions")
    rng = np.random.default_rng(0)
    whole_truth, whole_pred = (np.zeros((36, 20), bool) for _ in range(2))
    whole_truth[4:22, 3:17] = True  # runs over a seam; of the last tile nothing is true
    whole_pred[6:23, 2:18] = True
    whole_pred ^= rng.random((36, 20)) < 0.02
    whole_pred[24:] = False
    whole_pred[28:31, 5:9] = True
    parts = [slice(0, 12), slice(12, 24), slice(24, 36)]
    order = [2, 0, 1]  # tiles come in no order
    pred, truth = (torch.stack([torch.from_numpy(mask[parts[i]]) for i in order]) for mask in (whole_pred, whole_truth))
    tiles = conventions.Tiles(pred, truth, torch.ones_like(pred), tuple((7 + i, 0) for i in order), (0.5, 0.5))
    assert torch.equal(tiles.mosaic().pred[0], torch.from_numpy(whole_pred))
    assert torch.equal(tiles.mosaic().truth[0], torch.from_numpy(whole_truth))

    rows = {(row["metric"], row["convention"], row["length"]): row for row in conventions.measure(tiles)}
    assert len(rows) == 11
    images = list(zip(pred.numpy(), truth.numpy(), strict=True))
    for convention, length, tolerance in (
        ("csurka", "3 px", 3),
        ("csurka", "1 m", 2),
        ("davis", "3 px", 3),
        ("pixels", "3 px", 3),
        ("pixels", "1 m", 2),
    ):
        row = rows["boundary F1", convention, length]
        counts = [counts_literal(*image, convention, tolerance) for image in images]
        assert row["image"] == pytest.approx(np.nanmean([f1_literal(each, convention) for each in counts]), abs=1e-9)
        assert row["pooled"] == pytest.approx(f1_literal(sum(counts), convention))
        whole = counts_literal(whole_pred, whole_truth, convention, tolerance)
        assert row["mosaic"] == pytest.approx(f1_literal(whole, convention))
        assert row["own_reduction"] == ("pooled" if convention == "pixels" else "image")
        assert row["images_with_a_score"] == (2 if convention == "csurka" else 3)
    share = rows["boundary F1", "davis", "0.8 %"]["length_in_pixels"]
    assert share == {"tile": math.ceil(0.008 * math.hypot(12, 20)), "mosaic": math.ceil(0.008 * math.hypot(36, 20))}
    iou = rows["IoU", "", None]
    of_tiles = [(one & other).sum() / (one | other).sum() for one, other in images]
    assert iou["image"] == pytest.approx(np.mean(of_tiles))
    assert (
        iou["pooled"]
        == iou["mosaic"]
        == pytest.approx((whole_pred & whole_truth).sum() / (whole_pred | whole_truth).sum())
    )
