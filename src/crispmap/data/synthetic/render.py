"""From a site to an image: ground, roofs and crowns in layers, under one sun."""

import math

import numpy as np
from numpy.typing import NDArray

from crispmap.data.synthetic.camera import photograph
from crispmap.data.synthetic.canvas import Array, Canvas, Layer, View, as_column
from crispmap.data.synthetic.elements import ASPHALT, CONCRETE, GRASS, KERB, PAVEMENT, SOIL, WHITE, Building, Colour
from crispmap.data.synthetic.light import Sun
from crispmap.data.synthetic.plans import roof_surface
from crispmap.data.synthetic.site import Site
from crispmap.data.synthetic.streets import PAVEMENT_WIDTH

_PARAPET = 0.45  # width in metres


def render(site: Site, rng: np.random.Generator, size: int, resolution: float) -> NDArray[np.uint8]:
    """Renders a site.

    Roofs enter the image by the share of each pixel that their footprints cover, so the edges in the image lie
    where the polygons' edges do.

    Args:
        site: What stands where.
        rng: Source of noise, light and camera.
        size: Height and width in pixels.
        resolution: Metres per pixel.

    Returns:
        An image (3, size, size).
    """
    canvas = Canvas(rng, size, resolution)
    sun = Sun(rng.uniform(0.5, 1.5) * math.pi, math.radians(rng.uniform(34, 58)))
    ground = _ground(site, canvas, rng)
    roofs, cover = _roofs(site, canvas, sun)
    crowns, leaf = _crowns(site, canvas, sun, rng)

    ceiling = sun.shadow_ceiling(np.maximum(np.maximum(ground.height, roofs.height), leaf * crowns.height), resolution)
    softness = np.float32(1.5 * math.tan(sun.elevation) * resolution)
    on_ground, on_roofs, on_crowns = (
        np.clip((ceiling - height) / softness, 0, 1)
        for height in (ground.height, roofs.height / np.maximum(cover, np.float32(1e-3)), crowns.height)
    )
    depth = rng.uniform(0.42, 0.62)
    image = np.empty_like(ground.rgb)
    for band, tint in enumerate((1.0, 0.96, 0.86)):  # the sky lights a shadow, in blue
        dark = np.float32(depth * tint)
        surface = ground.rgb[band] * (1 - dark * on_ground) * (1 - cover)
        surface += roofs.rgb[band] * (1 - dark * on_roofs)
        image[band] = surface + leaf * (crowns.rgb[band] * (1 - dark * on_crowns) - surface)
    return photograph(image, rng)


def _ground(site: Site, canvas: Canvas, rng: np.random.Generator) -> Layer:
    """Terrain, then gardens and paving, then streets, then what stands on them."""
    dry = 1 / (1 + np.exp(-2 * canvas.broad - np.float32(rng.normal(-0.6, 0.8))))
    light = 1 + 0.06 * canvas.grain + 0.07 * canvas.clumps
    terrain = (as_column(GRASS) + dry * (as_column(SOIL) - as_column(GRASS))) * light
    ground = Layer(terrain, np.zeros_like(dry))
    for slab in site.grounds:
        canvas.paint(ground, slab)
    _pave(site, canvas, ground.rgb)
    for slab in site.objects:
        canvas.paint(ground, slab)
    return ground


def _pave(site: Site, canvas: Canvas, rgb: Array) -> None:
    """Draws carriageways with their kerbs, pavements and markings."""
    grid = site.streets.grid(canvas.x, canvas.y)
    near = np.flatnonzero(grid.kerb < PAVEMENT_WIDTH + canvas.resolution)
    kerb, avenue_axis, avenue_kerb, side_kerb, v = (field.ravel()[near] for field in grid)
    rough = canvas.rough.ravel()[near]
    flat = rgb.reshape(3, -1)
    paved = flat[:, near]

    def mark(inside: Array, colour: Colour, strength: float = 1.0) -> None:
        alpha = np.float32(strength) * canvas.edge(inside)
        light = 1 + np.float32(0.035) * rough
        for band in range(3):
            paved[band] += alpha * (np.float32(colour[band]) * light - paved[band])

    mark(PAVEMENT_WIDTH - kerb, PAVEMENT)
    mark(0.2 - kerb, KERB)
    mark(-kerb, ASPHALT)
    dashes = 1.5 - 6 * np.abs(v / 6 - np.rint(v / 6))
    mark(np.minimum(np.minimum(0.12 - avenue_axis, side_kerb - 5), dashes), WHITE, 0.8)
    stripes = 0.3 - 1.2 * np.abs(v / 1.2 - np.rint(v / 1.2))
    crossing = np.minimum(1.5 - np.abs(avenue_kerb - 3.5), -0.4 - side_kerb)
    mark(np.minimum(crossing, stripes), WHITE, 0.8)
    flat[:, near] = paved


