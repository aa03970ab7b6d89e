"""VRT, GDAL's XML for a raster made of others; rasterio reads it but does not write it."""

from collections.abc import Mapping
from xml.etree import ElementTree as ET

import rasterio


def new_vrt(
    height: int,
    width: int,
    crs: rasterio.CRS | None,
    transform: rasterio.Affine,
    tags: Mapping[str, str],
) -> ET.Element:
    """A raster without bands."""
    vrt = ET.Element("VRTDataset", rasterXSize=str(width), rasterYSize=str(height))
    if crs is not None:
        say(vrt, "SRS", crs.to_wkt())
    if not transform.is_identity:
        say(vrt, "GeoTransform", ", ".join(map(repr, transform.to_gdal())))
    metadata = ET.SubElement(vrt, "Metadata")
    for name, value in tags.items():
        say(metadata, "MDI", value, key=name)
    return vrt


def say(parent: ET.Element, name: str, text: str, **attributes: str) -> None:
    """Adds an element that holds nothing but text."""
    ET.SubElement(parent, name, attributes).text = text
