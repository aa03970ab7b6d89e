"""Train and validation parts by space: one straight cut, never a draw among neighbours.

Neighbouring windows share buildings, streets and light, so a random split lets a network be examined on what it
has seen. The cut runs across the longer axis of the ground that the scenes cover, where a given share of the
class lies beyond it. Images without a place on the ground are taken as a row in the natural order of their
names, because tiles are named by row and column.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from rasterio.warp import transform_bounds

from crispmap.data.scene import Region, Scene
from crispmap.errors import InputError
from crispmap.geo.raster import Window
from crispmap.geo.vector import window_outline


def split_by_space(scenes: Sequence[Scene], window: int, share: float = 0.2) -> tuple[list[Region], list[Region]]:
    """Cuts scenes into a training and a validation part.

    Args:
        scenes: In natural order of their names.
        window: Side of a training window in pixels that the network sees.
        share: The share of the class (counted by anchors) that is kept for validation.

    Returns:
        The regions for training and those for validation. A scene that the cut runs through is divided, with
        half a window left out between the parts, if each part then holds a window; otherwise it goes where its
        middle is. Where that leaves one side without the class, narrower parts and no gap will do.

    Raises:
        InputError: If one part would hold nothing of the class.
    """
    spans, along_rows = _spans(scenes)
    places = np.concatenate(
        [low + _fractions(scene, along_rows) * (high - low) for scene, (low, high) in zip(scenes, spans, strict=True)]
    )
    cut = float(np.quantile(places, 1 - share))
    for whole_windows in (True, False):  # narrower parts only where there is no other way
        parts = _divide(scenes, spans, along_rows, cut, window, whole_windows)
        if all(any(len(region.anchors) for region in part) for part in parts):
            return parts
    raise InputError(
        f"{len(scenes)} images hold too little of the class to keep a part of the ground for validation; "
        "give --val-images and --val-labels"
    )


def _divide(
    scenes: Sequence[Scene],
    spans: Sequence[tuple[float, float]],
    along_rows: bool,
    cut: float,
    window: int,
    whole_windows: bool,
) -> tuple[list[Region], list[Region]]:
    train: list[Region] = []
    val: list[Region] = []
    for scene, (low, high) in zip(scenes, spans, strict=True):
        length = scene.image.height if along_rows else scene.image.width
        at = round((cut - low) / (high - low) * length)
        gap, least = (scene.side(window) // 4, scene.side(window)) if whole_windows else (0, 1)
        if min(at, length - at) - gap >= least:
            train.append(_part(scene, along_rows, 0, at - gap))
            val.append(_part(scene, along_rows, at + gap, length))
        else:
            (train if at > length / 2 else val).append(Region(scene, scene.image.window))
    return train, val


def _spans(scenes: Sequence[Scene]) -> tuple[list[tuple[float, float]], bool]:
    """Where each scene begins and ends along the axis of the cut, and whether that axis runs down its rows."""
    if not all(scene.image.located for scene in scenes):
        ends = np.cumsum([0, *(scene.image.width for scene in scenes)])
        return list(zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True)), False
    boxes = _boxes(scenes)
    (west, south), (east, north) = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
    along_rows = north - south > (east - west) * math.cos(math.radians((north + south) / 2))
    if along_rows:  # rows run from north to south
        return [(-box[3], -box[1]) for box in boxes.tolist()], True
    return [(box[0], box[2]) for box in boxes.tolist()], False


def _boxes(scenes: Sequence[Scene]) -> NDArray[np.float64]:
    """West, south, east and north of each scene in degrees, (n, 4), longitudes from the first scene's west."""
    outlines = ((scene.image.crs, window_outline(scene.image, scene.image.window).bounds) for scene in scenes)
    boxes = np.array([transform_bounds(crs, "EPSG:4326", *bounds) for crs, bounds in outlines])
    width = boxes[:, 2] - boxes[:, 0]
    width[width < 0] += 360  # a scene on the antimeridian
    boxes[:, 0] = (boxes[:, 0] - boxes[0, 0] + 180) % 360 - 180  # and scenes on both sides of it
    boxes[:, 2] = boxes[:, 0] + width
    return boxes


def _fractions(scene: Scene, along_rows: bool) -> NDArray[np.float64]:
    length = scene.image.height if along_rows else scene.image.width
    return (scene.anchors[:, 0 if along_rows else 1] + 0.5) / length


def _part(scene: Scene, along_rows: bool, start: int, stop: int) -> Region:
    height, width = scene.image.height, scene.image.width
    window = Window(start, 0, stop - start, width) if along_rows else Window(0, start, height, stop - start)
    return Region(scene, window)
