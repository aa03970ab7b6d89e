"""Training: from imagery and labels on disk to a run folder with a model in it."""

import csv
import inspect
import logging
import warnings
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from jsonargparse import ArgumentParser
from lightning.pytorch import Callback, Trainer, seed_everything
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from torch import nn

from crispmap import __version__
from crispmap.callbacks import JaggednessGuard, ProgressLines
from crispmap.data.folder import check_alike, find_scenes, look_at_labels, network_scale
from crispmap.data.module import WindowDataModule
from crispmap.data.published import open_dataset
from crispmap.data.scene import Region, Scene
from crispmap.data.split import split_by_space
from crispmap.data.statistics import Statistics, measure
from crispmap.errors import InputError, SettingError
from crispmap.geo.raster import parse_nodata
from crispmap.losses import BCELoss, BoundaryLoss, IoULoss, MixedLoss, RampWeight
from crispmap.losses.distance import uses_distance
from crispmap.models import MODEL_FILE, ModelSpec, SegmentationModel, load_model
from crispmap.settings import FitSettings
from crispmap.task import SegmentationTask
from crispmap.whole import clear, whole_file

log = logging.getLogger("crispmap")

CONFIG_FILE = "config.yaml"
METRICS_FILE = "metrics.csv"
_RUN_PARTS = (MODEL_FILE, CONFIG_FILE, METRICS_FILE, "hparams.yaml", "checkpoints", "tensorboard")


@dataclass(frozen=True)
class FitResult:
    """What came of a run.

    Attributes:
        run: Its folder.
        metrics: Step and validation metrics of the checkpoint that was kept, as `validations` has them.
    """

    run: Path
    metrics: dict[str, float]


def fit(settings: FitSettings) -> FitResult:
    """Trains a network and leaves in ``settings.out`` all that is needed to predict with it.

    Written: ``model.pt`` (weights of the best checkpoint by validation IoU, normalisation, bands, classes, ground
    resolution), ``config.yaml`` (the settings, which give the run again), ``metrics.csv`` and ``tensorboard/``
    (what was logged), ``checkpoints/`` (best and last).

    Raises:
        CrispmapError: If settings or data cannot work; nothing has been written then.
    """
    build_loss(settings.loss)  # mistakes in it show before labels are looked through
    check_trainer_arguments(settings.trainer)
    return fit_regions(settings, *find_regions(settings))


def fit_regions(
    settings: FitSettings,
    train: list[Region],
    val: list[Region],
    *,
    start: Path | None = None,
    stop: int | None = None,
    monitor: str = "iou",
) -> FitResult:
    """Does what `fit` does, on ground that has been found, and the whole way or a part of it.

    A run in parts, each started from the last checkpoint of the one before, gives the same weights as one that was
    never stopped: learning rate, loss schedule and samples follow from the step alone.

    Args:
        settings: Of the whole run.
        train: Where training windows may lie, of `find_regions`.
        val: What validation covers.
        start: A run's checkpoints/last.ckpt to go on from, weights, optimiser and position; from step 0 without it.
        stop: The step after which to stop, the end of an epoch; the end of the run by default.
        monitor: The validation metric by which the best checkpoint is kept.

    Raises:
        CrispmapError: If settings or data cannot work.
    """
    loss = build_loss(settings.loss)
    check_trainer_arguments(settings.trainer)
    if settings.model.weights is not None and start is None:
        log.info("looking for the pretrained weights '%s'", settings.model.weights)
    spec, model = _model(settings, train, start)
    task = SegmentationTask(
        model,
        loss,
        total_steps=settings.steps,
        learning_rate=settings.optim.learning_rate,
        weight_decay=settings.optim.weight_decay,
    )
    run = settings.out
    run.mkdir(parents=True, exist_ok=True)
    clear(run, _RUN_PARTS)  # of an older run there, only what it wrote
    (run / CONFIG_FILE).write_text(yaml.safe_dump(settings.plain(), sort_keys=False))
    log.info(
        "%d training and %d validation images, %d + %d places of the class; %s/%s, %.1f M parameters",
        *(len({id(region.scene) for region in part}) for part in (train, val)),
        *(sum(len(region.anchors) for region in part) for part in (train, val)),
        spec.architecture,
        spec.encoder,
        sum(p.numel() for p in model.parameters()) / 1e6,
    )
    data = WindowDataModule(
        train,
        val,
        window=settings.data.window,
        batch_size=settings.data.batch_size,
        steps=settings.steps,
        steps_per_epoch=settings.epoch,
        seed=settings.seed,
        class_share=settings.data.class_share,
        val_windows=settings.data.val_windows,
        statistics=Statistics(spec.mean, spec.std) if settings.data.photometric else None,
        distance=uses_distance(loss),
        workers=settings.data.workers,
    )
    folder = run / "checkpoints"
    best = ModelCheckpoint(
        folder, "best", monitor=f"val/{monitor}", mode="max", save_weights_only=True, enable_version_counter=False
    )
    last = ModelCheckpoint(folder, "last", enable_version_counter=False)  # with the optimiser, to go on from
    _trainer(settings, stop or settings.steps, [best, last]).fit(
        task, datamodule=data, ckpt_path=start, weights_only=True
    )
    if not best.best_model_path:
        raise SettingError("training ended before its first validation; give it more time or --steps-per-epoch")
    checkpoint = torch.load(best.best_model_path, map_location="cpu", weights_only=True)
    kept = load_model(best.best_model_path)
    metrics = next(row for row in validations(run) if row["step"] == checkpoint["global_step"])
    kept.spec = replace(spec, training=_provenance(settings, metrics))
    with whole_file(run / MODEL_FILE) as path:
        kept.save(path)
    return FitResult(run, metrics)


