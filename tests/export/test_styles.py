"""Styles for QGIS: what they draw, by the rules of QGIS, of what predict wrote."""

from xml.etree import ElementTree as ET

import numpy as np
import pytest
import rasterio

from crispmap.export.styles import style_path, write_styles


@pytest.fixture
def style(tmp_path):
    layers = {
        "probability": tmp_path / "a.b_probability.tif",
        "mask": tmp_path / "a.b_mask.tif",
        "footprints": tmp_path / "a.b_footprints.gpkg",
    }
    write_styles(layers)
    written = {path.name for path in tmp_path.iterdir()}
    assert written == {"a.b_probability.qml", "a.b_mask.qml", "a.b_footprints.qml"}  # as QGIS looks for them
    return {kind: ET.parse(style_path(path)).getroot() for kind, path in layers.items()}


def test_files_are_what_qgis_takes_for_a_style(tmp_path, style):
    for root in style.values():
        assert root.tag == "qgis"
        assert int(root.get("version").split(".")[0]) == 3
        assert root.get("styleCategories") == "Symbology"  # what else a layer has stays
    assert (tmp_path / "a.b_mask.qml").read_text().startswith("<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd'")


def drawn(root, values):
    """Colour and opacity, (4, n), that a pseudocolour renderer gives values: linear between the stops."""
    renderer = root.find("pipe/rasterrenderer[@type='singlebandpseudocolor'][@band='1']")
    shader = renderer.find("rastershader/colorrampshader[@colorRampType='INTERPOLATED']")
    stops = [(float(i.get("value")), i.get("color"), int(i.get("alpha"))) for i in shader.findall("item")]
    at = [value for value, _, _ in stops]
    assert at == sorted(at)
    channels = [[int(colour[1 + 2 * i : 3 + 2 * i], 16) for _, colour, _ in stops] for i in range(3)]
    return np.array([np.interp(values, at, channel) for channel in [*channels, [alpha for _, _, alpha in stops]]])


def test_the_probability_is_the_more_opaque_the_higher_it_is(style, prediction):
    with rasterio.open(prediction.probability) as file:
        levels, scale, data = file.read(1), file.scales[0], file.read_masks(1) > 0
    red, green, _, opacity = drawn(style["probability"], np.arange(256) * scale)  # QGIS scales before it styles
    assert opacity[0] == 0
    assert (np.diff(opacity) > 0).all()
    assert opacity[255] > 200
    assert red[255] > 2 * green[255]
    assert not data[:, :10].any()
    assert (drawn(style["probability"], levels[~data] * scale)[3] == 0).all()  # no data: transparent
    assert float(style["probability"].find(".//colorrampshader").get("maximumValue")) == pytest.approx(255 * scale)


def test_of_the_mask_only_buildings_are_drawn(style, prediction):
    palette = style["mask"].find("pipe/rasterrenderer[@type='paletted'][@band='1']/colorPalette")
    entries = {int(entry.get("value")): entry for entry in palette}
    with rasterio.open(prediction.mask) as file:
        assert set(np.unique(file.read(1))) == {0, 255}
        colour = file.colormap(1)[255]
    assert entries.keys() == {255}  # QGIS draws nothing of what is not listed
    assert entries[255].get("color") == "#{:02x}{:02x}{:02x}".format(*colour)  # the colour that the file itself has
    assert entries[255].get("alpha") == "255"


def test_footprints_have_an_outline_and_a_light_fill(style):
    root = style["footprints"]
    assert root.findtext("layerGeometryType") == "2"
    symbol = root.find("renderer-v2[@type='singleSymbol']/symbols/symbol[@type='fill']")
    options = {o.get("name"): o.get("value") for o in symbol.findall("layer[@class='SimpleFill']/Option/Option")}
    fill, outline = ([int(v) for v in options[name].split(",")] for name in ("color", "outline_color"))
    assert fill[3] < 80 < outline[3]
    assert options["style"] == options["outline_style"] == "solid"
    assert float(options["outline_width"]) > 0


def test_an_older_style_is_replaced(tmp_path):
    (tmp_path / "a_mask.qml").write_text("old")
    write_styles({"mask": tmp_path / "a_mask.tif"})
    assert ET.parse(tmp_path / "a_mask.qml").getroot().tag == "qgis"
    assert len(list(tmp_path.iterdir())) == 1
