"""One synthetic scene: a pure function of (seed, index, size)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.features import rasterize
from shapely.geometry import Polygon

from crispmap.data.synthetic.layout import draw_site
from crispmap.data.synthetic.render import render
from crispmap.errors import SettingError

CRS = "EPSG:32633"
SMALLEST = 64

_ORIGIN = (400_000.0, 5_200_000.0)  # upper left corner of scene 0
_COLUMNS = 32
_GAP = 100.0  # metres between scenes; more than any building reaches beyond the edge


@dataclass(frozen=True)
class Footprint:
    """One building's outline in map coordinates, and what is known about it."""

    polygon: Polygon
    building: int
    plan: str
    roof: str
    height: float  # of the eaves, metres
    offset: tuple[float, float] = (0.0, 0.0)  # how far the outline is drawn from its true place, metres east and north


@dataclass(frozen=True)
class Scene:
    """An aerial image with its exact labels.

    Attributes:
        image: (3, H, W), uint8.
        mask: (H, W), 255 where the centre of the pixel lies in a footprint and 0 elsewhere.
        footprints: The buildings that reach into the scene, whole; neighbours in a row share their walls.
        transform: From pixels to map coordinates.
        crs: The projected reference system of the map.
    """

    image: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    footprints: list[Footprint]
    transform: Affine
    crs: str


def check_scene(seed: int, index: int, size: int) -> None:
    """Checks what a scene is made from.

    Raises:
        SettingError: If a number is out of range.
    """
    if seed < 0:
        raise SettingError(f"seed is {seed}; give a number from 0")
    if index < 0:
        raise SettingError(f"index is {index}; scenes count from 0")
    if size < SMALLEST:
        raise SettingError(f"size is {size} pixels; a scene needs at least {SMALLEST}")


def render_scene(seed: int, index: int, size: int, resolution: float = 0.3) -> Scene:
    """Makes one scene.

    Scenes of one size lie side by side on the map without overlap, each at a place that follows from its index.

    Args:
        seed: Any integer from 0.
        index: Number of the scene, from 0.
        size: Height and width in pixels, at least 64.
        resolution: Metres per pixel.

    Returns:
        The scene, the same for the same arguments wherever and in whatever order it is made.

    Raises:
        SettingError: If a number is out of range.
    """
    check_scene(seed, index, size)
    extent = size * resolution
    site_rng, render_rng = np.random.default_rng([seed, index, size]).spawn(2)
    site = draw_site(site_rng, extent)
    image = render(site, render_rng, size, resolution)

    row, column = divmod(index, _COLUMNS)
    left, top = _ORIGIN[0] + column * (extent + _GAP), _ORIGIN[1] - row * (extent + _GAP)
    transform = Affine(resolution, 0, left, 0, -resolution, top)
    view = shapely.box(0, 0, extent, extent)
    corner = np.array((left, top - extent))
    footprints = [
        Footprint(shapely.transform(b.footprint, corner.__add__), number, b.plan, b.roof, b.height)
        for number, b in enumerate(b for b in site.buildings if b.footprint.intersects(view))
    ]
    return Scene(image, draw_mask(footprints, size, transform), footprints, transform, CRS)


def draw_mask(footprints: Sequence[Footprint], size: int, transform: Affine) -> NDArray[np.uint8]:
    """Draws footprints as a square mask of ``size`` pixels: 255 where a pixel's centre lies in one, 0 elsewhere."""
    mask = np.zeros((size, size), dtype=np.uint8)
    if footprints:
        rasterize([f.polygon for f in footprints], out=mask, transform=transform, default_value=255)
    return mask
