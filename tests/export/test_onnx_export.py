"""Models as ONNX files: the same probabilities as PyTorch, in whatever runs ONNX."""

import copy
import itertools
import json
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from timm.layers import padding
from torch import nn

from crispmap.errors import OutputError, SettingError
from crispmap.export import onnx as export
from crispmap.export.onnx import deepness_metadata, write_onnx
from crispmap.geo.raster import Raster, Window
from crispmap.models import ModelSpec, SegmentationModel
from crispmap.predict.inference import probabilities
from crispmap.predict.plan import Settings


@pytest.fixture(scope="module")
def model(tiny):
    """The tiny model with a network that is translated in a moment."""
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Conv2d(3, 8, 5, 2, 2), nn.ReLU(), nn.Upsample(scale_factor=2), nn.Conv2d(8, 1, 3, 1, 1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("crispmap.models.build_network", lambda *_: layers)
        return SegmentationModel(tiny.spec).eval()


@pytest.fixture(scope="module")
def file(tmp_path_factory, model):
    path = tmp_path_factory.mktemp("onnx") / "tiny.onnx"
    assert write_onnx(model, path) < 1e-4
    assert [each.name for each in path.parent.iterdir()] == ["tiny.onnx"]
    return path


def runner(file):
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    return lambda image: session.run(["probability"], {"image": np.asarray(image, np.float32)})[0]


@pytest.fixture(scope="module")
def run(file):
    return runner(file)


def by_torch(model, image):
    with torch.inference_mode():
        return model(torch.from_numpy(np.asarray(image, np.float32))).sigmoid().numpy()


@pytest.mark.long
def test_a_unet_of_any_size(tmp_path, tiny):
    write_onnx(tiny, tmp_path / "unet.onnx")
    run, noise = runner(tmp_path / "unet.onnx"), np.random.default_rng(0)
    for count, height, width in [(1, 64, 64), (2, 96, 160), (3, 33, 70), (1, 1, 1), (5, 32, 31), (1, 200, 32)]:
        image = noise.integers(0, 256, (count, 3, height, width))
        found = run(image / 255)
        assert found.shape == (count, 1, height, width)
        np.testing.assert_allclose(found, by_torch(tiny, image), atol=1e-4)
        assert found.size == 1 or np.ptp(found) > 0.01  # it says something of the image


def test_a_unet_of_one_size_on_real_tiles(tmp_path, real_data, tiny):
    write_onnx(tiny, tmp_path / "unet.onnx", tile=90)
    run = runner(tmp_path / "unet.onnx")
    for name in ("jonkoping/val/images", "tanzania/image.tif", "AerialImageDataset/train/images"):
        path = real_data / name
        raster = Raster.of(min(path.iterdir()) if path.is_dir() else path)
        tiles = [raster.read(Window(0, col, 90, 90)) for col in (0, 60, 120)]
        assert all(valid.any() for _, valid in tiles[:1])
        image = np.stack([pixels[:3] for pixels, _ in tiles])
        assert image.any()
        np.testing.assert_allclose(run(image / 255), by_torch(tiny, image), atol=1e-4)


def test_padding_is_timms_where_strides_divide_the_side():
    shapes = list(itertools.product((2, 8, 14, 96), (1, 2, 3, 5, 7), (1, 2), (1, 2)))  # side, kernel, stride, dilation
    expected = [padding.get_same_padding(*shape) for shape in shapes]
    with export._same_padding_of_whole_strides():
        assert [padding.get_same_padding(*shape) for shape in shapes] == expected
    assert padding.get_same_padding(5, 3, 2, 1) == 2  # timm's own again, which knows the side


@pytest.mark.long
def test_a_unet_with_same_padding_of_any_size(tmp_path):
    """Without help torch would take half an hour."""
    torch.manual_seed(0)
    encoder = "timm-mobilenetv3_small_minimal_100"
    model = SegmentationModel(
        ModelSpec("Unet", encoder, 3, "uint8", (110.0,) * 3, (50.0,) * 3, 64, decoder_channels=(8, 8, 8, 8, 8))
    )
    with torch.no_grad():
        for _ in range(3):
            model(torch.rand(2, 3, 64, 64) * 255)
    write_onnx(model.eval(), tmp_path / "unet.onnx")
    image = np.random.default_rng(0).integers(0, 256, (1, 3, 70, 130))
    np.testing.assert_allclose(runner(tmp_path / "unet.onnx")(image / 255), by_torch(model, image), atol=1e-4)


def test_pixels_without_data_are_seen_as_the_mean(model, run):
    image = np.random.default_rng(1).uniform(0, 255, (1, 3, 64, 96))
    holed, filled = image.copy(), image.copy()
    holed[:, :, 10:30, 20:50] = np.nan
    holed[:, 1, 40:45, 40:45] = np.inf
    filled[:, :, 10:30, 20:50] = np.reshape(model.spec.mean, (3, 1, 1))
    filled[:, 1, 40:45, 40:45] = model.spec.mean[1]
    np.testing.assert_allclose(run(holed / 255), run(filled / 255), atol=1e-6)


def test_the_file_says_what_it_is_and_nothing_of_this_machine(file):
    graph = onnx.load(file)
    onnx.checker.check_model(graph, full_check=True)
    assert [(each.domain, each.version) for each in graph.opset_import] == [("", 18)]
    sides = [[dim.dim_param or dim.dim_value for dim in each.type.tensor_type.shape.dim] for each in graph.graph.input]
    assert sides == [["batch", 3, "height", "width"]]
    assert graph.producer_name == "crispmap"
    content = file.read_bytes()
    assert not [word for word in (b"site-packages", b"crispmap/models", b"/home", b".py") if word in content]


def as_deepness(session, tile):
    """The plugin's way with a tile (H, W, C): limit the channels, divide by 255, transpose, run, cut."""
    metadata = {key: json.loads(value) for key, value in session.get_modelmeta().custom_metadata_map.items()}
    assert metadata["model_type"].capitalize() == "Segmentor"
    assert metadata.keys().isdisjoint({"standardization_mean", "standardization_std"})
    given = session.get_inputs()[0]
    batch = np.float32(tile[None, :, :, : given.shape[-3]] * 1.0 / 255.0).transpose(0, 3, 1, 2)
    result = session.run(None, {given.name: batch})[0]
    result[result < metadata["seg_thresh"]] = 0
    return (result != 0)[0, 0]


def test_deepness_finds_the_buildings_that_predict_finds(model, file):
    tile = np.random.default_rng(2).integers(0, 256, (96, 96, 4)).astype("uint8")  # QGIS gives alpha as well
    image = np.float32(tile[:, :, :3].transpose(2, 0, 1)[None])
    expected = probabilities(model, image, (96, 96), Settings(precision="32"))[0]
    expected -= 0.5
    clear = abs(expected) > 1e-4
    assert 0.1 < (expected > 0).mean() < 0.9
    found = as_deepness(onnxruntime.InferenceSession(file), tile)
    assert (found == (expected > 0))[clear].all()


def test_what_deepness_reads():
    spec = ModelSpec("Unet", "resnet18", 3, "uint16", (0.0,) * 3, (1.0,) * 3, 256, resolution=0.3)
    words = {key: json.loads(value) for key, value in deepness_metadata(spec, 384).items()}
    assert words["class_names"] == {"0": "background", "1": "building"}
    assert words["resolution"] == 30.0  # centimetres
    assert words["tile_size"] == words["tiles_size"] == 384  # the code's key and the documentation's
    unknown = ModelSpec("Unet", "resnet18", 3, "uint8", (0.0,) * 3, (1.0,) * 3, 256)
    assert "resolution" not in deepness_metadata(unknown, 512)
    two = json.loads(deepness_metadata(replace(unknown, classes=("house", "road")), 512)["class_names"])
    assert two == {"0": "house", "1": "road"}  # of two channels it makes two classes


def test_a_graph_that_is_another_network_is_refused(tmp_path, model, file, monkeypatch):
    """The file is held against the model before it gets its name."""
    graph, other = onnx.load(file), copy.deepcopy(model).train()
    with torch.no_grad():
        other.network[0].weight.neg_()
    monkeypatch.setattr(export, "_translated", lambda *_: graph)
    with pytest.raises(
        OutputError, match=r"cannot be written as ONNX as asked for.*\(--tile 512\): .* differ by 0\.\d+"
    ):
        write_onnx(other, tmp_path / "x.onnx")
    assert other.training  # it is left as it was
    graph.graph.input[0].type.tensor_type.shape.dim[2].dim_value = 64
    with pytest.raises(OutputError, match=r"cannot be written as ONNX as asked for.*invalid dimensions"):
        write_onnx(model, tmp_path / "x.onnx")
    assert not any(tmp_path.iterdir())


def test_what_is_missing_is_said_with_the_line_that_installs_it(tmp_path, tiny, monkeypatch):
    monkeypatch.setattr(export, "find_spec", lambda name: None if name == "onnxscript" else 1)
    with pytest.raises(SettingError, match=r'ONNX needs onnxscript, .*pip install "crispmap\[onnx\]"'):
        write_onnx(tiny, tmp_path / "x.onnx")


def test_sides_that_cannot_be(tmp_path, tiny):
    with pytest.raises(SettingError, match="at least 1 pixel, not 0"):
        write_onnx(tiny, tmp_path / "x.onnx", tile=0)
