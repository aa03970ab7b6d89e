"""The main job on data made here: two losses, one budget, unseen scenes, one large map, one page."""

import json
import logging
import os
import platform
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from crispmap import __version__
from crispmap.data.synthetic import write_scenes
from crispmap.evaluate import Evaluation, evaluate
from crispmap.evaluate.score_rows import metrics_of, result_of
from crispmap.fit import fit
from crispmap.geo.mask import MaskRaster
from crispmap.geo.raster import Raster
from crispmap.geo.vector import Footprints
from crispmap.models import load_model
from crispmap.predict.plan import Settings as PredictSettings
from crispmap.predict.plan import plan
from crispmap.predict.rasters import predict_rasters
from crispmap.report import (
    Chart,
    Curve,
    GallerySample,
    LargeScene,
    Prediction,
    Report,
    write_report,
)
from crispmap.run import validations
from crispmap.settings import DataSettings, FitSettings
from crispmap.whole import clear, whole_file

log = logging.getLogger("crispmap")

PARTS = ("train", "test", "large", "runs", "predictions", "report.html", "results.json")
TOLERANCE = 3.0
HEADLINES = ("iou", "f1", f"boundary_f1_{TOLERANCE:g}px", "boundary_iou", "perimeter_ratio")


@dataclass(frozen=True)
class Size:
    """How much is made of everything.

    Attributes:
        train_scenes: Scenes of 512² pixels to learn from; a fifth of their buildings is kept for validation.
        test_scenes: Scenes of 512² pixels that no training sees.
        large: Side of the large scene in pixels.
        steps: Of each training.
        steps_per_epoch: Between two validations.
        window: Side of a training window, in pixels of the halved imagery that the network sees.
    """

    train_scenes: int
    test_scenes: int
    large: int
    steps: int
    steps_per_epoch: int
    window: int


FULL = Size(train_scenes=64, test_scenes=16, large=2048, steps=400, steps_per_epoch=50, window=128)
QUICK = Size(train_scenes=6, test_scenes=3, large=640, steps=12, steps_per_epoch=4, window=64)


@dataclass(frozen=True)
class Method:
    """A loss to compare: its key in file names, what it is called, what it is, and what `fit` calls it."""

    key: str
    name: str
    description: str
    loss: dict[str, Any] | None


METHODS = (
    Method(
        "bce_iou",
        "BCE + IoU",
        "the baseline: binary cross entropy and soft IoU, no boundary term",
        {"class_path": "crispmap.MixedLoss", "init_args": {"weight": 0.0}},
    ),
    Method(
        "boundary",
        "with boundary term",
        "the same, and the balanced boundary loss ramped in: BCE + w·boundary + (1 − w)·IoU, w → 0.9",
        None,  # the default
    ),
)


