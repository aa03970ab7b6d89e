"""GDAL's drivers, few of them: a file from a stranger is opened by those of the formats that people have.

GDAL knows some two hundred formats and goes by a file's bytes, not by its name. Files of some of them are programs in
all but name: an MRF says which file GDAL is to append to, a vector VRT holds SQL, a streamed algorithm is a command
line, netCDF and the web services ask the network past every setting. Hence commands take all drivers away but these.

*Convention.* A list of what is allowed, not of what is not: drivers that are yet to come are out. They are gone for the
whole process, so that a program that only imports crispmap keeps its own, until it calls `keep_few_drivers`. Whoever
sets GDAL_SKIP in the environment, be it to nothing, says himself which drivers there are.
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
_FEW = "CRISPMAP_FEW_DRIVERS"  # for this process and those that it starts


def keep_few_drivers() -> None:
    """Lets crispmap read files with few of GDAL's drivers from now on, in this process and in those that it starts.

    Commands begin with this. Rasters and vectors of other formats cannot be opened after the first that crispmap reads,
    by whatever library; those that are open should be closed before.
    """
    os.environ[_FEW] = "1"


def choose_raster_drivers() -> None:
    """Leaves rasterio's GDAL the drivers of rasters, if few are wanted. Belongs before each opening of a raster."""
    if _FEW in os.environ and _SKIP not in os.environ:
        _keep_raster_drivers()


def choose_vector_drivers() -> None:
    """Leaves pyogrio's GDAL the drivers of vectors, if few are wanted. Belongs before each opening of vectors.

    Where rasterio uses the same library, those of rasters stay, too.
    """
    if _FEW in os.environ and _SKIP not in os.environ:
        _keep_vector_drivers()


@cache
def _keep_raster_drivers() -> None:
    import rasterio
    from rasterio import _env

    with rasterio.Env() as environment:  # registers every driver, unless another one has done so
        skipped = _skipped(environment.drivers(), _RASTER)
    _env.set_gdal_config(_SKIP, skipped)
    _env._have_registered_drivers = False  # so that it registers once more, and heeds the setting
    with rasterio.Env():
        pass


@cache
def _keep_vector_drivers() -> None:
    _keep_raster_drivers()
    import pyogrio
    from pyogrio._ogr import _register_drivers

    known = {*pyogrio.list_drivers(), *(pyogrio.get_gdal_config_option(_SKIP) or "").split(",")} - {""}
    pyogrio.set_gdal_config_options({_SKIP: _skipped(known, _RASTER | _VECTOR)})
    _register_drivers()


def _skipped(known: Iterable[str], kept: set[str]) -> str:
    """All but some drivers, as GDAL_SKIP takes them; it warns of names that it does not know."""
    return ",".join(sorted(set(known) - kept))
