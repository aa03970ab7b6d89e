"""GDAL made careful with files from strangers.

A file on disk may point anywhere: a VRT at an address, XML at a web service. GDAL would follow it, so that opening a
stranger's file would tell a stranger, or reach what only this machine can. Hence GDAL takes no address from a file
until `allow_network` is called, because the user has named one: `check_stays_here` says so where it can be told
beforehand, and for the rest GDAL's virtual file systems and its other requests are kept off by settings.

*Convention.* What the environment says of these settings stands: whoever sets GDAL_HTTP_PROXY knows why.
"""

import html
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
_SOURCE = re.compile(r"<(?:SourceFilename|SourceDataset)\b[^>]*>([^<]*)<", re.IGNORECASE)


def keep_careful() -> None:
    """Sets what GDAL reads from the environment at each use; the network stays on where it has been allowed."""
    for name, value in (_ALWAYS if _ALLOWED in os.environ else _ALWAYS | _OFFLINE).items():
        os.environ.setdefault(name, value)


def asks_for_network(name: str) -> bool:
    """Whether a raster's name is an address, or one inside another of GDAL's virtual file systems."""
    return _ADDRESS.search(name) is not None


def allow_network() -> None:
    """Lets GDAL reach the network from now on, in this process and in those that it starts."""
    for name, value in _OFFLINE.items():
        if os.environ.get(name) == value:
            del os.environ[name]
    os.environ[_ALLOWED] = "1"


def check_stays_here(path: str | Path, driver: str) -> None:
    """Checks that a raster takes no pixels from the network unless that has been allowed.

    Args:
        path: The raster.
        driver: GDAL's name for its format.

    Raises:
        InputError: If it does; the message names the address.
    """
    if _ALLOWED in os.environ:
        return
    if driver in _SERVICES:
        raise InputError(f"{path} takes its pixels from a web service ({driver}), which is not asked; download them")
    if driver == "VRT":
        _check_sources(Path(path), set())


def _check_sources(path: Path, seen: set[Path]) -> None:
    """Checks the sources of a VRT, and of VRTs among them."""
    path = Path(os.path.realpath(path))
    if path in seen or not path.is_file():
        return
    seen.add(path)
    for found in _SOURCE.findall(path.read_text(encoding="utf-8", errors="replace")):
        source = html.unescape(found).strip().strip('"')
        if asks_for_network(source) or source.startswith("<"):
            raise InputError(
                f"{path} takes pixels from the network ({source[:100]}), which is reached for addresses that you give "
                "yourself only; give that address, or download it"
            )
        if source.lower().endswith(".vrt"):
            _check_sources(path.parent / source, seen)
