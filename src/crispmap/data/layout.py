"""Which files of a published dataset lie under a root, which are missing, and which are too many; by name alone."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from crispmap.errors import InputError
from crispmap.geo.raster import is_hidden, rasters_in


@dataclass(frozen=True)
class Role:
    """One kind of file that a dataset has.

    Attributes:
        name: What it is called, as a rule the folder from the archive.
        folders: Where the files may lie, seen from the root: the first that holds a file counts. ``""`` is the root
            itself and ``"*"`` any folder directly in it.
        files: The name of the file of each tile, complete.
    """

    name: str
    folders: tuple[str, ...]
    files: Mapping[str, str]


@dataclass(frozen=True)
class Layout:
    """What was found.

    Attributes:
        root: The folder that holds the dataset.
        roles: All that it could hold.
        found: The files of each role, by tile, in the order of the role.
        surplus: Rasters among them that the dataset does not have, or has elsewhere already.
    """

    root: Path
    roles: tuple[Role, ...]
    found: Mapping[str, Mapping[str, Path]]
    surplus: tuple[Path, ...]

    def missing(self, role: Role) -> list[str]:
        """The names of a role's files that are not there."""
        return [name for tile, name in role.files.items() if tile not in self.found[role.name]]

    @property
    def count(self) -> int:
        """How many files of the dataset are there."""
        return sum(map(len, self.found.values()))


def find_layout(given: Path, roles: Sequence[Role], surplus: str = ".*") -> Layout | None:
    """Looks for a dataset in a folder and in the folders directly in it: where most of it is, there is its root.

    Names of folders above the root play no part, nor does the case of a file's name.

    Args:
        given: The dataset's root or the folder around it.
        roles: What the dataset has.
        surplus: A regular expression: rasters of such names, in the dataset's folders, belong to it or are too many.

    Returns:
        What was found; None if nothing was.

    Raises:
        InputError: If ``given`` is no folder, or several folders in it hold the dataset.
    """
    if not given.is_dir():
        raise InputError(f"folder not found: {given}")
    here = _survey(given, roles, surplus)
    below = [_survey(folder, roles, surplus) for folder in _folders(given)]
    below = [layout for layout in below if layout.count > here.count]
    if len(below) > 1:
        names = ", ".join(layout.root.name for layout in below)
        raise InputError(f"{given} holds the dataset more than once ({names}); give one of these folders")
    best = below[0] if below else here
    return best if best.count else None


def _survey(root: Path, roles: Sequence[Role], surplus: str) -> Layout:
    found: dict[str, dict[str, Path]] = {}
    seen: dict[Path, None] = {}
    for role in roles:
        there: dict[str, Path] = {}
        for folder in _expanded(root, role.folders):
            files = {path.name.casefold(): path for path in _rasters(folder)}
            seen |= dict.fromkeys(files.values())
            there = {
                tile: files[name.casefold()] for tile, name in role.files.items() if name.casefold() in files
            } | there
        found[role.name] = {tile: there[tile] for tile in role.files if tile in there}
    known = {path for files in found.values() for path in files.values()}
    extra = (path for path in seen if path not in known and re.fullmatch(surplus, path.name, re.IGNORECASE))
    return Layout(root, tuple(roles), found, tuple(extra))


def _expanded(root: Path, folders: Iterable[str]) -> Iterator[Path]:
    for name in folders:
        yield from _folders(root) if name == "*" else [root / name]


def _folders(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir() and not is_hidden(path))


def _rasters(folder: Path) -> list[Path]:
    return rasters_in(folder) if folder.is_dir() else []
