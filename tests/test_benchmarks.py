"""The benchmark of the boundary loss runs, compares like with like, and says what it did not measure."""

import importlib
import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from crispmap.functional import boundary_sums

ROOT = Path(__file__).parents[1]
FORMS = ["paper, compiled", "balanced, compiled", "paper, torch only", "balanced, torch only"]
CIRCUMSTANCES = ("versions", "machine", "commit", "date")


@pytest.fixture
def bench(monkeypatch):
    """Imports a module of benchmarks/ by its name."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module


def result(**changes):
    """What the benchmark would write had it measured the same for every form: twice as fast and half the memory."""
    shape, on_cuda = [8, 1, 512, 512], [64, 1, 1024, 1024]
    names = ["literal", *FORMS]
    ratios = {"times_as_fast_as_literal": [2.0] * 3, "over_bce": [9.0] * 3, "over_read_and_write": [3.0] * 3}
    cpu = [
        {"contender": name, "shape": shape, "theta": theta, "rounds": 7, "ms": [1.0, 2.0, 3.0], **ratios}
        | {"over_least_theta": [1.2] * 3}
        for name in names
        for theta in (3, 5, 31)
    ]
    return {
        "command": "make",
        "smoke_run": False,
        "seconds": 1,
        "load_average": {"before": 0.0, "after": 1.0},
        "theta": 5,
        "thetas": [3, 5, 31],
        "target_shape": shape,
        "cuda_shape": on_cuda,
        "compiled_form_missing": {"cpu": None, "cuda": "no GPU"},
        "cpu": cpu,
        "cuda": [],
        "memory": {name: 6_000_000 if name == "literal" else 3_000_000 for name in names},
        "versions": {"torch": "2"},
        "machine": {"processor": "a", "cores": 2, "gpu": None},
        "commit": "0" * 40,
        "date": "2020-01-01",
    } | changes


def test_a_smoke_run_writes_numbers_and_page(bench, tmp_path, monkeypatch):
    speed = bench("boundary_loss_speed")
    monkeypatch.setattr(speed, "circumstances", lambda: {name: result()[name] for name in CIRCUMSTANCES})
    threads = torch.get_num_threads()
    speed.main(["--quick", "--out", str(tmp_path)])
    assert torch.get_num_threads() == threads
    assert sorted(file.name for file in tmp_path.iterdir()) == ["boundary-loss-speed.json", "boundary-loss-speed.md"]

    found = json.loads((tmp_path / "boundary-loss-speed.json").read_text())
    assert found["smoke_run"]
    assert found["command"].endswith(f"benchmarks/boundary_loss_speed.py --quick --out {tmp_path}")
    for record in found["cpu"] + found["cuda"]:
        assert 0 < record["ms"][0] <= record["ms"][1] <= record["ms"][2]
        assert record["rounds"] == 2
    measured = {(r["contender"], r["theta"]) for r in found["cpu"] if r["shape"] == found["target_shape"]}
    forms = [form for form in FORMS if "compiled" not in form or found["compiled_form_missing"]["cpu"] is None]
    others = {("BCE with logits", None), ("sigmoid", None), ("read and write", None)}
    assert measured == {(name, theta) for name in ("literal", *forms) for theta in (3, 5, 9, 31)} | others

    text = (tmp_path / "boundary-loss-speed.md").read_text()
    assert text == bench("boundary_loss_page").page(found)
    assert "these numbers mean nothing" in text
    assert text.count("| literal | ") == 4  # two sizes, θ, memory


def test_without_a_compiler_or_a_gpu_the_page_says_so(bench, monkeypatch):
    monkeypatch.setattr(boundary_sums, "_numba", lambda: None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    speed = bench("boundary_loss_speed")
    monkeypatch.setattr(speed, "circumstances", lambda: {name: result()[name] for name in CIRCUMSTANCES})
    found = {"command": "", "smoke_run": True} | speed.measure(replace(speed.QUICK, memory=()))
    page = bench("boundary_loss_page")
    assert {record["contender"] for record in found["cpu"]}.isdisjoint(FORMS[:2])
    reasons = {(target.what[:4], target.form): target.reason for target in page.targets(found)}
    assert {reasons["CPU,", form] for form in FORMS[:2]} == {"no numba"}
    assert {reasons["CUDA", form] for form in FORMS[:2]} == {"no GPU"}
    assert "Not measured (no GPU)." in page.page(found)


def test_a_smoke_run_leaves_the_results_alone(bench, capsys):
    with pytest.raises(SystemExit):
        bench("boundary_loss_speed").main(["--quick"])
    assert "--quick needs --out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("field", "value", "verdicts"),
    [  # of both compiled forms, then of both forms in torch alone
        ("times_as_fast_as_literal", 8.0, [True, True, True, True]),
        ("times_as_fast_as_literal", 7.99, [False, False, True, True]),
        ("times_as_fast_as_literal", 3.99, [False, False, False, False]),
        ("over_least_theta", 1.3, [True] * 4),
        ("over_least_theta", 1.31, [False] * 4),
    ],
)
def test_targets_are_judged_by_the_medians(bench, field, value, verdicts):
    written = result()
    for record in written["cpu"]:
        record[field] = [0.0, value, 99.0]
    what = {"times_as_fast_as_literal": "CPU, 8×1×512², θ = 5: times", "over_least_theta": "CPU, 8×1×512²: time at"}[
        field
    ]
    page = bench("boundary_loss_page")
    assert [t.met for t in page.targets(written) if t.what.startswith(what)] == verdicts


@pytest.mark.parametrize(("peak", "met"), [(2_000_000, True), (2_010_000, False), (None, None)])
def test_memory_is_judged_by_its_share(bench, peak, met):
    written = result(memory={"literal": 6_000_000} | dict.fromkeys(FORMS, peak))
    found = [target for target in bench("boundary_loss_page").targets(written) if "memory" in target.what]
    assert [target.met for target in found] == [met] * 4
    assert all((target.reason is None) == (peak is not None) for target in found)


def test_cuda_is_judged_where_it_was_measured(bench):
    ratios = {"times_as_fast_as_literal": [9.0] * 3, "over_bce": [9.0] * 3, "over_read_and_write": [4.2] * 3}
    cuda = [
        {"contender": name, "shape": [64, 1, 1024, 1024], "theta": theta, "rounds": 5, "ms": [1.0] * 3, **ratios}
        | {"over_least_theta": [1.0] * 3}
        for name in ("literal", *FORMS)
        for theta in (3, 5, 31)
    ]
    page = bench("boundary_loss_page")
    written = result(cuda=cuda, compiled_form_missing={"cpu": None, "cuda": None})
    assert [t.met for t in page.targets(written) if t.what.startswith("CUDA")] == [True, True, False, False]
    assert "not measured" not in page.page(written).lower()


def test_contenders_of_one_variant_must_agree(bench):
    forms = bench("boundary_loss_forms")
    scene = forms.Scene((1, 1, 32, 48), seed=0)
    there = [contender for contender in forms.CONTENDERS if contender.is_there("cpu")]
    forms.check_agreement(there, scene, 5)
    wrong = replace(forms.LITERAL, step=lambda inputs, theta: forms.LITERAL.step(inputs, theta + 2))
    with pytest.raises(AssertionError):
        forms.check_agreement([*there, wrong], scene, 5)
    idle = replace(
        forms.LITERAL, step=lambda inputs, theta: forms.literal_loss(inputs.probability, inputs.truth, theta)
    )
    with pytest.raises(AssertionError):
        forms.check_agreement([*there, idle], scene, 5)


def test_the_torch_form_runs_on_torch_and_only_inside(bench):
    forms = bench("boundary_loss_forms")
    usual = boundary_sums.backend(torch.empty(0))
    for contender in forms.FORMS:
        with contender.ready():
            inside = boundary_sums.backend(torch.empty(0)).__name__
        assert inside.endswith("_sums_torch") or contender.kernels == "compiled"
        assert boundary_sums.backend(torch.empty(0)) is usual


def test_no_call_sees_the_truth_of_another(bench):
    scene = bench("boundary_loss_forms").Scene((2, 1, 64, 96), seed=0)
    first, again, moved = (scene.inputs(shift) for shift in ((0, 0), (0, 0), (3, 5)))
    assert first.truth.data_ptr() != again.truth.data_ptr()
    assert torch.equal(first.truth, again.truth)
    assert not torch.equal(first.truth, moved.truth)
    assert 0.05 < first.truth.mean() < 0.7
    assert ((first.probability > 0.5) == (first.truth > 0.5)).float().mean() > 0.9


def test_the_peak_is_the_most_held_at_once(bench):
    memory = bench("boundary_loss_memory")

    def run():
        for megabytes in (64, 16):
            np.ones(megabytes << 20, np.uint8)

    peak = memory.peak_memory(run)
    if peak is None:
        pytest.skip("this system does not tell")
    assert peak / 2**20 == pytest.approx(64, abs=2)


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("boundary-loss-speed", "boundary_loss_page"),
        ("large-mosaic", "large_mosaic"),
        ("loader-profile", "loader_profile"),
        ("metric-speed", "metric_speed"),
        ("prediction", "prediction"),
        ("regularise", "regularise"),
    ],
)
def test_the_published_page_shows_its_numbers(bench, name, module):
    file = ROOT / "docs" / "results" / f"{name}.json"
    assert file.with_suffix(".md").read_text() == bench(module).page(json.loads(file.read_text()))


def test_footprints_are_compared_with_the_truth(bench, tmp_path, monkeypatch):
    made = bench("regularise")
    monkeypatch.setattr(made, "circumstances", lambda: {name: result()[name] for name in CIRCUMSTANCES})
    made.main(["--quick", "--out", str(tmp_path)])
    found = json.loads((tmp_path / "regularise.json").read_text())
    records = {each["way"]: each for each in found["records"]}
    assert set(records) == {*made.WAYS, *made.THEIRS}
    assert records["regularised"]["iou"] > records["faithful"]["iou"] > 0.9
    assert records["regularised, separated"]["footprints"] > records["regularised"]["footprints"]
    assert not any(records[way]["invalid"] or records[way]["overlap_m2"] for way in made.WAYS)
    assert "A smoke run" in (tmp_path / "regularise.md").read_text()


def test_what_metrics_cost_runs_and_its_contenders_agree(bench, tmp_path, monkeypatch):
    """They are compared in the run itself: SciPy's scores must be crispmap's."""
    pytest.importorskip("monai")
    speed = bench("metric_speed")
    monkeypatch.setattr(speed, "circumstances", lambda: {name: result()[name] for name in CIRCUMSTANCES})
    speed.main(["--quick", "--out", str(tmp_path)])
    found = json.loads((tmp_path / "metric-speed.json").read_text())
    assert found["smoke_run"]
    assert set(found["in_memory"]) == {"crispmap", "crispmap, torch only", "SciPy", "MONAI, surface distance alone"}
    assert found["on_disk"][0]["peak_gib"] > 0.1
    assert "times as long as crispmap" in (tmp_path / "metric-speed.md").read_text()


def test_what_training_waits_for_is_measured(bench, tmp_path, monkeypatch):
    loading = bench("loader_profile")
    monkeypatch.setattr(loading, "QUICK", replace(loading.QUICK, steps=4, inria_tiles=0))
    sources = loading.write_sources
    monkeypatch.setattr(loading, "write_sources", lambda folder, plan: sources(folder, plan)[:1])
    monkeypatch.setattr(loading, "circumstances", lambda: {name: result()[name] for name in CIRCUMSTANCES})
    loading.main(["--quick", "--out", str(tmp_path)])
    found = json.loads((tmp_path / "loader-profile.json").read_text())
    assert found["smoke_run"]
    (source,) = found["sources"]
    assert 0 < source["waiting_share"][0] < 1
    assert source["network_seconds"][0] > 0.001
    assert "A smoke run" in (tmp_path / "loader-profile.md").read_text()


def test_waiting_is_told_from_work(bench):
    """A loader that takes 20 ms for a batch, and work of 30 ms on each: two fifths are waiting."""

    def loader():
        for k in range(8):
            time.sleep(0.5 if k == 0 else 0.02)
            yield k

    watch = bench("loader_profile").Watch(loader(), 8)
    for k in watch:
        time.sleep(0.4 if k == 0 else 0.03)
    assert watch.waiting_share == pytest.approx(8 * 0.02 / (8 * 0.05), abs=0.1)
    assert len(watch.waits) == 7
    assert len(watch.steps) == 6
    assert min(watch.steps) >= 0.03
    assert max(watch.steps) < 0.4


@pytest.mark.parametrize(("shares", "verdict"), [([0.001, 0.019, 0.002], "met"), ([0.001, 0.02, 0.002], "**not met**")])
def test_waiting_is_judged_by_the_worst_round(bench, shares, verdict):
    loading = bench("loader_profile")
    times = dict.fromkeys(("longest_wait", "step_seconds", "network_seconds", "loader_seconds"), [0.1] * 3)
    source = {"what": "tiles", "scale": 1.0, "waiting_share": shares, **times}
    written = result(
        target=0.02,
        network="small",
        steps=5,
        rounds=3,
        window=256,
        batch_size=8,
        sources=[source | {"waiting_share": [0]}, source],
    )
    assert loading.page(written).rstrip().endswith(f"of every source: {verdict}.")
