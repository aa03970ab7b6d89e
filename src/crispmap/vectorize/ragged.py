"""Lists of different lengths, one after the other in one array, and where each begins."""

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


def offsets_of(lengths: NDArray[np.integer]) -> Indices:
    """Where lists of these lengths begin, and where the last ends: (n + 1,)."""
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def spans(starts: NDArray[np.integer], lengths: NDArray[np.integer]) -> Indices:
    """The indices start, start + 1, …, start + length − 1 of every list, one list after the other."""
    return np.arange(int(np.sum(lengths)), dtype=np.int64) + np.repeat(starts - offsets_of(lengths)[:-1], lengths)
