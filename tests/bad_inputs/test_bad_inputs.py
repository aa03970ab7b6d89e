"""Every bad input through every door of every command: a clear line and status 2, or handled; nothing else.

The quick form takes a fixed sample; ``CRISPMAP_LONG=1`` takes all, and so does ``make faults``.
"""

import bad_models  # noqa: F401
import bad_places  # noqa: F401
import bad_rasters  # noqa: F401
import bad_texts  # noqa: F401
import bad_vectors  # noqa: F401
import odd_rasters  # noqa: F401
import pytest
from bad_table import BAD
from doors import DOORS
from driving import drive, in_a_process

ALL = [(name, kind, door) for name, bad in BAD.items() for kind in bad.kinds for door in DOORS[kind]]

# One of each sort, at the door where it would do most; those that compute nothing are cheap.
QUICK = {
    "a raster of no bytes": ("image/fit", "mask/vectorize"),
    "a raster whose directory points at itself": ("image/predict",),
    "a compressed GeoTIFF of half its bytes": ("mask/evaluate-truth",),
    "a PNG of half its bytes": ("mask/vectorize",),
    "a VRT of ten to the nine pixels a side": ("image/predict",),
    "a VRT that is its own source": ("mask/vectorize",),
    "a VRT with a source on the network": ("image/fit", "mask/evaluate-pred"),
    "a TIFF that claims four thousand million pixels a side": ("image/predict",),
    "a cache that fills a file": ("mask/vectorize",),
    "a VRT of a cache that fills a file": ("mask/vectorize",),
    "a VRT with a statement for a database": ("mask/vectorize",),
    "a VRT of a pipe": ("image/predict",),
    "a raster beside a pipe called a.tif.ovr": ("mask/vectorize",),
    "complex pixels": ("image/fit",),
    "imagery of pixels without a size": ("image/predict",),
    "imagery on the moon": ("image/predict", "image/suggest-theta"),
    "imagery of nothing but alpha": ("image/fit",),
    "imagery with NaN": ("image/predict",),
    "a mask of negative numbers": ("mask/evaluate-pred",),
    "a mask in a local engineering CRS": ("mask/vectorize",),
    "no bytes called .gpkg": ("vectors/evaluate-truth",),
    "a .parquet of half its bytes": ("vectors/evaluate-pred",),
    "GeoParquet whose description is a list": ("vectors/evaluate-truth",),
    "JSON of ten thousand brackets": ("vectors/fit",),
    "a vector VRT with a statement for a database": ("vectors/evaluate-truth",),
    "JSON that is a command of GDAL": ("vectors/evaluate-truth",),
    "a shapefile beside a pipe called a.dbf": ("vectors/evaluate-truth",),
    "polygons of infinite coordinates": ("vectors/fit", "vectors/evaluate-truth"),
    "polygons in a local CRS": ("vectors/fit-area", "vectors/evaluate-area"),
    "a bow-tie": ("vectors/evaluate-truth",),
    "a table without geometries": ("vectors/evaluate-truth",),
    "a config of garbage bytes": ("config/fit", "recipe/reproduce", "losses/compare"),
    "a config with a Python tag that calls": ("config/fit", "recipe/reproduce", "losses/compare"),
    "a YAML bomb as the trainer": ("config/fit", "config/compare", "recipe/reproduce"),
    "a config of a hundred thousand brackets": ("config/search-weight",),
    "a trainer argument by class path": ("config/fit", "recipe/reproduce"),
    "a trainer argument by class path in text": ("config/fit", "recipe/reproduce"),
    "a config that trusts itself": ("config/fit",),
    "losses by class path in text": ("config/compare", "recipe/reproduce"),
    "losses by class path": ("config/compare", "recipe/reproduce"),
    "a logger of its own": ("config/fit",),
    "a loss that is a process": ("config/fit", "config/compare", "recipe/reproduce"),
    "a loss with a stranger in text": ("config/fit",),
    "a loss that is a process, in a file of losses": ("losses/compare", "losses/reproduce"),
    "a model that is a malicious pickle": ("model/predict", "model/fit-init"),
    "a model with a malicious pickle inside": ("model/predict",),
    "a model of an encoder from the network": ("model/predict",),
    "a model of endless decoder channels": ("model/predict",),
    "a model of a training from a list": ("model/export",),
    "a model of the Hub described by a pipe": ("model/export",),
    "a last checkpoint that is a malicious pickle": ("stopped/fit-resumed",),
    "a pipe as image": ("image/fit", "image/predict"),
    "a pipe as vectors": ("vectors/fit", "vectors/evaluate-truth"),
    "a pipe as config": ("config/fit",),
    "a pipe as model in a run": ("model/predict",),
    "a loop of links as image": ("image/predict",),
    "a mask with quotes in its name": ("mask/vectorize",),
    "an output inside a file": ("out/predict", "out/vectorize", "out/evaluate-json"),
    "a dataset that holds itself": ("dataset/check-data",),
}
PROCESSES = [
    ("a raster of no bytes", "image", "predict"),
    ("a VRT that is its own source", "image", "fit"),
    ("a compressed GeoTIFF of half its bytes", "mask", "vectorize"),
    ("a JPEG of half its bytes", "mask", "evaluate-pred"),
    ("imagery whose overview is cut off", "image", "predict"),
    ("a .gpkg of half its bytes", "vectors", "evaluate-truth"),
    ("JSON of ten thousand brackets", "vectors", "evaluate-truth"),
    ("GeoJSON of ten thousand collections in each other", "vectors", "suggest-theta"),
    ("a vector VRT with a source on the network", "vectors", "fit"),
    ("a YAML bomb as the trainer", "config", "fit"),
    ("a config of a hundred thousand brackets", "recipe", "reproduce"),
    ("a config with a Python tag that calls", "losses", "compare"),
    ("a model that is a malicious pickle", "model", "predict"),
    ("a model that is a deep pickle", "model", "predict"),
    ("a last checkpoint that is a malicious pickle", "stopped", "fit-resumed"),
    ("a pipe as image", "image", "suggest-theta"),
    ("a pipe as list", "list", "predict"),
    ("an output in proc", "out", "evaluate-html"),
    ("an image with a newline in its name", "image", "suggest-theta"),
    ("a mask with a leading dash in its name", "mask", "vectorize"),
]


def _door(kind, name):
    return next(door for door in DOORS[kind] if door.name == name)


def test_the_corpus_is_as_large_as_it_should_be():
    assert len(BAD) >= 150
    assert {kind for bad in BAD.values() for kind in bad.kinds} == DOORS.keys()
    assert len({(name, kind) for name, kind, _ in PROCESSES}) == 20


@pytest.mark.parametrize(("name", "place"), [(name, place) for name, places in QUICK.items() for place in places])
def test_a_sample(name, place, good, away):
    kind, door = place.split("/")
    assert drive(BAD[name], _door(kind, door), good, away) == []


@pytest.mark.long
@pytest.mark.parametrize(("name", "kind", "door"), ALL, ids=[f"{name}, {kind}/{door.name}" for name, kind, door in ALL])
def test_all(name, kind, door, good, away):
    assert drive(BAD[name], door, good, away) == []


@pytest.mark.long
@pytest.mark.parametrize(("name", "kind", "door"), PROCESSES)
def test_as_users_meet_it(name, kind, door, good, away):
    assert drive(BAD[name], _door(kind, door), good, away, in_a_process) == []
