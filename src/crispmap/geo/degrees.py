"""From any CRS to longitude and latitude."""

from functools import lru_cache

import rasterio
from pyproj import Transformer
from pyproj.exceptions import ProjError

from crispmap.errors import InputError, one_line


@lru_cache(maxsize=64)
def to_degrees(crs: rasterio.CRS) -> Transformer:
    """The way from a CRS to degrees of longitude and latitude (WGS 84, in that order).

    Raises:
        InputError: If there is none, as from the Moon.
    """
    try:
        return Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    except ProjError as error:
        raise InputError(
            f"there is no way from {crs} to longitude and latitude ({one_line(error)}); reproject the file"
        ) from error
