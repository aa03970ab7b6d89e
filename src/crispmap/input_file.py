"""Files from whoever wrote them: opened only where a read ends, and YAML only where its values fit into memory.

Free of torch, and known to all.
"""

import os
import stat
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from crispmap.errors import InputError, one_line

_MOST_BYTES = 2**20
_MOST_VALUES = 10**5
_DEEPEST = 50

_ENDLESS = {stat.S_ISFIFO: "pipe", stat.S_ISSOCK: "socket", stat.S_ISCHR: "device", stat.S_ISBLK: "device"}
_AFTER_STEM = ("", ".", "_", "-")  # what a name goes on with that another file's name begins with: a.RPB, a_rpc.txt


def check_text(name: str) -> None:
    """Checks that a name is text: GDAL takes names of other bytes for none.

    Raises:
        InputError: If it is not.
    """
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"the name {name!r} is no text in UTF-8; rename the file") from error


def check_input_file(path: str | Path, *, beside: bool = False) -> None:
    """Checks that a path is text, as GDAL wants it, and leads to no pipe, socket or device: a read may never end.

    What is not there at all passes; whoever opens it has more to say about that.

    Args:
        path: The file, or a folder.
        beside: Whether the files beside it that share its name, but for the ending, are read with it and so checked,
            too: masks, overviews, tables, indices.

    Raises:
        InputError: If it is none, or does.
    """
    check_text(str(path))
    kind = _endless(path)
    if kind:
        raise InputError(f"{path} is a {kind}; give a file, or a folder")
    if beside:
        _check_beside(path)


def _check_beside(path: str | Path) -> None:
    folder, name = os.path.split(path)
    stem = os.path.splitext(name)[0].lower()
    try:
        found = _endless_in(folder or ".", os.stat(folder or ".").st_mtime_ns)
    except (OSError, ValueError):
        return
    for other, kind in found.items():
        if other.lower().startswith(stem) and other[len(stem) :][:1] in _AFTER_STEM:
            raise InputError(f"{os.path.join(folder, other)} beside {path} is a {kind}; give a file, or take it away")


@lru_cache(maxsize=1024)
def _endless_in(folder: str, changed: int) -> dict[str, str]:
    """What in a folder is a pipe, a socket or a device, by name; looked for again when the folder has changed."""
    with os.scandir(folder) as entries:
        others = [entry for entry in entries if not entry.is_file(follow_symlinks=False)]
    kinds = {entry.name: _endless(entry.path) for entry in others}
    return {name: kind for name, kind in kinds.items() if kind}


def _endless(path: str | Path) -> str | None:
    """What a path leads to, if a read of it may never end."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return None
    return next((kind for is_one, kind in _ENDLESS.items() if is_one(mode)), None)


def read_yaml(path: str | Path, what: str) -> Any:
    """Reads a YAML file of plain values.

    Args:
        path: The file.
        what: What messages call it, such as ``--config``.

    Raises:
        InputError: If it cannot be read, holds anything but plain values, or is far too large for settings.
    """
    check_input_file(path)
    try:
        if os.stat(path).st_size > _MOST_BYTES:
            raise InputError(f"{what} {path} holds no settings: it has more than {_MOST_BYTES:,} bytes")
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise InputError(f"{what} {path} cannot be read: {one_line(error)}") from error
    return parse_yaml(text, f"{what} {path}")


def parse_yaml(text: str, what: str) -> Any:
    """Plain values from YAML; what it stands for is counted before it is made.

    *Convention.* An alias (``*name``) counts as all that it stands for: nested ones let ten lines of YAML stand for
    more values than any memory holds.

    Args:
        text: The YAML.
        what: What messages call it.

    Raises:
        InputError: If it is no YAML, holds anything but plain values, more than 100,000 of them, or more than 50 in
            each other.
    """
    try:
        _check_size(yaml.parse(text, Loader=yaml.SafeLoader))
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # ValueError: numbers and dates that are none
        raise InputError(f"{what} cannot be read: {one_line(error)}") from error


def _check_size(events: Iterator[yaml.Event]) -> None:
    count = 0
    open_nodes: list[tuple[str | None, int]] = []  # of each its anchor, and the count when it began
    sizes: dict[str, int] = {}  # of what anchors stand for
    for event in events:
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in sizes:
                raise ValueError(f"the alias *{event.anchor} stands for nothing, or for itself")
            count += sizes[event.anchor]
        elif isinstance(event, yaml.NodeEvent):
            count += 1
            open_nodes.append((event.anchor, count))
        if isinstance(event, yaml.ScalarEvent | yaml.CollectionEndEvent):
            anchor, began = open_nodes.pop()
            if anchor is not None:
                sizes[anchor] = count - began + 1
        if count > _MOST_VALUES or len(open_nodes) > _DEEPEST:
            raise ValueError(f"it stands for more than {_MOST_VALUES:,} values, or {_DEEPEST} in each other")
