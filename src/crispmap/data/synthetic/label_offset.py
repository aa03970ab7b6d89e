"""Labels that lie beside their buildings, as drawn from another image or by a hurried hand: each by itself."""

import math
from dataclasses import replace

import numpy as np
import shapely

from crispmap.data.synthetic.scene import Scene, draw_mask
from crispmap.errors import SettingError

_STREAM = 1  # keeps these numbers apart from those that make the scene


def check_label_offset(label_offset: float) -> None:
    """Checks how far labels are to be displaced.

    Raises:
        SettingError: If it is negative or not a number.
    """
    if not (math.isfinite(label_offset) and label_offset >= 0):
        raise SettingError(f"label offset is {label_offset} metres; give a number from 0 (0: labels stay in place)")


def building_offset(seed: int, index: int, building: int, label_offset: float) -> tuple[float, float]:
    """Draws how far one building's label is displaced: uniform over the disc of radius ``label_offset``.

    Half of the buildings move by more than 0.71 of the radius, and the mean displacement is two thirds of it.

    Args:
        seed: Seed of the scenes.
        index: Number of the scene.
        building: Number of the building in the scene, `Footprint.building`.
        label_offset: Radius of the disc in metres, at least 0.

    Returns:
        Metres east and north. They follow from (seed, index, building) alone, and grow in proportion to
        ``label_offset``: at twice the radius every building goes the same way, twice as far.
    """
    share, turn = np.random.default_rng([seed, index, building, _STREAM]).random(2)
    distance, direction = label_offset * math.sqrt(share), 2 * math.pi * turn
    return distance * math.cos(direction), distance * math.sin(direction)


def displace_labels(scene: Scene, seed: int, index: int, label_offset: float) -> Scene:
    """Displaces the label of every building by an offset of its own; the image stays.

    Outlines keep their shape. Each house of a row moves by itself, so its label may leave a gap to its neighbour's
    or lie over it; in the mask, overlaps merge. A building out of view stays unlabelled.

    Args:
        scene: What ``render_scene(seed, index, …)`` returned.
        seed: Seed of the scene.
        index: Number of the scene.
        label_offset: No label moves farther than this, in metres; see `building_offset` for the distribution.

    Returns:
        The scene with displaced ``footprints`` (their ``offset`` says by how much) and the mask drawn from them.

    Raises:
        SettingError: If ``label_offset`` is negative or not a number.
    """
    check_label_offset(label_offset)
    footprints = []
    for footprint in scene.footprints:
        offset = building_offset(seed, index, footprint.building, label_offset)
        polygon = shapely.transform(footprint.polygon, np.array(offset).__add__)
        footprints.append(replace(footprint, polygon=polygon, offset=offset))
    return replace(scene, mask=draw_mask(footprints, scene.mask.shape[0], scene.transform), footprints=footprints)
