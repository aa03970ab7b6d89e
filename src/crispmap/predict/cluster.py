"""Rasters predicted by the machines and GPUs of a Ray cluster: one that runs already, or one for the occasion.

Shards of rasters (`crispmap.predict.shards`) are tasks, and so is making a raster's outputs of its shards. They meet in
the folder of what is unfinished, which all machines see under the same name, as they do the images; the network reaches
them through Ray's object store, as plain tensors and a specification. Every task may be done twice: Ray starts it anew,
elsewhere, when its worker dies, and a later call leaves out what it finds done.
"""

import logging
import os
import shutil
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from itertools import islice
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from crispmap import __version__
from crispmap.errors import CrispmapError, OutputError, SettingError, first_line
from crispmap.geo.caution import allow_network, asks_for_network
from crispmap.geo.drivers import keep_few_drivers
from crispmap.models import SegmentationModel
from crispmap.predict.claim import claimed
from crispmap.predict.inference import check_precision, device_of, with_batch_size
from crispmap.predict.origin import Origin
from crispmap.predict.plan import Job, Settings, check
from crispmap.predict.rasters import Prediction, finish, take_up
from crispmap.predict.shards import Shard, join_shards, shards_of, write_shard
from crispmap.predict.spool import Journal
from crispmap.predict.stream import tiles_of
from crispmap.progress import progress_bar

if TYPE_CHECKING:
    from ray import ObjectRef

    Ref = ObjectRef[Any]

log = logging.getLogger("crispmap")

_RETRIES = 5  # of a task whose worker died; machines that are cheap because they may be taken away go one by one
_WATCHED = 1000  # tasks at a time; whenever one ends, Ray looks at each of them
_VERSIONS = f"crispmap {__version__} with torch {torch.__version__}"


def predict_on_cluster(
    model: SegmentationModel,
    jobs: Sequence[Job],
    settings: Settings | None = None,
    *,
    run: str | None = None,
    shard_windows: int | None = None,
) -> list[Prediction]:
    """Predicts rasters with Ray, with a progress bar in windows.

    The cluster is the one this process is connected to; else the one that ``RAY_ADDRESS`` names or that was started on
    this machine; else one of this machine's processors and GPUs that ends with the call. Its machines see the images
    and the folder of the outputs under the same paths, and have the same versions of crispmap and torch. A task takes
    one processor, and one GPU where the cluster has any.

    The maps are byte for byte those of `crispmap.predict.rasters.predict_rasters` with one thread on a device of the
    same kind, however rasters are cut into shards. Interrupted and called again, this goes on where it was, also where
    `predict_rasters` began. When a raster turns out to be damaged, the others are written before that is raised.

    Args:
        model: Built anew on the workers from its specification and weights; itself it stays where it is.
        jobs: From `crispmap.predict.plan.plan`.
        settings: How; the device is ``"auto"`` (GPUs if the cluster has any), ``"cpu"`` or ``"cuda"``.
        run: Where the model came from, for the tags of the maps.
        shard_windows: How many windows a shard has, at least; see `crispmap.predict.shards.shards_of`.

    Raises:
        InputError: If a raster is not what the model was trained on, before any is predicted; or if one is damaged.
        OutputError: If outputs are there that an interrupted call with another model or other settings wrote, or a
            machine does not see their folder, another process is at work on them, or they cannot be written as a whole.
        SettingError: If the cluster does not answer, lacks the device, or a machine has other versions.
        CrispmapError: If the workers that predict a raster die again and again.
        ModuleNotFoundError: Without Ray, which ``crispmap[ray]`` brings.
    """
    settings = settings or Settings()
    for job in jobs:
        check(job.raster, model.spec)
    with claimed([job.unfinished for job in jobs]), _connected() as ray:
        device = _device_of(settings.device, gpus=ray.cluster_resources().get("GPU", 0))
        journals, settings, origin = take_up(model, jobs, settings, device, run)
        tasks = _Tasks(ray, model, replace(settings, device=device.type), origin)
        with progress_bar("predict", sum(len(tiles_of(job.raster, model.spec, settings)) for job in jobs)) as bar:
            for job, journal in zip(jobs, journals, strict=True):
                shards = shards_of(tiles_of(job.raster, model.spec, settings), job.raster.height, shard_windows)
                bar.advance(tasks.submit(_begin(job, journal, tasks.batch_size), journal, shards))
            tasks.wait(bar.advance)
        journals = [_journal_of(job) for job in jobs]
        for journal in journals:
            journal.remove()
    return [Prediction(job, journal.footprints) for job, journal in zip(jobs, journals, strict=True)]


