"""What may be done to a training sample without moving an edge off the pixel grid."""

import numpy as np

from crispmap.data.scene import Sample
from crispmap.data.statistics import Statistics


def flip_and_turn(sample: Sample, rng: np.random.Generator) -> Sample:
    """One of the eight symmetries of the square, each as likely."""
    turns, flip = int(rng.integers(4)), bool(rng.integers(2))
    image, label = np.rot90(sample.image, turns, axes=(1, 2)), np.rot90(sample.label, turns)
    return Sample(image[..., ::-1], label[..., ::-1]) if flip else Sample(image, label)


def photometric(sample: Sample, statistics: Statistics, rng: np.random.Generator) -> Sample:
    """Other light: contrast within ±25 %, brightness and the balance of the bands by a part of their spread."""
    bands = len(sample.image)
    mean = np.asarray(statistics.mean, np.float32)[:, None, None]
    std = np.asarray(statistics.std, np.float32)[:, None, None]
    contrast = rng.uniform(0.75, 1.25)
    shift = rng.normal(0, 0.2) + rng.normal(0, 0.07, (bands, 1, 1))
    image = mean + (sample.image - mean) * np.float32(contrast) + std * shift.astype(np.float32)
    return Sample(image, sample.label)
