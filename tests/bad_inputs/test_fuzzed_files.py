"""The doors of rasters and vectors, fuzzed: files with changed bytes are read, or it is said why not."""

import contextlib

import numpy as np
import pytest
from good_inputs import footprints, label, layer, save
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crispmap.errors import CrispmapError
from crispmap.geo.grid import Grid
from crispmap.geo.mask import MaskRaster
from crispmap.geo.raster import Raster, Window
from crispmap.geo.vector import Footprints
from crispmap.geo.vector_source import VectorSource

QUICK = settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
LONG = settings(max_examples=2000, deadline=None, suppress_health_check=list(HealthCheck))
_MOST_READ = 10**7  # pixels: a damaged header may claim any size, which is read by window

RASTERS = {
    "plain.tif": {},
    "tiled.tif": {"tiled": True, "blockxsize": 32, "blockysize": 32, "compress": "deflate", "predictor": 2},
    "lzw.tif": {"compress": "lzw", "nodata": 255},
    "a.png": {"driver": "PNG"},
    "a.jpg": {"driver": "JPEG"},
}
VECTORS = ("a.gpkg", "a.geojson", "a.fgb", "a.parquet", "a.shp")

# where, and what: the beginning of a file is where its structure is
CHANGES = st.lists(
    st.tuples(st.one_of(st.integers(0, 400), st.integers(0, 10**6)), st.integers(0, 255)), min_size=1, max_size=8
)
LENGTH = st.one_of(st.just(1.0), st.floats(0, 1))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


@pytest.fixture(scope="module")
def originals(folder):
    """The bytes of each good file."""
    made = {}
    for name, profile in RASTERS.items():
        made[name] = save(folder / name, label(), **profile).read_bytes()
    for name in VECTORS:
        made[name] = layer(folder / name, footprints()).read_bytes()
    return made


def changed(original, changes, length):
    content = bytearray(original[: int(len(original) * length)])
    for at, value in changes:
        if content:
            content[at % len(content)] = value
    return bytes(content)


def try_raster(folder, originals, name, changes, length):
    path = folder / name
    path.write_bytes(changed(originals[name], changes, length))
    with contextlib.suppress(CrispmapError):
        raster = Raster.of(path)
        window = Window(0, 0, min(raster.height, 500), min(raster.width, 500))
        pixels, valid = raster.read(window)
        assert pixels.shape[1:] == valid.shape == window[2:]
        assert raster.pixel_size is None or min(raster.pixel_size) > 0
        if raster.height * raster.width * len(raster.bands) < _MOST_READ:
            MaskRaster.of(path)


def try_vectors(folder, originals, name, changes, length):
    path = folder / name
    path.write_bytes(changed(originals[name], changes, length))
    with contextlib.suppress(CrispmapError):
        polygons = Footprints.read(path).polygons
        assert all(polygon.area > 0 for polygon in polygons)
    with contextlib.suppress(CrispmapError):
        source = VectorSource(path)
        grid = Grid.over(path, (500_000, 4_999_960, 500_048, 5_000_000), source.crs, 0.5)
        burnt = source.near(grid, grid.window).burn(grid)
        assert burnt.shape == (grid.height, grid.width)
        assert burnt.dtype == np.bool_


@QUICK
@given(name=st.sampled_from(list(RASTERS)), changes=CHANGES, length=LENGTH)
def test_any_raster(folder, originals, name, changes, length):
    try_raster(folder, originals, name, changes, length)


@QUICK
@given(name=st.sampled_from(VECTORS), changes=CHANGES, length=LENGTH)
def test_any_vectors(folder, originals, name, changes, length):
    try_vectors(folder, originals, name, changes, length)


@pytest.mark.long
@LONG
@given(name=st.sampled_from(list(RASTERS)), changes=CHANGES, length=LENGTH)
def test_many_rasters(folder, originals, name, changes, length):
    try_raster(folder, originals, name, changes, length)


@pytest.mark.long
@LONG
@given(name=st.sampled_from(VECTORS), changes=CHANGES, length=LENGTH)
def test_many_vectors(folder, originals, name, changes, length):
    try_vectors(folder, originals, name, changes, length)
