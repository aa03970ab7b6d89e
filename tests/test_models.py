import os
import pickle
import warnings
import zipfile
from contextlib import suppress
from dataclasses import asdict

import numpy as np
import pytest
import torch

from crispmap.errors import InputError, ModelError, SettingError
from crispmap.geo.raster import Raster
from crispmap.models import ModelSpec, SegmentationModel, load_model

SPEC = ModelSpec(
    "Unet", "mobilenet_v2", 2, "uint16", (100.0, 200.0), (10.0, 20.0), 64, decoder_channels=(8, 8, 8, 8, 8)
)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return SegmentationModel(SPEC).eval()


@pytest.fixture
def run(tmp_path, model):
    model.save(tmp_path / "model.pt")
    return tmp_path


def image(height=64, width=96):
    return torch.rand((2, 2, height, width), generator=torch.Generator().manual_seed(1)) * 300


@torch.inference_mode()
def test_a_saved_model_predicts_as_before(run, model):
    again = load_model(run)
    assert again.spec == SPEC
    assert not again.training
    assert torch.equal(again(image()), model(image()))
    assert torch.equal(load_model(run / "model.pt")(image()), model(image()))


@torch.inference_mode()
def test_a_checkpoint_of_training_is_a_model_too(tmp_path, model):
    state = {f"model.{name}": value for name, value in model.state_dict().items()} | {"loss.weight": torch.ones(1)}
    torch.save({"crispmap": asdict(SPEC), "state_dict": state, "epoch": 3}, tmp_path / "last.ckpt")
    assert torch.equal(load_model(tmp_path / "last.ckpt")(image()), model(image()))


@pytest.mark.parametrize(("height", "width"), [(1, 1), (33, 70), (5, 64)])
@torch.inference_mode()
def test_any_size_will_do(model, height, width):
    assert model(image(height, width)).shape == (2, 1, height, width)


@torch.inference_mode()
def test_where_there_are_no_data_the_network_sees_the_mean(model):
    holed, filled = image(), image()
    holed[:, :, 10:30, 20:50] = torch.nan
    filled[:, 0, 10:30, 20:50], filled[:, 1, 10:30, 20:50] = 100, 200
    assert torch.equal(model(holed), model(filled))


def test_names_that_mean_nothing():
    with pytest.raises(SettingError, match="no architecture 'Vnet'"):
        SegmentationModel(ModelSpec(**{**asdict(SPEC), "architecture": "Vnet"}))
    with pytest.raises(SettingError, match="resnet19"):
        SegmentationModel(ModelSpec(**{**asdict(SPEC), "encoder": "resnet19"}))


def test_the_scale_of_a_raster(tmp_path, write_raster):
    half_metre = Raster.of(write_raster(tmp_path / "a.tif", np.ones((2, 8, 8), "uint16")))
    nowhere = Raster.of(write_raster(tmp_path / "a.png", np.ones((2, 8, 8), "uint16")))
    assert ModelSpec(**{**asdict(SPEC), "scale": 0.4}).scale_of(nowhere) == 0.4
    trained = {**asdict(SPEC), "scale": 0.4, "trained_resolution": 2.0}  # on imagery of 0.8 m
    assert ModelSpec(**trained).scale_of(nowhere) == 0.4
    assert ModelSpec(**trained).scale_of(half_metre) == pytest.approx(0.25)  # to see 2 m, not 1.25 m
    for seen, scale in ((1.25, 0.4), (1.14, 0.4), (1.13, 0.5 / 1.13), (1.38, 0.4), (1.40, 0.5 / 1.40)):
        spec = ModelSpec(**trained | {"trained_resolution": seen})
        assert spec.scale_of(half_metre) == pytest.approx(scale), seen
    metres = ModelSpec(**{**asdict(SPEC), "resolution": 2.0})
    assert metres.scale_of(half_metre) == pytest.approx(0.25)
    with pytest.raises(InputError, match="ground resolution is unknown"):
        metres.scale_of(nowhere)


class Trap:
    """A pickle of this makes a file when it is loaded carelessly."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return os.mkdir, (str(self.file),)


def _as_pickle(path, trap):
    path.write_bytes(pickle.dumps(trap))


def _as_torch_file(path, trap):
    torch.save(trap, path)


def _among_the_weights(path, trap):
    torch.save({"crispmap": asdict(SPEC), "state_dict": {"network.weight": trap}}, path)


@pytest.mark.parametrize("write", [_as_pickle, _as_torch_file, _among_the_weights])
def test_nothing_in_a_model_file_is_executed(tmp_path, write):
    sprung = tmp_path / "sprung"
    write(tmp_path / "model.pt", Trap(sprung))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ModelError, match=r"model\.pt is not a crispmap model") as caught:
            load_model(tmp_path)
    assert not sprung.exists()
    assert "weights_only" not in str(caught.value)
    with suppress(RuntimeError):
        torch.load(tmp_path / "model.pt", weights_only=False)
    assert sprung.exists()  # the trap was a real one


def test_files_that_are_no_models(tmp_path, run):
    file, whole = tmp_path / "x.pt", (run / "model.pt").read_bytes()
    noise = np.random.default_rng(0)
    contents = [b"", b"weights, surely", b"(", *(noise.bytes(n) for n in (1, 40, 500))]
    contents += [whole[:n] for n in (20, 2000, len(whole) // 2, len(whole) - 20)]
    for content in contents:
        file.write_bytes(content)
        with pytest.raises(ModelError, match=r"x\.pt is not a crispmap model"):
            load_model(file)
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(ModelError, match=r"x\.pt is not a crispmap model"):
        load_model(file)


@pytest.mark.parametrize(
    "content",
    [
        torch.ones(3),
        {"state_dict": {}},
        {"crispmap": asdict(SPEC)},
        {"crispmap": None, "state_dict": {}},
        {"crispmap": {"architecture": "Unet"}, "state_dict": {}},
        {"crispmap": asdict(SPEC), "state_dict": [1]},
    ],
)
def test_torch_files_of_something_else(tmp_path, content):
    torch.save(content, tmp_path / "model.pt")
    with pytest.raises(ModelError, match=r"model\.pt is not a crispmap model"):
        load_model(tmp_path)


@pytest.mark.parametrize("change", [{"architecture": "Vnet"}, {"encoder": None}, {"bands": 5}, {"mean": ["a"]}])
def test_networks_that_cannot_be_built(tmp_path, model, change):
    torch.save({"crispmap": asdict(SPEC) | change, "state_dict": model.state_dict()}, tmp_path / "model.pt")
    with pytest.raises(ModelError, match="does not hold a network that can be built here"):
        load_model(tmp_path)


def test_where_there_is_no_model(tmp_path):
    with pytest.raises(ModelError, match="has `crispmap fit` finished there"):
        load_model(tmp_path)
    with pytest.raises(ModelError, match=r"no model at .*nowhere"):
        load_model(tmp_path / "nowhere")
