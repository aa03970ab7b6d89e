"""benchmarks/prediction.py runs, and its contenders do the same work."""

import functools
import importlib
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it resets the peak of memory as Linux does")
def test_a_smoke_run_writes_numbers_and_page(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    bench = importlib.import_module("prediction")
    counts = {}

    def run_here(contender, network, scene, plan):
        found = bench.contend(contender, network, scene, plan)
        counts.setdefault(scene.name, set()).add(found["windows"])
        return found

    monkeypatch.setattr(bench, "run", run_here)
    monkeypatch.setattr(bench, "model_of", functools.cache(bench.model_of))
    where = {"versions": {}, "machine": {"processor": "a", "cores": 2}, "commit": "0" * 40, "date": "2020-01-01"}
    monkeypatch.setattr(bench, "circumstances", lambda: where)
    bench.main(["--quick", "--out", str(tmp_path)])
    found = json.loads((tmp_path / "prediction.json").read_text())
    assert found["smoke_run"]
    assert [each["rows"] for each in found["squares"]] == list(bench.QUICK.sides)
    assert {each["contender"] for each in found["monai"]} == {"stream", "monai"}
    assert all(len(windows) == 1 for windows in counts.values())  # also MONAI's are as many
    text = (tmp_path / "prediction.md").read_text()
    assert "A smoke run: no results." in text
    assert text == bench.page(found)


def test_a_smoke_run_needs_a_place(monkeypatch, capsys):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    with pytest.raises(SystemExit):
        importlib.import_module("prediction").main(["--quick"])
    assert "--quick needs --out" in capsys.readouterr().err
