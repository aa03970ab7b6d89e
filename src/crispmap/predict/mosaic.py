"""Several rasters as one: a VRT in which each lies at its place, and gaps between them hold no data."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET

import numpy as np
import rasterio
from rasterio.enums import ColorInterp, MaskFlags

from crispmap.errors import InputError
from crispmap.geo.raster import Nodata, opened
from crispmap.predict.vrt import new_vrt, say

log = logging.getLogger("crispmap")

_VIRTUAL = {"http": "/vsicurl/", "https": "/vsicurl/", "ftp": "/vsicurl/"}
_STORES = {"s3": "/vsis3/", "gs": "/vsigs/", "az": "/vsiaz/"}
_DRIFT = 0.05  # pixels by which a tile may be longer or shorter than on the grid
_SLACK = 0.25  # pixels by which it may lie off: with that little drift, neighbours still meet without a gap
_TOLD = 0.05  # pixels from which on that is said
_GDAL_TYPES = {
    "uint8": "Byte",
    "int8": "Int8",
    "uint16": "UInt16",
    "int16": "Int16",
    "uint32": "UInt32",
    "int32": "Int32",
    "float32": "Float32",
    "float64": "Float64",
}


def gdal_name(image: str) -> str:
    """What GDAL calls a raster: addresses become its virtual file systems, all else is a name already."""
    scheme, _, rest = image.partition("://")
    if not rest or "/" in scheme:
        return image
    return _STORES[scheme] + rest if scheme in _STORES else _VIRTUAL.get(scheme, "") + image


def stem_of(name: str) -> str:
    """What the outputs of a raster are called after, its folder, suffix and an address's query left out."""
    return Path(urlsplit(name).path if "://" in name else name).stem


class _Member(NamedTuple):
    """What a VRT has to know of one of its rasters."""

    name: str
    height: int
    width: int
    transform: rasterio.Affine
    crs: rasterio.CRS | None
    types: tuple[str, ...]
    alpha: tuple[bool, ...]
    masked: bool
    nodata: float | None
    block: tuple[int, int]
    tags: dict[str, str]


def write_mosaic(path: Path, names: Sequence[str], nodata: Nodata = "file") -> None:
    """Writes a VRT of rasters that lie on one grid.

    Where rasters overlap, the last that holds data there is seen. A gap has the declared nodata value, or an alpha of
    0, or is left out by a mask band of the VRT: whichever way the rasters themselves say where there are no data.

    Args:
        path: The VRT.
        names: The rasters, in GDAL's words; a single one may lie anywhere, or nowhere.
        nodata: As what the mosaic will be read: a value overrules what the rasters say, and gaps have it.

    Raises:
        InputError: If one of them cannot be read, or differs from the first in CRS, pixel size, bands or nodata, or
            lies between the pixels of its grid.
    """
    members = [_member(name) for name in names]
    if isinstance(nodata, (int, float)) and _holds(members[0].types[0], nodata):
        members = [member._replace(nodata=float(nodata), masked=False) for member in members]
    first = members[0]
    places = [(0, 0)] if len(members) == 1 else [_place(member, first) for member in members]
    top, left = (min(ends) for ends in zip(*places, strict=True))
    bottom = max(row + member.height for (row, _), member in zip(places, members, strict=True))
    right = max(col + member.width for (_, col), member in zip(places, members, strict=True))
    transform = first.transform @ rasterio.Affine.translation(left, top)
    vrt = new_vrt(bottom - top, right - left, first.crs, transform, first.tags if len(members) == 1 else {})
    at = [(row - top, col - left) for row, col in places]
    for number, (dtype, alpha) in enumerate(zip(first.types, first.alpha, strict=True), 1):
        band = ET.SubElement(vrt, "VRTRasterBand", dataType=_GDAL_TYPES[dtype], band=str(number))
        if alpha:
            say(band, "ColorInterp", "Alpha")
        if first.nodata is not None:
            say(band, "NoDataValue", repr(first.nodata))
        for place, member in zip(at, members, strict=True):
            source = _add_source(band, member, str(number), place)
            if member.masked:
                say(source, "UseMaskBand", "true")
            elif member.nodata is not None:
                say(source, "NODATA", repr(member.nodata))
    masked = any(member.masked for member in members) or first.nodata is None
    if masked and not any(first.alpha):
        band = ET.SubElement(ET.SubElement(vrt, "MaskBand"), "VRTRasterBand", dataType="Byte")
        for place, member in zip(at, members, strict=True):
            say(_add_source(band, member, "mask,1", place), "NODATA", "0")
    ET.ElementTree(vrt).write(path)


