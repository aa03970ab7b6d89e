"""`crispmap networks`, and its names in `crispmap fit`."""

import re
import subprocess
import sys

import pytest
import yaml

from crispmap.cli import main
from crispmap.cli.fit import build_parser, name_network
from crispmap.settings import NETWORKS

NEEDED = ["--images", "i", "--labels", "l", "--out", "o"]


def parsed(*flags):
    return build_parser().parse_args([*NEEDED, *flags]).model


def test_the_table(capsys):
    assert main(["networks", "--side", "64"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(NETWORKS)
    assert lines[0].split() == ["network", "architecture", "encoder", "parameters", "multiply-adds"]
    for line, (name, network) in zip(lines[1:], NETWORKS.items(), strict=True):
        assert line.startswith(f"{name} ")
        assert f" {network.architecture} " in line
        assert f" {network.encoder} " in line
        assert re.search(r" \d+\.\d M +\d+\.\d G$", line)


@pytest.mark.parametrize(("flag", "value"), [("--side", "100"), ("--side", "0"), ("--bands", "0")])
def test_numbers_that_mean_nothing(capsys, flag, value):
    assert main(["networks", flag, value]) == 2
    assert f"{flag} is {value}" in capsys.readouterr().err


@pytest.mark.parametrize("flags", [["--network", "small"], ["--network=small"]])
def test_a_name_stands_for_a_network(flags):
    model = parsed(*flags)
    small = NETWORKS["small"]
    assert (model.architecture, model.encoder) == (small.architecture, small.encoder)
    assert model.decoder_channels == small.decoder_channels
    assert small.decoder_channels  # or the line above says little


def test_flags_change_a_named_network_wherever_they_stand():
    for flags in (
        ["--network", "small", "--model.encoder", "resnet18"],
        ["--model.encoder=resnet18", "--network=small"],
    ):
        model = parsed(*flags, "--model.weights", "imagenet")
        assert (model.encoder, model.weights) == ("resnet18", "imagenet")
        assert model.decoder_channels == NETWORKS["small"].decoder_channels


def test_a_name_replaces_the_network_of_a_config(tmp_path):
    config = tmp_path / "old.yaml"
    network = {"architecture": "Unet", "encoder": "resnet50", "weights": None, "decoder_channels": [9, 9, 9, 9, 9]}
    config.write_text(yaml.safe_dump({"model": network}))
    assert parsed("--config", str(config)).encoder == "resnet50"
    model = parsed("--config", str(config), "--network", "segformer-b2")
    assert (model.architecture, model.encoder, model.decoder_channels) == ("Segformer", "mit_b2", [])


def test_nothing_is_changed_where_no_name_is_given():
    assert name_network(["--model.encoder", "x", "--steps", "3"]) == ["--model.encoder", "x", "--steps", "3"]


def test_names_that_mean_nothing(capsys, tmp_path):
    assert main(["fit", *NEEDED, "--network", "unet-vgg17"]) == 2
    error = capsys.readouterr().err
    assert "no network 'unet-vgg17'" in error
    assert "unet-vgg16" in error
    (tmp_path / "c.yaml").write_text("network: small\n")
    assert main(["fit", *NEEDED, "--config", str(tmp_path / "c.yaml")]) == 2
    assert "a YAML file cannot name a network" in capsys.readouterr().err


def test_help_answers_without_torch():
    code = (
        "import sys; from crispmap.cli import main; assert main(['networks', '--help']) == 0; "
        "assert main(['fit', '--network', 'none']) == 2; assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
