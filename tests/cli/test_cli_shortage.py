"""What the command line says when a machine runs out of something; other errors stay the bugs that they are."""

import errno

import pytest
import torch

from crispmap import cli
from crispmap.cli import main
from crispmap.errors import SettingError

CPU = "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate"
WORKER = "Caught MemoryError in DataLoader worker process 0.\nTraceback …\nMemoryError: 3 GiB"
WRITER = "[enforce fail at inline_container.cc:664] . PytorchStreamWriter failed writing file data/0: file write failed"


@pytest.fixture
def ended(monkeypatch, capsys):
    """The status of a command that raises an error, and what it says: `ended("fit", error)`."""

    def run(command, error):
        def failing(_):
            raise error

        monkeypatch.setattr(cli, "import_command", failing)
        return main([command]), capsys.readouterr().err

    return run


@pytest.mark.parametrize(
    ("command", "error", "words"),
    [
        ("fit", MemoryError(), ["out of memory", "--data.batch_size"]),
        ("fit", MemoryError("Unable to allocate 7.45 GiB for an array"), ["7.45 GiB"]),
        ("predict", torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), ["2.00 GiB", "--patch"]),
        ("evaluate", RuntimeError(CPU), ["out of memory", "give it more"]),
        ("fit", OSError(errno.ENOMEM, "Cannot allocate memory"), ["out of memory"]),
        ("fit", RuntimeError("can't start new thread"), ["out of memory"]),
        ("fit", MemoryError(WORKER), ["MemoryError: 3 GiB"]),
        ("fit", RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. "), ["process that reads images"]),
        ("fit", RuntimeError(WRITER), ["the disk or a quota is full"]),
        ("synthesize", OSError(errno.ENOSPC, "No space left on device", "a.tif"), ["a.tif", "make room"]),
        ("synthesize", OSError(errno.EACCES, "Permission denied", "a.tif"), ["Permission denied", "a.tif"]),
        ("fit", SettingError("a mistake"), ["a mistake"]),
    ],
)
def test_one_line_says_what_to_do(ended, command, error, words):
    status, said = ended(command, error)
    assert status == 2
    assert said.startswith(f"crispmap {command}: ")
    assert said.count("\n") == 1
    assert all(word in said for word in words)
    assert "Traceback …" not in said


@pytest.mark.parametrize("error", [RuntimeError("shapes do not fit"), ValueError("a bug"), AssertionError()])
def test_bugs_are_raised(ended, error):
    with pytest.raises(type(error)):
        ended("fit", error)
