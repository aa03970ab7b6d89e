"""The `export` command through the real entry point."""

import json

import huggingface_hub
import numpy as np
import pytest
import rasterio
import torch
from torch import nn

from crispmap import cli
from crispmap.models import ModelSpec, SegmentationModel, load_model


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run of a network so small that it is translated in a moment."""
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU(), nn.Upsample(scale_factor=2), nn.Conv2d(4, 1, 3, 1, 1))
    monkeypatch.setattr("crispmap.models.build_network", lambda *_: layers)
    spec = ModelSpec("Unet", "resnet18", 3, "uint8", (100.0,) * 3, (50.0,) * 3, 64, resolution=0.25)
    (tmp_path / "run").mkdir()
    SegmentationModel(spec).save(tmp_path / "run" / "model.pt")
    return tmp_path / "run"


def test_onnx_for_deepness(tmp_path, run, capfd):
    onnxruntime = pytest.importorskip("onnxruntime")  # make release-check runs these tests without extras
    out = tmp_path / "new" / "houses.onnx"
    assert cli.main(["export", str(run), "-o", str(out), "--tile", "96"]) == 0
    said = capfd.readouterr()
    assert said.out.startswith(f"{out}: opset 18, for images of 96 pixels a side; within ")
    assert said.err == ""  # torch has much to say
    session = onnxruntime.InferenceSession(out)
    assert session.get_inputs()[0].shape[1:] == [3, 96, 96]  # the plugin takes the side from here
    assert session.get_outputs()[0].shape[1:] == [1, 96, 96]
    metadata = session.get_modelmeta().custom_metadata_map
    assert json.loads(metadata["tile_size"]) == 96
    assert json.loads(metadata["resolution"]) == 25
    image = np.random.default_rng(0).integers(0, 256, (2, 3, 96, 96)).astype("float32")
    with torch.inference_mode():
        expected = load_model(run)(torch.from_numpy(image)).sigmoid().numpy()
    np.testing.assert_allclose(session.run(None, {"image": image / 255})[0], expected, atol=1e-4)


def test_onnx_of_any_size_says_what_deepness_needs(tmp_path, run, capsys, monkeypatch):
    given = []
    monkeypatch.setattr("crispmap.export.onnx.write_onnx", lambda *path, tile: given.append((path[1], tile)) or 3e-6)
    out = str(tmp_path / "a.onnx")
    assert cli.main(["export", str(run / "model.pt"), "-o", out]) == 0
    assert given == [(out, None)]
    assert "any height and width (QGIS Deepness needs --tile); within 3e-06 of PyTorch" in capsys.readouterr().out


def test_a_stac_item(run, capsys):
    out = run / "model.stac.json"
    assert cli.main(["export", str(run), "-o", str(out)]) == 0
    assert "a STAC item" in capsys.readouterr().out
    assert json.loads(out.read_text())["assets"]["weights"]["href"] == "model.pt"


def test_a_folder_for_the_hub_is_a_run_for_predict(tmp_path, run, write_raster, capsys):
    folder = f"{tmp_path / 'v1.2'}/"  # the slash says that it is a folder
    assert cli.main(["export", str(run), "-o", folder]) == 0
    assert "leaves the licence to you" in capsys.readouterr().out
    image = write_raster(tmp_path / "a.tif", np.random.default_rng(0).integers(0, 255, (3, 40, 50)).astype("uint8"))
    levels = []
    for model in (str(run), folder):
        out = tmp_path / f"maps{len(levels)}"
        assert cli.main(["predict", model, str(image), "-o", str(out), "--precision", "32", "--device", "cpu"]) == 0
        with rasterio.open(out / "a_probability.tif") as file:
            levels.append(file.read(1))
    assert (levels[0] == levels[1]).all()
    assert cli.main(["export", folder, "-o", str(tmp_path / "again.stac.json")]) == 0
    assert (
        json.loads((tmp_path / "again.stac.json").read_text())["assets"]["weights"]["href"] == "v1.2/model.safetensors"
    )


def test_into_the_hub(run, capsys, monkeypatch):
    calls = []

    class Hub:
        def __init__(self, **_):
            pass

        def create_repo(self, repository, private, exist_ok):
            calls.append((repository, private))

        def file_exists(self, *_):
            return False

        def upload_folder(self, **given):
            return f"https://huggingface.co/{given['repo_id']}"

    monkeypatch.setattr(huggingface_hub, "HfApi", Hub)
    assert cli.main(["export", str(run), "-o", "hf://me/houses"]) == 0
    assert calls == [("me/houses", True)]  # public is what its owner makes it
    assert capsys.readouterr().out.startswith("https://huggingface.co/me/houses: private if it is new")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["none", "-o", "x.onnx"], "run not found: none"),
        (["{run}"], "arguments are required: out"),
        (["{run}", "-o", "{folder}/x.pt2"], "x.pt2 names no form of a model; end it with .onnx, .stac.json or"),
        (["{run}", "-o", "{folder}/x.ONNX/"], "x.ONNX is a file; give a folder"),
        (["{run}", "-o", "{folder}/full.onnx"], "full.onnx exists already; give another place or --overwrite"),
        (["{run}", "-o", "{run}"], "exists already; give another place or --overwrite"),
        (["{run}", "-o", "{folder}/x.stac.json", "--tile", "512"], "--tile is for ONNX files only"),
        (["{run}", "-o", "{folder}/y.onnx", "--tile", "-1"], "at least 1 pixel, not -1"),
        (["{folder}", "-o", "{folder}/y.onnx"], "no model at"),
    ],
)
def test_mistakes_are_one_line_and_exit_2(tmp_path, run, capsys, arguments, words):
    (tmp_path / "full.onnx").touch()
    (tmp_path / "x.ONNX").touch()
    overwrite = ["--overwrite"] if "a file" in words else []
    before = sorted(tmp_path.rglob("*"))
    arguments = [each.format(run=run, folder=tmp_path) for each in arguments]
    assert cli.main(["export", *arguments, *overwrite]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_help_has_an_example(run, capsys):
    assert cli.main(["export", "--help"]) == 0
    assert "crispmap export runs/houses -o houses.onnx --tile 512" in capsys.readouterr().out
