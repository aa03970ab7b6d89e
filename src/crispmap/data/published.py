"""The published datasets that have a reader, by name: opened for training, or looked through."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

from crispmap.data.aicd import Aicd
from crispmap.data.inria import Inria
from crispmap.data.layout import Layout
from crispmap.data.potsdam import Potsdam
from crispmap.data.scene import Scene
from crispmap.data.source import DatasetTile, PublishedDataset, Source
from crispmap.errors import CrispmapError, InputError, SettingError
from crispmap.geo.raster import Raster
from crispmap.progress import track

__all__ = ["SOURCES", "Inspection", "PublishedDataset", "inspect_dataset", "open_dataset", "source"]

_NAMED = 12  # missing files of a kind that are named

SOURCES: dict[str, type[Source]] = {kind.name: kind for kind in (Aicd, Inria, Potsdam)}


def source(name: str, **choices: Any) -> Source:
    """The reader of a dataset.

    Args:
        name: "aicd", "inria" or "potsdam".
        **choices: For potsdam ``classes`` ("building" or "all"), ``bands`` ("rgb" or "rgbir") and ``boundaries``; for
            aicd ``images`` ("shadows" or "noshadow") and ``pair``.

    Raises:
        SettingError: If there is no such dataset or choice.
    """
    if name not in SOURCES:
        raise SettingError(f"no dataset '{name}'; there are {', '.join(SOURCES)}")
    kind = SOURCES[name]
    known = [field.name for field in fields(kind)] if is_dataclass(kind) else list[str]()
    for choice in choices:
        if choice not in known:
            raise SettingError(f"{name} leaves no choice of '{choice}'; there are {', '.join(known) or 'none'}")
    return kind(**choices)


def open_dataset(name: str, root: Path, *, val_split: str = "val", **choices: Any) -> PublishedDataset:
    """Opens a published dataset as it comes from its archive.

    *Convention.* Labels are 1 the class, 0 the rest, 255 ignored; with Potsdam's ``classes="all"`` they are the numbers
    of the six classes. Scenes of ``test`` may be without labels: all of their pixels are ignored then.

    Args:
        name: "aicd", "inria" or "potsdam".
        root: Its folder, or the folder around that.
        val_split: "test" to validate on the test tiles that have labels, which leaves all others to train on.
        **choices: As `source` takes them.

    Raises:
        SettingError: If there is no such dataset or choice.
        InputError: If nothing of it is there, or a file cannot be read.
        PairingError: If an image and its labels do not share one grid.
    """
    return source(name, **choices).open(Path(root), val_split)


@dataclass(frozen=True)
class Inspection:
    """What is there of a dataset.

    Attributes:
        source: The dataset's reader.
        layout: Its files.
        tiles: The tiles that can be used, with their scenes.
        notes: Sentences on files that cannot.
        forms: For each role, how many files have which size, bands and type.
        values: How many pixels of the labels have which value or class.
    """

    source: Source
    layout: Layout
    tiles: Sequence[tuple[DatasetTile, Scene]]
    notes: Sequence[str]
    forms: dict[str, Counter[str]]
    values: Counter[str]

    def lines(self) -> list[str]:
        """All of it in words, a line each."""
        height, width = self.source.size
        lines = [f"{self.source.title} in {self.layout.root}"]
        for role in self.layout.roles:
            there, missing = self.layout.found[role.name], self.layout.missing(role)
            line = f"{role.name}: {len(there)} of {len(role.files)} files"
            lines.append(line + (f"; missing {_listed(missing)}" if there and missing else ""))
            if there:
                lines.append(f"  {_counted(self.forms[role.name])}; published at {width}×{height} pixels")
        if self.values:
            total = sum(self.values.values())
            shares = ", ".join(f"{name} ({count / total:.2%})" for name, count in self.values.most_common(12))
            lines.append(f"label values: {shares}")
        for split in ("train", "val", "test"):
            tiles = [tile for tile, _ in self.tiles if tile.split == split]
            groups = Counter(tile.group for tile in tiles)
            detail = f" ({_counted(groups)})" if 1 < len(groups) <= 12 else ""
            lines.append(f"{split}: {len(tiles)} usable tiles{detail}")
        lines += [f"surplus: {path.relative_to(self.layout.root)}" for path in self.layout.surplus]
        return lines + [f"note: {note}" for note in self.notes]


def inspect_dataset(name: str, root: Path) -> Inspection:
    """Looks through a dataset: which files are there, their sizes, and every pixel of the labels.

    Raises:
        SettingError: If there is no such dataset.
        InputError: If nothing that can be used is there; the message says what is, and how to get the rest.
    """
    layout = source(name).find(Path(root))
    reader = source(name).inspector(layout)
    tiles, notes = reader.tiles(layout)
    usable: list[tuple[DatasetTile, Scene]] = []
    values: Counter[str] = Counter()
    for tile in track(tiles, "looking through", len(tiles)):
        try:
            scene = reader.scene(tile)
            scene.image.read(scene.image.window._replace(height=1), scene.nodata)
            if tile.label is not None:
                values.update(reader.tally(Raster.of(tile.label)))
                for window in scene.image.window.strips():
                    scene.label.read(window)
        except CrispmapError as error:
            notes.append(str(error))
        else:
            usable.append((tile, scene))
    if not usable:
        raise InputError(
            f"nothing of {reader.title} in {layout.root} can be used: {'; '.join(notes[:3])}. {reader.how_to_get}"
        )
    forms = {role: Counter(_forms(files.values())) for role, files in layout.found.items()}
    return Inspection(reader, layout, usable, notes, forms, values)


def _forms(files: Iterable[Path]) -> Iterable[str]:
    for path in files:
        try:
            raster = Raster.of(path)
        except CrispmapError:
            yield "unreadable"
        else:
            bands = "1 band" if len(raster.bands) == 1 else f"{len(raster.bands)} bands"
            alpha = " and alpha" if raster.masked else ""
            yield f"{raster.width}×{raster.height}, {bands}{alpha} of {raster.dtype}"


def _counted(counts: Counter[str]) -> str:
    return "; ".join(f"{name} ({count})" for name, count in counts.most_common())


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
