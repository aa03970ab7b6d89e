"""Scenes with houses, side by side, and the smallest network."""

import numpy as np
from rasterio.transform import from_origin
from shapely.geometry import box

HEIGHT, WIDTH = 120, 160
ORIGIN = (500_000.0, 5_000_000.0)
PIXEL = 0.5
TINY_ENCODER = "timm-mobilenetv3_small_minimal_100"


def houses(seed):
    """Corners (row, column, height, width) of houses that do not touch."""
    sizes = np.random.default_rng(seed).integers(10, 20, (4, 5, 2))
    return [(30 * i + 4, 32 * j + 4, *sizes[i, j]) for i in range(4) for j in range(5)]


def mask_of(seed):
    mask = np.zeros((HEIGHT, WIDTH), "uint8")
    for row, col, height, width in houses(seed):
        mask[row : row + height, col : col + width] = 255
    return mask


def image_of(seed, bands=3):
    noise = np.random.default_rng(seed).integers(20, 60, (bands, HEIGHT, WIDTH))
    return (noise + 150 * (mask_of(seed) > 0)).astype("uint8")


def place_of(seed):
    """Scenes lie side by side."""
    return from_origin(ORIGIN[0] + seed * WIDTH * PIXEL, ORIGIN[1], PIXEL, PIXEL)


def polygons_of(seed):
    place = place_of(seed)
    for row, col, height, width in houses(seed):
        (left, top), (right, bottom) = place @ (col, row), place @ (col + width, row + height)
        yield box(left, bottom, right, top)
