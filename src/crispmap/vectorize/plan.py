"""The settings in the units of a raster."""

import math
from dataclasses import dataclass

from crispmap.geo.raster import Raster
from crispmap.vectorize.settings import (
    MIN_AREA_M2,
    MIN_AREA_PX,
    REGULAR_TOLERANCE_PX,
    TOLERANCE_PX,
    VectorizeSettings,
)


@dataclass(frozen=True)
class Plan:
    """The settings in the units of a raster.

    Attributes:
        settings: As given.
        scale: The width and the height of a pixel in metres, or 1 and 1.
        tolerance: Of simplifying, in metres or pixels.
        min_area: In m² or pixels.
        located: Whether the raster has a place on the ground.
    """

    settings: VectorizeSettings
    scale: tuple[float, float]
    tolerance: float
    min_area: float
    located: bool

    @classmethod
    def of(cls, raster: Raster, settings: VectorizeSettings) -> "Plan":
        """What the settings mean for a raster; a pixel has the size of the one at its centre."""
        height, width = raster.pixel_size or (1.0, 1.0)
        pixels = REGULAR_TOLERANCE_PX if settings.regularise else TOLERANCE_PX
        tolerance = pixels * math.sqrt(height * width) if settings.simplify is None else settings.simplify
        least = MIN_AREA_M2 if raster.located else MIN_AREA_PX
        min_area = least if settings.min_area is None else settings.min_area
        return cls(settings, (width, height), tolerance, min_area, raster.located)

    @property
    def reach(self) -> tuple[int, int]:
        """Rows and columns between two footprints below which both may move so far that they meet."""
        movement = self.tolerance * (2 if self.settings.regularise else 1)
        width, height = self.scale
        return math.floor(2 * movement / height), math.floor(2 * movement / width)

    @property
    def attributes(self) -> tuple[str, ...]:
        """The names of what is known of each footprint."""
        unit = ("area_m2", "perimeter_m") if self.located else ("area_px", "perimeter_px")
        return (unit[0], "probability", unit[1], "orientation")
