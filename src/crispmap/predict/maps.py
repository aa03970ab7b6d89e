"""Probability and mask as Cloud-Optimized GeoTIFFs, made of spooled rows in one pass and in bounded memory.

GDAL's COG driver copies a raster that exists. Here that is a VRT over the bare bytes of the spool: as they are for the
probability, through a table of two levels for the mask. The same rows give the same files, byte for byte.
"""

import math
import warnings
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree as ET

import rasterio.shutil
from rasterio._err import CPLE_BaseError  # what GDAL says while it copies; rasterio wraps it only when reading
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from crispmap.errors import OutputError
from crispmap.export.styles import BUILDING
from crispmap.geo.raster import Raster, small_cache
from crispmap.geo.read_back import check_raster
from crispmap.predict.vrt import new_vrt, say

_CREATION = {"compress": "deflate", "bigtiff": "if_safer", "blocksize": 512}


def write_probability(path: Path, rows: Path, raster: Raster, tags: Mapping[str, str]) -> None:
    """Writes the probability: a level is 255 times it, and the band's scale factor says so. Overviews are means.

    Args:
        path: The GeoTIFF, in the folder of the rows; pixels without data are 0 there and left out by its mask band.
        rows: What `crispmap.predict.spool.RowSpool` wrote.
        raster: Whose grid they lie on.
        tags: For the file.

    Raises:
        OutputError: If it cannot be written as a whole.
    """
    vrt, band = _vrt(rows, raster, tags)
    say(band, "Description", "probability of building")
    say(band, "Scale", repr(1 / 255))
    _raw(band, rows, raster, 0)
    _copy(vrt, path, "average")


def write_mask(path: Path, rows: Path, raster: Raster, threshold: float, tags: Mapping[str, str]) -> None:
    """Writes the mask: 255 from the level ``255 × threshold`` on, else 0, and a colour table. Overviews are modes.

    Args:
        path: As for `write_probability`.
        rows: Likewise.
        raster: Likewise.
        threshold: A probability in (0, 1).
        tags: For the file.

    Raises:
        OutputError: If it cannot be written as a whole.
    """
    levels = path.with_name("levels.vrt")
    source, band = _vrt(rows, raster, {})
    _raw(band, rows, raster, 0)
    ET.ElementTree(source).write(levels)
    vrt, band = _vrt(rows, raster, tags)
    say(band, "Description", "building")
    say(band, "ColorInterp", "Palette")
    colours = ET.SubElement(band, "ColorTable")
    for colour in [(0, 0, 0)] * 255 + [BUILDING]:
        ET.SubElement(colours, "Entry", {f"c{i}": str(c) for i, c in enumerate((*colour, 255), 1)})
    lookup = ET.SubElement(band, "ComplexSource")
    say(lookup, "SourceFilename", levels.name, relativeToVRT="1")
    say(lookup, "SourceBand", "1")
    least = math.ceil(threshold * 255)
    say(lookup, "LUT", f"{least - 1}:0,{least}:255")  # constant beyond its ends
    _copy(vrt, path, "mode")
    levels.unlink()


def _vrt(rows: Path, raster: Raster, tags: Mapping[str, str]) -> tuple[ET.Element, ET.Element]:
    """A VRT on a raster's grid whose mask is that of the spool, and its one band, still empty."""
    vrt = new_vrt(raster.height, raster.width, raster.crs, raster.transform, tags)
    band = ET.SubElement(vrt, "VRTRasterBand", dataType="Byte", band="1")
    _raw(ET.SubElement(ET.SubElement(vrt, "MaskBand"), "VRTRasterBand", dataType="Byte"), rows, raster, 1)
    return vrt, band


def _raw(band: ET.Element, rows: Path, raster: Raster, part: int) -> None:
    """Makes a band of one of the two parts of every line of the spool."""
    band.set("subClass", "VRTRawRasterBand")
    say(band, "SourceFilename", rows.name, relativetoVRT="1")
    say(band, "ImageOffset", str(part * raster.width))
    say(band, "PixelOffset", "1")
    say(band, "LineOffset", str(2 * raster.width))


def _copy(vrt: ET.Element, path: Path, overviews: str) -> None:
    source = path.with_name("map.vrt")  # not of the map's name: GDAL takes a backslash for the end of a folder
    ET.ElementTree(vrt).write(source)
    try:
        with warnings.catch_warnings(), small_cache():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            rasterio.shutil.copy(source, path, driver="COG", overview_resampling=overviews, **_CREATION)
    except (CPLE_BaseError, RasterioError) as error:
        raise OutputError(f"{path} cannot be written; is the disk full? ({error})") from error
    check_raster(path)
    source.unlink()
