"""GDAL is left few drivers, and why: the others do what files tell them.

In processes of their own, in which GDAL is fresh.
"""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

LOOK = """
import json, sys
from contextlib import suppress
{first}
import pyogrio, rasterio
from crispmap.geo import vector_file
from crispmap.geo.drivers import keep_few_drivers
from crispmap.geo.open_files import opened
from crispmap.errors import InputError
{commanded}
with suppress(InputError), opened(sys.argv[1]) as file:
    file.read()
with suppress(InputError):
    vector_file.read_features(vector_file.Path(sys.argv[1] + ".geojson"))
with rasterio.Env() as environment:  # any later one
    print(json.dumps([sorted(environment.drivers()), sorted(pyogrio.list_drivers())]))
"""
MRF = """<MRF_META><CachedSource><Source>{source}</Source></CachedSource>
<Raster><Size x="64" y="64" c="1"/><PageSize x="64" y="64" c="1"/><Compression>NONE</Compression>
<DataType>Byte</DataType><DataFile>{victim}</DataFile><IndexFile>{victim}.idx</IndexFile></Raster></MRF_META>"""


def look(path, first="", commanded="keep_few_drivers()", **more):
    """The drivers of rasterio's GDAL and of pyogrio's, when files have been read."""
    chosen = {"GDAL_SKIP", "CRISPMAP_FEW_DRIVERS"}
    environment = {name: value for name, value in os.environ.items() if name not in chosen} | more
    argv = [sys.executable, "-c", LOOK.format(first=first, commanded=commanded), str(path)]
    done = subprocess.run(argv, capture_output=True, text=True, env=environment, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""  # GDAL warns of names in GDAL_SKIP that it does not know
    rasters, vectors = json.loads(done.stdout)
    return set(rasters), set(vectors)


@pytest.fixture
def writing(tmp_path, write_raster):
    """A raster that tells GDAL to append its source's pixels to a file, and that file."""
    source, victim = write_raster(tmp_path / "source.tif", np.full((64, 64), 33, "uint8")), tmp_path / "victim.txt"
    victim.write_text("mine")
    (tmp_path / "a.tif").write_text(MRF.format(source=source, victim=victim))
    (tmp_path / "a.tif.geojson").write_text('{"type": "FeatureCollection", "features": []}')
    return tmp_path / "a.tif", victim


def test_few_are_left_though_others_were_registered_before(writing):
    rasters, vectors = look(writing[0], "import geopandas, rasterio; rasterio.Env().__enter__()")
    assert {"GTiff", "COG", "PNG", "JPEG", "VRT", "MEM"} <= rasters
    assert {"GPKG", "GeoJSON", "ESRI Shapefile", "FlatGeobuf"} <= vectors
    for dangerous in (
        "MRF",
        "netCDF",
        "HTTP",
        "WMS",
        "GTI",
        "STACTA",
        "OGR_VRT",
        "GDALG",
        "ADBC",
        "SQLite",
        "CSV",
        "WFS",
    ):
        assert dangerous not in rasters | vectors
    assert len(rasters | vectors) < 30
    assert writing[1].read_text() == "mine"


def test_a_program_that_only_imports_keeps_its_own(writing):
    rasters, vectors = look(writing[0], commanded="")
    assert {"MRF", "netCDF"} <= rasters
    assert "OGR_VRT" in vectors


def test_the_environment_has_the_last_word(writing):
    rasters, vectors = look(writing[0], GDAL_SKIP="")
    assert "MRF" in rasters
    assert "OGR_VRT" in vectors
    assert writing[1].read_text() != "mine"  # what the drivers are taken away for
