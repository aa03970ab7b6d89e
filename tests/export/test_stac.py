"""STAC items against pystac: its core schemas, schemas of the extensions, and its readers of both."""

import copy
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyproj
import pystac
import pytest
import rasterio
import shapely
from pystac.errors import STACValidationError
from pystac.extensions.mlm import MLMExtension
from pystac.extensions.projection import ProjectionExtension
from pystac.validation.stac_validator import JsonSchemaSTACValidator
from rasterio.transform import from_origin
from rasterio.warp import transform_bounds

from crispmap import __version__
from crispmap.errors import SettingError
from crispmap.export.stac import write_item
from crispmap.export.stac_model import model_item, model_name
from crispmap.export.stac_prediction import prediction_item
from crispmap.geo.raster import Raster
from crispmap.models import fingerprint

SCHEMAS = Path(__file__).parent / "schemas"


@pytest.fixture(scope="module")
def validate():
    """Validates an item by core and extensions, without a network."""
    validator = JsonSchemaSTACValidator()
    for path in SCHEMAS.glob("*.json"):
        schema = json.loads(path.read_text())
        validator.schema_cache[schema["$id"]] = schema
    here = set(validator.schema_cache)

    def check(content):
        used = pystac.validation.validate_dict(content, validator=validator)
        assert len(used) == 1 + len(content["stac_extensions"])
        assert set(validator.schema_cache) == here  # nothing was fetched
        return pystac.Item.from_dict(copy.deepcopy(content))

    return check


# --- models


@pytest.fixture
def of_model(tiny, tiny_run):
    return model_item(tiny, tiny_run / "model.pt", tiny_run)


def test_a_model_is_a_valid_item(tiny, of_model, validate):
    item = validate(of_model)
    mlm = MLMExtension.ext(item)
    assert mlm.mlm_name == "crispmap-Unet-tu-resnet10t"
    assert item.id == f"{mlm.mlm_name}-{fingerprint(tiny)[:8]}"  # other weights are another item
    assert (mlm.architecture, mlm.framework, mlm.framework_version) == ("Unet", "PyTorch", "2.6.0")
    assert mlm.total_parameters == sum(p.numel() for p in tiny.parameters())
    assert (mlm.pretrained, mlm.pretrained_source) == (False, None)
    [given], [result] = mlm.input, mlm.output
    assert given.bands == ["1", "2", "3"]
    assert given.input.shape == [-1, 3, -1, -1]
    assert result.result.shape == [-1, 1, -1, -1]
    assert [each["name"] for each in of_model["properties"]["mlm:output"][0]["classification:classes"]] == [
        "background",
        "building",
    ]
    assert item.properties["gsd"] == 0.5
    assert item.properties["mlm:hyperparameters"]["learning_rate"] == 0.002
    assert item.properties["crispmap:validation"]["iou"] == 0.71239
    assert item.assets["weights"].href == "model.pt"
    assert item.datetime is None


@pytest.mark.parametrize("name", ["x.safetensors", "x.onnx", "x.ckpt"])
def test_models_in_other_files(tmp_path, tiny, validate, name):
    (tmp_path / name).touch()
    item = validate(model_item(tiny, tmp_path / name, tmp_path / "items"))
    assert item.assets["weights"].href == f"../{name}"
    assert item.properties["mlm:framework"] == ("ONNX" if name == "x.onnx" else "PyTorch")
    with pytest.raises(SettingError, match=r"x\.zip is none of the files that hold models"):
        model_item(tiny, "x.zip", tmp_path)


def test_models_of_which_little_is_known(tiny, tiny_run, validate, monkeypatch):
    bare = replace(tiny.spec, training={}, trained_resolution=None, classes=("solar panel", "Straße"))
    monkeypatch.setattr(tiny, "spec", bare)
    item = validate(model_item(tiny, tiny_run / "model.pt", tiny_run))
    assert not {"gsd", "mlm:pretrained", "mlm:hyperparameters", "mlm:framework_version"} & item.properties.keys()
    nightly = {"versions": {"torch": "2.9.0a0+git1"}, "settings": {"init": "runs/other", "model": {"weights": None}}}
    monkeypatch.setattr(tiny, "spec", replace(bare, training=nightly))
    item = validate(model_item(tiny, tiny_run / "model.pt", tiny_run))
    assert "mlm:framework_version" not in item.properties
    assert item.properties["mlm:pretrained_source"] == "other"


def delete(*path):
    def change(content):
        for key in path[:-1]:
            content = content[key]
        del content[path[-1]]

    return change


