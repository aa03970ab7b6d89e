"""What stands where in a scene: the blocks between the streets, each filled in the manner of its kind."""

import math
from collections.abc import Callable, Iterator

import numpy as np
import shapely
from shapely.geometry import Polygon

from crispmap.data.synthetic.elements import (
    ASPHALT,
    CONCRETE,
    CONTAINERS,
    LAWNS,
    PAVINGS,
    POOL,
    SOIL,
    Building,
    Slab,
)
from crispmap.data.synthetic.plans import PLANS, Frame, Wing, ridges
from crispmap.data.synthetic.site import Site
from crispmap.data.synthetic.streets import Block, draw_streets


def draw_site(rng: np.random.Generator, extent: float) -> Site:
    """Draws a square scene of ``extent`` metres; the kinds of its blocks have shares of its own."""
    site = Site(rng, draw_streets(rng, extent), extent)
    fillers: tuple[Callable[[Site, Block], None], ...] = (_houses, _terraces, _apartments, _works, _park)
    shares = rng.dirichlet((3.6, 2.6, 2.4, 1.8, 0.8))
    for block in site.streets.blocks():
        fillers[rng.choice(len(fillers), p=shares)](site, block)
    _kerbside(site)
    return site


def _lots(site: Site, block: Block, narrowest: float, widest: float) -> Iterator[tuple[Frame, float, float]]:
    """Cuts a block into lots along its two avenues.

    Yields:
        For each lot that the scene shows: the middle of its street front with y into the block, its width and
        its depth.
    """
    depth = (block.u1 - block.u0) / 2
    for u, inwards in ((block.u0, 1.0), (block.u1, -1.0)):
        lots = int((block.v1 - block.v0) / site.rng.uniform(narrowest, widest))
        width = (block.v1 - block.v0) / lots
        for lot in range(lots):
            front = site.streets.frame(u, block.v0 + (lot + 0.5) * width, inwards, 0.0)
            if site.shows(front, depth + width / 2):
                yield front, width, depth


def _cells(site: Site, block: Block, longest: float) -> Iterator[tuple[Frame, float, float]]:
    """Cuts a block across into cells of equal length.

    Yields:
        For each cell that the scene shows: its middle, its length (along x) and its width.
    """
    cells = math.ceil((block.v1 - block.v0) / longest)
    length, width = (block.v1 - block.v0) / cells, block.u1 - block.u0
    for cell in range(cells):
        middle = site.streets.frame((block.u0 + block.u1) / 2, block.v0 + (cell + 0.5) * length, 1.0, 0.0)
        if site.shows(middle, (length + width) / 2):
            yield middle, length, width


def _houses(site: Site, block: Block) -> None:
    """Detached houses in gardens."""
    rng = site.rng
    for front, lot_width, lot_depth in _lots(site, block, 15, 21):
        site.pave(front.moved(0, lot_depth / 2), lot_width, lot_depth, *LAWNS, grain=0.07)
        length, width = rng.uniform(9, lot_width - 4.5), rng.uniform(8, 12.5)
        middle = rng.uniform(4, 7) + width / 2
        side = rng.choice((-1, 1))
        house = front.moved(side * (lot_width - length) * rng.uniform(0, 0.25), middle, rng.normal(0, 0.03))
        plan = str(rng.choice(("rectangle", "L", "T"), p=(0.55, 0.27, 0.18)))
        site.build(house, plan, length, width, rng.uniform(2.8, 6), pitched=0.85)

        drive = front.moved(side * (1.6 - lot_width / 2), middle / 2)
        site.pave(drive, 2.8, middle, *PAVINGS)
        if site.chance(0.6):
            site.park_car(drive.moved(0, 0, math.pi / 2))
        if site.chance(0.6):
            site.pave(house.moved(0, width / 2 + 1.5), rng.uniform(4, length), 3.6, *PAVINGS)
        if site.chance(0.12):
            pool = house.moved(0, width / 2 + 7)
            site.pave(pool, 9.6, 5.6, CONCRETE, grain=0.04)
            site.pave(pool, 8, 4, POOL, grain=0.02)
        if site.chance(0.5):
            hedge = front.moved(lot_width / 2, lot_depth / 2, math.pi / 2)
            site.plant(hedge, 0.6, 0.9, lot_depth - 4)
        for _ in range(rng.poisson(1.6)):
            back = rng.uniform(middle + width / 2 + 2, lot_depth + 1)
            site.plant(front.moved(lot_width * rng.uniform(-0.5, 0.5), back), 1.2, 3.4)
        if site.chance(0.35):  # a crown over the corner of the house
            corner = house.moved(length * rng.choice((-0.55, 0.55)), width * rng.choice((-0.5, 0.5)))
            site.plant(corner, 1.6, 2.8)


