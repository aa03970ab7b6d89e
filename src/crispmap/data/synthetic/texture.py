"""Fields of noise, from which grass, asphalt and roofs take their grain."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


def noise_fields(
    rng: np.random.Generator, size: int, resolution: float, bands: tuple[tuple[float, float], ...]
) -> list[Array]:
    """Draws fields of noise with zero mean and unit variance.

    White noise is filtered in the frequency domain, which gives all octaves of a band at once. Within its
    band the amplitude falls with frequency as 1/f, as it does in nature.

    Args:
        rng: Source of the noise.
        size: Height and width in pixels.
        resolution: Metres per pixel.
        bands: For each field the shortest and the longest wavelength, in metres.

    Returns:
        One array (size, size) for each band.
    """
    spectrum = np.fft.rfft2(rng.standard_normal((size, size), dtype=np.float32))
    rows, columns = np.fft.fftfreq(size, resolution)[:, None], np.fft.rfftfreq(size, resolution)[None, :]
    squared = (rows**2 + columns**2).astype(np.float32)
    fields = []
    for shortest, longest in bands:
        power = np.exp(-squared * np.float32(shortest**2)) / (squared + np.float32(longest**-2))
        power[0, 0] = 0.0
        field = np.fft.irfft2(spectrum * np.sqrt(power), (size, size)).astype(np.float32)
        fields.append(field / field.std())
    return fields
