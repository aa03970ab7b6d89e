"""GDAL's drivers, few of them: a file from a stranger is opened by those of the formats that people have.

GDAL knows some two hundred formats and goes by a file's bytes, not by its name. Files of some of them are programs in
all but name: an MRF says which file GDAL is to append to, a vector VRT holds SQL, a streamed algorithm is a command
line, netCDF and the web services ask the network past every setting. Hence all drivers are taken away but these.

*Convention.* A list of what is allowed, not of what is not: drivers that are yet to come are out. Whoever sets
GDAL_SKIP in the environment, be it to nothing, says himself which drivers there are.
"""

import os
from collections.abc import Iterable
from functools import cache

_RASTER = {
    "COG", "GTiff", "PNG", "JPEG", "WEBP", "BMP", "HFA", "ENVI", "VRT", "MEM",
    "JP2OpenJPEG", "JP2KAK", "JP2ECW", "JP2MrSID", "JP2Lura", "ECW", "MrSID",
    "Memory",  # what rasterio traces and burns polygons with
}  # fmt: skip
_VECTOR = {"GPKG", "GeoJSON", "ESRI Shapefile", "FlatGeobuf", "OpenFileGDB", "MEM", "Memory"}
_SKIP = "GDAL_SKIP"


@cache
def keep_raster_drivers() -> None:
    """Leaves rasterio's GDAL the drivers of rasters."""
    if _SKIP in os.environ:
        return
    import rasterio
    from rasterio import _env

    with rasterio.Env() as environment:  # registers every driver, unless another one has done so
        skipped = _skipped(environment.drivers(), _RASTER)
    _env.set_gdal_config(_SKIP, skipped)
    _env._have_registered_drivers = False  # so that it registers once more, and heeds the setting
    with rasterio.Env():
        pass


@cache
def keep_vector_drivers() -> None:
    """Leaves pyogrio's GDAL the drivers of vectors; and those of rasters, where rasterio uses the same library."""
    if _SKIP in os.environ:
        return
    keep_raster_drivers()
    import pyogrio
    from pyogrio._ogr import _register_drivers

    known = {*pyogrio.list_drivers(), *(pyogrio.get_gdal_config_option(_SKIP) or "").split(",")} - {""}
    pyogrio.set_gdal_config_options({_SKIP: _skipped(known, _RASTER | _VECTOR)})
    _register_drivers()


def _skipped(known: Iterable[str], kept: set[str]) -> str:
    """All but some drivers, as GDAL_SKIP takes them; it warns of names that it does not know."""
    return ",".join(sorted(set(known) - kept))
