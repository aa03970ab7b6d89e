"""Folders as the Hugging Face Hub has them: written, loaded, pushed, without a network."""

import json
import os
import pickle
import re
import struct
from dataclasses import replace

import huggingface_hub
import pytest
import torch
import yaml
from safetensors import safe_open

import crispmap
from crispmap import SegmentationModel
from crispmap.errors import ModelError, OutputError
from crispmap.models import load_model


@pytest.fixture
def folder(tmp_path, tiny):
    tiny.save_pretrained(tmp_path / "hub")
    return tmp_path / "hub"


def image():
    return torch.rand((2, 3, 40, 70), generator=torch.Generator().manual_seed(1)) * 255


@torch.inference_mode()
def test_a_folder_predicts_as_the_model_did(folder, tiny):
    assert {path.name for path in folder.iterdir()} == {"README.md", "config.json", "model.safetensors"}
    for again in (SegmentationModel.from_pretrained(folder), load_model(folder / "model.safetensors")):
        assert torch.equal(again(image()), tiny(image()))
        assert not again.training
        for name in ("architecture", "encoder", "bands", "dtype", "mean", "std", "classes", "trained_resolution"):
            assert getattr(again.spec, name) == getattr(tiny.spec, name)
        assert again.spec.training["metrics"] == tiny.spec.training["metrics"]


def test_run_folders_are_loaded_too(tiny_run, tiny):
    assert SegmentationModel.from_pretrained(tiny_run).spec == tiny.spec
    tiny_run_spec = load_model(tiny_run).spec
    assert tiny_run_spec.training["settings"]["images"] == "/home/someone/town/images"


def test_the_files_are_what_others_read(folder, tiny):
    with safe_open(folder / "model.safetensors", "pt") as file:
        assert file.metadata() == {"format": "pt"}
        assert set(file.keys()) == set(tiny.state_dict())
    config = json.loads((folder / "config.json").read_text())
    assert config["library_name"] == "crispmap"
    assert config["crispmap_version"] == crispmap.__version__
    assert config["bands"] == 3


def test_no_folder_of_this_machine_is_told(folder):
    for name in ("README.md", "config.json"):
        text = (folder / name).read_text()
        assert "/home" not in text
        assert "someone" not in text
        assert "footprints.gpkg" in text


def card_of(folder):
    """The card's front matter and its text."""
    _, front, text = (folder / "README.md").read_text().split("---\n", 2)
    return yaml.safe_load(front), text, front


def test_the_card_is_filled_from_the_run(folder):
    front, text, raw = card_of(folder)
    assert front["library_name"] == "crispmap"
    assert front["pipeline_tag"] == "image-segmentation"
    assert "license" not in front  # no licence is chosen for the user
    assert "# license:" in raw
    assert "To be said by whoever publishes" in text
    rows = dict(re.findall(r"^\| ([\w ]+?) \| ([\d.]+) \|", text, re.MULTILINE))
    assert rows == {"IoU": "0.7124", "boundary F1": "0.6543", "perimeter ratio": "1.0567"}
    assert "within 2 pixels that the network sees (convention *pixels*)" in text
    for words in ("250 steps", "seed 7", "0.5 m a pixel", "of uint8", "`images`", "crispmap.DiceLoss", "torch 2.6.0"):
        assert words in text, words
    assert text.index("300 steps of 4 windows") > 0


def test_the_card_of_a_search_tells_its_metric_and_its_path(tmp_path, tiny, monkeypatch):
    path = [{"name": "0-0.0", "weight": 0.0, "stop": 100}, {"name": "1-0.9", "weight": 0.9, "stop": 300}]
    search = {"policy": {"policy": "search", "metric": "boundary_f1"}, "path": path, "cost": 500}
    monkeypatch.setattr(tiny, "spec", replace(tiny.spec, training=tiny.spec.training | {"search": search}))
    tiny.save_pretrained(tmp_path)
    _, text, _ = card_of(tmp_path)
    assert "those of the best boundary F1 seen there" in text
    assert "0.0 until step 100, then\n0.9 until step 300.\n" in text


def test_a_card_of_a_model_without_a_record(tmp_path, tiny, monkeypatch):
    bare = {**vars(tiny.spec), "training": {"settings": {"dataset": "inria"}}, "trained_resolution": None}
    monkeypatch.setattr(tiny, "spec", type(tiny.spec)(**bare))
    tiny.save_pretrained(tmp_path)
    _, text, _ = card_of(tmp_path)
    assert "None are recorded" in text
    assert "`inria`" in text
    assert "not known" in text


# --- files from strangers


class Trap:
    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return os.mkdir, (str(self.file),)


