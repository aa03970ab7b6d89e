"""Masks of every awkward kind."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest


@pytest.fixture(scope="session")
def masks() -> Callable[[tuple[int, int]], Iterator[np.ndarray]]:
    """From a shape: empty, full, one pixel in a corner, a block at the border, noise of several densities."""

    def make(shape: tuple[int, int]) -> Iterator[np.ndarray]:
        generator = np.random.default_rng(sum(shape))
        yield np.zeros(shape, bool)
        yield np.ones(shape, bool)
        for place in (np.s_[-1:, -1:], np.s_[: (shape[0] + 1) // 2, 1:]):
            mask = np.zeros(shape, bool)
            mask[place] = True
            yield mask
        for density in (0.02, 0.3, 0.7, 0.98):
            yield generator.random(shape) < density

    return make
