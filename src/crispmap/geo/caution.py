"""GDAL made careful with files from strangers.

A file on disk may point anywhere: a VRT at an address, XML at a web service. GDAL would follow it, so that opening a
stranger's file would tell a stranger, or reach what only this machine can. Hence GDAL takes no address from a file
until `allow_network` is called, because the user has named one: `drivers` leaves it none that would ask by itself,
`vrt` says so where it can be told beforehand, and for the rest GDAL's virtual file systems and its other requests are
kept off by settings.

*Convention.* What the environment says of these settings stands: whoever sets GDAL_HTTP_PROXY knows why.
"""

import os
import re
from pathlib import Path

from crispmap.errors import InputError

_NOWHERE = "http://127.0.0.1:1"  # a port that nothing answers at
_OFFLINE = {
    "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": ".no-address-was-given",  # for /vsicurl/, /vsis3/ and their like
    "GDAL_HTTP_PROXY": _NOWHERE,  # for what else asks through curl
    "GDAL_HTTPS_PROXY": _NOWHERE,
}
_ALWAYS = {
    "GDAL_VRT_ENABLE_PYTHON": "NO",  # a VRT may hold Python as a function of its pixels
    "GDAL_PNG_WHOLE_IMAGE_OPTIM": "NO",  # GDAL's quick way to read a PNG says nothing of one that is cut off
}
_ALLOWED = "CRISPMAP_NETWORK"  # for the processes that this one starts
_ADDRESS = re.compile(r"://|/vsi(curl|s3|gs|az|adls|oss|swift|hdfs|webhdfs)(_streaming)?/", re.IGNORECASE)
_SERVICES = {"DAAS", "EEDAI", "OGCAPI", "PLMOSAIC", "STACIT", "STACTA", "WCS", "WMS", "WMTS"}  # GDAL's drivers


def keep_careful() -> None:
    """Sets what GDAL reads from the environment at each use; the network stays on where it has been allowed."""
    for name, value in (_ALWAYS if _ALLOWED in os.environ else _ALWAYS | _OFFLINE).items():
        os.environ.setdefault(name, value)


def asks_for_network(name: str) -> bool:
    """Whether a raster's name is an address, or one inside another of GDAL's virtual file systems."""
    return _ADDRESS.search(name) is not None


def may_use_network() -> bool:
    """Whether `allow_network` has been called, here or in the process that started this one."""
    return _ALLOWED in os.environ


def allow_network() -> None:
    """Lets GDAL reach the network from now on, in this process and in those that it starts."""
    for name, value in _OFFLINE.items():
        if os.environ.get(name) == value:
            del os.environ[name]
    os.environ[_ALLOWED] = "1"


def check_stays_here(path: str | Path, driver: str) -> None:
    """Checks that a raster is no web service, of which there are drivers where the user says which ones there are.

    Args:
        path: The raster.
        driver: GDAL's name for its format.

    Raises:
        InputError: If it is one and the network has not been allowed.
    """
    if driver in _SERVICES and not may_use_network():
        raise InputError(f"{path} takes its pixels from a web service ({driver}), which is not asked; download them")
