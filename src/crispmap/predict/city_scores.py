"""Scores of masks by city, as the INRIA contest has them: IoU of buildings, and accuracy."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from crispmap.data.scene import Scene
from crispmap.data.source import strips
from crispmap.errors import PairingError
from crispmap.geo.mask import MaskRaster
from crispmap.geo.raster import check_same_grid
from crispmap.progress import track

OVERALL = "overall"


class CityScores(NamedTuple):
    """Scores of one city, or of all.

    Attributes:
        iou: Intersection over union of buildings, pixels of all tiles pooled; NaN where there are none on either side.
        accuracy: The share of pixels that are right.
        n_tiles: How many tiles.
    """

    iou: float
    accuracy: float
    n_tiles: int


def city_scores(masks: str | Path, scenes: Sequence[Scene], groups: Mapping[str, str]) -> dict[str, CityScores]:
    """Compares masks with the labels of scenes, city by city.

    *Convention.* Pixels are pooled over the tiles of a city, and over all tiles for the overall scores, as the contest
    does: not the mean of the cities. Where a mask has no data it predicts nothing; pixels whose label is not known are
    left out.

    Args:
        masks: A folder with ``{stem}_mask.tif``, as `crispmap predict` writes them, or ``{stem}.tif`` for every scene.
        scenes: Such as ``val`` of ``open_dataset("inria", root)``.
        groups: The city of each scene by the stem of its image: ``groups`` of the same.

    Returns:
        The scores of each city by name, and last those of all under ``"overall"``.

    Raises:
        PairingError: If there is no mask for a scene, or it does not lie on the scene's grid.
        InputError: If a file cannot be read.
    """
    counts: dict[str, list[int]] = {}
    for scene in track(scenes, "comparing", len(scenes)):
        city = counts.setdefault(groups[scene.image.path.stem], [0] * 5)
        found = (*_counts(_mask_of(Path(masks), scene), scene), 1)
        for i, count in enumerate(found):
            city[i] += count
    total = [sum(column) for column in zip(*counts.values(), strict=True)]
    return {name: _scores(*city) for name, city in ((counts | {OVERALL: total}).items() if counts else ())}


def _mask_of(folder: Path, scene: Scene) -> MaskRaster:
    stem = scene.image.path.stem
    for name in (f"{stem}_mask.tif", f"{stem}.tif"):
        if (folder / name).exists():
            mask = MaskRaster.of(folder / name)
            check_same_grid(mask.raster, scene.image)
            return mask
    raise PairingError(f"no mask for {scene.image.path.name} in {folder}; looked for {stem}_mask.tif and {stem}.tif")


def _counts(mask: MaskRaster, scene: Scene) -> tuple[int, int, int, int]:
    """Pixels that are building on both sides, on either side, and the same on both; and how many there are."""
    both = either = same = known_pixels = 0
    for window in strips(scene.image):
        pred, _ = mask.read(window)
        truth, known = scene.label.read(window)
        both += int((pred & truth & known).sum())
        either += int(((pred | truth) & known).sum())
        same += int(((pred == truth) & known).sum())
        known_pixels += int(known.sum())
    return both, either, same, known_pixels


def _scores(both: int, either: int, same: int, pixels: int, n_tiles: int) -> CityScores:
    return CityScores(both / either if either else math.nan, same / pixels if pixels else math.nan, n_tiles)
