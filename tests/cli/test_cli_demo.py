"""`crispmap demo` as a user runs it, in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

import geopandas as gpd
import pytest
import rasterio

from crispmap.cli import main
from crispmap.models import load_model


def test_the_quick_demo_goes_all_the_way(tmp_path):
    out = tmp_path / "demo"
    script = Path(sys.executable).parent / "crispmap"
    done = subprocess.run([script, "demo", "--quick", "--out", out], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{out}/report.html: open it in a browser\n"

    results = json.loads((out / "results.json").read_text())
    assert set(results["scores"]) == {"bce_iou", "boundary"}
    for scores in results["scores"].values():
        assert 0 <= scores["iou"] <= 1
        assert scores["n_images"] == 3
    specs = [load_model(out / "runs" / key).spec.training["settings"] for key in ("bce_iou", "boundary")]
    assert {name for name in specs[0] if specs[0][name] != specs[1][name]} == {"out", "loss"}

    large = "predictions/boundary/large/scene_0000"
    with rasterio.open(out / f"{large}_mask.tif") as mask, rasterio.open(out / "large/images/scene_0000.tif") as image:
        assert mask.shape == image.shape
        assert mask.crs == image.crs
        assert mask.transform == image.transform
    assert "probability" in gpd.read_file(out / f"{large}_footprints.gpkg").columns

    page = (out / "report.html").read_text()
    assert "with boundary term" in page
    assert "<svg" in page
    assert page.count("data:image/") > 10
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page


@pytest.mark.parametrize("name", ["report.html", "runs/first/model.pt", "train/images/town.tif", "results.json"])
def test_what_is_there_stays_unless_told(tmp_path, capsys, monkeypatch, name):
    """An older demo, an unfinished one, or someone's work in folders of the same names."""
    monkeypatch.setattr("crispmap.demo.write_scenes", lambda folder, *_: (folder / "made").mkdir(parents=True))
    monkeypatch.setattr("crispmap.demo.fit", lambda _: pytest.fail("interrupted", pytrace=False))
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text("precious")
    (tmp_path / "notes.txt").write_text("mine")
    assert main(["demo", "--quick", "--out", str(tmp_path)]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert (tmp_path / name).read_text() == "precious"
    with pytest.raises(pytest.fail.Exception, match="interrupted"):
        main(["demo", "--quick", "--out", str(tmp_path), "--overwrite"])
    assert not (tmp_path / name).exists()
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert main(["demo", "--quick", "--out", str(tmp_path)]) == 2


@pytest.mark.parametrize("arguments", [["--seed", "-1"], ["--steps", "3"]])
def test_bad_settings(tmp_path, capsys, arguments):
    assert main(["demo", "--out", str(tmp_path / "demo"), *arguments]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "demo").exists()
