"""The INRIA Aerial Image Labeling dataset (Maggiori et al. 2017): buildings of ten cities at 0.3 m."""

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crispmap.data.labels import UNKNOWN, CodedLabel
from crispmap.data.layout import Layout, Role
from crispmap.data.source import DatasetTile, Source, lonely, tally_values
from crispmap.errors import InputError
from crispmap.geo.raster import Raster

CITIES = ("austin", "chicago", "kitsap", "tyrol-w", "vienna")
TEST_CITIES = ("bellingham", "bloomington", "innsbruck", "sfo", "tyrol-e")
_TILES = range(1, 37)
_LAST_VAL = 5
_IMAGES, _LABELS, _TEST = "train/images", "train/gt", "test/images"
_CLASSES = np.full(256, UNKNOWN, np.uint8)
_CLASSES[[0, 255]] = 0, 1


class Inria(Source):
    """Buildings of ten cities: 180 tiles of 5000² pixels with labels, and 180 of other cities without.

    The split is the one its authors suggest: of each training city tiles 1 to 5 are for validation, 6 to 36 for
    training. A tile's city is told by its file's name alone.
    """

    name = "inria"
    title = "INRIA Aerial Image Labeling"
    how_to_get = (
        "To get it: register at https://project.inria.fr/aerialimagelabeling/, download the archive "
        "(NEW2-AerialImageDataset.zip, or the five parts of aerialimagelabeling.7z, about 20 GB) and unpack it; ROOT "
        "is the folder AerialImageDataset in it, with train/images, train/gt and test/images."
    )
    size = (5000, 5000)

    @property
    def roles(self) -> tuple[Role, ...]:
        """Images and labels of the training cities, images of the test cities."""
        train = {f"{city}{n}": f"{city}{n}.tif" for city in CITIES for n in _TILES}
        test = {f"{city}{n}": f"{city}{n}.tif" for city in TEST_CITIES for n in _TILES}
        return Role(_IMAGES, (_IMAGES,), train), Role(_LABELS, (_LABELS,), train), Role(_TEST, (_TEST,), test)

    def tiles(self, layout: Layout) -> tuple[list[DatasetTile], list[str]]:
        """Pairs of image and label, and the images of the test cities."""
        images, labels, test = (layout.found[role] for role in (_IMAGES, _LABELS, _TEST))
        tiles = [_tile(name, images[name], labels[name]) for name in images if name in labels]
        tiles += [DatasetTile(name, "test", _city(name), (path,), None) for name, path in test.items()]
        notes = lonely(images, labels, layout.root, f"label in {_LABELS}")
        return tiles, notes + lonely(labels, images, layout.root, f"image in {_IMAGES}")

    def label(self, raster: Raster) -> CodedLabel:
        """Buildings, 255, against the rest, 0.

        Raises:
            InputError: If the file has several bands, which might differ.
        """
        if len(raster.bands) > 1:
            raise InputError(f"{raster.path} has {len(raster.bands)} bands, but the published labels have one")
        return CodedLabel(raster, _decode)

    def tally(self, raster: Raster) -> dict[str, int]:
        """How many pixels have which value."""
        return tally_values(raster)


def _tile(name: str, image: Path, label: Path) -> DatasetTile:
    number = int(name.removeprefix(_city(name)))
    return DatasetTile(name, "val" if number <= _LAST_VAL else "train", _city(name), (image,), label)


def _city(name: str) -> str:
    return re.sub(r"\d+$", "", name)


def _decode(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(_CLASSES.take(pixels[0]))