def validations(run: Path) -> list[dict[str, float]]:
    """What a run logged at each validation: ``step`` (steps done) and the metrics, named without ``val/``."""
    with (run / METRICS_FILE).open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["val/iou"]]
    return [
        {"step": float(row["step"]) + 1}
        | {name.removeprefix("val/"): float(value) for name, value in row.items() if name.startswith("val/")}
        for row in rows
    ]


def build_loss(given: str | dict[str, Any] | None) -> nn.Module:
    """Makes a loss from its class path, as in YAML; by default BCE + w·boundary + (1 − w)·IoU, w growing to 0.9.

    Raises:
        SettingError: If it cannot be made.
    """
    if given is None:
        return MixedLoss(BoundaryLoss(reduction="batch"), IoULoss(), BCELoss(), weight=RampWeight())
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("loss", type=nn.Module)
    try:
        loss: nn.Module = parser.instantiate(parser.parse_object({"loss": given})).loss
    except SettingError:
        raise
    except Exception as error:  # whatever a constructor may raise
        raise SettingError(f"--loss cannot be made: {str(error).strip()}") from error
    return loss


def check_trainer_arguments(arguments: dict[str, Any]) -> None:
    """Checks that Lightning's Trainer knows them.

    Raises:
        SettingError: If it does not, or if `fit` sets them itself.
    """
    ours = {
        "max_steps",
        "max_epochs",
        "reload_dataloaders_every_n_epochs",
        "logger",
        "callbacks",
        "default_root_dir",
    }
    known = set(inspect.signature(Trainer).parameters) - ours
    for name in arguments:
        if name not in known:
            raise SettingError(f"--trainer.{name} is not to be set; there are {', '.join(sorted(known))}")


def find_regions(settings: FitSettings) -> tuple[list[Region], list[Region]]:
    """The ground for training and that for validation: named, or cut from each other by space.

    Raises:
        InputError: If the data cannot be used.
        PairingError: If images and labels do not belong together.
    """
    if settings.dataset is not None:
        return _published_regions(settings, settings.dataset)
    assert settings.labels is not None  # FitSettings sees to it
    how: dict[str, Any] = {
        "area": settings.area,
        "nodata": parse_nodata(settings.nodata),
        "scale": settings.scale,
        "resolution": settings.resolution,
    }
    scenes = find_scenes(settings.images, settings.labels, **how)
    if settings.val_images is None or settings.val_labels is None:
        return split_by_space(scenes, settings.data.window, settings.data.val_share)
    others = find_scenes(settings.val_images, settings.val_labels, **how)
    check_alike([scenes[0].image, others[0].image])
    return tuple([Region(s, s.image.window) for s in part] for part in (scenes, others))  # type: ignore[return-value]


