"""`crispmap reproduce` through its real entry point: every recipe from end to end, with a tiny budget."""

import json
import shlex

import numpy as np
import pytest

import crispmap.fit
from crispmap.cli import main
from crispmap.reproduce.recipe import recipe_text

TINY = """
losses: paper,balanced
networks: timm-mobilenetv3_small_minimal_100
model: {decoder_channels: [8, 8, 8, 8, 8]}
seeds: 2
steps: 2
steps_per_epoch: 2
data: {window: 64, batch_size: 2, workers: 0}
trainer: {precision: 32-true, accelerator: cpu}
"""


@pytest.fixture
def tiny(tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY)
    return ["--config", str(path)]


@pytest.fixture
def aicd(tmp_path, write_raster):
    """Scenes 0 to 9 from two views: bright objects in the target image of each pair."""
    root = tmp_path / "AICDDataset"
    rng = np.random.default_rng(0)
    for scene in range(10):
        for view in range(2):
            name = f"Scene{scene:04d}_View{view:02d}"
            mask = np.zeros((150, 200), bool)
            for row, col in rng.integers(0, (130, 180), (4, 2)):
                mask[row : row + 20, col : col + 20] = True
            ground = rng.integers(40, 60, (3, 150, 200)).astype("uint8")
            alpha = np.full((1, 150, 200), 255, "uint8")
            write_raster(root / "Images_Shadows" / f"{name}_moving.png", np.concatenate([ground, alpha]))
            shown = np.concatenate([ground + np.uint8(120) * mask, alpha])
            write_raster(root / "Images_Shadows" / f"{name}_target.png", shown)
            write_raster(root / "GroundTruth" / f"{name}_gtmask.png", mask * np.uint8(255))
    return root


def reproduced(out):
    results = json.loads((out / "results.json").read_text())
    assert {method["name"] for method in results["methods"]} == {"paper", "balanced"}
    assert all(method["seeds"] == [0, 1] for method in results["methods"])
    assert {(row["method"], row["reference"]) for row in results["differences"]} == {("balanced", "paper")}
    assert not results["failures"]
    assert (out / "report.html").exists()
    return results


def test_aicd(tmp_path, aicd, tiny, capsys):
    out = tmp_path / "out"
    assert main(["reproduce", "aicd", "--data", str(aicd.parent), "--out", str(out), *tiny]) == 0
    printed = capsys.readouterr()
    assert printed.out == f"{out}/report.html: open it in a browser\n"
    assert "the target images are read" in printed.err
    results = reproduced(out)
    assert {tile.split("_")[0] for tile in results["tiles"]} == {"Scene0008", "Scene0009"}


@pytest.mark.usefixtures("plain_network")
@pytest.mark.parametrize(("name", "folder"), [("inria", "AerialImageDataset"), ("potsdam", "Potsdam")])
def test_trees_with_real_pixels(real_data, tmp_path, tiny, capsys, name, folder):
    out = tmp_path / "out"
    assert main(["reproduce", name, "--data", str(real_data / folder), "--out", str(out), *tiny]) == 0
    assert capsys.readouterr().out == f"{out}/report.html: open it in a browser\n"
    tiles = reproduced(out)["tiles"]
    cities = {tile.rstrip("0123456789").split(",")[0].rstrip("0123456789") for tile in tiles}
    assert len(cities) == (5 if name == "inria" else 1)


def test_where_a_split_is_empty_the_part_that_stands_in_is_printed(real_data, tmp_path, tiny, capsys):
    out = ["--out", str(tmp_path / "out")]
    only = ["--losses", "bce", "--seeds", "1", "--steps", "1"]
    assert main(["reproduce", "potsdam", "--data", str(real_data), *out, *tiny, *only]) == 0
    said = capsys.readouterr().err
    assert "the ground is cut in two by a straight line; for validation: columns" in said
    assert "of top_potsdam_2_10_RGB.tif" in said


def test_synthetic_scenes_and_the_same_command_again(tmp_path, tiny, capsys, monkeypatch):
    out = tmp_path / "out"
    with (tmp_path / "tiny.yaml").open("a") as file:
        file.write(
            "scenes:\n  train: {scenes: 3, size: 128, seed: 1, label_offset: 1.2}\n"
            "  test: {scenes: 2, size: 128, seed: 2}\n"
        )
    command = ["reproduce", "synthetic", "--out", str(out), *tiny]
    assert main(command) == 0
    pages = "".join(f"{out}/{kind}/report.html: open it in a browser\n" for kind in ("exact", "offset"))
    assert capsys.readouterr().out == pages
    exact, offset = (reproduced(out / kind) for kind in ("exact", "offset"))
    assert exact["tiles"] == offset["tiles"] == ["scene_0000", "scene_0001"]
    assert shlex.split(exact["command"])[1:] == command

    def never(*_: object) -> None:
        raise AssertionError("a finished run was begun again")

    monkeypatch.setattr(crispmap.fit.Trainer, "fit", never)
    before = (out / "scenes/train/images/scene_0000.tif").stat().st_mtime_ns
    assert main(command) == 0
    assert (out / "scenes/train/images/scene_0000.tif").stat().st_mtime_ns == before

    (tmp_path / "tiny.yaml").write_text((tmp_path / "tiny.yaml").read_text().replace("seed: 2}", "seed: 3}"))
    assert main(command) == 2
    assert "holds other scenes" in capsys.readouterr().err


def test_the_recipe_is_printed(capsys):
    assert main(["reproduce", "inria", "--print"]) == 0
    assert capsys.readouterr().out == recipe_text("inria")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["inria"], "--data is missing"),
        (["inria", "--data", "nowhere"], "--data not found: nowhere"),
        (["synthetic", "--data", "."], "not for synthetic"),
        (["nothing"], "nothing"),
        (["inria", "--data", ".", "--config", "missing.yaml"], "--config not found"),
        (["inria", "--data", ".", "--seeds", "0"], "--seeds"),
        (["inria", "--data", "."], "INRIA Aerial Image Labeling"),  # nothing of it here
    ],
)
def test_mistakes_are_one_line(tmp_path, monkeypatch, capsys, arguments, says):
    monkeypatch.chdir(tmp_path)
    assert main(["reproduce", *arguments]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert err.startswith("crispmap reproduce: ")
    assert says in err
    assert not (tmp_path / "reproduced").exists()


def test_help_lists_the_recipes(capsys):
    assert main(["reproduce", "--help"]) == 0
    text = capsys.readouterr().out
    for word in ("crispmap reproduce inria --data", "synthetic", "potsdam", "aicd"):
        assert word in text