def _terraces(site: Site, block: Block) -> None:
    """Rows of houses with narrow gardens."""
    setback = site.rng.uniform(2.5, 5)
    for front, width, depth in _lots(site, block, 20, 42):
        site.pave(front.moved(0, depth / 2), width, depth, *LAWNS, grain=0.07)
        _row(site, front.moved(0, setback), width - site.rng.uniform(2.5, 6), depth - setback)


def _row(site: Site, front: Frame, length: float, lot_depth: float) -> None:
    """One row of houses; the walls they share have the same corners on both sides."""
    rng = site.rng
    units = round(length / rng.uniform(5.5, 8))
    walls = np.linspace(-length / 2, length / 2, units + 1)
    depths = rng.uniform(8.5, 10.5) + rng.choice((0.0, 0.0, 1.2, 2.0), units)
    roof = "gabled" if site.chance(0.75) else "flat"
    height, pitch = rng.uniform(5, 8), rng.uniform(0.5, 0.95)
    coverings = [site.covering(roof) for _ in range(rng.integers(1, 4))]
    for unit, (left, right, depth) in enumerate(zip(walls[:-1], walls[1:], depths, strict=True)):
        corners = [(left, 0.0), (right, 0.0)]
        if unit + 1 < units and depths[unit + 1] < depth:
            corners.append((right, depths[unit + 1]))
        corners += [(right, depth), (left, depth)]
        if unit and depths[unit - 1] < depth:
            corners.append((left, depths[unit - 1]))
        footprint = Polygon(front.to_scene(np.array(corners)))
        ridge = ridges(front, [Wing(left, 0.0, right, depth)], along_x=True)
        covering = coverings[rng.integers(len(coverings))]
        site.add(Building("row", footprint, ridge, height + rng.normal(0, 0.3), roof, pitch, covering))

        yard, middle = rng.uniform(2, 5), (left + right) / 2
        site.pave(front.moved(middle, depth + yard / 2), right - left - 0.3, yard, *PAVINGS)
        if site.chance(0.6):
            hedge = front.moved(right, (depth + lot_depth) / 2, math.pi / 2)
            site.plant(hedge, 0.5, 0.7, lot_depth - depth - 1)
        if site.chance(0.5):
            site.plant(front.moved(middle, rng.uniform(depth + 2, lot_depth)), 1.0, 2.6)


def _apartments(site: Site, block: Block) -> None:
    """Large houses of all plans on lawns, most with a row of parking."""
    rng = site.rng
    for middle, length, width in _cells(site, block, rng.uniform(40, 56)):
        site.pave(middle, length, width, *LAWNS, grain=0.07)
        plan = str(rng.choice(list(PLANS)))
        long = min(40.0, length * rng.uniform(0.7, 0.9))
        wide = rng.uniform(11, 15) if plan == "rectangle" else min(40.0, width - rng.uniform(16, 22))
        place = middle.moved(0, (width - wide) / 2 - 3.5)
        building = site.build(place, plan, long, wide, rng.uniform(7, 15), pitched=0.5)
        site.pave(place.moved(0, -wide / 2 - 3), long, rng.uniform(2, 4), *PAVINGS)
        if plan in ("U", "courtyard") and site.chance(0.5):
            site.pave(place, 0.4 * long, 0.4 * wide, *PAVINGS)
        if site.chance(0.75):
            site.parking(middle.moved(0, 4 - width / 2), 0.8 * length)
        for _ in range(rng.poisson(5)):
            spot = middle.moved(length * rng.uniform(-0.5, 0.5), width * rng.uniform(-0.5, 0.5))
            if not shapely.intersects_xy(building.footprint, spot.x, spot.y):
                site.plant(spot, 1.5, 4.0)


