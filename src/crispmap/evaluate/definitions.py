"""What an evaluation measures, and what that comes to on one image."""

import math
from dataclasses import dataclass
from typing import NamedTuple

from crispmap.functional.band_score import WIDTH, band_width
from crispmap.functional.conventions import Convention, rules_of
from crispmap.functional.lengths import Length, PixelSize, Ruler, rulers
from crispmap.functional.outline_score import CORNER_RADIUS

_TOLERANCES = (Length(3.0),)
_CAP = Length(100.0)


@dataclass(frozen=True)
class Definitions:
    """The definitions behind the scores.

    Attributes:
        tolerances: Of the boundary F1, at least one; the first is the main one.
        convention: Of the boundary F1.
        band: The width of the bands of Boundary IoU.
        cap: Up to which surface distances are measured; they come out in its unit, pixels or metres.
        object_iou: From which IoU on two objects are the same.
    """

    tolerances: tuple[Length, ...] = _TOLERANCES
    convention: Convention = "csurka"
    band: Length = WIDTH
    cap: Length = _CAP
    object_iou: float = 0.5

    def on(self, shape: tuple[int, int], pixel_size: PixelSize | None) -> "Plan":
        """What they come to on an image of a height and a width.

        Raises:
            SettingError: If a length is in metres and the pixels' size is not known.
        """
        rules, cap = rules_of(self.convention), self.cap.on(shape)
        lengths = [rules.resolve(tolerance, shape) for tolerance in self.tolerances]
        if self.convention == "csurka":  # whose boundaries surface distances are between
            distances = [Distances("csurka", ruler) for ruler in rulers([*lengths, cap], pixel_size)]
        else:
            distances = [Distances(self.convention, ruler) for ruler in rulers(lengths, pixel_size)]
            (of_cap,) = rulers([cap], pixel_size)
            distances.append(Distances("csurka", of_cap._replace(places=(len(lengths),))))
        width = band_width(self.band, shape, pixel_size)
        band = Length(float(width[0])) if self.band.unit == "diagonal" else self.band
        return Plan(len(lengths), tuple(distances), cap, band, max(*width, CORNER_RADIUS) + 1, pixel_size)


class Distances(NamedTuple):
    """Distances between boundaries that one search serves."""

    convention: Convention
    ruler: Ruler  # its places are those of the tolerances, and the number of them for the cap

    @property
    def reach(self) -> int:
        """How many pixels away a boundary can matter, and one more that tells what is a boundary."""
        return math.floor(max(self.ruler.tolerances) / min(self.ruler.spacing)) + 2


@dataclass(frozen=True)
class Plan:
    """Definitions on one image.

    Attributes:
        tolerances: How many there are.
        distances: The searches that serve them and the cap.
        cap: In pixels or metres.
        band: The width of the bands, in pixels or metres.
        reach: How many pixels away something can matter to bands and corners.
        pixel_size: Metres from row to row and from column to column, or None.
    """

    tolerances: int
    distances: tuple[Distances, ...]
    cap: Length
    band: Length
    reach: int
    pixel_size: PixelSize | None

    @property
    def halo(self) -> int:
        """How many pixels away anything can matter."""
        return max(self.reach, *(each.reach for each in self.distances))
