"""What may be done to a training sample without moving an edge off the pixel grid."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from crispmap.data.scene import Sample
from crispmap.data.statistics import Statistics

_COLUMNS = 16  # float32 in a line of the processor's cache

_Pixel = TypeVar("_Pixel", np.float32, np.uint8)


def flip_and_turn(sample: Sample, rng: np.random.Generator) -> Sample:
    """One of the eight symmetries of the square, each as likely."""
    turns, flip = int(rng.integers(4)), bool(rng.integers(2))
    image, label = np.rot90(sample.image, turns, axes=(1, 2)), np.rot90(sample.label, turns)
    if flip:
        image, label = image[..., ::-1], label[..., ::-1]
    return Sample(_laid_out(image), _laid_out(label))


def _laid_out(turned: NDArray[_Pixel]) -> NDArray[_Pixel]:
    """The same in order of memory; what is turned is copied few columns at a time, whose lines stay in the cache."""
    if abs(turned.strides[-1]) == turned.itemsize:  # rows are rows
        return np.ascontiguousarray(turned)
    copy = np.empty(turned.shape, turned.dtype)
    for col in range(0, turned.shape[-1], _COLUMNS):
        part = np.s_[..., col : col + _COLUMNS]
        copy[part] = turned[part]
    return copy


def photometric(sample: Sample, statistics: Statistics, rng: np.random.Generator) -> Sample:
    """Other light: contrast within ±25 %, brightness and the balance of the bands by a part of their spread."""
    bands = len(sample.image)
    mean = np.asarray(statistics.mean, np.float32)[:, None, None]
    std = np.asarray(statistics.std, np.float32)[:, None, None]
    contrast = rng.uniform(0.75, 1.25)
    shift = rng.normal(0, 0.2) + rng.normal(0, 0.07, (bands, 1, 1))
    image = mean + (sample.image - mean) * np.float32(contrast) + std * shift.astype(np.float32)
    return Sample(image, sample.label)
