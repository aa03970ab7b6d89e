"""Files that were not written as a whole are told from those that were, wherever the damage lies."""

import numpy as np
import pyogrio
import pytest
import rasterio
import rasterio.shutil
import shapely

from crispmap.errors import OutputError
from crispmap.geo.read_back import check_raster, check_vectors

FEATURES = 300


@pytest.fixture
def raster(tmp_path, write_raster):
    """A Cloud-Optimized GeoTIFF of noise, with an overview and a mask band of noise."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (700, 600), dtype="uint8")
    source = write_raster(tmp_path / "source.tif", pixels)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(source, "r+") as file:
        file.write_mask(rng.integers(0, 2, pixels.shape) > 0)
    path = tmp_path / "cog.tif"
    rasterio.shutil.copy(source, path, driver="COG", compress="deflate")
    return path


@pytest.fixture
def vectors(tmp_path):
    """Writes squares: `vectors(suffix)`."""

    def write(suffix, **options):
        path = tmp_path / f"squares.{suffix}"
        squares = shapely.box(*np.random.default_rng(0).uniform(0, 1, (2, FEATURES)), 2, 2)
        pyogrio.raw.write(
            path,
            shapely.to_wkb(squares),
            [np.arange(FEATURES)],
            ["number"],
            geometry_type="Polygon",
            crs="EPSG:32633",
            layer="squares",
            **options,
        )
        return path

    return write


@pytest.mark.parametrize("cut", [5, 100, 5000, 100_000, 300_000])
def test_a_raster_without_its_end(raster, cut):
    check_raster(raster)
    raster.write_bytes(raster.read_bytes()[:-cut])
    with pytest.raises(OutputError, match=r"cog\.tif cannot be written as a whole; is the disk full\?"):
        check_raster(raster)


@pytest.mark.parametrize("part", ["pixels", "mask", "overview"])
def test_a_block_that_did_not_reach_the_file(raster, part):
    overview = {"ovr": 0} if part == "overview" else {}
    with rasterio.open(raster) as file:
        at, size = (int(file.get_tag_item(f"BLOCK_{of}_0_0", "TIFF", bidx=1, **overview)) for of in ("OFFSET", "SIZE"))
    if part == "mask":
        at += size + 8  # beside its pixels, between the four bytes that end these and the four that say its own size
    whole = raster.read_bytes()
    raster.write_bytes(whole[:at] + bytes(1000) + whole[at + 1000 :])
    with pytest.raises(OutputError, match="is the disk full"):
        check_raster(raster)


@pytest.mark.parametrize("suffix", ["gpkg", "fgb", "geojson"])
@pytest.mark.parametrize("cut", [2, 8, 1000, 20_000])
def test_vectors_without_their_end(vectors, suffix, cut):
    path = vectors(suffix)
    check_vectors(path, FEATURES)
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(OutputError, match=rf"squares\.{suffix} cannot be written as a whole; is the disk full\?"):
        check_vectors(path, FEATURES)


@pytest.mark.parametrize("suffix", ["gpkg", "fgb", "geojson"])
def test_features_that_are_missing(vectors, suffix):
    with pytest.raises(OutputError, match="gives 300 of 301 features"):
        check_vectors(vectors(suffix), FEATURES + 1)


def test_a_geopackage_without_its_spatial_index(vectors):
    with pytest.raises(OutputError, match="no such table: rtree_squares_geom"):
        check_vectors(vectors("gpkg", layer_options={"SPATIAL_INDEX": "NO"}), FEATURES)
