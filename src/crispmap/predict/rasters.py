"""Rasters predicted into files: probability and mask on the raster's own grid, and footprints."""

import logging
import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

import torch

from crispmap.errors import OutputError
from crispmap.export.stac import write_item
from crispmap.export.stac_prediction import prediction_item
from crispmap.export.styles import write_styles
from crispmap.geo.raster import opened
from crispmap.models import SegmentationModel
from crispmap.predict.claim import claimed
from crispmap.predict.identity import identity
from crispmap.predict.inference import check_precision, device_of, with_batch_size
from crispmap.predict.maps import write_mask, write_probability
from crispmap.predict.origin import Origin
from crispmap.predict.overlap import put_away_behind
from crispmap.predict.plan import Job, Settings, check, check_free
from crispmap.predict.spool import ROWS_FILE, Journal, RowSpool
from crispmap.predict.stream import predict_bands, tiles_of
from crispmap.progress import progress_bar
from crispmap.vectorize.writing import write_footprints
from crispmap.whole import to_disk

log = logging.getLogger("crispmap")


@dataclass(frozen=True)
class Prediction:
    """What became of one raster; ``footprints`` is their number, None where they were not wanted."""

    job: Job
    footprints: int | None


def predict_rasters(
    model: SegmentationModel, jobs: Sequence[Job], settings: Settings | None = None, *, run: str | None = None
) -> list[Prediction]:
    """Predicts rasters one after the other, with a progress bar in windows.

    The files of a raster appear together, when all of them are made. What is done is kept in folders beside them until
    all jobs are done: interrupted, even killed, and called again with the same arguments, this goes on where it was,
    and writes the same maps, byte for byte, as if nothing had happened. What was kept of another image, model or
    setting is begun anew.

    Args:
        model: Is moved to the device of the settings.
        jobs: From `crispmap.predict.plan.plan`.
        settings: How; the defaults if not given.
        run: Where the model came from, for the tags of the maps.

    Raises:
        InputError: If a raster is not what the model was trained on, before any is predicted; or if one turns
            out to be damaged, once those before it are written.
        OutputError: If outputs are there that an interrupted call with another model or other settings wrote, another
            process is at work on them, or they cannot be written as a whole.
        SettingError: If the device is not there, or does not do what is asked.
    """
    settings = settings or Settings()
    for job in jobs:
        check(job.raster, model.spec)
    device = device_of(settings.device)
    check_precision(settings.precision, device)
    model = model.to(device).eval()
    with claimed([job.unfinished for job in jobs]):
        journals, settings, origin = take_up(model, jobs, settings, device, run)
        settings = with_batch_size(model, settings)
        with progress_bar("predict", sum(len(tiles_of(job.raster, model.spec, settings)) for job in jobs)) as bar:
            try:
                for job, journal in zip(jobs, journals, strict=True):
                    _predict(model, job, journal, settings, origin, bar.advance)
            except KeyboardInterrupt:
                log.info("what is done is kept; the same command goes on from there")
                raise
        for journal in journals:
            journal.remove()
    return [Prediction(job, journal.footprints) for job, journal in zip(jobs, journals, strict=True)]


def take_up(
    model: SegmentationModel, jobs: Sequence[Job], settings: Settings, device: torch.device, run: str | None
) -> tuple[list[Journal], Settings, Origin]:
    """The journals of some jobs, the settings with the batch size that these know, and where the outputs come from.

    Raises:
        OutputError: If outputs are there that another call wrote, such as an interrupted one with another model.
    """
    for job in jobs:
        check_free(job)  # again, now that nobody else can write them
    origin = Origin.of(model, settings, run)
    name = f"{origin.tags['CRISPMAP_MODEL']} {run}"
    journals = [_journal(job, identity(job, settings, device, name)) for job in jobs]
    known = next((journal.batch_size for journal in journals if journal.batch_size), None)
    return journals, replace(settings, batch_size=settings.batch_size or known), origin


