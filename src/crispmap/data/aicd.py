"""The AICD dataset (Bourdis et al. 2011): rendered aerial scenes, as pairs with and without inserted objects."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from crispmap.data.compound import RasterStack
from crispmap.data.labels import RasterLabel
from crispmap.data.layout import Layout, Role
from crispmap.data.scene import Scene
from crispmap.data.source import DatasetTile, Source, lonely, tally_values, with_validation
from crispmap.errors import InputError, SettingError
from crispmap.geo.mask import MaskRaster
from crispmap.geo.raster import Raster, check_same_grid

_SCENES, _VIEWS = range(100), range(5)
_FOLDERS = {"shadows": "Images_Shadows", "noshadow": "Images_NoShadow"}
_LABELS = "GroundTruth"
_HALVES = ("moving", "target")
_LOOKED_AT = 20  # tiles by which it is told which image the masks belong to


@dataclass(frozen=True)
class Aicd(Source):
    """100 rendered scenes from five views each, 800×600 pixels, as pairs of images; a mask marks what was inserted.

    The dataset has no official split. Here scenes whose number ends in 0 to 6 are for training, in 7 for validation,
    in 8 or 9 for testing, so that the views of one scene stay together.

    *Convention.* Alpha is dropped: every pixel is imagery. Masks may have any number of equal channels.

    Attributes:
        images: "shadows" or "noshadow".
        pair: Whether both images of a pair are read, as six bands, the moving one first; otherwise the one in which
            the masks' outlines are seen best.

    Raises:
        SettingError: If one of them is something else.
    """

    images: str = "shadows"
    pair: bool = False

    name = "aicd"
    title = "AICD (Aerial Image Change Detection)"
    how_to_get = (
        "To get it: its own site is gone; a copy is at https://www.kaggle.com/kmader/aerial-change-detection-in-video-games"
        ". Unpack it; ROOT is the folder AICDDataset in it, with Images_Shadows, Images_NoShadow and GroundTruth."
    )
    size = (600, 800)
    nodata = "none"

    def __post_init__(self) -> None:
        """Checks the choices."""
        if self.images not in _FOLDERS:
            raise SettingError(f"images is 'shadows' or 'noshadow', not '{self.images}'")

    def inspector(self, layout: Layout) -> "Aicd":
        """The images with shadows, or those without where there are none."""
        there = [
            kind for kind, folder in _FOLDERS.items() if any(layout.found[f"{folder}, {half}"] for half in _HALVES)
        ]
        return replace(self, images=there[0]) if there else self

    @property
    def roles(self) -> tuple[Role, ...]:
        """Both images of each pair, with shadows and without, and the masks."""
        names = [f"Scene{scene:04d}_View{view:02d}" for scene in _SCENES for view in _VIEWS]
        images = [
            Role(f"{folder}, {half}", (folder,), {name: f"{name}_{half}.png" for name in names})
            for folder in _FOLDERS.values()
            for half in _HALVES
        ]
        return *images, Role(_LABELS, (_LABELS,), {name: f"{name}_gtmask.png" for name in names})

    def tiles(self, layout: Layout) -> tuple[list[DatasetTile], list[str]]:
        """Views whose image, or both images, and mask are there."""
        folder, root = _FOLDERS[self.images], layout.root
        labels = layout.found[_LABELS]
        halves = {half: layout.found[f"{folder}, {half}"] for half in _HALVES}
        notes: list[str] = []
        if not self.pair:
            half, notes = self._half(layout)
            halves = {half: halves[half]}
        names = [name for name in labels if all(name in files for files in halves.values())]
        tiles = [
            DatasetTile(
                name, _split(name), name.split("_")[0], tuple(files[name] for files in halves.values()), labels[name]
            )
            for name in names
        ]
        for half, files in halves.items():
            notes += lonely(files, names, root, f"mask in {_LABELS}" + (" or no partner" if self.pair else ""))
            notes += lonely(labels, files, root, f"{half} image in {folder}")
        return tiles, notes

    def image(self, tile: DatasetTile) -> Raster:
        """The image, or the pair as one of twice the bands."""
        rasters = [Raster.of(path) for path in tile.images]
        return RasterStack.of_layers(*rasters) if self.pair else rasters[0]

    def label(self, raster: Raster) -> RasterLabel:
        """What was inserted."""
        return RasterLabel(MaskRaster.of(raster.path, "none"))

    def tally(self, raster: Raster) -> dict[str, int]:
        """How many pixels have which value."""
        return tally_values(raster)

    def validation(self, train: list[Scene], val: list[Scene]) -> tuple[list[Scene], list[Scene], list[str]]:
        """Where no scene of one part is there, whole scenes of the other, with all their views."""
        whole = train or val
        numbers = sorted({_number(scene) for scene in whole})
        if bool(train) == bool(val) or len(numbers) < 2:
            return with_validation(train, val)
        kept = set(numbers[-max(1, len(numbers) // 5) :])
        first = [scene for scene in whole if _number(scene) not in kept]
        second = [scene for scene in whole if _number(scene) in kept]
        listed = ", ".join(f"Scene{number:04d}" for number in sorted(kept))
        return first, second, [f"no {'training' if val else 'validation'} scenes; for validation: {listed}"]

    def _half(self, layout: Layout) -> tuple[str, list[str]]:
        """Which image of a pair the masks belong to: the one that has edges where they have."""
        files = {half: layout.found[f"{_FOLDERS[self.images]}, {half}"] for half in _HALVES}
        labels = layout.found[_LABELS]
        names = [name for name in labels if all(name in there for there in files.values())][:_LOOKED_AT]
        if not names:
            return max(_HALVES, key=lambda half: len(files[half])), []
        contrast = {half: _contrast([(there[name], labels[name]) for name in names]) for half, there in files.items()}
        best = max(_HALVES, key=lambda half: contrast[half])
        seen = ", ".join(f"{value:.0f} levels in the {half} images" for half, value in contrast.items())
        return best, [f"the {best} images are read: the contrast along the masks' outlines is {seen}"]


def _contrast(pairs: Sequence[tuple[Path, Path]]) -> float:
    """The mean difference of neighbouring pixels across the outlines of masks, 0 where there are none."""
    differences = [np.empty(0)]
    for image, mask in pairs:
        try:
            raster, truth = Raster.of(image), MaskRaster.of(mask, "none")
            check_same_grid(truth.raster, raster)
            grey = raster.read(raster.window, "none")[0].mean(axis=0)
            inside = truth.read(raster.window)[0]
        except InputError:  # is named where the tile is used
            continue
        for axis in (0, 1):
            differences.append(np.abs(np.diff(grey, axis=axis))[np.diff(inside, axis=axis)])
    found = np.concatenate(differences)
    return float(found.mean()) if found.size else 0.0


def _split(name: str) -> str:
    last = int(name[8])  # of Scene0000_View00 the last digit of the scene's number
    return "train" if last < 7 else "val" if last == 7 else "test"


def _number(scene: Scene) -> int:
    return int(scene.image.path.name[5:9])