@contextmanager
def _connected() -> Iterator[ModuleType]:
    """Ray, connected to a cluster; one that it had to start for this is stopped again."""
    import ray

    if ray.is_initialized():
        yield ray
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    except ConnectionError as error:
        raise SettingError(
            f"no Ray cluster answers at {os.environ.get('RAY_ADDRESS', 'the address of the last one here')}; "
            "start it (`ray start --head`), or unset RAY_ADDRESS"
        ) from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _device_of(name: str, gpus: float) -> torch.device:
    """The kind of device on which a cluster predicts; which of them, Ray says to each task."""
    if name not in ("auto", "cpu", "cuda"):
        raise SettingError(f"a cluster hands out its GPUs itself; take --device cuda, cpu or auto, not '{name}'")
    if name == "cuda" and not gpus:
        raise SettingError("the Ray cluster has no GPU; take --device cpu, or auto")
    return torch.device("cuda" if gpus and name != "cpu" else "cpu")


def _begin(job: Job, journal: Journal, batch_size: int) -> Job:
    """Makes the folder of what is unfinished, and gives the job as every machine can read it."""
    if not journal.batch_size:
        shutil.rmtree(job.unfinished, ignore_errors=True)  # what is of no use any more
        journal.batch_size = batch_size
        journal.write()
    path = job.raster.path
    if job.scratch is not None:
        path = job.unfinished.absolute() / path.name
        shutil.copyfile(job.raster.path, path)
    elif path.exists():
        path = path.absolute()
    return replace(job, raster=replace(job.raster, path=path), out=job.out.absolute(), scratch=None)


class _Pending(NamedTuple):
    """A task that has not ended: of which job, and how many windows it predicts."""

    job: Job
    windows: int


class _Tasks:
    """What a cluster has to do in one call.

    Attributes:
        batch_size: Windows a batch, found on one of the workers where it is not known.
    """

    def __init__(self, ray: ModuleType, model: SegmentationModel, settings: Settings, origin: Origin) -> None:
        self._ray, self._origin = ray, origin
        self._pending: dict[Ref, _Pending] = {}
        self._failed: dict[str, BaseException] = {}
        weights = {name: tensor.detach().cpu() for name, tensor in model.state_dict().items()}
        # inside a tuple a reference reaches the tasks as such, so that each worker fetches the weights once
        self._model = (ray.put((_VERSIONS, model.spec, weights)),)
        takes = {"num_cpus": 1, "max_retries": _RETRIES} | ({"num_gpus": 1} if settings.device == "cuda" else {})
        self._predict = ray.remote(**takes)(_predict)
        self._finish = ray.remote(num_cpus=1, max_retries=_RETRIES)(_finish)
        found = ray.remote(**takes)(_find_batch_size).remote(self._model, settings)
        try:
            self.batch_size: int = ray.get(found)
        except ray.exceptions.RayError as error:
            raise _said_plainly(error, "the first task") from error
        self._settings = replace(settings, batch_size=self.batch_size)

    def submit(self, job: Job, journal: Journal, shards: Sequence[Shard]) -> int:
        """Hands in what is left to do of a job; gives how many of its windows are done already."""
        windows = sum(shard.windows for shard in shards)
        if journal.stage == "done":
            return windows
        from_row = journal.rows if journal.stage == "rows" else job.raster.height
        shards = [shard._replace(first=max(shard.first, from_row)) for shard in shards if shard.end > from_row]
        missing = [shard for shard in shards if not shard.path(job).exists()]
        if 0 < len(missing) < len(shards):
            log.info("%s: %d of %d shards are there already", job.stem, len(shards) - len(missing), len(shards))
        predicted = [self._predict.remote(self._model, job, self._settings, shard) for shard in missing]
        finished = self._finish.remote(job, self._settings, self._origin, shards, *predicted)
        for task, shard in zip(predicted, missing, strict=True):
            self._pending[task] = _Pending(job, shard.windows)
        self._pending[finished] = _Pending(job, 0)
        return windows - sum(shard.windows for shard in missing)

    def wait(self, on_windows: Callable[[int], None]) -> None:
        """Waits until all is done that can be; then raises what kept the first job from it that could not."""
        try:
            while self._pending:
                ended, _ = self._ray.wait(list(islice(self._pending, _WATCHED)))
                for task in ended:
                    if task in self._pending:  # else its job has failed meanwhile
                        self._settle(task, on_windows)
        except BaseException as error:
            for task in self._pending:
                self._ray.cancel(task)
            if isinstance(error, KeyboardInterrupt):
                log.info("what is done is kept; the same command goes on from there")
            raise
        for stem, failure in list(self._failed.items())[1:]:
            log.info("%s: %s", stem, failure)
        if self._failed:
            raise next(iter(self._failed.values()))

    def _settle(self, task: "Ref", on_windows: Callable[[int], None]) -> None:
        """Takes note of a task that has ended; where one has failed, the others of its job are of no use."""
        job, windows = self._pending.pop(task)
        try:
            self._ray.get(task)
        except self._ray.exceptions.RayError as error:
            self._failed[job.stem] = _said_plainly(error, str(job.raster.path))
            for other in [other for other, pending in self._pending.items() if pending.job is job]:
                self._ray.cancel(other)
                del self._pending[other]
        else:
            on_windows(windows)


