"""A street network: gently bent avenues, and side streets between one avenue and the next."""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from crispmap.data.synthetic.plans import Frame

Array = NDArray[np.float32]

PAVEMENT_WIDTH = 2.0
_CORNER = 3.0  # radius of the kerb at a crossing, metres


class Strip(NamedTuple):
    """The ground between two avenues, crossed by side streets at v = first + n · spacing."""

    first: float
    spacing: float


class Block(NamedTuple):
    """The ground between two avenues and two side streets, pavements excluded, in street coordinates."""

    u0: float
    v0: float
    u1: float
    v1: float


class StreetGrid(NamedTuple):
    """Each pixel's relation to the streets, arrays (H, W) in metres. Distances to a kerb are negative inside.

    Attributes:
        kerb: Distance to the nearest carriageway, whose corners are round.
        avenue_axis: Distance to the axis of the nearest avenue.
        avenue_kerb: Distance to that avenue's kerb.
        side_kerb: Distance to the kerb of the nearest side street.
        v: The way along the avenues, which is the way across the side streets.
    """

    kerb: Array
    avenue_axis: Array
    avenue_kerb: Array
    side_kerb: Array
    v: Array


@dataclass(frozen=True)
class Streets:
    """Streets in bent coordinates: avenues at constant u, side streets at constant v within a strip.

        (u, v) = (x', y') + a·(sin(k·y' + p), sin(k·x' + q))

    with (x', y') local to the origin, so that a pixel's distance to the streets is a formula.
    """

    origin: Frame
    bend: float
    wave_number: float
    phases: tuple[float, float]
    avenues: list[float]
    avenue_half_width: float
    strips: list[Strip]
    side_half_width: float
    reach: float  # the streets go on at least this far from the centre

    def to_streets(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Maps scene coordinates to street coordinates."""
        along, across = self.origin.to_local(x, y)
        k, (p, q) = self.wave_number, self.phases
        return along + self.bend * np.sin(k * across + p), across + self.bend * np.sin(k * along + q)

    def place(self, u: float, v: float) -> Frame:
        """Maps one point of street coordinates to the scene, by fixed-point iteration."""
        along, across = u, v
        k, (p, q) = self.wave_number, self.phases
        for _ in range(7):
            along, across = u - self.bend * math.sin(k * across + p), v - self.bend * math.sin(k * along + q)
        return self.origin.moved(along, across)

    def frame(self, u: float, v: float, du: float, dv: float) -> Frame:
        """The frame at (u, v) whose local y axis points along (du, dv)."""
        here, ahead = self.place(u, v), self.place(u + du, v + dv)
        return Frame(here.x, here.y, math.atan2(ahead.y - here.y, ahead.x - here.x) - math.pi / 2)

    def side_streets(self, strip: Strip) -> list[float]:
        """Where the side streets of a strip lie."""
        return [strip.first + n * strip.spacing for n in range(math.ceil(2 * self.reach / strip.spacing) + 2)]

    def blocks(self) -> list[Block]:
        """The blocks between the streets."""
        a, s = self.avenue_half_width + PAVEMENT_WIDTH, self.side_half_width + PAVEMENT_WIDTH
        return [
            Block(u0 + a, v + s, u1 - a, v + strip.spacing - s)
            for (u0, u1), strip in zip(pairwise(self.avenues), self.strips, strict=True)
            for v in self.side_streets(strip)
        ]

    def grid(self, x: Array, y: Array) -> StreetGrid:
        """Measures pixels against the streets, given their scene coordinates as a row and a column."""
        u, v = self.to_streets(x, y)
        avenue_axis, first, spacing = np.full_like(u, np.inf), np.zeros_like(u), np.ones_like(u)
        for avenue in self.avenues:
            np.minimum(avenue_axis, np.abs(u - avenue), out=avenue_axis)
        for avenue, strip in zip(self.avenues[:-1], self.strips, strict=True):
            beyond = u > avenue
            np.copyto(first, strip.first, where=beyond)
            np.copyto(spacing, strip.spacing, where=beyond)
        blocks = (v - first) / spacing
        side_axis = spacing * np.abs(blocks - np.rint(blocks))
        avenue_kerb, side_kerb = avenue_axis - self.avenue_half_width, side_axis - self.side_half_width
        # The smooth minimum of the two distances rounds the kerb at a corner.
        share = np.clip(0.5 + (side_kerb - avenue_kerb) / (2 * _CORNER), 0, 1)
        kerb = side_kerb + share * (avenue_kerb - side_kerb) - _CORNER * share * (1 - share)
        return StreetGrid(kerb, avenue_axis, avenue_kerb, side_kerb, v)


def draw_streets(rng: np.random.Generator, extent: float) -> Streets:
    """Draws a street network that covers a square scene of ``extent`` metres."""
    reach = 0.75 * extent + 60.0
    avenues = [-reach - rng.uniform(0, 80)]
    strips = []
    while avenues[-1] < reach:
        avenues.append(avenues[-1] + rng.uniform(58, 84))
        spacing = rng.uniform(70, 130)
        strips.append(Strip(-reach - rng.uniform(0, spacing), spacing))
    return Streets(
        origin=Frame(extent / 2, extent / 2, rng.uniform(0, math.pi)),
        bend=rng.uniform(0, 7),
        wave_number=2 * math.pi / rng.uniform(220, 420),
        phases=(rng.uniform(0, 2 * math.pi), rng.uniform(0, 2 * math.pi)),
        avenues=avenues,
        avenue_half_width=rng.uniform(3.2, 4.6),
        strips=strips,
        side_half_width=rng.uniform(2.5, 3.3),
        reach=reach,
    )
