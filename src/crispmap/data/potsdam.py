"""The ISPRS Potsdam dataset: 38 orthophotos at 0.05 m with labels of six classes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from crispmap.data.labels import IGNORED, CodedLabel
from crispmap.data.layout import Layout, Role
from crispmap.data.source import DatasetTile, Source, lonely
from crispmap.errors import SettingError
from crispmap.geo.raster import Raster

CLASSES = ("impervious surface", "building", "low vegetation", "tree", "car", "clutter")
COLOURS = ((255, 255, 255), (0, 0, 255), (0, 255, 255), (0, 255, 0), (255, 255, 0), (255, 0, 0))
_TRAIN = {2: range(10, 13), 3: range(10, 13), 4: range(10, 13), 5: range(10, 13), 6: range(7, 13), 7: range(7, 13)}
_TEST = {2: (13, 14), 3: (13, 14), 4: (13, 14, 15), 5: (13, 14, 15), 6: (13, 14, 15), 7: (13,)}
_RGB, _RGBIR = "2_Ortho_RGB", "4_Ortho_RGBIR"
_FULL, _ERODED = "5_Labels_all", "5_Labels_all_noBoundary"
_NUMBERS = np.full(8, IGNORED, np.uint8)  # of the class, by which of red, green and blue are lit
_NUMBERS[[(r > 0) * 4 + (g > 0) * 2 + (b > 0) for r, g, b in COLOURS]] = range(len(COLOURS))


@dataclass(frozen=True)
class Potsdam(Source):
    """38 tiles of 6000² pixels with labels of six classes: 24 for training, 14 for testing.

    *Convention.* Black pixels, which surround every object in the labels without boundaries, are ignored. A channel of
    a label's colour counts as lit from 128 on: a few published colours are off by some levels.

    Attributes:
        classes: "building" for buildings against the rest; "all" for the six of `CLASSES`, numbered in that order.
        bands: "rgb", or "rgbir" for four bands with the infrared last.
        boundaries: Whether labels reach up to the objects' boundaries (``_label``) or leave a margin of three pixels
            around them out (``_label_noBoundary``, by which the benchmark scores). Where one kind is not there, the
            other is read.

    Raises:
        SettingError: If one of them is something else.
    """

    classes: str = "building"
    bands: str = "rgb"
    boundaries: bool = True

    name = "potsdam"
    title = "ISPRS Potsdam"
    how_to_get = (
        "To get it: fill in the form at https://www.isprs.org/education/benchmarks/UrbanSemLab/ for the link and the "
        "password to Potsdam.zip, unpack it, then unpack 2_Ortho_RGB.zip (or 4_Ortho_RGBIR.zip), 5_Labels_all.zip and "
        "5_Labels_all_noBoundary.zip inside it; ROOT is the folder that holds them."
    )
    size = (6000, 6000)
    palette: ClassVar[Mapping[int, tuple[int, int, int]]] = dict(enumerate(COLOURS))
    surplus = r"top_potsdam_(?!\d+_\d+_IRRG).*"  # the false-colour images hold nothing new

    def __post_init__(self) -> None:
        """Checks the choices."""
        if self.classes not in ("building", "all"):
            raise SettingError(f"classes is 'building' or 'all', not '{self.classes}'")
        if self.bands not in ("rgb", "rgbir"):
            raise SettingError(f"bands is 'rgb' or 'rgbir', not '{self.bands}'")

    def inspector(self, layout: Layout) -> "Potsdam":
        """All classes."""
        return replace(self, classes="all")

    @property
    def roles(self) -> tuple[Role, ...]:
        """Both kinds of images and of labels; each in its folder, at the root, or in any other folder there."""
        kinds = {_RGB: "RGB", _RGBIR: "RGBIR", _FULL: "label", _ERODED: "label_noBoundary"}
        return tuple(
            Role(name, (name, "", "*"), {tile: f"top_potsdam_{tile}_{kind}.tif" for tile in _splits()})
            for name, kind in kinds.items()
        )

    def tiles(self, layout: Layout) -> tuple[list[DatasetTile], list[str]]:
        """Tiles whose image is there, and whose label is unless they are for testing."""
        notes = []
        images = layout.found[_RGB]
        if self.bands == "rgbir" or not images:
            images = layout.found[_RGBIR]
            if self.bands == "rgb" and images:
                notes.append(f"{_RGB} is not there: the first three bands of {_RGBIR} are read")
        wanted, other = (_FULL, _ERODED) if self.boundaries else (_ERODED, _FULL)
        labels = {**layout.found[other], **layout.found[wanted]}
        swapped = [tile for tile in images if tile in labels and tile not in layout.found[wanted]]
        if swapped:
            notes.append(f"{wanted} has no label of {', '.join(swapped)}: those in {other} are read")
        splits = _splits()
        tiles = [
            DatasetTile(name, splits[name], "potsdam", (path,), labels.get(name))
            for name, path in images.items()
            if name in labels or splits[name] == "test"
        ]
        notes += lonely(images, [tile.name for tile in tiles], layout.root, "label")
        return tiles, notes + lonely(
            labels, images, layout.root, f"image in {_RGBIR if self.bands == 'rgbir' else _RGB}"
        )

    def image(self, tile: DatasetTile) -> Raster:
        """The bands asked for; the infrared band is one, though GDAL may take it for opacity."""
        bands = (1, 2, 3, 4) if self.bands == "rgbir" else (1, 2, 3)
        return replace(Raster.of(tile.images[0]), bands=bands, masked=False)

    def label(self, raster: Raster) -> CodedLabel:
        """Buildings against the rest, or all classes."""
        return CodedLabel(raster, _decode, (1,) if self.classes == "building" else tuple(range(len(CLASSES))))

    def tally(self, raster: Raster) -> dict[str, int]:
        """How many pixels belong to which class, are black, or have a colour that is off."""
        counts = np.zeros(256, np.int64)
        off = 0
        for window in raster.window.strips():
            pixels, _ = raster.read(window, "none")
            counts += np.bincount(_decode(pixels).ravel(), minlength=256)
            off += int(((pixels > 0) & (pixels < 255)).any(axis=0).sum())
        names = dict(enumerate(CLASSES)) | {IGNORED: "black, ignored"}
        found = {names[number]: int(counts[number]) for number in np.flatnonzero(counts).tolist()}
        return found | ({"of these in colours that are off": off} if off else {})


def _splits() -> dict[str, str]:
    """Whether a tile is for training or testing, by its name."""
    parts: dict[str, Mapping[int, Iterable[int]]] = {"train": _TRAIN, "test": _TEST}
    return {f"{r}_{c}": split for split, rows in parts.items() for r, columns in rows.items() for c in columns}


def _decode(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    red, green, blue = pixels[:3] > 127
    return np.asarray(_NUMBERS[red * np.uint8(4) + green * np.uint8(2) + blue])
