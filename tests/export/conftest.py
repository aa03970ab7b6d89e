"""A tiny network with the record of a run, and maps that it predicted."""

import numpy as np
import pytest
import rasterio
import torch
from rasterio.transform import from_origin

from crispmap.models import ModelSpec, SegmentationModel
from crispmap.predict.plan import Settings, plan
from crispmap.predict.rasters import predict_rasters

TRAINING = {
    "settings": {
        "images": "/home/someone/town/images",
        "labels": "/home/someone/town/footprints.gpkg",
        "out": "runs/town",
        "dataset": None,
        "val_images": None,
        "init": None,
        "steps": 300,
        "seed": 7,
        "scale": 1.0,
        "loss": {"class_path": "crispmap.DiceLoss"},
        "data": {"window": 128, "batch_size": 4},
        "model": {"architecture": "Unet", "encoder": "tu-resnet10t", "weights": None},
        "optim": {"learning_rate": 0.002, "weight_decay": 0.01},
        "trainer": {"precision": "32-true", "logger": {"CometLogger": {"api_key": "a key of someone"}}},
    },
    "metrics": {"step": 250.0, "iou": 0.71239, "boundary_f1": 0.65432, "perimeter_ratio": 1.0567},
    "versions": {"crispmap": "0.1.0", "torch": "2.6.0"},
}
SPEC = ModelSpec(
    "Unet",
    "tu-resnet10t",
    bands=3,
    dtype="uint8",
    mean=(110.0, 120.0, 90.0),
    std=(50.0, 40.0, 30.0),
    window=128,
    decoder_channels=(8, 8, 8, 8, 8),
    trained_resolution=0.5,
    training=TRAINING,
)


@pytest.fixture(scope="session")
def tiny():
    """A model, in evaluation mode, whose statistics of batches are not those of a new network."""
    torch.manual_seed(0)
    model = SegmentationModel(SPEC)
    with torch.no_grad():
        for _ in range(3):
            model(torch.rand(2, 3, 64, 64) * 255)
    return model.eval()


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory, tiny):
    """A run folder with nothing but the model."""
    run = tmp_path_factory.mktemp("town")
    tiny.save(run / "model.pt")
    return run


@pytest.fixture(scope="session")
def prediction(tmp_path_factory, tiny):
    """What `crispmap predict` made of an image of 70 × 90 pixels whose first ten columns hold no data."""
    folder = tmp_path_factory.mktemp("maps")
    pixels = np.random.default_rng(0).integers(1, 255, (3, 70, 90)).astype("uint8")
    pixels[:, :, :10] = 0
    grid = {"crs": "EPSG:32633", "transform": from_origin(500_000, 5_000_000, 0.5, 0.5), "nodata": 0}
    with rasterio.open(folder / "image.tif", "w", count=3, height=70, width=90, dtype="uint8", **grid) as file:
        file.write(pixels)
        file.update_tags(TIFFTAG_DATETIME="2024:06:03 10:20:30")
    settings = Settings(precision="32", device="cpu", patch=64, threshold=0.45)
    [made] = predict_rasters(tiny, plan([folder / "image.tif"], folder / "out"), settings)
    return made.job
