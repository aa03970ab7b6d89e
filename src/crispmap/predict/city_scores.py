"""Scores of masks by city, as the INRIA contest has them: IoU of buildings, and accuracy."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from crispmap.data.scene import Scene
from crispmap.errors import PairingError
from crispmap.functional.region_score import ConfusionCounts, confusion_counts, iou, quotient
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
    counts: dict[str, list[ConfusionCounts]] = {}
    for scene in track(scenes, "comparing", len(scenes)):
        counts.setdefault(groups[scene.image.path.stem], []).append(_counts(_mask_of(Path(masks), scene), scene))
    everything = [tile for tiles in counts.values() for tile in tiles]
    return {name: _scores(tiles) for name, tiles in ((counts | {OVERALL: everything}).items() if counts else ())}


def _mask_of(folder: Path, scene: Scene) -> MaskRaster:
    stem = scene.image.path.stem
    for name in (f"{stem}_mask.tif", f"{stem}.tif"):
        if (folder / name).exists():
            mask = MaskRaster.of(folder / name)
            check_same_grid(mask.raster, scene.image)
            return mask
    raise PairingError(f"no mask for {scene.image.path.name} in {folder}; looked for {stem}_mask.tif and {stem}.tif")


def _counts(mask: MaskRaster, scene: Scene) -> ConfusionCounts:
    """Of one tile, strip by strip; each a batch of one."""
    parts = []
    for window in scene.image.window.strips():
        pred, _ = mask.read(window)
        parts.append(confusion_counts(*(torch.from_numpy(x)[None] for x in (pred, *scene.label.read(window)))))
    return _pooled(parts)


def _scores(tiles: Sequence[ConfusionCounts]) -> CityScores:
    counts = _pooled(tiles)
    right, pixels = counts.true_positive + counts.true_negative, sum(counts)
    return CityScores(float(iou(counts)), float(quotient(right, torch.as_tensor(pixels))), len(tiles))


def _pooled(counts: Sequence[ConfusionCounts]) -> ConfusionCounts:
    return ConfusionCounts(*(torch.stack(part).sum(0) for part in zip(*counts, strict=True)))
