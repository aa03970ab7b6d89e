"""A training run with a loss of distances: the maps come with the samples, unasked."""

import numpy as np
import pytest
import torch

from crispmap.fit import fit
from crispmap.settings import DataSettings, FitSettings, ModelSettings


@pytest.fixture
def settings(tmp_path, write_raster):
    generator = np.random.default_rng(0)
    for i in range(2):
        mask = np.zeros((64, 96), "uint8")
        mask[10:30, 8:20] = mask[35:50, 60:90] = 255
        write_raster(tmp_path / "images" / f"{i}.tif", generator.integers(20, 90, (3, 64, 96)).astype("uint8"))
        write_raster(tmp_path / "masks" / f"{i}.tif", mask)

    def make(loss):
        return FitSettings(
            images=tmp_path / "images",
            labels=tmp_path / "masks",
            val_images=tmp_path / "images",
            val_labels=tmp_path / "masks",
            out=tmp_path / "run",
            steps=2,
            loss=loss,
            data=DataSettings(window=32, batch_size=2, workers=0),
            model=ModelSettings(encoder="timm-mobilenetv3_small_minimal_100"),
            trainer={"precision": "32-true", "accelerator": "cpu"},
        )

    return make


MIXTURE = {
    "class_path": "crispmap.MixedLoss",
    "init_args": {"boundary": "crispmap.SurfaceLoss", "pixel": "crispmap.BoundaryWeightedBCELoss"},
}


@pytest.mark.parametrize("loss", ["crispmap.SurfaceLoss", MIXTURE], ids=["alone", "mixed"])
def test_distances_are_computed_where_samples_are_read(settings, loss, monkeypatch):
    def on_the_fly(*_):
        raise AssertionError("the loss computed a distance map of its own")

    monkeypatch.setattr("crispmap.functional.distance_loss.signed_distance", on_the_fly)
    result = fit(settings(loss))
    assert (result.run / "model.pt").is_file()


def test_other_losses_bring_no_maps(settings, monkeypatch):
    def never(*_):
        raise AssertionError("nothing asked for a distance map")

    monkeypatch.setattr("crispmap.data.windows.signed_distance", never)
    assert torch.load(fit(settings(None)).run / "model.pt", weights_only=True)
