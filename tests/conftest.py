"""Shared fixtures: small rasters and vectors, and where the real data lies."""

import gc
import os
import warnings
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.errors import NotGeoreferencedWarning
from rasterio.transform import from_origin


def pytest_collection_modifyitems(items):
    """Tests marked `long` run where they are asked for: CRISPMAP_LONG=1."""
    if os.environ.get("CRISPMAP_LONG") != "1":
        for item in items:
            if item.get_closest_marker("long"):
                item.add_marker(pytest.mark.skip(reason="takes minutes; set CRISPMAP_LONG=1"))


def pytest_collection_finish():
    """What the libraries made while they were imported stays: the collector need not go through it at every turn."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure():
    gc.unfreeze()


@pytest.fixture(autouse=True)
def network_of_the_test_alone():
    """An address given to a command lets GDAL reach the network until the process ends; here, until the test does."""
    before = "CRISPMAP_NETWORK" in os.environ
    yield
    if not before and os.environ.pop("CRISPMAP_NETWORK", None):
        from crispmap.geo.caution import keep_careful

        keep_careful()


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real imagery (CRISPMAP_DATA, else ../shared/data); the test skips where there is none."""
    folder = Path(os.environ.get("CRISPMAP_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real imagery at {folder}; set CRISPMAP_DATA to its folder")
    return folder


@pytest.fixture
def write_raster():
    """Writes a GeoTIFF (or PNG) for a test: `write_raster(path, pixels, crs=..., transform=..., nodata=...)`."""

    def write(path: Path, pixels: np.ndarray, **profile) -> Path:
        pixels = pixels[None] if pixels.ndim == 2 else pixels
        path.parent.mkdir(parents=True, exist_ok=True)
        settings = {"crs": "EPSG:32633", "transform": from_origin(500_000, 5_000_000, 0.5, 0.5)} | profile
        if path.suffix == ".png":
            settings |= {"crs": None, "transform": None, "driver": "PNG"}
        bands, height, width = pixels.shape
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(
                path, "w", count=bands, height=height, width=width, dtype=pixels.dtype, **settings
            ) as file:
                file.write(pixels)
        return path

    return write


@pytest.fixture
def no_file_beyond():
    """Lets no file of this process grow beyond so many bytes, as on a full disk: ``with no_file_beyond(1000): …``."""
    resource = pytest.importorskip("resource", reason="the size of files cannot be limited here")

    @contextmanager
    def limit(most: int):
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return limit


@pytest.fixture
def two_houses(tmp_path, write_raster) -> dict[str, Path]:
    """Two small scenes of two bright houses each, to learn from and to validate on, by the names of `FitSettings`."""
    generator = np.random.default_rng(0)
    for i in range(2):
        mask = np.zeros((64, 96), "uint8")
        mask[10:30, 8:20] = mask[35:50, 60:90] = 255
        image = generator.integers(20, 90, (3, 64, 96)) + 90 * (mask > 0)
        write_raster(tmp_path / "images" / f"{i}.tif", image.astype("uint8"))
        write_raster(tmp_path / "masks" / f"{i}.tif", mask)
    images, masks = tmp_path / "images", tmp_path / "masks"
    return {"images": images, "labels": masks, "val_images": images, "val_labels": masks}


@pytest.fixture
def plain_network(monkeypatch):
    """Networks of two convolutions, made at once, for tests of what is done with networks, whatever these are."""
    from torch import nn

    def plain(spec, weights):
        first = [nn.Conv2d(spec.bands, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout2d(0.1)]
        return nn.Sequential(*first, nn.Conv2d(8, len(spec.classes), 3, padding=1))

    monkeypatch.setattr("crispmap.models.build_network", plain)


@pytest.fixture
def bright_squares(tmp_path, write_raster) -> tuple[Path, Path]:
    """Images and masks of two scenes with bright squares on dark ground, easy to tell."""
    rng = np.random.default_rng(0)
    for i in range(2):
        mask = np.zeros((96, 128), "uint8")
        for row, col in rng.integers(0, (84, 116), (9, 2)):
            mask[row : row + 12, col : col + 12] = 255
        image = (rng.integers(20, 60, (3, 96, 128)) + 150 * (mask > 0)).astype("uint8")
        write_raster(tmp_path / "images" / f"s{i}.tif", image)
        write_raster(tmp_path / "masks" / f"s{i}.tif", mask)
    return tmp_path / "images", tmp_path / "masks"


@pytest.fixture
def predicted():
    """The names of what `predict` writes of images with some stems."""

    def names(*stems: str, footprints: bool = True) -> set[str]:
        layers = [("probability", "tif"), ("mask", "tif"), *([("footprints", "gpkg")] if footprints else [])]
        of_layers = {f"{stem}_{layer}.{suffix}" for stem in stems for layer, end in layers for suffix in (end, "qml")}
        return of_layers | {f"{stem}.stac.json" for stem in stems}

    return names
