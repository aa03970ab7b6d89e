"""One command at a time for the same outputs, by locks that end with the process that holds them.

A lock is a byte of a hidden file in the folder of the outputs, at a place that follows from a name. So thousands of
them take one open file, and commands for other images may work in the same folder. Who leaves last removes the file,
and who had to make the folder removes that, if nothing has come into it.
"""

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from hashlib import blake2s
from pathlib import Path

from crispmap.errors import OutputError

if sys.platform != "win32":
    import fcntl

_LOCK_FILE = ".crispmap-predict.lock"
_PATIENCE = 0.5  # seconds: the one who leaves holds all of the file for a moment, to see whether it may go


def lock_file(folder: Path) -> Path:
    """The file of the locks in a folder; where no command is at work in it, only a killed one has left it."""
    return folder / _LOCK_FILE


@contextmanager
def claimed(paths: Sequence[Path]) -> Iterator[None]:
    """Holds some paths, which need not exist, against other processes that ask for them here, until the block ends.

    Where a file system has no locks, and on Windows, nothing is held, and all goes on.

    Raises:
        OutputError: If another process holds one of them.
    """
    if sys.platform == "win32":
        yield
        return
    with ExitStack() as held:
        for folder in sorted({path.parent for path in paths}):
            held.enter_context(_claimed_in(folder, [path.name for path in paths if path.parent == folder]))
        yield


@contextmanager
def _claimed_in(folder: Path, names: Sequence[str]) -> Iterator[None]:
    made = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    path = lock_file(folder)
    file = _locked_file(path, names)
    try:
        yield
    finally:
        if _lock(file):
            path.unlink(missing_ok=True)
        os.close(file)
        if made and not any(folder.iterdir()):
            folder.rmdir()


def _locked_file(path: Path, names: Sequence[str]) -> int:
    """Opens the file and locks the bytes of all the names in it."""
    until = time.monotonic() + _PATIENCE
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        taken = next((name for name in names if not _lock(file, name)), None)
        late = time.monotonic() > until
        if taken is None and (_is_at(path, file) or late):
            return file
        os.close(file)
        if taken is not None and late:
            raise OutputError(
                f"another process is at work on {path.with_name(taken)}; wait for its end, or give another folder"
            )
        time.sleep(_PATIENCE / 10)


def _is_at(path: Path, file: int) -> bool:
    """Whether an open file is still the one of that name, and not one that its last user has removed meanwhile."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(file))
    except FileNotFoundError:
        return False


def _lock(file: int, name: str | None = None) -> bool:
    """Locks the byte of a name, or the whole file; gives False where another process holds it, or a part of it."""
    start, length = (0, 0) if name is None else (_byte(name), 1)
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, length, start)
    except (BlockingIOError, PermissionError):  # POSIX leaves it to the system which of them it is
        return False
    except OSError:  # no locks here
        return True
    return True


def _byte(name: str) -> int:
    return int.from_bytes(blake2s(os.fsencode(name), digest_size=7).digest())
