"""A site under development: what stands on it so far, and the ways of putting more there."""

import math
from dataclasses import dataclass, field

import numpy as np
from shapely.geometry import Polygon

from crispmap.data.synthetic.elements import (
    ASPHALT,
    CARS,
    CHIMNEY,
    CONCRETE,
    COURTS,
    GLASS,
    ROOFS,
    SOLAR,
    WHITE,
    Building,
    Colour,
    Covering,
    Plant,
    Slab,
)
from crispmap.data.synthetic.plans import PLANS, Frame, outline, ridges
from crispmap.data.synthetic.streets import Streets


@dataclass
class Site:
    """All that stands in a scene, in metres: x to the right, y up, the origin at the lower left corner."""

    rng: np.random.Generator
    streets: Streets
    extent: float
    buildings: list[Building] = field(default_factory=list)
    grounds: list[Slab] = field(default_factory=list)  # beneath the streets
    objects: list[Slab] = field(default_factory=list)  # on the ground and on the streets
    fittings: list[Slab] = field(default_factory=list)  # on roofs
    plants: list[Plant] = field(default_factory=list)

    def shows(self, frame: Frame, reach: float) -> bool:
        """Whether anything within ``reach`` metres of a place lies in the scene."""
        return -reach < frame.x < self.extent + reach and -reach < frame.y < self.extent + reach

    def chance(self, probability: float) -> bool:
        """Tosses a coin."""
        return self.rng.random() < probability

    def colour(self, *choices: Colour) -> Colour:
        """One of the colours, a little lighter or darker."""
        red, green, blue = choices[self.rng.integers(len(choices))]
        light = self.rng.normal(1, 0.06)
        return red * light, green * light, blue * light

    def covering(self, roof: str) -> Covering:
        """Something to cover a roof with."""
        coverings = ROOFS["flat" if roof == "flat" else "pitched"]
        colour, texture = coverings[self.rng.integers(len(coverings))]
        return Covering(self.colour(colour), texture)

    def pave(self, frame: Frame, length: float, width: float, *colours: Colour, grain: float = 0.05) -> None:
        """Covers ground with one of the colours."""
        self.grounds.append(Slab(frame, length, width, self.colour(*colours), grain))

    def plant(self, frame: Frame, smallest: float, largest: float, length: float = 0.0) -> None:
        """Plants a tree, or a hedge of a length, with a radius between the two."""
        self.plants.append(Plant(frame, self.rng.uniform(smallest, largest), length, self.rng.random()))

    def build(self, frame: Frame, plan: str, length: float, width: float, height: float, pitched: float) -> Building:
        """Puts up a building of one of the `PLANS`; ``pitched`` is the chance of a pitched roof."""
        wings = PLANS[plan](self.rng, length, width)
        shape = outline(wings)
        holes = [frame.to_scene(np.asarray(hole.coords)) for hole in shape.interiors]
        footprint = Polygon(frame.to_scene(np.asarray(shape.exterior.coords)), holes)
        roof = ("gabled" if self.chance(0.5) else "hipped") if self.chance(pitched) else "flat"
        pitch, covering = self.rng.uniform(0.5, 0.95), self.covering(roof)
        return self.add(Building(plan, footprint, ridges(frame, wings), height, roof, pitch, covering))

    def add(self, building: Building) -> Building:
        """Puts up a building: rooftop units on a flat roof, chimneys and solar panels on a pitched one."""
        self.buildings.append(building)
        for ridge, run, span in building.ridges:
            if building.roof == "flat":
                largest = 0.45 * min(run, span, 6.5)
                for _ in range(self.rng.poisson(run * span / 120)):
                    place = ridge.moved(run * self.rng.uniform(-0.25, 0.25), span * self.rng.uniform(-0.25, 0.25))
                    length, width, height = self.rng.uniform((0.8, 0.8, 0.3), (largest, largest, 1.6))
                    colour = self.colour(CONCRETE, WHITE, ASPHALT)
                    self.fittings.append(Slab(place, length, width, colour, 0.03, height))
                continue
            for _ in range(self.rng.poisson(0.9)):
                place = ridge.moved(run * self.rng.uniform(-0.3, 0.3), span * self.rng.uniform(-0.1, 0.1))
                self.fittings.append(Slab(place, 0.9, 0.7, CHIMNEY, 0.03, 1.2))
            if self.chance(0.3):
                place = ridge.moved(0, span * self.rng.choice((-0.24, 0.24)))
                length = self.rng.uniform(0.3, 0.7) * run
                self.fittings.append(Slab(place, length, 0.35 * span, SOLAR, 0.04))
        return building

    def park_car(self, frame: Frame) -> None:
        """Parks a car, or now and then a van, along the frame's x."""
        length, width, height = (6.2, 2.2, 2.6) if self.chance(0.1) else (self.rng.uniform(3.8, 4.8), 1.85, 1.4)
        self.objects.append(Slab(frame, length, width, self.colour(*CARS), 0.0, height))
        for share, glass in ((0.18, 0.7), (-0.33, 0.5)):
            self.objects.append(Slab(frame.moved(share * length, 0), glass, width - 0.3, GLASS, 0.0))

    def parking(self, frame: Frame, length: float) -> None:
        """A row of stalls around the frame, the aisle beside it towards −y."""
        self.pave(frame.moved(0, -2), length, 10.0, ASPHALT, grain=0.035)
        stalls = int(length / 2.6)
        for stall in range(stalls + 1):
            line = frame.moved((stall - stalls / 2) * 2.6, 0.3)
            self.objects.append(Slab(line, 0.14, 4.8, WHITE, 0.0))
            if stall < stalls and self.chance(0.6):
                turn = self.rng.choice((-1, 1)) * math.pi / 2
                self.park_car(line.moved(1.3, self.rng.normal(0, 0.2), turn))

    def court(self, frame: Frame) -> None:
        """A playing court with its lines; seen from above much like a flat roof."""
        length, width = self.rng.uniform(18, 24), self.rng.uniform(9, 12)
        self.pave(frame, length + 4, width + 3, *COURTS, ASPHALT, grain=0.04)
        for share in (-0.5, 0.0, 0.5):
            self.grounds.append(Slab(frame.moved(share * length, 0), 0.15, width, WHITE, 0.0))
        for share in (-0.5, 0.5):
            self.grounds.append(Slab(frame.moved(0, share * width), length, 0.15, WHITE, 0.0))