def with_header(header, size=0):
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(size)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"weights, surely",
        struct.pack("<Q", 2**62) + b"{}",
        with_header({"network.a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 4]}}, 4),
        with_header({"network.a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 400]}}, 4),
        "pickle",
    ],
)
def test_weights_that_are_none(folder, tmp_path, content):
    sprung = tmp_path / "sprung"
    content = pickle.dumps(Trap(sprung)) if content == "pickle" else content
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(ModelError, match=r"model\.safetensors is not a crispmap model"):
        load_model(folder)
    assert not sprung.exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"bands": 3.0}, "its bands cannot be 3.0"),
        ({"bands": 10**9}, "its bands cannot be"),
        ({"decoder_channels": [8, 8, 8, 8, 10**9]}, "its decoder_channels cannot be"),
        ({"mean": [1.0]}, "do not have 3 values"),
        ({"mean": [1.0, 2.0, float("nan")]}, "not all finite"),
        ({"scale": 0}, "its scale cannot be 0; it is from 0.01 to 4"),
        ({"resolution": -1.0}, "its resolution cannot be -1.0"),
        ({"classes": []}, "its classes cannot be"),
        ({"classes": [1]}, "its classes cannot be"),
        ({"dtype": "object"}, "its dtype cannot be 'object'"),
        ({"training": "long"}, "its training is no mapping"),
        ({"training": {"versions": "new"}}, "its versions is no mapping"),
        ({"training": {"settings": [1]}}, "its settings is no mapping"),
        ({"training": {"settings": {"optim": 3}}}, "its optim is no mapping"),
        ({"window": 0}, "its window cannot be 0"),
        ({"encoder": "resnet18"}, ""),
        ({"architecture": "os.system"}, "no architecture 'os.system'"),
    ],
)
def test_specifications_that_cannot_be(folder, change, words):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(ModelError, match=f"does not hold a network that can be built here: .*{words}"):
        load_model(folder)


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", "{"])
def test_files_that_hold_no_specification(folder, text):
    (folder / "config.json").write_text(text)
    with pytest.raises(ModelError, match="is not a crispmap model"):
        load_model(folder)


def test_weights_without_a_specification(folder):
    (folder / "config.json").unlink()
    with pytest.raises(ModelError, match=r"no config\.json beside .*model\.safetensors"):
        load_model(folder)


# --- the Hub


def test_a_repository_is_downloaded(folder, tiny, monkeypatch):
    asked = []

    def download(repository, allow_patterns):
        asked.append((repository, sorted(allow_patterns)))
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    again = SegmentationModel.from_pretrained("someone/houses")
    assert again.spec.mean == tiny.spec.mean
    assert asked == [("someone/houses", ["config.json", "model.safetensors"])]


def test_a_repository_that_is_not_there(monkeypatch):
    def download(repository, allow_patterns):
        raise huggingface_hub.errors.HFValidationError("Repo id must be in the form 'repo_name'\nand more")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    with pytest.raises(ModelError, match=r"no model at a/b/c: .*\(Repo id must be in the form 'repo_name'\)"):
        SegmentationModel.from_pretrained("a/b/c")


class Hub:
    """Remembers what is pushed to it."""

    def __init__(self, holds=(), fails=None):
        self.holds, self.fails, self.pushed, self.private = set(holds), fails, None, None

    def __call__(self, **_):
        return self

    def create_repo(self, repository, private, exist_ok):
        if self.fails:
            raise self.fails
        assert exist_ok
        self.repository, self.private = repository, private

    def file_exists(self, repository, name):
        return name in self.holds

    def upload_folder(self, repo_id, folder_path, ignore_patterns, commit_message):
        assert repo_id == self.repository
        self.pushed = set(os.listdir(folder_path)) - set(ignore_patterns or ())
        return f"https://huggingface.co/{repo_id}/commit/1"


def test_pushing(tiny, monkeypatch):
    monkeypatch.setattr(huggingface_hub, "HfApi", hub := Hub())
    assert tiny.push_to_hub("me/houses", private=True) == "https://huggingface.co/me/houses/commit/1"
    assert hub.pushed == {"README.md", "config.json", "model.safetensors"}
    assert hub.private
    monkeypatch.setattr(huggingface_hub, "HfApi", hub := Hub(holds={"README.md"}))
    tiny.push_to_hub("me/houses")
    assert hub.pushed == {"config.json", "model.safetensors"}  # what its owner wrote stays


def test_what_the_hub_refuses(tiny, monkeypatch):
    monkeypatch.setattr(huggingface_hub, "HfApi", Hub(fails=OSError("401 Unauthorized")))
    with pytest.raises(OutputError, match=r"did not take me/houses \(401 Unauthorized\); .*hf auth login"):
        tiny.push_to_hub("me/houses")
