"""Footprints: the polygons of a mask, with their area and mean probability.

Pixels belong together across edges, not corners (4-connectivity): blobs that touch at a corner are two
footprints, and no outline crosses itself. Outlines are traced and simplified in pixels, where coordinates are
small whole numbers and the tolerance means the same in every CRS, and then moved to the map. Simplifying keeps
the topology of each footprint; one with more than a thousand holes is left as traced.
"""

from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import Transformer
from rasterio.features import shapes
from rasterio.windows import Window as RasterioWindow
from scipy import ndimage
from shapely.geometry import shape

from crispmap.geo.raster import Raster, opened

MIN_AREA_M2 = 2.0
MIN_AREA_PX = 16.0
TOLERANCE_PX = 1.25  # takes nearly every step off a straight wall; 1.5 begins to round corners
_MANY_HOLES = 1000  # simplifying takes time in the square of them, and that many are noise


def trace(
    raster: Raster,
    mask: Path,
    probability: Path,
    *,
    tolerance: float | None = None,
    min_area: float | None = None,
) -> tuple[NDArray[np.object_], dict[str, NDArray[np.float64]]]:
    """Turns a mask into polygons.

    Args:
        raster: Whose grid the two files lie on.
        mask: A raster that is 0 outside the footprints.
        probability: A raster of levels, 255 times the probability.
        tolerance: How far an outline may move to lose vertices: metres, or pixels where the raster has no
            place on the ground. By default `TOLERANCE_PX`.
        min_area: The least area of a footprint: m², or pixels. By default `MIN_AREA_M2` or `MIN_AREA_PX`.

    Returns:
        Valid polygons in map coordinates (those of the raster's transform), holes kept, and their attributes:
        ``area_m2``, true to scale in every CRS (``area_px`` where the raster has no place on the ground), and
        ``probability``, the mean over the pixels of the mask.
    """
    resolution = raster.resolution
    reach = TOLERANCE_PX if tolerance is None else tolerance / (resolution or 1)
    with opened(mask) as file:
        blobs: NDArray[np.int32] = ndimage.label(file.read(1))[0].astype(np.int32, copy=False)
    outlines, blob = _outlines(blobs)
    simple = shapely.get_num_interior_rings(outlines) <= _MANY_HOLES
    outlines[simple] = shapely.simplify(outlines[simple], reach)
    polygons = shapely.transform(outlines, lambda xy: np.stack(raster.transform @ xy.T, axis=-1))
    if resolution is None:
        name, area, default = "area_px", shapely.area(outlines), MIN_AREA_PX
    else:
        name, area, default = "area_m2", _square_metres(polygons, raster), MIN_AREA_M2
    keep = area >= (default if min_area is None else min_area)
    likely = _mean_probability(blobs, probability)[blob[keep]]
    return polygons[keep], {name: area[keep].round(2), "probability": likely.round(4)}


def _outlines(blobs: NDArray[np.int32]) -> tuple[NDArray[np.object_], NDArray[np.intp]]:
    """The polygons of labelled pixels, in pixels (column, row), and the label of each."""
    found = list(shapes(blobs, mask=blobs > 0, connectivity=4))
    outlines = np.array([shape(outline) for outline, _ in found], dtype=object)
    return outlines, np.array([label for _, label in found], dtype=np.intp)


def _mean_probability(blobs: NDArray[np.int32], probability: Path) -> NDArray[np.float64]:
    """The mean probability of each blob by its label; label 0 is the rest."""
    labels = int(blobs.max()) + 1
    total, pixels = np.zeros(labels), np.zeros(labels)
    with opened(probability) as file:
        for row in range(0, file.height, 1024):
            height = min(1024, file.height - row)
            levels = file.read(1, window=RasterioWindow(0, row, file.width, height))
            label = blobs[row : row + height].ravel()
            total += np.bincount(label, levels.ravel(), labels)
            pixels += np.bincount(label, minlength=labels)
    return total / np.maximum(pixels, 1) / 255


def _square_metres(polygons: NDArray[Any], raster: Raster) -> NDArray[np.float64]:
    """Areas in an equal-area projection centred on the raster."""
    to_degrees = Transformer.from_crs(raster.crs, "EPSG:4326", always_xy=True)
    lon, lat = to_degrees.transform(*(raster.transform @ (raster.width / 2, raster.height / 2)))
    to_metres = Transformer.from_crs(raster.crs, f"+proj=laea +lon_0={lon} +lat_0={lat}", always_xy=True)
    flat = shapely.transform(polygons, lambda xy: np.stack(to_metres.transform(*xy.T), axis=-1))
    return shapely.area(flat)