def _roofs(site: Site, canvas: Canvas, sun: Sun) -> tuple[Layer, Array]:
    """Roofs, multiplied by the share of each pixel that they cover; and that share."""
    cover = np.zeros_like(canvas.grain)
    roofs = Layer(np.zeros((3, *cover.shape), np.float32), np.zeros_like(cover))
    for building in site.buildings:
        view = canvas.view(*building.footprint.bounds)
        if view is not None:
            share = canvas.coverage(building.footprint, view)
            rgb, height = _roof(building, canvas, view, share, sun)
            roofs.rgb[:, *view.at] += share * rgb
            roofs.height[view.at] += share * height
            cover[view.at] += share
    for fitting in site.fittings:
        canvas.paint(roofs, fitting)
    return roofs, cover


def _roof(building: Building, canvas: Canvas, view: View, share: Array, sun: Sun) -> Layer:
    """One roof over its view."""
    rise, along = roof_surface(building.roof, building.ridges, building.pitch, view.x, view.y)
    rgb = as_column(building.covering.colour) * _texture(building, canvas, view, rise, along)
    if building.roof != "flat":
        return Layer(rgb * sun.shade(rise, canvas.resolution, ambient=0.48), building.height + rise)
    inner = building.footprint.buffer(-_PARAPET, join_style="mitre")
    parapet = 1 - canvas.coverage(inner, view) / np.maximum(share, np.float32(1e-3))
    rgb += parapet * (as_column(CONCRETE) - rgb)
    return Layer(rgb, (building.height + 0.6 * parapet).astype(np.float32))


def _texture(building: Building, canvas: Canvas, view: View, rise: Array, along: Array) -> Array:
    """Brightness of a roof's covering about 1: courses of tiles, seams of sheets, stains."""
    grain, clumps = canvas.grain[view.at], canvas.clumps[view.at]
    wave_number = 2 * math.pi / max(0.9, 3 * canvas.resolution)
    light = 1 + np.float32(0.04) * clumps
    match building.covering.texture:
        case "tile":
            light += 0.04 * grain + 0.04 * np.sin(rise * (wave_number / building.pitch))
        case "metal":
            light += 0.015 * grain + 0.05 * np.sign(np.sin(along * wave_number))
        case "gravel":
            light += 0.06 * grain
        case "membrane":
            light += 0.02 * grain
    return light


def _crowns(site: Site, canvas: Canvas, sun: Sun, rng: np.random.Generator) -> tuple[Layer, Array]:
    """Crowns of trees and hedges, and their opacity (H, W)."""
    dome, leaf, tint = (np.zeros_like(canvas.grain) for _ in range(3))
    for frame, radius, length, hue in site.plants:
        reach = 1.3 * radius + length / 2
        view = canvas.view(frame.x - reach, frame.y - reach, frame.x + reach, frame.y + reach)
        if view is None:
            continue
        x, y = frame.to_local(view.x, view.y)
        x = np.maximum(np.abs(x) - np.float32(length / 2), 0)
        away = np.hypot(x, y) / np.float32(radius)
        away += 0.13 * canvas.clumps[view.at]
        bulge = np.float32(radius) * np.sqrt(np.maximum(1 - away**2, 0))
        higher = bulge > dome[view.at]
        np.copyto(dome[view.at], bulge, where=higher)
        np.copyto(tint[view.at], hue, where=higher)
        np.maximum(leaf[view.at], canvas.edge((radius - radius * away).astype(np.float32)), out=leaf[view.at])
    bumps = dome + 0.35 * canvas.clumps + 0.12 * canvas.grain
    light = sun.shade(bumps, canvas.resolution, ambient=0.45) * (1 + 0.08 * canvas.grain)
    dark, bright = as_column((52, 74, 44)), as_column((104, 120, 62)) * np.float32(rng.uniform(0.85, 1.1))
    return Layer((dark + tint * (bright - dark)) * light, 1 + 1.7 * dome), leaf
