"""Every message on the page on troubleshooting is what the command above it says, to the letter."""

import importlib.util
import shlex
from pathlib import Path

import pytest
from shown import ROOT, blocks_of

import crispmap.fit
from crispmap.cli import main

SHOWN = [tuple(block.text.strip().split("\n", 1)) for block in blocks_of(ROOT / "docs" / "troubleshooting.md")]


def everything(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def unable(monkeypatch):
    """Training must not be reached, and Ray is not there."""

    def reached(*_, **__):
        pytest.fail("the mistake was not noticed: training began")

    monkeypatch.setattr(crispmap.fit, "fit_regions", reached)
    found = importlib.util.find_spec
    monkeypatch.setattr("crispmap.cli.predict.find_spec", lambda name: None if name == "ray" else found(name))


def test_the_page_shows_what_commands_say(mistakes, unable, capsys):
    assert len(SHOWN) >= 20
    before = everything(Path.cwd())
    for command, message in SHOWN:
        assert command.startswith("$ crispmap ")
        status = main(shlex.split(command)[2:])
        said = capsys.readouterr()
        assert (status, said.err) == (2, message + "\n"), command
        assert said.out == ""
    assert everything(Path.cwd()) == before  # nothing half-written stays behind