def _published_regions(settings: FitSettings, dataset: str | dict[str, Any]) -> tuple[list[Region], list[Region]]:
    choices = {"name": dataset} if isinstance(dataset, str) else dict(dataset)
    if "name" not in choices:
        raise SettingError(f"--dataset is {dataset}; it is a name, or a name with choices: {{name: potsdam, …}}")
    if choices.get("classes") == "all":
        raise SettingError("networks of one class are trained; leave out --dataset's classes, or set it to building")
    found = open_dataset(choices.pop("name"), settings.images, **choices)
    for note in found.notes:
        log.info("%s", note)

    def regions(scenes: list[Scene]) -> list[Region]:
        brought = [
            replace(
                scene,
                scale=network_scale(scene.image, settings.scale, settings.resolution),
                nodata=scene.nodata if settings.nodata is None else parse_nodata(settings.nodata),
            )
            for scene in scenes
        ]
        look_at_labels(brought)
        return [Region(scene, scene.image.window) for scene in brought]

    train, val = regions(found.train), regions(found.val)
    if not any(len(region.anchors) for region in train) or not val:
        raise InputError(
            f"{found.root} holds nothing to learn from, or nothing to validate on; see crispmap check-data"
        )
    return train, val


def _model(settings: FitSettings, train: list[Region], start: Path | None) -> tuple[ModelSpec, SegmentationModel]:
    seed_everything(settings.seed, verbose=False)
    if start is not None:
        model = load_model(start).train()
        return model.spec, model
    image = train[0].scene.image
    seen = [r.scene.image.resolution / r.scene.scale for r in train if r.scene.image.resolution]
    here: dict[str, Any] = {
        "window": settings.data.window,
        "scale": settings.scale,
        "resolution": settings.resolution,
        "trained_resolution": float(np.median(seen)) if seen else None,
    }
    if settings.init is not None:
        model = load_model(settings.init).train()
        if (model.spec.bands, model.spec.dtype) != (len(image.bands), image.dtype):
            raise SettingError(
                f"{settings.init} was trained on {model.spec.bands} bands of {model.spec.dtype}, but {image.path.name} "
                f"has {len(image.bands)} of {image.dtype}; leave out --init"
            )
        model.spec = replace(model.spec, **here)
        return model.spec, model
    statistics = measure([region.scene for region in train], settings.seed)
    spec = ModelSpec(
        architecture=settings.model.architecture,
        encoder=settings.model.encoder,
        decoder_channels=tuple(settings.model.decoder_channels),
        bands=len(image.bands),
        dtype=image.dtype,
        mean=statistics.mean,
        std=statistics.std,
        **here,
    )
    return spec, SegmentationModel(spec, settings.model.weights)


def _trainer(settings: FitSettings, stop: int, checkpoints: list[ModelCheckpoint]) -> Trainer:
    callbacks: list[Callback] = [*checkpoints, ProgressLines(), JaggednessGuard()]
    if settings.optim.patience is not None:
        callbacks.append(EarlyStopping("val/iou", mode="max", patience=settings.optim.patience))
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="lightning")
    return Trainer(
        **{
            "precision": _precision(),
            "enable_model_summary": False,
            "enable_progress_bar": False,
            "log_every_n_steps": 10,
            "num_sanity_val_steps": 0,
        }
        | settings.trainer,
        max_steps=stop,
        max_epochs=-1,
        reload_dataloaders_every_n_epochs=1,
        logger=[
            CSVLogger(settings.out, name="", version=""),
            TensorBoardLogger(settings.out, "tensorboard", ""),
        ],
        callbacks=callbacks,
        default_root_dir=settings.out,
    )


def _precision() -> Any:
    """Half the width where the processor computes with it; the master weights stay float32."""
    if torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported() else "16-mixed"
    computes_bf16 = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)  # torch has no public question
    return "bf16-mixed" if computes_bf16() else "32-true"


def _provenance(settings: FitSettings, metrics: dict[str, float]) -> dict[str, Any]:
    return {
        "settings": settings.plain(),
        "metrics": metrics,
        "versions": {"crispmap": __version__}
        | {name: version(name) for name in ("torch", "segmentation_models_pytorch", "lightning")},
    }
