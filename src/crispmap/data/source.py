"""What the readers of published datasets share: tiles, their scenes, and the three parts of a dataset."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from crispmap.data.folder import check_alike, look_at_labels
from crispmap.data.labels import Label, Unlabelled
from crispmap.data.layout import Layout, Role, find_layout
from crispmap.data.scene import Region, Scene
from crispmap.data.split import split_by_space
from crispmap.errors import InputError, SettingError
from crispmap.geo.raster import Nodata, Raster, check_same_grid

_VAL_SHARE = 0.2
_WINDOW = 256  # side of the windows that both parts of a divided tile should hold
_NAMED = 10  # so many of the files that lack the same are named one by one


@dataclass(frozen=True)
class DatasetTile:
    """One image of a dataset.

    Attributes:
        name: What tells it from the others, as "austin1".
        split: "train", "val" or "test", as the dataset has it.
        group: What it belongs to, as its city.
        images: Its file, or several whose bands are put together.
        label: The file of its labels; None if there is none.
    """

    name: str
    split: str
    group: str
    images: tuple[Path, ...]
    label: Path | None


@dataclass(frozen=True)
class PublishedDataset:
    """A published dataset, ready for training, validation and prediction.

    Attributes:
        name: As `crispmap.data.published.open_dataset` takes it.
        root: Where it was found.
        train: Scenes to train on.
        val: Scenes to validate on; without an official validation part, or where no file of it is there, ground
            that has been taken from ``train``, which the notes say.
        test: Scenes to test on, or, where their labels are not published, to predict.
        groups: For each tile, by the stem of its image's file name, what it belongs to: for INRIA its city.
        notes: Sentences on what is not as one would expect.
    """

    name: str
    root: Path
    train: list[Scene]
    val: list[Scene]
    test: list[Scene]
    groups: dict[str, str]
    notes: list[str]


class Source(ABC):
    """How one dataset is published."""

    name: ClassVar[str]
    title: ClassVar[str]
    how_to_get: ClassVar[str]
    size: ClassVar[tuple[int, int]]  # height and width of every tile
    palette: ClassVar[Mapping[int, tuple[int, int, int]]] = {1: (255, 196, 0)}  # of class numbers, for pictures
    surplus: ClassVar[str] = ".*"  # names of rasters that belong to the dataset or are too many
    nodata: Nodata = "file"

    @property
    @abstractmethod
    def roles(self) -> tuple[Role, ...]:
        """Every file that the complete dataset has."""

    @abstractmethod
    def tiles(self, layout: Layout) -> tuple[list[DatasetTile], list[str]]:
        """The tiles that can be used, and notes on those that cannot."""

    @abstractmethod
    def label(self, raster: Raster) -> Label:
        """The labels in a file."""

    @abstractmethod
    def tally(self, raster: Raster) -> dict[str, int]:
        """How many pixels of a label file have which value."""

    def inspector(self, layout: Layout) -> "Source":
        """The reader, of those that other choices give, that sees most of what is there."""
        return self

    def find(self, given: Path) -> Layout:
        """Looks for the dataset in a folder and in those directly in it.

        Raises:
            InputError: If it is not there.
        """
        layout = find_layout(given, self.roles, self.surplus)
        if layout is None:
            names = (f"{role.folders[0] or '.'}/{next(iter(role.files.values()))}" for role in self.roles)
            packed = [path.name for path in sorted(given.iterdir()) if path.suffix in (".zip", ".7z", ".gz", ".tgz")]
            unpack = f"; unpack {', '.join(packed[:3])} first" if packed else ""
            raise InputError(
                f"nothing of {self.title} in {given} or a folder in it; looked for {', '.join(names)} and so on{unpack}"
                f". {self.how_to_get}"
            )
        return layout

    def image(self, tile: DatasetTile) -> Raster:
        """The image of a tile."""
        return Raster.of(tile.images[0])

    def scene(self, tile: DatasetTile) -> Scene:
        """A tile with its labels.

        Raises:
            InputError: If a file cannot be read.
            PairingError: If image and labels do not share one grid.
        """
        image = self.image(tile)
        if tile.label is None:
            return Scene(image, Unlabelled(), nodata=self.nodata)
        mask = Raster.of(tile.label)
        check_same_grid(mask, image)
        return Scene(image, self.label(mask), nodata=self.nodata)

    def open(self, given: Path, val_split: str = "val") -> PublishedDataset:
        """Opens the dataset: every file is looked at, none is read as a whole.

        Args:
            given: Its folder, or the folder around that.
            val_split: "test" to validate on the test tiles that have labels, which leaves the others to train on whole.

        Raises:
            SettingError: If ``val_split`` is something else than "val" or "test".
            InputError: If nothing of it is there, or a file cannot be read.
            PairingError: If an image and its labels do not share one grid.
        """
        if val_split not in ("val", "test"):
            raise SettingError(f"val_split is 'val' or 'test', not '{val_split}'")
        layout = self.find(given)
        tiles, notes = self.tiles(layout)
        notes += [f"{path.relative_to(layout.root)} is not part of the dataset: left out" for path in layout.surplus]
        if not tiles:
            raise InputError(f"nothing in {layout.root} can be used: {'; '.join(notes[:3])}")
        parts: dict[str, list[Scene]] = {"train": [], "val": [], "test": []}
        for tile in tiles:
            parts[tile.split].append(self.scene(tile))
        check_alike([scene.image for part in parts.values() for scene in part])
        labelled = [scene for scene in parts[val_split] if not isinstance(scene.label, Unlabelled)]
        train, val, more = self.validation(parts["train"], labelled)
        groups = {tile.images[0].stem: tile.group for tile in tiles}
        return PublishedDataset(self.name, layout.root, train, val, parts["test"], groups, notes + more)

    def validation(self, train: list[Scene], val: list[Scene]) -> tuple[list[Scene], list[Scene], list[str]]:
        """Sees to it that there is ground to train on and ground to validate on, and says how."""
        return with_validation(train, val)


def with_validation(train: list[Scene], val: list[Scene]) -> tuple[list[Scene], list[Scene], list[str]]:
    """Where one of two parts is empty, cuts the other in two by a straight line.

    Returns:
        Both parts and a note if they are not as they were. The line is that of `split_by_space`: about a fifth of the
        class lies on the side for validation.
    """
    if bool(train) == bool(val):
        return train, val, [] if train else ["there is nothing to train or validate on"]
    empty = "training" if val else "validation"
    whole = train or val
    look_at_labels(whole)
    try:
        parts = split_by_space(whole, _WINDOW, _VAL_SHARE)
    except InputError:
        return train, val, [f"no {empty} tiles, and the others hold too little of the class to be divided"]
    note = f"no {empty} tiles: the ground is cut in two by a straight line; for validation: {_described(parts[1])}"
    first, second = ([_scene_of(region) for region in part] for part in parts)
    return first, second, [note]


def _scene_of(region: Region) -> Scene:
    return region.scene if region.window == region.scene.image.window else region.scene.part(region.window)


def _described(regions: Sequence[Region]) -> str:
    parts = []
    for region in regions:
        name, window = region.scene.image.path.name, region.window
        if window == region.scene.image.window:
            parts.append(f"all of {name}")
        elif window.height < region.scene.image.height:
            parts.append(f"rows {window.row} to {window.row + window.height - 1} of {name}")
        else:
            parts.append(f"columns {window.col} to {window.col + window.width - 1} of {name}")
    more = f" and {len(parts) - 4} more" if len(parts) > 4 else ""
    return ", ".join(parts[:4]) + more


def lonely(files: Mapping[str, Path], partners: Iterable[str], root: Path, lacking: str) -> list[str]:
    """Notes on files of tiles that are not among the partners: they lack something and are left out."""
    known = set(partners)
    alone = [path.relative_to(root) for tile, path in files.items() if tile not in known]
    notes = [f"{path} has no {lacking}: left out" for path in alone[:_NAMED]]
    return notes + ([f"{len(alone) - _NAMED} more like {alone[0]} have none"] if len(alone) > _NAMED else [])


def tally_values(raster: Raster) -> dict[str, int]:
    """How many pixels of a mask, in its first band, have which value."""
    counts: dict[str, int] = {}
    for window in raster.window.strips():
        values = raster.read(window, "none")[0][0].ravel()
        if values.dtype in (np.uint8, np.uint16):  # much faster than sorting
            numbers = np.bincount(values)
            found = {str(value): int(numbers[value]) for value in np.flatnonzero(numbers)}
        else:
            found = {f"{value:g}": int(n) for value, n in zip(*np.unique(values, return_counts=True), strict=True)}
        for name, number in found.items():
            counts[name] = counts.get(name, 0) + number
    return counts
