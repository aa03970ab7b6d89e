"""What came of measuring labels, in pixels, in metres and in words."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

# The share of the buildings whose offset θ covers. Free-logit toys: sixteen squares of 20 px, the label of each drawn
# anew at every step in a disc of radius 2, 3, 4, 5 px; density form of the boundary loss, w = 0.9 for the latter half
# of 600 steps. θ = 5, 7, 9, 11 from the ninth decile end at IoU 1.00, 0.98, 0.96, 0.94 and perimeters of 1.00, 1.04,
# 1.08, 1.05 times the truth's; θ = 3, 5, 7, 9 from the median at 0.99, 0.98, 0.95, 0.93 and 1.03, 1.07, 1.15, 1.13. A
# larger θ gains 0.01 in IoU at most.
_SHARE = 0.9
_NEAREST = 0.05  # of the buildings that may stand closer than the gap
_SMALLEST = 3  # θ
_FEW = 30  # buildings below which a ninth decile is hardly known
_WORTH_SAYING = 0.5  # pixels that taking back the common shift must gain


@dataclass(frozen=True, eq=False)
class Misregistration:
    """How far labels lie from what they were measured against.

    Attributes:
        offsets: (n, 2) float64, one row a building: how far its label lies to the right and down of where it should,
            in pixels that the network sees.
        errors: (n,) float64, the standard error of each offset in pixels; 0 against other labels.
        gaps: (m,) float64, one a connected component of the labels, measured or not: background pixels between it and
            its nearest neighbour, infinite where none is near.
        unclear: Buildings left out because the evidence was flat, ambiguous, hidden or without a counterpart.
        partial: Buildings left out because they are cut by the border of the image or of what is known.
        against: What the labels were measured against, in words.
        resolution: Metres a pixel, or None if unknown.
    """

    offsets: NDArray[np.float64]
    errors: NDArray[np.float64]
    gaps: NDArray[np.float64]
    unclear: int
    partial: int
    against: str
    resolution: float | None = None

    @property
    def measured(self) -> int:
        """How many buildings were measured."""
        return len(self.offsets)

    @property
    def left_out(self) -> int:
        """How many were looked at and not measured."""
        return self.unclear + self.partial

    @cached_property
    def distances(self) -> NDArray[np.float64]:
        """(n,), the length of each offset in pixels."""
        return np.asarray(np.hypot(*self.offsets.T))

    @property
    def median(self) -> float:
        """The median distance in pixels."""
        return float(np.median(self.distances))

    @property
    def ninth_decile(self) -> float:
        """The distance in pixels that 9 labels in 10 keep."""
        return float(np.quantile(self.distances, _SHARE))

    @cached_property
    def shift(self) -> tuple[float, float]:
        """What the labels have in common, in pixels right and down: the median offset along each axis."""
        right, down = np.median(self.offsets, axis=0).tolist()
        return right, down

    @property
    def scatter(self) -> float:
        """The distance in pixels that 9 labels in 10 would keep if the common shift were taken back."""
        return float(np.quantile(np.hypot(*(self.offsets - self.shift).T), _SHARE))

    @property
    def theta(self) -> int:
        """The suggestion: odd, with (θ − 1)/2 the ninth decile to the nearest pixel, at least 1."""
        return _theta(self.ninth_decile)

    @property
    def gap(self) -> float:
        """The pixels that 95 % of the buildings have at least between them and a neighbour; may be infinite."""
        return float(np.quantile(self.gaps, _NEAREST, method="lower")) if len(self.gaps) else np.inf

    def metres(self, pixels: float) -> float | None:
        """A length in metres, or None if the resolution is unknown."""
        return None if self.resolution is None else pixels * self.resolution

    def findings(self) -> list[str]:
        """What to know, a sentence each, the suggestion first."""
        found = [
            f"θ = {self.theta}: 9 labels in 10 lie within {self._length(self.ninth_decile)} of {self.against}; "
            f"median {self._length(self.median)}"
        ]
        if self.ninth_decile - self.scatter >= _WORTH_SAYING:
            found.append(
                f"all together they lie {self._way()} of it; moved back, 9 in 10 would lie within "
                f"{self._length(self.scatter)} (θ = {_theta(self.scatter)})"
            )
        seen = f"{self.measured} building{'s' if self.measured != 1 else ''} measured"
        if self.errors.any():
            seen += f", each to ±{self._length(float(np.median(self.errors)))}"
        if self.left_out:
            seen += (
                f"; {self.left_out} left out ({self.unclear} without clear evidence, {self.partial} cut by a border)"
            )
        if self.measured < _FEW:
            seen += "; so few that θ is a guess"
        found.append(seen)
        if self.gap < self.theta and self.theta > _SMALLEST:
            close = float((self.gaps < self.theta).mean())
            found.append(
                f"{close:.0%} of the buildings stand closer than θ to a neighbour, 5 % within "
                f"{self._length(self.gap)}; a boundary loss may take one outline for the other there, so the two rules "
                "for θ conflict: only better labels, which need less θ, satisfy both"
            )
        return found

    def __str__(self) -> str:
        return "\n".join(self.findings())

    def _way(self) -> str:
        right, down = self.shift
        ways = [
            f"{self._length(abs(pixels))} {name}"
            for pixels, name in ((right, "right" if right > 0 else "left"), (down, "down" if down > 0 else "up"))
            if abs(pixels) >= 0.05
        ]
        return " and ".join(ways)

    def _length(self, pixels: float) -> str:
        metres = self.metres(pixels)
        return f"{pixels:.1f} px" if metres is None else f"{pixels:.1f} px ({metres:.2f} m)"


def _theta(pixels: float) -> int:
    return max(_SMALLEST, 2 * math.floor(pixels + 0.5) + 1)
