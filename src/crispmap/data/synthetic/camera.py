"""The camera: exposure, colour cast, haze, blur and noise. All of it linear, so that no edge moves."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

_HAZE = (172, 180, 190)


def photograph(image: Array, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Takes a picture.

    Args:
        image: Light from the ground, (3, H, W), about 0 to 255.
        rng: Source of the camera's mood and of noise.

    Returns:
        The picture, (3, H, W).
    """
    gains = rng.normal(1.02, 0.1) * rng.normal(1, 0.03, 3)
    haze, blur, noise = rng.uniform(0, 0.16), rng.uniform(0.5, 0.85), np.float32(rng.uniform(1.2, 3.2))
    picture = np.empty(image.shape, np.uint8)
    for band, veil in enumerate(_HAZE):
        values = _blurred(image[band], blur)
        values *= np.float32(gains[band] * (1 - haze))
        values += np.float32(veil * haze)
        values += noise * rng.standard_normal(values.shape, dtype=np.float32)
        picture[band] = np.clip(np.rint(values, out=values), 0, 255, out=values)
    return picture


def _blurred(field: Array, sigma: float) -> Array:
    """Blurs by two passes of three taps each way, which together have the variance σ² of a Gaussian."""
    side = np.float32(sigma**2 / 4)
    for _ in range(2):
        rows = np.pad(field, ((1, 1), (0, 0)), mode="edge")
        field = field + side * (rows[2:] + rows[:-2] - 2 * field)
        columns = np.pad(field, ((0, 0), (1, 1)), mode="edge")
        field = field + side * (columns[:, 2:] + columns[:, :-2] - 2 * field)
    return field
