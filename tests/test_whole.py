"""Outputs are whole or absent, and parts that a killed process has left go away."""

import errno
import os
import subprocess
import sys
from platform import node

import pytest

from crispmap.errors import InputError, OutputError
from crispmap.whole import clear_abandoned, whole_file, whole_folder


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def killed(tmp_path):
    """Leaves what a process leaves that is killed as it writes: `killed("whole_file", "a")`."""

    def leave(function, name):
        code = f"""
import os, signal
from crispmap.whole import {function}
with {function}({str(tmp_path / name)!r}) as part:
    (part / "inner" if part.is_dir() else part).write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
        assert subprocess.run([sys.executable, "-c", code]).returncode == -9
        [part] = [path for path in tmp_path.iterdir() if path.name.startswith(f".{name}.")]
        return part

    return leave


def test_a_file_appears_when_the_block_ends(tmp_path):
    with whole_file(tmp_path / "new" / "a.txt") as part:
        part.write_text("content")
        part.with_suffix(".journal").write_text("what a database writes beside")
        assert part.name == "a.txt"
        assert not (tmp_path / "new" / "a.txt").exists()
    assert names(tmp_path / "new") == ["a.txt"]
    assert (tmp_path / "new" / "a.txt").read_text() == "content"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_nothing_changes_when_the_block_fails(tmp_path, error):
    def write_half(writing, name, inner):
        with writing(tmp_path / name) as part:
            (part / inner).write_text("half")
            raise error

    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(error):
        write_half(whole_file, "a.txt", "")
    with pytest.raises(error):
        write_half(whole_folder, "b", "inner")
    assert names(tmp_path) == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"


def test_errors_name_the_output_and_not_its_part(tmp_path):
    with pytest.raises(OutputError) as known, whole_file(tmp_path / "a.txt") as part:
        raise OutputError(f"{part} cannot be written")
    assert str(known.value) == f"{tmp_path / 'a.txt'} cannot be written"
    with pytest.raises(InputError) as other, whole_folder(tmp_path / "b"):
        raise InputError("elsewhere")
    assert str(other.value) == "elsewhere"
    with pytest.raises(OSError, match=r"a\.txt") as full, whole_file(tmp_path / "a.txt") as part:
        raise OSError(errno.ENOSPC, "No space left on device", str(part))
    assert full.value.filename == str(tmp_path / "a.txt")


def test_a_folder_that_is_there_is_never_a_mixture(tmp_path, monkeypatch):
    """Killed while its files are replaced, what is missing is missing."""
    out = tmp_path / "out"
    out.mkdir()
    for name in ("images", "masks", "other"):
        (out / name).write_text("old")
    replace = os.replace
    moved = []

    def stopping(source, target):
        if moved:
            raise KeyboardInterrupt
        replace(source, target)
        moved.append(target)

    def write_all():
        with whole_folder(out) as part:
            for name in ("images", "masks"):
                (part / name).write_text("new")

    monkeypatch.setattr("os.replace", stopping)
    with pytest.raises(KeyboardInterrupt):
        write_all()
    found = {path.name: path.read_text() for path in out.iterdir()}
    assert found == {"other": "old", moved[0].name: "new"}


def test_an_empty_folder_is_replaced_at_once(tmp_path, monkeypatch):
    """So that a kill leaves it empty or whole."""
    out = tmp_path / "out"
    out.mkdir()
    replace, moved = os.replace, []
    monkeypatch.setattr("os.replace", lambda source, target: (moved.append(target), replace(source, target)))
    with whole_folder(out) as part:
        for name in ("images", "masks"):
            (part / name).mkdir()
    assert moved == [out]
    assert names(out) == ["images", "masks"]


def test_a_folder_behind_a_link_is_filled(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with whole_folder(tmp_path / "link") as part:
        (part / "a").write_text("new")
    assert names(tmp_path) == ["link", "real"]
    assert names(tmp_path / "real") == ["a"]


@pytest.mark.parametrize("there", [False, True])
def test_files_of_a_folder_reach_the_disk_before_it_takes_its_place(tmp_path, monkeypatch, there):
    if there:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "old").write_text("")
    events = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr("os.fsync", lambda file: (events.append(os.fstat(file).st_ino), fsync(file)))
    monkeypatch.setattr("os.replace", lambda source, target: (replace(source, target), events.append("moved")))
    with whole_folder(tmp_path / "out") as part:
        (part / "images").mkdir()
        files = [part / "images" / "0.tif", part / "labels.gpkg"]
        for file in files:
            file.write_text("content")
        inodes = {file.stat().st_ino for file in files}
    assert set(events[: events.index("moved")]) == inodes


@pytest.mark.parametrize("name", ["a" * 251 + ".tif", "ü" * 125 + ".tif", "建" * 83 + ".tif"])
def test_names_as_long_as_file_systems_take_them(tmp_path, name):
    with whole_file(tmp_path / name) as part, whole_file(tmp_path / f"b{name[1:]}") as other:
        part.write_text("one")
        other.write_text("other")
        with whole_file(tmp_path / f"{name[:-5]}2.tif") as third:
            third.write_text("third")
    assert names(tmp_path) == sorted([name, f"b{name[1:]}", f"{name[:-5]}2.tif"])
    assert (tmp_path / name).read_text() == "one"


@pytest.mark.parametrize("function", ["whole_file", "whole_folder"])
def test_the_next_writer_removes_what_a_killed_one_left(tmp_path, killed, function):
    killed(function, "a")
    with whole_file(tmp_path / "a") as part:
        part.write_text("whole")
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize("function", [whole_file, whole_folder])
def test_parts_at_work_in_another_container_stay(tmp_path, function):
    """Which shares the name of the machine and not the numbers of processes: this one's is of nobody there."""
    fcntl = pytest.importorskip("fcntl")
    left = tmp_path / f".b.{node()}.999999999.part"
    left.mkdir()
    held = os.open(left, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    with function(tmp_path / "a") as part:
        assert left.exists()
        at_work = os.open(part.parent, os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(at_work, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(at_work)
        if function is whole_file:
            part.write_text("")
    os.close(held)
    clear_abandoned(tmp_path)
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize("function", ["whole_file", "whole_folder"])
def test_where_folders_cannot_be_locked_numbers_decide(tmp_path, killed, monkeypatch, function):
    fcntl = pytest.importorskip("fcntl")

    def refuse(*_):
        raise OSError(errno.EBADF, "as on NFS")

    killed(function, "a")
    monkeypatch.setattr(fcntl, "flock", refuse)
    with whole_file(tmp_path / "b") as part:
        part.write_text("")
    assert names(tmp_path) == ["b"]


def test_parts_of_the_living_and_of_other_machines_stay(tmp_path, killed):
    left = killed("whole_file", "a")
    machine, dead = node(), left.name.split(".")[-2]
    elsewhere = f".a.{machine}-2.{dead}.part"
    living = f".a.{machine}.{os.getppid()}.part"
    for name in (elsewhere, living, f".a.{machine}.part", "a.part"):
        (tmp_path / name).mkdir()
    clear_abandoned(tmp_path)
    assert names(tmp_path) == sorted([elsewhere, living, f".a.{machine}.part", "a.part"])
    clear_abandoned(tmp_path / "nowhere")
