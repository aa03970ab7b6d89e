"""Sunlight: how bright a slope is, and where shadows fall."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


class Sun(NamedTuple):
    """Where the light comes from."""

    azimuth: float  # radians clockwise from north, which is up
    elevation: float  # radians above the horizon

    def shade(self, height: Array, resolution: float, ambient: float) -> Array:
        """Light on sloping ground.

        Args:
            height: In metres, (H, W).
            resolution: Metres per pixel.
            ambient: Share of the light that comes from the sky.

        Returns:
            Brightness (H, W) by Lambert's law, 1 on level ground.
        """
        level = np.pad(height, 1, mode="edge") * np.float32(0.5 / resolution)
        right, down = level[1:-1, 2:] - level[1:-1, :-2], level[2:, 1:-1] - level[:-2, 1:-1]
        tangent = math.tan(self.elevation)
        facing = tangent - math.sin(self.azimuth) * right + math.cos(self.azimuth) * down
        direct = np.maximum(facing, 0) / (tangent * np.sqrt(1 + right**2 + down**2))
        return np.asarray(ambient + (1 - ambient) * direct, dtype=np.float32)

    def shadow_ceiling(self, height: Array, resolution: float) -> Array:
        """Height below which things lie in shadow.

            ceiling(p) = max over t > 0 of height(p + t·s) − t·tan(elevation)

        with s the horizontal direction to the sun. The maximum over 2n steps is the maximum of two maxima
        over n steps, so the cost grows with the logarithm of the longest shadow only.

        Args:
            height: Of all that casts shadows, in metres above ground, (H, W).
            resolution: Metres per pixel.

        Returns:
            Heights (H, W) in metres; zero or less where nothing stands in the sun's way.
        """
        drop = np.float32(math.tan(self.elevation) * resolution)
        ceiling = self._ahead(height, 1) - drop
        steps = 1
        while steps * drop < height.max():
            np.maximum(ceiling, self._ahead(ceiling, steps) - steps * drop, out=ceiling)
            steps *= 2
        return ceiling

    def _ahead(self, field: Array, steps: int) -> Array:
        """The field as seen ``steps`` pixels further towards the sun: bilinear, continued beyond its edges."""
        rows, columns = field.shape
        x, y = math.sin(self.azimuth) * steps, -math.cos(self.azimuth) * steps
        left, top = math.floor(x), math.floor(y)
        beyond = np.pad(field, steps + 1, mode="edge")[steps + 1 + top :, steps + 1 + left :]
        lines = beyond[:rows] + np.float32(y - top) * (beyond[1 : rows + 1] - beyond[:rows])
        pixels = lines[:, :columns] + np.float32(x - left) * (lines[:, 1 : columns + 1] - lines[:, :columns])
        return np.asarray(pixels, dtype=np.float32)