def demo(out: Path, *, seed: int = 0, size: Size = FULL, command: str = "crispmap demo") -> Path:
    """Synthesises scenes, trains a baseline and the same network with the boundary term, compares, and reports.

    Both trainings start from the same weights and see the same windows in the same order; neither sees the test
    scenes or the large one.

    Args:
        out: The folder for everything; of an older demo there, what it wrote is replaced.
        seed: Of scenes, weights and windows.
        size: How much of everything.
        command: What the report says was called.

    Returns:
        The report, ``out/report.html``; the numbers are in ``out/results.json``.
    """
    started = time.monotonic()
    clear(out, PARTS)
    write_scenes(out / "train", size.train_scenes, 512, seed)
    write_scenes(out / "test", size.test_scenes, 512, seed + 1)
    write_scenes(out / "large", 1, size.large, seed + 2)
    seconds: dict[str, float] = {}
    scores: dict[str, Evaluation] = {}
    for method in METHODS:
        log.info("\ntraining: %s", method.name)
        start = time.monotonic()
        _train(out, method, seed, size)
        seconds[method.key] = time.monotonic() - start
        _predict(out, method, "test", footprints=False)
        scores[method.key] = evaluate(
            out / "predictions" / method.key / "test", out / "test" / "masks", tolerance=TOLERANCE
        )
    _predict(out, METHODS[-1], "large", footprints=True)
    facts = {
        "Command": command,
        "Seeds": f"{seed} (training scenes, weights, windows), {seed + 1} (test scenes), {seed + 2} (large scene)",
        "Training": f"{size.steps} steps of 8 windows of {size.window}² px at half resolution for each method, "
        + " and ".join(f"{seconds[method.key]:.0f} s" for method in METHODS),
        "Versions": f"crispmap {__version__}, torch {torch.__version__}, "
        f"segmentation_models_pytorch {version('segmentation_models_pytorch')}, Python {platform.python_version()}",
        "Machine": f"{platform.machine()}, {os.cpu_count()} processors, {torch.get_num_threads()} threads, "
        + (torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"),
        "Total time": f"{time.monotonic() - started:.0f} s",
    }
    _write_results(out, facts, scores)
    write_report(out / "report.html", _report(out, size, facts, scores))
    return out / "report.html"


def _train(out: Path, method: Method, seed: int, size: Size) -> None:
    fit(
        FitSettings(
            images=out / "train" / "images",
            labels=out / "train" / "masks",
            out=out / "runs" / method.key,
            scale=0.5,
            steps=size.steps,
            steps_per_epoch=size.steps_per_epoch,
            seed=seed,
            loss=method.loss,
            data=DataSettings(window=size.window),
        )
    )


def _predict(out: Path, method: Method, scenes: str, *, footprints: bool) -> None:
    model = load_model(out / "runs" / method.key)
    jobs = plan([out / scenes / "images"], out / "predictions" / method.key / scenes, footprints=footprints)
    predict_rasters(model, jobs, PredictSettings())


def _write_results(out: Path, facts: dict[str, str], scores: dict[str, Evaluation]) -> None:
    results = {"facts": facts, "scores": {key: evaluation.to_dict() for key, evaluation in scores.items()}}
    with whole_file(out / "results.json") as part:
        part.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _report(out: Path, size: Size, facts: dict[str, str], scores: dict[str, Evaluation]) -> Report:
    baseline = scores[METHODS[0].key]
    return Report(
        title="First light: what a boundary term does",
        lead=(
            f"Two networks of the same form learned buildings from {size.train_scenes} synthetic aerial scenes, from "
            f"the same first weights, the same windows and for the same number of steps; only the loss differed. "
            f"They were then examined on {size.test_scenes} scenes that neither had seen."
        ),
        facts=facts,
        metrics=[metric for metric in metrics_of(baseline) if metric.key in HEADLINES],
        methods=[
            result_of(method.name, scores[method.key], baseline.definitions, method.description) for method in METHODS
        ],
        tolerance=TOLERANCE,
        charts=[
            _chart(out, "IoU on validation windows", "iou"),
            _chart(out, "Boundary F1 on validation windows, convention pixels, 2 px", "boundary_f1"),
            _chart(out, "Perimeter ratio on validation windows", "perimeter_ratio"),
        ],
        gallery=_gallery(out, scores),
        large_scene=_large(out),
        notes=(
            "One seed is an illustration, not evidence: differences of a few hundredths between the two columns are "
            "within what another seed would give.",
            "The labels here are exact. What the boundary term is worth where they are not, and what the published "
            "form of it does there, is in docs/research/boundary-loss.md.",
            "The scenes are synthetic. A network trained on them maps synthetic scenes; for real ground, train on "
            "real imagery with crispmap fit.",
        ),
    )


def _chart(out: Path, title: str, metric: str) -> Chart:
    curves = []
    for method in METHODS:
        rows = validations(out / "runs" / method.key)
        curves.append(Curve(method.name, [row["step"] for row in rows], [row[metric] for row in rows]))
    return Chart(title, curves)


def _gallery(out: Path, scores: dict[str, Evaluation]) -> list[GallerySample]:
    """The scenes on which the baseline does worst, middling and best by IoU."""
    ranked = sorted(scores[METHODS[0].key].images, key=lambda image: image.iou)
    chosen = {"worst": ranked[0], "middling": ranked[len(ranked) // 2], "best": ranked[-1]}
    samples = []
    for rank, image in chosen.items():
        raster = Raster.of(out / "test" / "images" / f"{image.name}.tif")
        predictions = []
        for method in METHODS:
            score = next(other for other in scores[method.key].images if other.name == image.name)
            caption = f"IoU {score.iou:.3f}, boundary F1 {score.boundary_f1:.3f}"
            mask = out / "predictions" / method.key / "test" / f"{image.name}_mask.tif"
            predictions.append(Prediction(_mask(mask), caption))
        truth = _mask(out / "test" / "masks" / f"{image.name}.tif")
        name = f"{image.name}, the baseline's {rank} of {len(ranked)} by IoU"
        samples.append(GallerySample(name, raster.read(raster.window)[0], truth, predictions))
    return samples


def _mask(path: Path) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    mask = MaskRaster.of(path)
    pixels: np.ndarray[tuple[int, int], np.dtype[np.bool_]] = mask.read(mask.raster.window)[0]
    return pixels


def _large(out: Path) -> LargeScene:
    method = METHODS[-1]
    raster = Raster.of(out / "large" / "images" / "scene_0000.tif")
    found = Footprints.read(out / "predictions" / method.key / "large" / "scene_0000_footprints.gpkg")
    truth = Footprints.read(out / "large" / "footprints.gpkg")
    return LargeScene(
        name=f"One large scene, {raster.width}×{raster.height} pixels",
        image=raster.read(raster.window)[0],
        footprints=found.in_pixels(raster),
        caption=(
            f"{len(found.polygons)} footprints predicted {method.name}, from overlapping windows blended into one map; "
            f"the truth has {len(truth.polygons)}, of which those in a row share walls and come out as one."
        ),
    )
