"""Outputs that appear whole or not at all: written beside their place, then renamed into it.

What is not whole yet lies in a hidden folder whose name says which process of which machine is at work in it, and that
this process holds locked. Of a process that was killed it stays behind; whoever writes the same output next removes it,
and so does `clear_abandoned`. Numbers alone would not do: containers may share the name of their machine, but count
their processes each from 1.
"""

import os
import re
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from hashlib import blake2s
from pathlib import Path
from platform import node

from crispmap.errors import CrispmapError

if sys.platform != "win32":
    import fcntl

_LONGEST_NAME = 120  # bytes of an output's name in that of its part; machine and process are in it too, and 255 is all


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Yields a path to write to; it becomes ``path`` when the block ends well and is removed otherwise.

    The name is the same, and with it the suffix, by which GDAL and others choose a driver. What a writer puts beside
    the file, such as a journal, goes with the folder. The file has reached the disk before it takes its place, so that
    not even a power cut leaves a part of it there.

    Raises:
        CrispmapError: What the block raises; where the message names the part, it names ``path`` instead.
        OSError: Likewise.
    """
    path = Path(path)
    with _part_of(path) as part:
        yield part
        to_disk(part)
        os.replace(part, path)


@contextmanager
def whole_folder(path: str | Path) -> Iterator[Path]:
    """Yields a folder to fill; it becomes ``path`` when the block ends well and is removed otherwise.

    In a folder that is there already, what was filled in replaces what has the same name; the rest stays. An empty one
    is replaced at once. All files have reached the disk before, as those of `whole_file` have.

    Raises:
        CrispmapError: As `whole_file` does.
        OSError: Likewise.
    """
    path = Path(path)
    with _part_of(path) as part:
        part.mkdir()
        yield part
        for file in part.rglob("*"):
            if file.is_file():
                to_disk(file)
        if _replaced(part, path):
            return
        names = [new.name for new in part.iterdir()]
        clear(path, names)  # all before the first is replaced: a kill in between leaves no mixture of old and new
        for name in names:
            os.replace(part / name, path / name)


def clear(folder: Path, names: Iterable[str]) -> None:
    """Removes the files and folders of these names from a folder; what else is there stays."""
    for path in (folder / name for name in names):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def clear_abandoned(folder: Path) -> None:
    """Removes from a folder the parts of outputs that processes of this machine were killed over."""
    if not folder.is_dir() or os.name == "nt":  # Windows has no harmless way to ask for a process by its number
        return
    of_this_machine = re.compile(rf"\..+\.{re.escape(_machine())}\.(\d+)\.part")
    try:
        paths = list(folder.iterdir())
    except PermissionError:  # one may write into it all the same
        return
    for path in paths:
        found = of_this_machine.fullmatch(path.name)
        if found and not _alive(int(found[1])):
            with _locked(path) as free:
                if free:
                    shutil.rmtree(path, ignore_errors=True)


def to_disk(path: Path) -> None:
    """Waits until what a file holds would survive a power cut."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


@contextmanager
def _part_of(path: Path) -> Iterator[Path]:
    """A place for what is not whole yet, in a folder beside the output; errors name the output."""
    path.parent.mkdir(parents=True, exist_ok=True)
    clear_abandoned(path.parent)
    folder = path.with_name(f".{_short(path.name)}.{_machine()}.{os.getpid()}.part")
    shutil.rmtree(folder, ignore_errors=True)
    try:
        folder.mkdir()
        with _locked(folder):
            yield folder / path.name
    except CrispmapError as error:
        raise type(error)(str(error).replace(str(folder / path.name), str(path))) from error
    except OSError as error:
        if str(error.filename).startswith(str(folder)):
            error.filename = str(path)
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _replaced(part: Path, path: Path) -> bool:
    """Renames a folder to where nothing is, or an empty folder where the system lets that be replaced; else False."""
    try:
        os.replace(part, path)
    except OSError:
        if not path.is_dir():
            raise
        return False
    return True


@contextmanager
def _locked(folder: Path) -> Iterator[bool]:
    """Holds a folder locked; gives False where another process does. Where there are no such locks, all get it."""
    if sys.platform == "win32":
        yield True
        return
    try:
        file = os.open(folder, os.O_RDONLY)
    except OSError:  # it has gone meanwhile
        yield False
        return
    try:
        yield _lock(file)
    finally:
        os.close(file)


def _lock(file: int) -> bool:
    """Locks an open folder, until it is closed; gives False where another process holds it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # network file systems may have no locks, or none for folders
        return True
    return True


def _short(name: str) -> str:
    """A name that leaves room for more in a name: one that is too long is cut, and told from others by a hash."""
    whole = os.fsencode(name)
    if len(whole) <= _LONGEST_NAME:
        return name
    return f"{whole[:_LONGEST_NAME].decode(errors='ignore')}~{blake2s(whole, digest_size=8).hexdigest()}"


def _machine() -> str:
    return re.sub(r"[^\w-]", "-", node()) or "machine"


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True
