"""What is right: imagery, labels and a model, small, that bad inputs are made of and stand beside."""

import warnings
from pathlib import Path
from typing import NamedTuple

import geopandas as gpd
import numpy as np
import rasterio
from rasterio.errors import NotGeoreferencedWarning
from rasterio.transform import from_origin
from shapely import box

CRS = "EPSG:32633"
PLACE = from_origin(500_000, 5_000_000, 0.5, 0.5)
HEIGHT, WIDTH = 64, 96
HOUSES = [(4, 5, 10, 15), (18, 18, 40, 30)]  # row and column of two corners each
ENCODER = "timm-mobilenetv3_small_minimal_100"


class Good(NamedTuple):
    """Paths of inputs that every command takes."""

    image: Path
    mask: Path
    vectors: Path
    run: Path


def marked() -> np.ndarray:
    """Which pixels are houses."""
    mask = np.zeros((HEIGHT, WIDTH), bool)
    for top, left, bottom, right in HOUSES:
        mask[top:bottom, left:right] = True
    return mask


def photo(bands: int = 3, dtype: str = "uint8") -> np.ndarray:
    """Bright houses on dark ground."""
    noise = np.random.default_rng(0).integers(20, 90, (bands, HEIGHT, WIDTH))
    return (noise + 90 * marked()).astype(dtype)


def label() -> np.ndarray:
    """The mask of the houses, 0 and 255."""
    return marked().astype("uint8") * 255


def save(path: Path, pixels: np.ndarray, **profile) -> Path:
    """Writes a raster by its suffix; a GeoTIFF in metres unless told otherwise."""
    pixels = pixels[None] if pixels.ndim == 2 else pixels
    settings = {"crs": CRS, "transform": PLACE, "driver": "GTiff"} | profile
    if settings["driver"] != "GTiff":
        settings |= {"crs": None, "transform": None}
    count, height, width = pixels.shape
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, "w", count=count, height=height, width=width, dtype=pixels.dtype, **settings) as file:
            file.write(pixels)
    return path


def footprints() -> list:
    """The houses as polygons in the CRS."""
    corners = [(*(PLACE @ (left, bottom)), *(PLACE @ (right, top))) for top, left, bottom, right in HOUSES]
    return [box(*each) for each in corners]


def layer(path: Path, geometries: list, crs: str | None = CRS, **settings) -> Path:
    """Writes geometries by the suffix of the path."""
    frame = gpd.GeoDataFrame(geometry=gpd.GeoSeries(geometries, crs=crs), crs=crs)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "'crs' was not provided")
        frame.to_parquet(path) if path.suffix == ".parquet" else frame.to_file(path, **settings)
    return path


def model(path: Path) -> Path:
    """Writes an untrained model."""
    import torch

    from crispmap.models import ModelSpec, SegmentationModel

    torch.manual_seed(0)
    spec = ModelSpec("Unet", ENCODER, bands=3, dtype="uint8", mean=(60.0,) * 3, std=(30.0,) * 3, window=64)
    path.parent.mkdir(parents=True, exist_ok=True)
    SegmentationModel(spec).save(path)
    return path


def make_good(folder: Path) -> Good:
    """Makes one of each."""
    folder.mkdir(parents=True, exist_ok=True)
    model(folder / "run" / "model.pt")
    return Good(
        save(folder / "town.tif", photo()),
        save(folder / "mask.tif", label()),
        layer(folder / "houses.gpkg", footprints()),
        folder / "run",
    )
