"""Training: from imagery and labels on disk to a run folder with a model in it."""

import inspect
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jsonargparse import ArgumentParser
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback, Trainer, seed_everything
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only
from torch import nn

from crispmap import __version__
from crispmap.callbacks import JaggednessGuard, ProgressLines, SavedLogs
from crispmap.checkpoints import WholeCheckpoints
from crispmap.data.module import WindowDataModule
from crispmap.data.regions import find_regions
from crispmap.data.scene import Region
from crispmap.data.statistics import Statistics, measure
from crispmap.errors import CrispmapError, SettingError, one_line
from crispmap.export.stac import write_item
from crispmap.export.stac_model import model_item
from crispmap.loggers import MetricsTable, build_loggers
from crispmap.losses import BCELoss, BoundaryLoss, IoULoss, MixedLoss, RampWeight
from crispmap.losses.distance import uses_distance
from crispmap.models import ModelSpec, SegmentationModel, half_precision, load_model
from crispmap.run import (
    CHECKPOINTS,
    METRICS_FILE,
    MODEL_FILE,
    MODEL_ITEM_FILE,
    Row,
    begin,
    last_checkpoint,
    logged_before,
    validations,
)
from crispmap.settings import FitSettings
from crispmap.task import SegmentationTask
from crispmap.whole import clear_abandoned, whole_file

log = logging.getLogger("crispmap")


@dataclass(frozen=True)
class FitResult:
    """What came of a run.

    Attributes:
        run: Its folder.
        metrics: Step and validation metrics of the checkpoint that was kept, as `crispmap.run.validations` has them;
            none in the processes beside the first of several.
    """

    run: Path
    metrics: dict[str, float]


def fit(settings: FitSettings, *, resume: bool = False) -> FitResult:
    """Trains a network and leaves in ``settings.out`` all that is needed to predict with it.

    Written: ``model.pt`` (weights of the best checkpoint by validation IoU, normalisation, bands, classes, ground
    resolution), ``model.stac.json`` (the same in words, for catalogues), ``config.yaml`` (the settings, which give the
    run again), ``metrics.csv`` and ``tensorboard/`` (what was logged), ``checkpoints/`` (best and last).

    Args:
        settings: Of the run.
        resume: Whether to go on where a run of the same settings in that folder was stopped, as `fit_regions` does.

    Raises:
        CrispmapError: If settings or data cannot work; nothing has been written then.
    """
    build_loss(settings.loss)  # mistakes in it show before labels are looked through
    check_trainer_arguments(settings.trainer)
    return fit_regions(settings, *find_regions(settings), resume=resume)


