"""Training in two processes is training in one, with half of each batch."""

import csv
import os
import subprocess
import sys

import numpy as np
import torch

SCRIPT = """
import sys
from pathlib import Path

import torch
from torch import nn

import crispmap.models

def plain(spec, weights):  # no batch statistics
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(spec.bands, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 1, 3, padding=1))

crispmap.models.build_network = plain

if __name__ == "__main__":
    from crispmap.cli import main
    sys.exit(main(sys.argv[1:]))
"""


def fit(folder, out, *more):
    script = folder / "train.py"
    script.write_text(SCRIPT)
    command = [
        *(sys.executable, str(script), "fit", "--images", str(folder / "images"), "--labels", str(folder / "masks")),
        *("--val-images", str(folder / "images"), "--val-labels", str(folder / "masks"), "--out", str(out)),
        *("--steps", "6", "--steps-per-epoch", "2", "--data.window", "32", "--data.workers", "0"),
        *("--loss", '{"class_path": "crispmap.MixedLoss", "init_args": {"weight": 0.5}}'),
        *("--trainer.accelerator", "cpu", "--trainer.precision", "32-true", *more),
    ]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST")}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=240, env=environment | {"OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done


def test_two_processes_with_half_a_batch_each_match_one(tmp_path, write_raster):
    generator = np.random.default_rng(0)
    for i in range(3):
        mask = np.zeros((96, 64), "uint8")
        mask[10:30, 8:20] = mask[35:90, 20:60] = 255
        image = generator.integers(20, 90, (3, 96, 64)) + 90 * (mask > 0)
        write_raster(tmp_path / "images" / f"{i}.tif", image.astype("uint8"))
        write_raster(tmp_path / "masks" / f"{i}.tif", mask)
    fit(tmp_path, tmp_path / "one", "--data.batch-size", "4")
    both = fit(
        tmp_path, tmp_path / "two", "--data.batch-size", "2", "--trainer.devices", "2", "--trainer.strategy", "ddp"
    )
    assert both.stdout.count("the model of step") == 1
    one, two = (torch.load(tmp_path / name / "checkpoints/last.ckpt", weights_only=True) for name in ("one", "two"))
    assert one["global_step"] == two["global_step"] == 6
    names = [name for name in one["state_dict"] if name.startswith("model.")]
    assert len(names) >= 4
    for name in names:
        torch.testing.assert_close(one["state_dict"][name], two["state_dict"][name], rtol=0, atol=1e-5)
    rows = [list(csv.DictReader((tmp_path / name / "metrics.csv").open())) for name in ("one", "two")]
    scores = [
        [[float(row[f"val/{key}"]) for row in run if row["val/iou"]] for key in ("iou", "boundary_f1")] for run in rows
    ]
    np.testing.assert_allclose(scores[0], scores[1], atol=1e-3)
    assert len(scores[0][0]) == 3
