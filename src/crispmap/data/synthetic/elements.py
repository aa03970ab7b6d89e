"""What scenes are made of: buildings, slabs and plants, and the colours they come in."""

from typing import NamedTuple

from shapely.geometry import Polygon

from crispmap.data.synthetic.plans import Frame, Ridge

Colour = tuple[float, float, float]


class Covering(NamedTuple):
    """What a roof is covered with."""

    colour: Colour
    texture: str  # tile, metal, gravel or membrane


ROOFS: dict[str, tuple[Covering, ...]] = {
    "pitched": (
        Covering((152, 90, 72), "tile"),
        Covering((136, 76, 64), "tile"),
        Covering((166, 112, 90), "tile"),
        Covering((118, 86, 75), "tile"),
        Covering((104, 103, 104), "tile"),
        Covering((78, 80, 86), "tile"),
        Covering((142, 138, 132), "metal"),
        Covering((112, 128, 118), "metal"),
        Covering((130, 145, 156), "metal"),
    ),
    "flat": (
        Covering((150, 148, 144), "gravel"),
        Covering((176, 170, 160), "gravel"),
        Covering((122, 118, 114), "gravel"),
        Covering((212, 213, 211), "membrane"),
        Covering((88, 88, 91), "membrane"),
        Covering((168, 176, 184), "metal"),
        Covering((108, 122, 92), "gravel"),
        Covering((138, 106, 94), "membrane"),
    ),
}
ASPHALT: Colour = (108, 108, 110)
CONCRETE: Colour = (168, 164, 156)
PAVINGS: tuple[Colour, ...] = (CONCRETE, (150, 144, 136), (158, 118, 98), (184, 172, 150), (128, 124, 120))
LAWNS: tuple[Colour, ...] = ((98, 116, 70), (110, 124, 78), (124, 128, 84), (88, 108, 66), (134, 130, 92))
GRASS: Colour = (96, 112, 70)
SOIL: Colour = (141, 122, 92)
PAVEMENT: Colour = (158, 154, 148)
KERB: Colour = (186, 184, 178)
COURTS: tuple[Colour, ...] = ((150, 84, 64), (74, 112, 92), (82, 104, 136))
POOL: Colour = (98, 168, 186)
WHITE: Colour = (226, 226, 222)
GLASS: Colour = (50, 56, 64)
SOLAR: Colour = (44, 54, 82)
CHIMNEY: Colour = (126, 92, 80)
CARS: tuple[Colour, ...] = (
    (224, 224, 222),
    (184, 186, 188),
    (120, 122, 126),
    (48, 49, 52),
    (62, 66, 72),
    (134, 44, 40),
    (52, 74, 116),
    (196, 188, 170),
)
CONTAINERS: tuple[Colour, ...] = ((150, 70, 52), (64, 96, 130), (86, 120, 92), (172, 168, 160), (176, 132, 64))


class Building(NamedTuple):
    """One building: the outline from which image and label are drawn, and how it looks from above."""

    plan: str
    footprint: Polygon  # scene metres
    ridges: list[Ridge]
    height: float  # of the eaves, metres
    roof: str  # flat, gabled or hipped
    pitch: float
    covering: Covering


class Slab(NamedTuple):
    """A rectangle of one colour with a height: paving, a marking, a car, a chimney."""

    frame: Frame  # of its middle
    length: float  # along the frame's x
    width: float
    colour: Colour
    grain: float = 0.05
    height: float = 0.0


class Plant(NamedTuple):
    """A tree, or a hedge where ``length`` is not 0."""

    frame: Frame
    radius: float
    length: float
    tint: float  # in [0, 1]