def _journal(job: Job, identity: dict[str, str]) -> Journal:
    """The journal of a job: one that an interrupted call has left and that still holds, or a new one."""
    new = Journal(job.unfinished, identity, batch_size=0)
    found = Journal.read(job.unfinished)
    if found is None:
        return new
    there = [path for path in job.outputs if path.exists()]
    made = {*there, *(path for path in job.outputs if (job.unfinished / path.name).exists())}
    changed = [what for what, value in identity.items() if found.identity.get(what) != value]
    if changed:
        if there and not job.overwrite:
            raise OutputError(f"{there[0]} exists already, made before {changed[0]} changed; give --overwrite")
        log.info("%s: starting over, because %s has changed", job.stem, " and ".join(changed))
        return new
    if found.stage == "done" and len(there) < len(job.outputs):
        return new
    if found.stage == "moving" and len(made) < len(job.outputs):
        return new
    if found.stage == "rows" and not found.holds(job.raster.width):
        return new
    if found.stage == "rows" and found.rows:
        log.info("%s: going on from row %d of %d", job.stem, found.rows, job.raster.height)
    return found


def _predict(
    model: SegmentationModel,
    job: Job,
    journal: Journal,
    settings: Settings,
    origin: Origin,
    on_windows: Callable[[int], None],
) -> None:
    """Takes one job from wherever its journal says it is to its end."""
    if journal.stage == "rows" and journal.rows < job.raster.height:
        _spool_rows(model, job, journal, settings, on_windows)
    else:
        on_windows(len(tiles_of(job.raster, model.spec, settings)))
    finish(job, journal, settings, origin)


def finish(job: Job, journal: Journal, settings: Settings, origin: Origin) -> None:
    """Takes a job whose rows are all in its spool, or that is further, to its end."""
    if journal.stage == "rows":
        journal.footprints = _make_outputs(job, settings, origin)
        for path in job.outputs:
            to_disk(job.unfinished / path.name)  # for the next journal vouches for them
        journal.stage = "moving"
        journal.write()
    if journal.stage == "moving":
        _move(job)
        journal.stage = "done"
        journal.write()
        (job.unfinished / ROWS_FILE).unlink(missing_ok=True)


def _spool_rows(
    model: SegmentationModel, job: Job, journal: Journal, settings: Settings, on_windows: Callable[[int], None]
) -> None:
    """Predicts the rows that are missing; a thread of its own writes them."""
    if not journal.rows:
        shutil.rmtree(job.unfinished, ignore_errors=True)  # what is of no use any more
        job.unfinished.mkdir(parents=True)
        journal.batch_size = settings.batch_size or 0
    with (
        RowSpool.opened(journal, job.raster.width) as spool,
        closing(predict_bands(model, job.raster, settings, on_windows, start=journal.rows)) as bands,
    ):
        put_away_behind(bands, lambda band: spool.append(band.levels, band.valid))


def _make_outputs(job: Job, settings: Settings, origin: Origin) -> int | None:
    """Makes every output in the folder of what is unfinished; gives the number of footprints, where they are wanted.

    A level of the probability raster is 255 times the probability, rounded, and the mask is 255 from ``255 ×
    threshold`` on, so that the two files always agree. Pixels without data are 0 in both, and told from the rest by the
    mask band inside each file.
    """
    rows = job.unfinished / ROWS_FILE
    layers = {layer: job.unfinished / path.name for layer, path in job.layers.items()}
    for path in layers.values():
        path.unlink(missing_ok=True)  # a kill may have left a part
    with opened(job.raster.path) as file:
        tags = file.tags() | origin.tags
    write_probability(layers["probability"], rows, job.raster, tags)
    write_mask(layers["mask"], rows, job.raster, settings.threshold, tags)
    write_styles(layers)
    described = prediction_item(
        job.stem,
        job.raster,
        layers,
        origin.spec,
        threshold=settings.threshold,
        folder=job.out,
        sources=job.inputs,
        model=origin.item,
    )
    write_item(described, job.unfinished / job.item.name)
    if not job.wants_footprints:
        return None
    return write_footprints(layers["probability"], layers["footprints"], settings.footprints)


def _move(job: Job) -> None:
    """Moves the outputs to their places; older footprints, where none are wanted, would not belong to them."""
    for path in job.outdated:
        path.unlink(missing_ok=True)
    for path in job.outputs:
        made = job.unfinished / path.name
        if made.exists():  # else a call before this one has moved it
            os.replace(made, path)
