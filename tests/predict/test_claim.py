"""Locks on outputs: they keep other processes off, end with their own, and leave nothing behind."""

import errno
import subprocess
import sys

import pytest

from crispmap.errors import OutputError
from crispmap.predict import claim
from crispmap.predict.claim import claimed, lock_file

fcntl = pytest.importorskip("fcntl", reason="there are no such locks here")


@pytest.fixture
def elsewhere():
    """Another process that holds paths until the test or it ends: `elsewhere(path, …)`."""
    others = []

    def hold(*paths):
        code = f"""
from pathlib import Path
from crispmap.predict.claim import claimed
with claimed([Path(path) for path in {[str(path) for path in paths]}]):
    print("held", flush=True)
    input()
"""
        others.append(subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        assert others[-1].stdout.readline() == b"held\n"
        return others[-1]

    yield hold
    for other in others:
        other.kill()
        other.communicate()


def test_one_process_at_a_time(tmp_path, elsewhere):
    mine, others = [tmp_path / f".{name}.partial" for name in "ab"], [tmp_path / f".{name}.partial" for name in "bcd"]
    other = elsewhere(*others)
    with pytest.raises(OutputError, match=r"another process is at work on .*/\.b\.partial"), claimed(mine):
        pass
    assert lock_file(tmp_path).exists()
    with claimed(mine[:1]):  # of other images
        pass
    assert lock_file(tmp_path).exists()
    other.communicate(b"\n")
    assert list(tmp_path.iterdir()) == []


def test_a_killed_process_holds_nothing(tmp_path, elsewhere):
    other = elsewhere(tmp_path / "a")
    other.kill()
    other.wait()
    assert lock_file(tmp_path).exists()
    with claimed([tmp_path / "a"]):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_its_last_user_removes_meanwhile_locks_nothing(tmp_path, monkeypatch):
    """Then there is another of its name, which counts."""
    lock = claim._lock

    def too_late(file, name=None):
        if name is not None:
            lock_file(tmp_path).unlink()
            monkeypatch.setattr(claim, "_lock", lock)
        return lock(file, name)

    monkeypatch.setattr(claim, "_lock", too_late)
    with claimed([tmp_path / "a"]):
        assert lock_file(tmp_path).exists()
    assert not lock_file(tmp_path).exists()


@pytest.mark.parametrize("error", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL])
def test_without_locks_all_goes_on(tmp_path, monkeypatch, error):
    def refuse(*_):
        raise OSError(error, "no locks")

    monkeypatch.setattr(fcntl, "lockf", refuse)
    with claimed([tmp_path / "a"]):
        (tmp_path / "a").mkdir()
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_thousands_take_one_open_file(tmp_path, monkeypatch):
    opened = []
    original = claim.os.open
    monkeypatch.setattr("os.open", lambda *given: opened.append(given) or original(*given))
    with claimed([tmp_path / "new" / f".{number}.partial" for number in range(2000)]):
        pass
    assert len(opened) == 1
    assert list(tmp_path.iterdir()) == []