def _works(site: Site, block: Block) -> None:
    """Halls and shops on asphalt, with parking and containers."""
    rng = site.rng
    apron = site.colour(ASPHALT, CONCRETE, (136, 134, 130))
    for middle, length, width in _cells(site, block, rng.uniform(42, 58)):
        site.grounds.append(Slab(middle, length + 1, width - 1, apron, 0.035))
        plan = str(rng.choice(("rectangle", "L", "U"), p=(0.6, 0.28, 0.12)))
        long, wide = min(40.0, length * rng.uniform(0.65, 0.88)), min(38.0, width * rng.uniform(0.4, 0.6))
        place = middle.moved(0, (width - wide) / 2 - rng.uniform(2, 5))
        site.build(place, plan, long, wide, rng.uniform(5, 10), pitched=0.12)
        if site.chance(0.7):
            site.parking(middle.moved(0, 4 - width / 2), 0.85 * length)
        for _ in range(rng.poisson(2.5)):
            beside = long * rng.uniform(-0.4, 0.4), -wide / 2 - rng.uniform(3, 5)
            spot = place.moved(*beside, math.pi / 2 * rng.integers(2))
            site.objects.append(Slab(spot, 6.1, 2.44, site.colour(*CONTAINERS), 0.04, 2.6))
        if site.chance(0.4):
            site.pave(middle.moved(-0.3 * length, -0.18 * width), 9, 6, *PAVINGS)


def _park(site: Site, block: Block) -> None:
    """Trees on grass, a path, beds of soil and courts: ground without a building."""
    rng = site.rng
    for middle, length, width in _cells(site, block, 60):
        site.pave(middle, length + 1, width, *LAWNS, grain=0.08)
        site.pave(middle.moved(0, 0, rng.uniform(-0.3, 0.3)), length, 2.2, *PAVINGS)
        for _ in range(rng.integers(1, 4)):
            spread = length * rng.uniform(-0.3, 0.3), width * rng.uniform(-0.3, 0.3)
            spot = middle.moved(*spread, rng.uniform(-0.2, 0.2))
            if site.chance(0.5):
                site.court(spot)
            else:
                site.pave(spot, rng.uniform(8, 20), rng.uniform(6, 14), SOIL, grain=0.09)
        for _ in range(rng.poisson(length * width / 130)):
            spot = middle.moved(length * rng.uniform(-0.5, 0.5), width * rng.uniform(-0.5, 0.5))
            site.plant(spot, 1.6, 4.6)


def _kerbside(site: Site) -> None:
    """Cars along the kerbs and on the carriageways of the avenues, and rows of street trees."""
    rng, streets = site.rng, site.streets
    for u, strip in zip(streets.avenues[:-1], streets.strips, strict=True):
        parked, planted = rng.uniform(0, 0.5), site.chance(0.5)
        for v in np.arange(-streets.reach, streets.reach, 6.5):
            to_crossing = abs((v - strip.first + strip.spacing / 2) % strip.spacing - strip.spacing / 2)
            if to_crossing < streets.side_half_width + 5 or not site.shows(streets.place(u, v), 10):
                continue
            for side in (-1.0, 1.0):
                axis = streets.frame(u, v + rng.normal(0, 0.4), side, 0.0)
                if site.chance(parked):
                    site.park_car(axis.moved(0, streets.avenue_half_width - 1.1))
                elif site.chance(0.06):
                    site.park_car(axis.moved(0, streets.avenue_half_width / 2))
                if planted and site.chance(0.4):
                    site.plant(axis.moved(0, streets.avenue_half_width + 1), 1.2, 2.8)
