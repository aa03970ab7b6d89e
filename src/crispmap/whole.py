"""Outputs that appear whole or not at all: written beside their place, then renamed into it."""

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Yields a path to write to; it becomes ``path`` when the block ends well and is removed otherwise.

    The name keeps its suffix, by which GDAL and others choose a driver.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{os.getpid()}.part.{path.name}")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def clear(folder: Path, names: Iterable[str]) -> None:
    """Removes the files and folders of these names from a folder; what else is there stays."""
    for path in (folder / name for name in names):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: str | Path) -> Iterator[Path]:
    """Yields a folder to fill; it becomes ``path`` when the block ends well and is removed otherwise.

    In a folder that is there already, what was filled in replaces what has the same name; the rest stays.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{os.getpid()}.part.{path.name}")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    try:
        yield part
        if not path.exists():
            os.replace(part, path)
            return
        for new in part.iterdir():
            clear(path, [new.name])
            os.replace(new, path / new.name)
    finally:
        shutil.rmtree(part, ignore_errors=True)
