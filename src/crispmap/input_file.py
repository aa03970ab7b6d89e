"""Files from whoever wrote them: opened only where a read ends, and YAML only where its values fit into memory.

Free of torch, and known to all.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from crispmap.errors import InputError, one_line

_MOST_BYTES = 2**20
_MOST_VALUES = 10**5
_DEEPEST = 50

_ENDLESS = {stat.S_ISFIFO: "pipe", stat.S_ISSOCK: "socket", stat.S_ISCHR: "device", stat.S_ISBLK: "device"}


def check_text(name: str) -> None:
    """Checks that a name is text: GDAL takes names of other bytes for none.

    Raises:
        InputError: If it is not.
    """
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"the name {name!r} is no text in UTF-8; rename the file") from error


def check_input_file(path: str | Path) -> None:
    """Checks that a path is text, as GDAL wants it, and leads to no pipe, socket or device: a read may never end.

    What is not there at all passes; whoever opens it has more to say about that.

    Raises:
        InputError: If it is none, or does.
    """
    check_text(str(path))
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return
    for is_one, kind in _ENDLESS.items():
        if is_one(mode):
            raise InputError(f"{path} is a {kind}; give a file, or a folder")


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
