"""A small world in which the files that the pages name are there."""

from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import torch
from shapely.affinity import translate
from small_world import HEIGHT, TINY_ENCODER, WIDTH, image_of, mask_of, place_of, polygons_of

from crispmap.models import ModelSpec, SegmentationModel


@pytest.fixture
def world(tmp_path, monkeypatch, write_raster):
    """Imagery, labels and vectors by the names that the pages use, in the working directory."""
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("town", "village")):
        for folder in ("ortho", "new_ortho", "tiles", "images", "train/images", "val/images"):
            write_raster(Path(folder, f"{name}.tif"), image_of(seed), transform=place_of(seed))
        for folder in ("masks", "truth", "train/masks", "val/masks"):
            write_raster(Path(folder, f"{name}.tif"), mask_of(seed), transform=place_of(seed))
        write_raster(Path("maps", f"{name}_probability.tif"), mask_of(seed), transform=place_of(seed))
    for name in ("buildings", "truth", "footprints"):
        frame = gpd.GeoDataFrame(geometry=[*polygons_of(0), *polygons_of(1)], crs="EPSG:32633")
        frame.to_file(f"{name}.gpkg")
    write_raster(Path("orthophoto.tif"), image_of(0), transform=place_of(0))
    write_raster(Path("mask.tif"), mask_of(0), transform=place_of(0))
    write_raster(Path("town_probability.tif"), mask_of(0), transform=place_of(0))
    return tmp_path


@pytest.fixture
def mistakes(world, write_raster):
    """The same world, with what the page on troubleshooting stumbles over."""
    moved = [translate(shape, 50_000) for shape in polygons_of(0)]
    gpd.GeoDataFrame(geometry=moved, crs="EPSG:32633").to_file("elsewhere.gpkg")
    classes = np.arange(HEIGHT * WIDTH, dtype="uint8").reshape(HEIGHT, WIDTH) % 6
    for seed, name in enumerate(("town", "village")):
        write_raster(Path("classes", f"{name}.tif"), classes, transform=place_of(seed))
        write_raster(Path("photos", f"{name}.png"), image_of(seed))
        write_raster(Path("photo_masks", f"{name}.png"), mask_of(seed))
        write_raster(Path("renamed", f"labels_of_{name}.tif"), mask_of(seed), transform=place_of(seed))
    write_raster(Path("mixed", "town.tif"), image_of(0), transform=place_of(0))
    write_raster(Path("mixed", "village.tif"), image_of(1, bands=5), transform=place_of(1))
    write_raster(Path("infrared.tif"), image_of(0, bands=5), transform=place_of(0))
    write_raster(Path("sixteen.tif"), image_of(0).astype("uint16") * 256, transform=place_of(0))
    write_raster(Path("small_truth", "town.tif"), mask_of(0)[:60], transform=place_of(0))
    Path("halved.tif").write_bytes(Path("orthophoto.tif").read_bytes()[:100])
    torch.manual_seed(0)
    spec = ModelSpec("Unet", TINY_ENCODER, 3, "uint8", (100.0,) * 3, (50.0,) * 3, 64, decoder_channels=(8,) * 5)
    Path("runs/first").mkdir(parents=True)
    SegmentationModel(spec).save(Path("runs/first/model.pt"))
    return world
