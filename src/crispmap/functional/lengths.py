"""Lengths as people state them: in pixels, in metres on the ground, or as a share of the image's diagonal."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from crispmap.errors import SettingError

PixelSize = tuple[
    float, float
]  # metres from a pixel's centre to that of the one below it, and to that of the one right of it

_TEXT = re.compile(r"\s*([0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?)\s*(px|m|%)?\s*")
_SQUARE = 1e-6  # sides of pixels that differ by less than this share are equal


@dataclass(frozen=True)
class Length:
    """A length greater than 0 with its unit.

    Attributes:
        value: How many of the unit; of the diagonal, a share of 1.
        unit: ``"px"``, ``"m"`` or ``"diagonal"``, the image's own in pixels.
    """

    value: float
    unit: Literal["px", "m", "diagonal"] = "px"

    def __post_init__(self) -> None:
        if not 0 < self.value < math.inf:
            raise SettingError(f"a length is {self.value:g} {self.unit}; give a number greater than 0")

    @classmethod
    def of(cls, given: "float | str | Length", name: str = "length") -> "Length":
        """Reads ``3`` and ``"3px"`` (pixels), ``"1.5m"`` (metres) and ``"0.75%"`` (of the diagonal).

        Args:
            given: One of these.
            name: What the length is, for the message if it is none.

        Raises:
            SettingError: If it is something else, or not greater than 0.
        """
        if isinstance(given, Length):
            return given
        match = _TEXT.fullmatch(given if isinstance(given, str) else f"{given}px")
        if match is None or not 0 < float(match[1]) < math.inf:
            raise SettingError(
                f"{name} is {given}; give a length greater than 0: pixels (3px), metres (1.5m) or part of the "
                "diagonal (0.75%)"
            )
        value, unit = float(match[1]), match[2] or "px"
        return cls(value / 100, "diagonal") if unit == "%" else cls(value, "m" if unit == "m" else "px")

    def __str__(self) -> str:
        return f"{100 * self.value:g} %" if self.unit == "diagonal" else f"{self.value:g} {self.unit}"

    def in_pixels(self, pixel_size: PixelSize | None = None) -> tuple[float, float]:
        """This length in pixels down and to the right; they differ only for metres on pixels that are not square.

        Args:
            pixel_size: Metres down and to the right; metres need it.

        Raises:
            SettingError: If it is in metres and the pixels' size is not known, or still a share of the diagonal.
        """
        if self.unit == "px":
            return self.value, self.value
        if self.unit == "diagonal":
            raise SettingError(f"a length is {self} of a diagonal; take it `on` an image first")
        if pixel_size is None:
            raise SettingError(
                f"a length is {self}, but the ground resolution is not known; give it in pixels, or the resolution"
            )
        check_pixel_size(pixel_size)
        # 0.6 m are 2 pixels of 0.3 m, not 2 and the last bit of a double
        down, right = (round(self.value / size, 9) for size in _evened(pixel_size))
        return down, right

    def on(self, image_shape: tuple[int, int]) -> "Length":
        """The same, a share of the diagonal of an image (height, width) in pixels of its."""
        return Length(self.value * math.hypot(*image_shape)) if self.unit == "diagonal" else self


class Ruler(NamedTuple):
    """Tolerances that one distance map serves."""

    spacing: tuple[float, float]  # what a step down and a step to the right are long
    tolerances: tuple[float, ...]  # in the same unit
    places: tuple[int, ...]  # where these stand in the sequence that they come from


def rulers(lengths: Sequence[Length], pixel_size: PixelSize | None = None) -> list[Ruler]:
    """Sorts lengths by the distances that they are measured with: in pixels, but for metres on oblong pixels.

    Arguments and errors are those of `Length.in_pixels`.
    """
    measured = [length.in_pixels(pixel_size) for length in lengths]
    oblong = [down != right for down, right in measured]
    found = []
    for kind in sorted(set(oblong)):
        places = tuple(i for i, is_oblong in enumerate(oblong) if is_oblong == kind)
        spacing = pixel_size if kind and pixel_size is not None else (1.0, 1.0)
        found.append(Ruler(spacing, tuple(lengths[i].value if kind else measured[i][0] for i in places), places))
    return found


def check_pixel_size(pixel_size: PixelSize | None) -> None:
    """Checks that both sides of a pixel, if they are given, are lengths.

    Raises:
        SettingError: If they are not.
    """
    if pixel_size is not None and not all(0 < side < math.inf for side in pixel_size):
        raise SettingError(f"pixel_size is {pixel_size}; give metres down and to the right, both greater than 0")


def _evened(pixel_size: PixelSize) -> PixelSize:
    """The same, with both sides their geometric mean where they are equal but for rounding."""
    down, right = pixel_size
    if abs(down - right) <= _SQUARE * max(down, right):
        return (math.sqrt(down * right),) * 2
    return pixel_size