def _holds(dtype: str, value: float) -> bool:
    """Whether pixels of a type can have a value."""
    kind = np.dtype(dtype)
    return kind.kind == "f" or (float(value).is_integer() and np.iinfo(kind).min <= value <= np.iinfo(kind).max)


def _add_source(band: ET.Element, member: _Member, number: str, place: tuple[int, int]) -> ET.Element:
    """Lays a band of a raster into one of the VRT, its upper left pixel at a (row, column)."""
    width, height = str(member.width), str(member.height)
    source = ET.SubElement(band, "ComplexSource")
    say(source, "SourceFilename", member.name, relativeToVRT="0")
    say(source, "SourceBand", number)
    ET.SubElement(  # with these it need not be opened until it is read
        source,
        "SourceProperties",
        RasterXSize=width,
        RasterYSize=height,
        DataType=_GDAL_TYPES[member.types[0]],
        BlockXSize=str(member.block[1]),
        BlockYSize=str(member.block[0]),
    )
    ET.SubElement(source, "SrcRect", xOff="0", yOff="0", xSize=width, ySize=height)
    ET.SubElement(source, "DstRect", xOff=str(place[1]), yOff=str(place[0]), xSize=width, ySize=height)
    return source


def _member(name: str) -> _Member:
    with opened(name) as file:
        if unknown := sorted(set(file.dtypes) - set(_GDAL_TYPES)):
            raise InputError(
                f"{name} holds {unknown[0]}, of which no mosaic can be made; convert it (gdal_translate -ot)"
            )
        return _Member(
            name=str(Path(name).absolute()) if Path(name).exists() else name,
            height=file.height,
            width=file.width,
            transform=file.transform,
            crs=file.crs,
            types=file.dtypes,
            alpha=tuple(kind == ColorInterp.alpha for kind in file.colorinterp),
            masked=MaskFlags.per_dataset in file.mask_flag_enums[0],
            nodata=file.nodata,
            block=file.block_shapes[0],
            tags=file.tags(),
        )


def _place(member: _Member, first: _Member) -> tuple[int, int]:
    """Where the upper left pixel of a raster lies in the grid of the first one: row, column.

    Raises:
        InputError: If it fits none of its pixels.
    """
    grid, own = first.transform, member.transform
    for what, mine, others, remedy in (
        ("the CRS", member.crs, first.crs, "gdalwarp -t_srs brings it into one"),
        ("bands of the types", member.types, first.types, "gdal_translate -b or -ot makes them alike"),
        ("as alpha bands", member.alpha, first.alpha, "gdal_translate -b makes them alike"),
        ("the nodata value", repr(member.nodata), repr(first.nodata), "gdal_edit.py -a_nodata declares one"),
    ):
        if mine != others:
            raise InputError(f"{member.name} has {what} {mine}, but {first.name} {others}; {remedy}")
    if grid.is_identity or own.is_identity:
        raise InputError(f"{(first if grid.is_identity else member).name} has no place, so no mosaic can be made of it")
    if own.b or own.d or grid.b or grid.d:
        raise InputError(f"{(first if grid.b or grid.d else member).name} is turned; gdalwarp lays it straight")
    drift = abs(own.a - grid.a) * member.width / abs(grid.a), abs(own.e - grid.e) * member.height / abs(grid.e)
    if max(drift) > _DRIFT:
        raise InputError(
            f"{member.name} has pixels of {own.a:g}×{-own.e:g}, but {first.name} of {grid.a:g}×{-grid.e:g}; "
            "gdalwarp -tr -tap brings them onto one grid"
        )
    col, row = ~grid @ (own.c, own.f)
    off = max(abs(row - round(row)), abs(col - round(col)))
    if off > _SLACK:
        raise InputError(
            f"{member.name} lies between the pixels of {first.name}'s grid; gdalwarp -tr -tap brings them onto one"
        )
    if off > _TOLD:
        log.info("%s: taken to the nearest pixel of the mosaic's grid, %.2f pixels away", member.name, off)
    return round(row), round(col)
