"""Styles for QGIS, which it takes up by itself: a file beside the layer, of its name, ending in .qml.

Only symbology is set; of a layer's other properties QGIS keeps its own.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree as ET

from crispmap.whole import whole_file

Layer = Literal["probability", "mask", "footprints"]

_VERSION = "3.22"  # the QGIS whose words these are; later ones read them too
_DOCTYPE = "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"
BUILDING = (228, 26, 28)  # the colour of buildings, on all that is written
_OPAQUE = 255
_RAMP = {  # colour and opacity by probability: imagery below shows where there is nothing
    0.0: ((255, 255, 178), 0),
    0.25: ((254, 204, 92), 110),
    0.5: ((253, 141, 60), 170),
    0.75: ((240, 59, 32), 205),
    1.0: ((189, 0, 38), 230),
}


def style_path(layer: str | Path) -> Path:
    """Where QGIS looks for the style of a file."""
    return Path(layer).with_suffix(".qml")


def write_styles(layers: Mapping[Layer, str | Path]) -> None:
    """Writes styles beside layers.

    Args:
        layers: Their files by what they hold. Styles that are there already are replaced.
    """
    for kind, layer in layers.items():
        with whole_file(style_path(layer)) as part:
            part.write_text(_style(kind), encoding="utf-8")


def _style(kind: Layer) -> str:
    """The style of a layer that `crispmap predict` or `crispmap vectorize` writes.

    *Convention.* Pixels without data are 0 in probability and mask, and 0 is transparent in both. The probability is
    styled from 0 to 1, since QGIS applies the scale factor of the band, 1/255, before it styles.
    """
    renderers = {"probability": _probability, "mask": _mask, "footprints": _footprints}
    root = ET.Element("qgis", version=_VERSION, styleCategories="Symbology")
    root.extend(renderers[kind]())
    ET.indent(root)
    return _DOCTYPE + ET.tostring(root, encoding="unicode") + "\n"


def _probability() -> Iterable[ET.Element]:
    renderer = _raster_renderer("singlebandpseudocolor", classificationMin="0", classificationMax="1")
    shader = ET.SubElement(
        ET.SubElement(renderer, "rastershader"),
        "colorrampshader",
        colorRampType="INTERPOLATED",
        classificationMode="1",  # the stops as they are listed
        clip="0",
        minimumValue="0",
        maximumValue="1",
        labelPrecision="2",
    )
    for value, (colour, opacity) in _RAMP.items():
        ET.SubElement(shader, "item", value=f"{value:g}", label=f"{value:g}", color=_hex(colour), alpha=str(opacity))
    return [_pipe(renderer)]


def _mask() -> Iterable[ET.Element]:
    renderer = _raster_renderer("paletted")
    palette = ET.SubElement(renderer, "colorPalette")  # of values that are not in it nothing is drawn
    ET.SubElement(palette, "paletteEntry", value="255", label="building", color=_hex(BUILDING), alpha=str(_OPAQUE))
    return [_pipe(renderer)]


def _footprints() -> Iterable[ET.Element]:
    renderer = ET.Element("renderer-v2", type="singleSymbol")
    symbol = ET.SubElement(ET.SubElement(renderer, "symbols"), "symbol", type="fill", name="0", alpha="1")
    fill = ET.SubElement(symbol, "layer", {"class": "SimpleFill", "enabled": "1", "pass": "0"})
    options = ET.SubElement(fill, "Option", type="Map")
    values = {
        "color": _rgba(BUILDING, 50),
        "style": "solid",
        "outline_color": _rgba(BUILDING, _OPAQUE),
        "outline_style": "solid",
        "outline_width": "0.4",
        "outline_width_unit": "MM",
        "joinstyle": "miter",
    }
    for name, value in values.items():
        ET.SubElement(options, "Option", name=name, type="QString", value=value)
    geometry = ET.Element("layerGeometryType")
    geometry.text = "2"  # polygons
    return [renderer, geometry]


def _raster_renderer(kind: str, **more: str) -> ET.Element:
    return ET.Element("rasterrenderer", {"type": kind, "band": "1", "opacity": "1", "alphaBand": "-1"} | more)


def _pipe(renderer: ET.Element) -> ET.Element:
    pipe = ET.Element("pipe")
    pipe.append(renderer)
    return pipe


def _hex(colour: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


def _rgba(colour: tuple[int, int, int], opacity: int) -> str:
    return ",".join(map(str, (*colour, opacity)))