def _said_plainly(error: Exception, what: str) -> BaseException:
    """What went wrong in a task as if it had happened here; a bug keeps the worker's trace."""
    from ray.exceptions import RayTaskError

    if not isinstance(error, RayTaskError):
        return CrispmapError(
            f"{what}: Ray has given up ({first_line(error)}), after {_RETRIES} more attempts; have the machines memory "
            "enough? What is done is kept; the same command goes on from there"
        )
    cause: BaseException = error.cause
    return cause if isinstance(cause, (CrispmapError, OSError)) else error


def _find_batch_size(model: "tuple[Ref]", settings: Settings) -> int:
    """Runs on a worker: looks whether it can do what is asked, and how many windows a time."""
    check_precision(settings.precision, device_of(settings.device))
    return with_batch_size(_model(model[0], settings.device), settings).batch_size or 0


def _predict(model: "tuple[Ref]", job: Job, settings: Settings, shard: Shard) -> None:
    """Runs on a worker: a shard into its file."""
    keep_few_drivers()  # the environment of another machine is not that of the command
    if any(map(asks_for_network, job.inputs)):
        allow_network()
    _journal_of(job)
    write_shard(_model(model[0], settings.device), job, settings, shard)


def _finish(job: Job, settings: Settings, origin: Origin, shards: Sequence[Shard], *predicted: None) -> None:
    """Runs on a worker once the shards are there: these into the outputs."""
    journal = _journal_of(job)
    if journal.stage == "rows" and journal.rows < job.raster.height:
        join_shards(job, journal, shards)
    finish(job, journal, settings, origin)


def _journal_of(job: Job) -> Journal:
    journal = Journal.read(job.unfinished)
    if journal is None:
        raise OutputError(
            f"{socket.gethostname()} does not see {job.unfinished}; the machines of a cluster must share OUT"
        )
    return journal


@lru_cache(maxsize=1)
def _model(content: "Ref", device: str) -> SegmentationModel:
    """The network in this worker, which keeps it from task to task."""
    import ray

    versions, spec, weights = ray.get(content)
    if versions != _VERSIONS:
        raise SettingError(f"{socket.gethostname()} has {_VERSIONS}, but the command was given by {versions}")
    torch.set_num_threads(1)  # for the one processor that a task takes
    model = SegmentationModel(spec)
    model.load_state_dict(weights)
    return model.to(device_of(device)).eval()
