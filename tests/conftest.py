"""Shared fixtures: small rasters and vectors, and where the real data lies."""

import os
import warnings
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.errors import NotGeoreferencedWarning
from rasterio.transform import from_origin


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