def put(value, *path):
    def change(content):
        for key in path[:-1]:
            content = content[key]
        content[path[-1]] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        delete("properties", "mlm:architecture"),
        delete("properties", "bands"),
        delete("properties", "end_datetime"),
        delete("bbox"),
        delete("assets", "weights", "mlm:artifact_type"),
        put(["data"], "assets", "weights", "roles"),
        put("a name with spaces", "properties", "mlm:name"),
        put("ImageNet", "properties", "mlm:pretrained_source"),
        put(["n", "channel", "y", "x"], "properties", "mlm:input", 0, "input", "dim_order"),
        put(["mapping"], "properties", "mlm:tasks"),
        put(1, "properties", "mlm:accuracy"),
    ],
)
def test_what_validation_would_find_in_a_model(of_model, validate, change):
    change(of_model)
    with pytest.raises(STACValidationError):
        validate(of_model)


# --- predictions


def item_of(path, tiny, **more):
    given = {"threshold": 0.5, "folder": path.parent} | more
    return prediction_item("a", Raster.of(path), {"mask": path.parent / "a_mask.tif"}, tiny.spec, **given)


def test_a_prediction_is_a_valid_item(tiny, tiny_run, prediction, validate):
    layers = {"probability": prediction.probability, "mask": prediction.mask, "footprints": prediction.footprints}
    (tiny_run / "model.stac.json").touch()
    content = prediction_item(
        prediction.stem,
        prediction.raster,
        layers,
        tiny.spec,
        threshold=0.45,
        folder=prediction.out,
        sources=prediction.inputs,
        model=tiny_run / "model.stac.json",
    )
    item = validate(content)
    west, south, east, north = transform_bounds("EPSG:32633", "EPSG:4326", 500_000, 4_999_965, 500_045, 5_000_000)
    assert item.bbox == pytest.approx([west, south, east, north], abs=1e-7)
    assert shapely.geometry.shape(item.geometry).bounds == pytest.approx(item.bbox, abs=1e-7)
    assert shapely.geometry.shape(item.geometry).exterior.is_ccw
    assert item.datetime.isoformat() == "2024-06-03T10:20:30+00:00"
    projection = ProjectionExtension.ext(item)
    assert (projection.code, projection.shape) == ("EPSG:32633", [70, 90])
    assert projection.transform == [0.5, 0, 500_000, 0, -0.5, 5_000_000]
    assert projection.bbox == [500_000, 4_999_965, 500_045, 5_000_000]
    assert item.properties["gsd"] == 0.5
    assert item.properties["processing:software"] == {"crispmap": __version__}
    assert "0.45" in item.properties["processing:lineage"]
    for asset in item.assets.values():
        assert (prediction.out / asset.href).is_file()
    assert {name: asset.media_type for name, asset in item.assets.items()} == {
        "probability": pystac.MediaType.COG,
        "mask": pystac.MediaType.COG,
        "footprints": pystac.MediaType.GEOPACKAGE,
    }
    links = {link["rel"]: link for link in content["links"]}
    assert links["derived_from"]["mlm:name"] == model_name(tiny.spec)
    assert (prediction.out / links["derived_from"]["href"]).resolve() == (tiny_run / "model.stac.json").resolve()
    assert (prediction.out / links["via"]["href"]).resolve() == prediction.raster.path.resolve()
    assert content["properties"]["processing:expression"]["expression"] == links["derived_from"]["href"]


def test_files_read_by_pystac(tmp_path, tiny, prediction):
    content = item_of(prediction.mask, tiny)
    write_item(content, tmp_path / "new" / "a.stac.json")
    item = pystac.Item.from_file(str(tmp_path / "new" / "a.stac.json"))
    assert item.id == "a"
    assert item.properties == content["properties"]


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"TIFFTAG_DATETIME": "2019:12:31 23:59:59"}, "2019-12-31T23:59:59Z"),
        ({"TIFFTAG_DATETIME": "0000:00:00 00:00:00"}, None),
        ({"TIFFTAG_DATETIME": "last summer"}, None),
        ({}, None),
    ],
)
def test_when_an_image_was_taken(tmp_path, tiny, write_raster, validate, tags, expected):
    path = write_raster(tmp_path / "a.tif", np.ones((3, 8, 8), "uint8"))
    with rasterio.open(path, "r+") as file:
        file.update_tags(**tags)
    content = item_of(path, tiny)
    validate(content)
    assert content["properties"]["datetime"] == expected
    assert ("start_datetime" in content["properties"]) == (expected is None)
    with rasterio.open(path, "r+") as file:
        file.update_tags(ns="IMAGERY", ACQUISITIONDATETIME="2018-05-04 03:02:01")
    assert item_of(path, tiny)["properties"]["datetime"] == "2018-05-04T03:02:01Z"  # it knows better


