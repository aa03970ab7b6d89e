"""Faults on a small scale, and that the harness would see a loss."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from campaign import Campaign, Outcome
from commands import Command, World
from processes import Ended
from readers import content, results, torch_file

HERE = Path(__file__).parent


def test_nothing_is_lost_under_a_few_faults_of_each_kind(tmp_path):
    arguments = [sys.executable, str(HERE / "run.py"), "--quick", "--out", str(tmp_path)]
    finished = subprocess.run(arguments, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stdout[-4000:] + finished.stderr[-4000:]
    result = json.loads((tmp_path / "faults.json").read_text())
    assert result["kills"] >= 4
    assert sum(row["injected"] for row in result["tally"]) >= 9
    assert not any(row["lost"] for row in result["tally"])
    assert "| fit | killed at a file |" in (tmp_path / "faults.md").read_text()


@pytest.fixture
def command():
    """Which leaves a table whole or not at all, and a list of numbers on the way."""
    return Command(
        "make",
        ["make"],
        Path("input"),
        {"out/table.csv": content, "out/*.json": results},
        whole=["out/table.csv"],
        readable={"out/*.json": results},
    )


@pytest.fixture
def folders(tmp_path):
    """Twice the same output: what is there, and the reference."""
    for name in ("there", "reference"):
        out = tmp_path / name / "out"
        out.mkdir(parents=True)
        (out / "table.csv").write_text("a,b\n1,2\n")
        (out / "state.json").write_text(json.dumps({"value": 0.1, "seconds": len(name)}))
    return tmp_path / "there", tmp_path / "reference"


class TestLossesAreSeen:
    def test_none_where_all_is_the_same(self, command, folders):
        assert command.differences(*folders) == command.damage(*folders) == []

    def test_a_part_of_a_file(self, command, folders):
        (folders[0] / "out/table.csv").write_text("a,b\n1")
        assert command.damage(*folders) == ["out/table.csv is not whole"]
        assert command.differences(*folders) == ["out/table.csv differs"]

    def test_a_state_that_cannot_be_read(self, command, folders):
        (folders[0] / "out/state.json").write_text('{"value": 0.')
        assert command.damage(*folders) == ["out/state.json cannot be read"]

    def test_the_last_bit_of_a_number(self, command, folders):
        (folders[0] / "out/state.json").write_text('{"value": 0.10000000000000002}')
        assert command.damage(*folders) == []
        assert command.differences(*folders) == ["out/state.json differs"]

    def test_a_file_that_is_missing_or_too_many(self, command, folders):
        (folders[0] / "out/table.csv").unlink()
        (folders[0] / "out/.table.csv.here.12.part").write_text("a,b")
        assert command.damage(*folders) == []
        assert command.differences(*folders) == [
            "out/table.csv differs",
            "out/.table.csv.here.12.part is left behind or missing",
            "out/table.csv is left behind or missing",
        ]

    def test_an_empty_folder_that_is_left(self, command, folders):
        (folders[0] / "out/.table.partial").mkdir()
        assert command.differences(*folders) == ["out/.table.partial is left behind or missing"]

    @pytest.mark.parametrize(
        ("status", "said", "clear"),
        [
            (2, "crispmap make: the disk is full\n", True),
            (2, "the disk is full\n", False),
            (1, "crispmap make: the disk is full\n", False),
            (2, "Traceback (most recent call last):\ncrispmap make: the disk is full\n", False),
            (-11, "", False),
        ],
    )
    def test_an_end_without_a_clear_line(self, command, tmp_path, status, said, clear):
        outcome = Outcome("make", "full disk", 0)
        Campaign(World(tmp_path)).check_line(command, Ended(status, 1.0, said), outcome)
        assert (not outcome.losses) == clear


def test_weights_are_compared_to_the_last_bit(tmp_path):
    for name, value in (("a", 1.0), ("b", 1.0 + 2**-23)):
        torch.save({"weight": torch.tensor([0.0, value])}, tmp_path / name)
    assert torch_file(tmp_path / "a") == torch_file(tmp_path / "a")
    assert torch_file(tmp_path / "a") != torch_file(tmp_path / "b")
