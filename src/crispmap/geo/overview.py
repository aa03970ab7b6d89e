"""Overviews: the reduced images in a raster file, which of them will do for a window, and where it lies there."""

import math

import rasterio

LEAST = 2  # times a side that an overview is smaller than its raster, at least
_ROUNDING = 1e-9  # pixels


def fitting_overview(file: rasterio.DatasetReader, band: int, shrinks: float) -> int | None:
    """The coarsest overview that is no coarser than what is asked for.

    Only those of GeoTIFFs are told, built in or in an .ovr file: there a reduced pixel covers the ground of those it
    stands for, while the reduced images in JPEG 2000 lie up to half of their pixels off.

    Args:
        file: The raster at its own pixels.
        band: One of its bands.
        shrinks: How many of its own pixels a side are to become one.

    Returns:
        Its number, from 0; None if there is none.
    """
    factors = file.overviews(band) if file.driver == "GTiff" else []
    fitting = [(factor, number) for number, factor in enumerate(factors) if LEAST <= factor <= shrinks + _ROUNDING]
    return max(fitting)[1] if fitting else None


def place_on_overview(start: int, length: int, full: int, reduced: int) -> tuple[int, int, tuple[float, float]]:
    """Where pixels of a raster lie on an overview, along one axis.

    *Convention.* The overview as a whole covers the ground of the raster as a whole, so that one of its pixels is
    ``full / reduced`` pixels long, seldom a whole number.

    Args:
        start: The first of the raster's pixels.
        length: How many, none of them beyond the raster.
        full: How many the raster has.
        reduced: How many the overview has.

    Returns:
        The first of the overview's pixels that are touched, how many are, and from where to where, in pixels from the
        first one's edge, they are covered.
    """
    begin, end = start * reduced / full, (start + length) * reduced / full
    first, last = math.floor(begin + _ROUNDING), math.ceil(end - _ROUNDING)
    return first, last - first, (max(0.0, begin - first), min(float(last - first), end - first))
