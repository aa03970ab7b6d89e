"""Mean and spread of the imagery, by which the network normalises its input."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from crispmap.data.scene import Scene
from crispmap.errors import InputError
from crispmap.geo.raster import Window

_SIDE = 256


class Statistics(NamedTuple):
    """Of each band, in the units of the files.

    Attributes:
        mean: Means over pixels that hold data.
        std: Standard deviations; 1 where a band is constant.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]


def measure(scenes: Sequence[Scene], seed: int = 0, samples: int = 100) -> Statistics:
    """Measures the imagery on windows of 256 pixels spread over the scenes.

    Args:
        scenes: Whose images are measured.
        seed: By which windows are drawn.
        samples: How many.

    Raises:
        InputError: If no window holds data.
    """
    rng = np.random.default_rng([seed, samples])
    bands = len(scenes[0].image.bands)
    count, total, squares = 0, np.zeros(bands), np.zeros(bands)
    for i in range(samples):
        scene = scenes[i * len(scenes) // samples if samples > len(scenes) else int(rng.integers(len(scenes)))]
        row = int(rng.integers(max(1, scene.image.height - _SIDE + 1)))
        col = int(rng.integers(max(1, scene.image.width - _SIDE + 1)))
        window = Window(row, col, _SIDE, _SIDE).intersection(scene.image.window)
        pixels, valid = scene.image.read(window, scene.nodata)
        values = pixels[:, valid].astype(np.float64)
        count += values.shape[1]
        total += values.sum(axis=1)
        squares += (values**2).sum(axis=1)
    if not count:
        raise InputError(f"{scenes[0].image.path} and the other images hold nothing but nodata; see --nodata")
    mean = total / count
    std = np.sqrt(np.maximum(squares / count - mean**2, 0))
    return Statistics(tuple(mean.tolist()), tuple(np.where(std > 0, std, 1.0).tolist()))
