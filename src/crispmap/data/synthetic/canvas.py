"""A canvas of pixels over the scene, and the noise that gives everything on it its grain."""

import math
from typing import NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import Polygon

from crispmap.data.synthetic.coverage import pixel_coverage
from crispmap.data.synthetic.elements import Colour, Slab
from crispmap.data.synthetic.texture import noise_fields

Array = NDArray[np.float32]


class View(NamedTuple):
    """A part of the canvas: where it lies, and the scene coordinates of its pixel centres."""

    at: tuple[slice, slice]
    x: Array  # (1, W)
    y: Array  # (H, 1)


class Layer(NamedTuple):
    """Colours (3, H, W) and heights above ground in metres (H, W)."""

    rgb: Array
    height: Array


class Canvas:
    """A square of pixels.

    Args:
        rng: Source of noise.
        size: Height and width in pixels.
        resolution: Metres per pixel.

    Attributes:
        x: Scene coordinates of the pixel centres, (1, size).
        y: The same, (size, 1).
        grain: White noise, (size, size); this and the other noise has unit variance.
        clumps: Noise with details of 0.5 to 4 m.
        broad: Noise with details of 3 to 60 m.
        rough: The sum of the three.
    """

    def __init__(self, rng: np.random.Generator, size: int, resolution: float) -> None:
        self.size, self.resolution = size, resolution
        centres = ((np.arange(size) + 0.5) * resolution).astype(np.float32)
        self.x, self.y = centres[None, :], centres[::-1, None]
        self.grain = rng.standard_normal((size, size), dtype=np.float32)
        self.broad, self.clumps = noise_fields(rng, size, resolution, ((3.0, 60.0), (0.5, 4.0)))
        self.rough = self.grain + self.clumps + self.broad

    def view(self, left: float, bottom: float, right: float, top: float) -> View | None:
        """The pixels within a box of scene coordinates, and one more around them; None if there are none."""
        columns = self._pixels(left, right)
        rows = self._pixels(self.size * self.resolution - top, self.size * self.resolution - bottom)
        if rows.stop - rows.start < 2 or columns.stop - columns.start < 2:  # the box ends before the canvas
            return None
        return View((rows, columns), self.x[:, columns], self.y[rows])

    def _pixels(self, first: float, last: float) -> slice:
        start, stop = math.floor(first / self.resolution) - 1, math.ceil(last / self.resolution) + 1
        return slice(max(start, 0), min(stop, self.size))

    def coverage(self, polygon: Polygon, view: View) -> Array:
        """Share of each pixel of a view that lies inside a polygon, (H, W) in [0, 1]."""
        rows, columns = view.at
        to_pixels = np.array((1, -1)) / self.resolution
        corner = np.array((columns.start, rows.start - self.size))
        pixels = shapely.transform(polygon, lambda points: points * to_pixels - corner)
        return pixel_coverage(pixels, view.y.size, view.x.size)

    def paint(self, layer: Layer, slab: Slab) -> None:
        """Paints a slab on a layer, its edges by the share of a pixel they cover."""
        (x, y, angle), length, width, colour, grain, height = slab
        cos, sin = abs(math.cos(angle)), abs(math.sin(angle))
        reach_x, reach_y = (cos * length + sin * width) / 2, (sin * length + cos * width) / 2
        view = self.view(x - reach_x, y - reach_y, x + reach_x, y + reach_y)
        if view is None:
            return
        along, across = slab.frame.to_local(view.x, view.y)
        inside = np.minimum(np.float32(length / 2) - np.abs(along), np.float32(width / 2) - np.abs(across))
        alpha = self.edge(inside, min(length, width))
        paint = as_column(colour)
        if grain:
            paint = paint * (1 + np.float32(grain) * self.rough[view.at])
        rgb = layer.rgb[:, *view.at]
        rgb += alpha * (paint - rgb)
        if height:
            layer.height[view.at] += alpha * np.float32(height)

    def edge(self, inside: Array, width: float = math.inf) -> Array:
        """Share of a pixel on the inner side of an edge, given how far inside its centre lies.

        Args:
            inside: Distance to the edge in metres, positive inside.
            width: Of the thing in metres; what is thinner than a pixel covers no more than its share of one.
        """
        most = np.float32(min(width / self.resolution, 1.0))
        share = inside / np.float32(self.resolution) + np.float32(0.5)
        return np.asarray(np.minimum(np.maximum(share, 0), most), dtype=np.float32)


def as_column(colour: Colour) -> Array:
    """A colour as an array (3, 1, 1)."""
    return np.array(colour, dtype=np.float32)[:, None, None]