def test_images_that_are_no_files(tiny, prediction):
    names = ["https://example.org/a.tif", "/vsizip/tiles.zip/a.tif", "<VRTDataset" + 5000 * " " + "/>"]
    content = item_of(prediction.mask, tiny, sources=names, model="https://example.org/model.stac.json")
    assert [link["href"] for link in content["links"]] == [*names, "https://example.org/model.stac.json"]


def test_sides_have_as_many_vertices_as_they_need(tmp_path, tiny, write_raster):
    pixels = np.ones((3, 8, 9), "uint8")
    degrees = write_raster(tmp_path / "a.tif", pixels, crs="EPSG:4326", transform=from_origin(8, 47, 0.1, 0.1))
    [ring] = item_of(degrees, tiny)["geometry"]["coordinates"]
    assert len(ring) == 5
    assert {tuple(point) for point in ring} == {(8.0, 46.2), (8.9, 46.2), (8.9, 47.0), (8.0, 47.0)}
    wide = write_raster(tmp_path / "b.tif", pixels, transform=from_origin(500_000, 5_000_000, 20_000, 20_000))
    assert len(item_of(wide, tiny)["geometry"]["coordinates"][0]) > 20  # its sides are curves


def test_a_raster_without_a_place(tmp_path, tiny, write_raster, validate):
    item = validate(item_of(write_raster(tmp_path / "a.png", np.ones((3, 8, 9), "uint8")), tiny))
    assert item.geometry is None
    assert item.bbox is None
    assert item.properties["proj:code"] is None
    assert item.properties["proj:shape"] == [8, 9]


def test_a_crs_without_a_code(tmp_path, tiny, write_raster, validate):
    crs = "+proj=laea +lat_0=47 +lon_0=8 +ellps=GRS80 +units=m"
    path = write_raster(tmp_path / "a.tif", np.ones((3, 8, 8), "uint8"), crs=crs, transform=from_origin(0, 0, 1, 1))
    item = validate(item_of(path, tiny))
    assert item.properties["proj:code"] is None
    method = pyproj.CRS.from_wkt(item.properties["proj:wkt2"]).coordinate_operation.method_name
    assert method == "Lambert Azimuthal Equal Area"
    assert item.bbox == pytest.approx([8, 47, 8, 47], abs=1e-3)


@pytest.mark.parametrize(
    ("crs", "origin", "side"),
    [("EPSG:3832", (3_300_000, 2_000_000), 1500), ("EPSG:4326", (179.5, 10), 0.01)],
)
def test_across_the_antimeridian(tmp_path, tiny, write_raster, validate, crs, origin, side):
    grid = {"crs": crs, "transform": from_origin(*origin, side, side)}
    path = write_raster(tmp_path / "a.tif", np.ones((3, 60, 80), "uint8"), **grid)
    item = validate(item_of(path, tiny))
    west, south, east, north = item.bbox
    assert 179 < west < 180
    assert -180 < east < -179
    shape = shapely.geometry.shape(item.geometry)
    assert shape.geom_type == "MultiPolygon"
    assert -180 <= shape.bounds[0] < shape.bounds[2] <= 180
    assert shape.is_valid
    rows, cols = np.random.default_rng(0).uniform((-20, -20), (80, 100), (500, 2)).T
    x, y = grid["transform"] @ (cols, rows)
    lon, lat = pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(x, y)
    inside = (rows > 0) & (rows < 60) & (cols > 0) & (cols < 80)
    near = np.minimum(abs(rows - 30) - 30, abs(cols - 40) - 40)  # a chord is not quite the curve
    lon = (np.asarray(lon) + 180) % 360 - 180
    found = shapely.contains_xy(shape, lon, lat)
    assert (found == inside)[abs(near) > 0.5].all()
    assert (lat[inside] >= south - 1e-6).all()
    assert (lat[inside] <= north + 1e-6).all()


@pytest.mark.parametrize(
    "change",
    [
        delete("properties", "proj:code"),
        put([70], "properties", "proj:shape"),
        put("L4", "properties", "processing:software"),
        put(4, "properties", "processing:level"),
        put("later", "properties", "datetime"),
        put(None, "geometry"),
        put(3, "properties", "proj:epsg"),
    ],
)
def test_what_validation_would_find_in_a_prediction(tiny, prediction, validate, change):
    content = item_of(prediction.mask, tiny)
    change(content)
    with pytest.raises((STACValidationError, ValueError)):
        validate(content)
