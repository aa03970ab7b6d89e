"""Plans of buildings: wings, the footprint they make together, and the roof over them."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import Polygon

Array = NDArray[np.float32]


class Frame(NamedTuple):
    """A place and a direction in the scene, in metres: local x runs along ``angle``, local y to its left."""

    x: float
    y: float
    angle: float

    def moved(self, dx: float, dy: float, turn: float = 0.0) -> "Frame":
        """The frame at local (dx, dy), turned by ``turn`` radians."""
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        return Frame(self.x + cos * dx - sin * dy, self.y + sin * dx + cos * dy, self.angle + turn)

    def to_scene(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Maps local points (N, 2) to the scene."""
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        return np.asarray(points @ np.array([[cos, sin], [-sin, cos]]) + (self.x, self.y))

    def to_local(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Maps scene coordinates, a row (1, W) and a column (H, 1), to two local grids (H, W)."""
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        dx, dy = x - np.float32(self.x), y - np.float32(self.y)
        return cos * dx + sin * dy, cos * dy - sin * dx


class Wing(NamedTuple):
    """A rectangle of a plan in local metres."""

    x0: float
    y0: float
    x1: float
    y1: float


Plan = Callable[[np.random.Generator, float, float], list[Wing]]


def _rectangle(rng: np.random.Generator, length: float, width: float) -> list[Wing]:
    return [Wing(-length / 2, -width / 2, length / 2, width / 2)]


def _bars(rng: np.random.Generator, length: float, width: float) -> tuple[Wing, Wing, Wing, Wing]:
    """The bars along the four sides (front, back, left, right) of a rectangle, all equally deep."""
    x, y = length / 2, width / 2
    depth = max(4.8, rng.uniform(0.3, 0.38) * min(length, width))
    return (
        Wing(-x, -y, x, depth - y),
        Wing(-x, y - depth, x, y),
        Wing(-x, -y, depth - x, y),
        Wing(x - depth, -y, x, y),
    )


def _l_plan(rng: np.random.Generator, length: float, width: float) -> list[Wing]:
    front, back, left, right = _bars(rng, length, width)
    return [front if rng.random() < 0.5 else back, left if rng.random() < 0.5 else right]


def _u_plan(rng: np.random.Generator, length: float, width: float) -> list[Wing]:
    front, back, left, right = _bars(rng, length, width)
    return [front if rng.random() < 0.5 else back, left, right]


def _t_plan(rng: np.random.Generator, length: float, width: float) -> list[Wing]:
    front, back, left, _ = _bars(rng, length, width)
    shift = rng.uniform(0.2, 0.8) * (length - (left.x1 - left.x0))
    return [front if rng.random() < 0.5 else back, Wing(left.x0 + shift, left.y0, left.x1 + shift, left.y1)]


def _courtyard(rng: np.random.Generator, length: float, width: float) -> list[Wing]:
    return list(_bars(rng, length, width))


PLANS: dict[str, Plan] = {
    "rectangle": _rectangle,
    "L": _l_plan,
    "U": _u_plan,
    "T": _t_plan,
    "courtyard": _courtyard,
}


def outline(wings: list[Wing]) -> Polygon:
    """The union of the wings: one polygon in local metres, with a hole for a courtyard."""
    union = shapely.union_all([shapely.box(*wing) for wing in wings]).normalize()
    assert isinstance(union, Polygon)
    return union


class Ridge(NamedTuple):
    """The roof over one wing: the middle of its ridge, x along it; the wing's length that way; its width."""

    frame: Frame
    run: float
    span: float


def ridges(frame: Frame, wings: list[Wing], along_x: bool | None = None) -> list[Ridge]:
    """The ridges over the wings of a plan that stands at a frame.

    Args:
        frame: Of the plan.
        wings: Of the plan.
        along_x: Whether the ridges run along the frame's x; by default each follows its wing's longer side.
    """
    roofs = []
    for x0, y0, x1, y1 in wings:
        length, width = x1 - x0, y1 - y0
        straight = length >= width if along_x is None else along_x
        middle = frame.moved((x0 + x1) / 2, (y0 + y1) / 2, 0.0 if straight else math.pi / 2)
        roofs.append(Ridge(middle, *((length, width) if straight else (width, length))))
    return roofs


def roof_surface(roof: str, roof_ridges: list[Ridge], pitch: float, x: Array, y: Array) -> tuple[Array, Array]:
    """The shape of a roof.

    Each wing carries its own roof and the highest shows, which puts the valleys where carpenters put them.

    Args:
        roof: ``flat``, ``gabled`` or ``hipped``.
        roof_ridges: One for each wing.
        pitch: Rise over run.
        x: Scene coordinates (1, W).
        y: Scene coordinates (H, 1).

    Returns:
        The height above the eaves, and the way along the eaves, both (H, W) in metres. Just outside the plan
        the faces go on downwards, so that slopes taken from neighbouring pixels are right up to the eaves.
    """
    rise = np.full((y.size, x.size), -2.0, dtype=np.float32)
    along = np.zeros_like(rise)
    for frame, run, span in roof_ridges:
        local_x, local_y = frame.to_local(x, y)
        to_eaves = np.float32(span / 2) - np.abs(local_y)
        to_end = np.float32(run / 2) - np.abs(local_x)
        if roof == "hipped":
            face, way = np.minimum(to_eaves, to_end), np.where(to_eaves <= to_end, local_x, local_y)
        else:
            face, way = np.where(to_end > -0.6, to_eaves, -2.0), local_x
        higher = face > rise
        np.copyto(rise, face, where=higher)
        np.copyto(along, way, where=higher)
    return (np.zeros_like(rise) if roof == "flat" else rise * np.float32(pitch)), along
