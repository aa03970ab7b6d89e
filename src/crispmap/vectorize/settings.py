"""How a probability raster becomes footprints."""

import math
from dataclasses import dataclass

from crispmap.errors import SettingError
from crispmap.geo.raster import Nodata

MIN_AREA_M2 = 2.0
MIN_AREA_PX = 16.0
TOLERANCE_PX = 1.25  # takes nearly every step off a straight wall; 1.5 begins to round corners
REGULAR_TOLERANCE_PX = 1.75  # corners are found again where walls meet, so more of what is uneven may go


@dataclass(frozen=True)
class VectorizeSettings:
    """How to make footprints.

    Lengths and areas are metres and m² on the ground, or pixels where the raster has no place there.

    Attributes:
        threshold: A pixel belongs to a footprint from this probability on, in (0, 1).
        separate: Footprints are parted where the probability between their cores, of this probability and more,
            is lower; above the threshold, at most 1. None parts nothing.
        min_area: Footprints smaller than this are left out, and cores smaller than this are none. By default
            `MIN_AREA_M2` or `MIN_AREA_PX`.
        simplify: How far an outline may move to lose vertices. By default `TOLERANCE_PX` pixels, and
            `REGULAR_TOLERANCE_PX` if regularised.
        regularise: Whether walls are turned to the main directions of their building; outlines may move as far
            again as `simplify` says.
        nodata: Which pixels hold no data: the file's word (``"file"``), ``"none"`` or those of a value.

    Raises:
        SettingError: If one of them is out of range.
    """

    threshold: float = 0.5
    separate: float | None = None
    min_area: float | None = None
    simplify: float | None = None
    regularise: bool = False
    nodata: Nodata = "file"

    def __post_init__(self) -> None:
        if not 0 < self.threshold < 1:
            raise SettingError(f"the threshold is a probability between 0 and 1, not {self.threshold:g}")
        if self.separate is not None and not self.threshold < self.separate <= 1:
            raise SettingError(
                f"footprints are separated at a probability above the threshold ({self.threshold:g}) and up to 1, "
                f"not {self.separate:g}"
            )
        for name, value in (("least area", self.min_area), ("tolerance of simplifying", self.simplify)):
            if value is not None and not 0 <= value < math.inf:
                raise SettingError(f"the {name} is 0 or more, not {value:g}")
        if self.regularise and self.simplify == 0:
            raise SettingError("regularising moves walls within the tolerance of simplifying, which is 0; give more")