def fit_regions(
    settings: FitSettings,
    train: list[Region],
    val: list[Region],
    *,
    start: Path | None = None,
    stop: int | None = None,
    monitor: str = "iou",
    resume: bool = False,
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
        resume: Whether to go on from the last validation of a run in ``settings.out`` that was stopped before its end,
            if it has the same settings; it ends with the weights and metrics that it would have had. Without such a
            run, or without ``resume``, what is in the folder of an older run is removed.

    Raises:
        CrispmapError: If settings or data cannot work.
    """
    loss = build_loss(settings.loss)
    check_trainer_arguments(settings.trainer)
    elsewhere = build_loggers(settings.trainer.get("logger"))
    going_on = last_checkpoint(settings) if resume and start is None else None
    start = start or going_on
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
    writes = getattr(rank_zero_only, "rank", 0) == 0  # of several processes, each of which comes by here, one
    done = 0 if going_on is None else steps_done(going_on)
    logged = logged_before(run, done) if done else []
    if writes and going_on is None:
        begin(settings)
    elif writes:
        clear_abandoned(run / CHECKPOINTS)
        log.info("going on from step %d of %d", done, settings.steps)
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
    folder = run / CHECKPOINTS
    best = ModelCheckpoint(
        folder, "best", monitor=f"val/{monitor}", mode="max", save_weights_only=True, enable_version_counter=False
    )
    last = ModelCheckpoint(folder, "last", enable_version_counter=False)  # with the optimiser, to go on from
    trainer = _trainer(settings, stop or settings.steps, [best, last], elsewhere, logged, done)
    with _errors_of_loaders_in_their_own_words():
        trainer.fit(task, datamodule=data, ckpt_path=start, weights_only=True)
    if not best.best_model_path or best.best_model_score is None:
        raise SettingError("training ended before its first validation; give it more time or --steps-per-epoch")
    if not writes:
        return FitResult(run, {})
    kept, kept_step = load_model(best.best_model_path), steps_done(Path(best.best_model_path))
    known = {"step": float(kept_step), monitor: float(best.best_model_score)}  # where its row was torn or lost
    metrics = next((row for row in validations(run) if row["step"] == kept_step), known)
    kept.spec = replace(spec, training=_provenance(settings, metrics))
    write_item(model_item(kept, run / MODEL_FILE, run), run / MODEL_ITEM_FILE)
    with whole_file(run / MODEL_FILE) as path:  # the last of all: where it is, a run has ended
        kept.save(path)
    return FitResult(run, metrics)


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
        "use_distributed_sampler",
        "callbacks",
        "default_root_dir",
    }
    known = set(inspect.signature(Trainer).parameters) - ours
    for name in arguments:
        if name not in known:
            raise SettingError(f"--trainer.{name} is not to be set; there are {', '.join(sorted(known))}")


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


def steps_done(checkpoint: Path) -> int:
    """The steps that were done when a checkpoint was written."""
    done: int = torch.load(checkpoint, map_location="cpu", weights_only=True)["global_step"]
    return done


@contextmanager
def _errors_of_loaders_in_their_own_words() -> Iterator[None]:
    """An error of a loader process comes with its whole trace as the message; what it said ends that."""
    try:
        yield
    except CrispmapError as error:
        name = f"{type(error).__module__}.{type(error).__qualname__}: "
        _, found, words = str(error).rpartition(name)
        if not found:
            raise
        raise type(error)(words.strip()) from error


def _trainer(
    settings: FitSettings,
    stop: int,
    checkpoints: list[ModelCheckpoint],
    elsewhere: list[Logger],
    logged: Sequence[Row],
    done: int,
) -> Trainer:
    """A trainer that goes to a step, of a run that has done and logged so much, and is logged elsewhere as well."""
    callbacks: list[Callback] = [*checkpoints, ProgressLines(), JaggednessGuard(), SavedLogs()]
    if settings.optim.patience is not None:
        callbacks.append(EarlyStopping("val/iou", mode="max", patience=settings.optim.patience))
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="lightning")
    try:
        return Trainer(
            **{
                "precision": _precision(),
                "enable_model_summary": False,
                "enable_progress_bar": False,
                "log_every_n_steps": 10,
                "num_sanity_val_steps": 0,
                "plugins": [WholeCheckpoints()],
            }
            | {name: value for name, value in settings.trainer.items() if name != "logger"},
            max_steps=stop,
            max_epochs=-1,
            reload_dataloaders_every_n_epochs=1,
            use_distributed_sampler=False,  # the data module shares samples out itself
            logger=[
                MetricsTable(settings.out / METRICS_FILE, logged),
                TensorBoardLogger(settings.out, "tensorboard", "", purge_step=done or None),
                *elsewhere,
            ],
            callbacks=callbacks,
            default_root_dir=settings.out,
        )
    except (ValueError, TypeError, RuntimeError, MisconfigurationException) as error:
        raise SettingError(f"--trainer: {one_line(error)}") from error


def _precision() -> Any:
    """Half the width where the device computes with it; the master weights stay float32."""
    names = {torch.bfloat16: "bf16-mixed", torch.float16: "16-mixed", None: "32-true"}
    return names[half_precision(torch.device("cuda" if torch.cuda.is_available() else "cpu"))]


def _provenance(settings: FitSettings, metrics: dict[str, float]) -> dict[str, Any]:
    return {
        "settings": settings.plain(),
        "metrics": metrics,
        "versions": {"crispmap": __version__}
        | {name: version(name) for name in ("torch", "segmentation_models_pytorch", "lightning")},
    }
