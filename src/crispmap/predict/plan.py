"""What will be predicted, how, and where it goes: every mistake found before the first prediction."""

import logging
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Literal

import numpy as np

from crispmap.errors import InputError, OutputError, SettingError
from crispmap.export.styles import Layer, style_path
from crispmap.geo.raster import Nodata, Raster, raster_files
from crispmap.predict.claim import claimed, lock_file
from crispmap.predict.mosaic import gdal_name, stem_of, write_mosaic
from crispmap.predict.spool import Journal
from crispmap.vectorize.formats import check_format
from crispmap.vectorize.settings import VectorizeSettings

if TYPE_CHECKING:  # models import torch
    from crispmap.models import ModelSpec

log = logging.getLogger("crispmap")

_LIST_SUFFIX = ".txt"
_LONGEST_NAME = 255  # bytes that file systems take
_BESIDE = ".msk.ovr.tmp"  # the longest that GDAL adds to a name while it makes a file


@dataclass(frozen=True)
class Settings:
    """How to predict.

    Attributes:
        threshold: A pixel belongs to the mask from this probability on, in (0, 1).
        patch: The side of the windows in pixels that the network sees (after scaling), at least 32.
        overlap: The share of a window's side that it has in common with the next one, in [0, 0.9].
        batch_size: Windows a batch; by default what suits the device.
        min_area: Footprints smaller than this are left out: m², or pixels where the raster has no place on
            the ground. By default 2 m², or 16 pixels.
        simplify: How far a footprint's outline may move to lose vertices: metres, or pixels where the raster
            has no place on the ground. By default 1.25 pixels, 1.75 if regularised.
        separate: Touching buildings are parted where the probability between their cores, of this probability and
            more, is lower; above the threshold, at most 1. None parts nothing.
        regularise: Whether walls are turned to the main directions of their building.
        nodata: Which pixels hold no data: the file's word (``"file"``), ``"none"`` or those of a value.
        device: ``"auto"`` (a GPU if there is one) or torch's name for one, such as ``"cpu"`` or ``"cuda:1"``.
        tta: Over how many flips and turns of each window the probability is averaged: 1 (none), 4 or 8.
        precision: ``"32"``, ``"bf16"``, or ``"auto"``: half the width where the device computes with it, as training.

    Raises:
        SettingError: If one of them is out of range.
    """

    threshold: float = 0.5
    patch: int = 512
    overlap: float = 0.25
    batch_size: int | None = None
    min_area: float | None = None
    simplify: float | None = None
    separate: float | None = None
    regularise: bool = False
    nodata: Nodata = "file"
    device: str = "auto"
    tta: Literal[1, 4, 8] = 1
    precision: Literal["auto", "32", "bf16"] = "auto"

    def __post_init__(self) -> None:
        _ = self.footprints  # which checks what is theirs
        if self.patch < 32:
            raise SettingError(f"the patch is at least 32 pixels a side, not {self.patch}")
        if not 0 <= self.overlap <= 0.9:
            raise SettingError(f"the overlap is a share of the patch from 0 to 0.9, not {self.overlap:g}")
        if self.batch_size is not None and self.batch_size < 1:
            raise SettingError(f"a batch has at least 1 window, not {self.batch_size}")
        if self.tta not in (1, 4, 8):
            raise SettingError(f"test-time augmentation takes 1, 4 or 8 flips and turns, not {self.tta}")
        if self.precision not in ("auto", "32", "bf16"):
            raise SettingError(f"the precision is auto, 32 or bf16, not '{self.precision}'")

    @property
    def footprints(self) -> VectorizeSettings:
        """How footprints are made of the probability."""
        return VectorizeSettings(
            self.threshold,
            separate=self.separate,
            min_area=self.min_area,
            simplify=self.simplify,
            regularise=self.regularise,
        )


@dataclass(frozen=True)
class Job:
    """One raster and the files its prediction becomes.

    Attributes:
        raster: What to predict.
        stem: What its outputs are called after.
        out: The folder for them.
        wants_footprints: Whether footprints are among them.
        overwrite: Whether they may replace what is there.
        inputs: The files behind the raster, in GDAL's words.
        scratch: The folder of the VRT that the raster is, where it is one made for this job; goes with the job.
    """

    raster: Raster
    stem: str
    out: Path
    wants_footprints: bool
    overwrite: bool
    inputs: tuple[str, ...]
    scratch: TemporaryDirectory[str] | None = field(default=None, repr=False, compare=False)

    @property
    def probability(self) -> Path:
        """Levels, 255 times the probability."""
        return self.out / f"{self.stem}_probability.tif"

    @property
    def mask(self) -> Path:
        """0 or 255."""
        return self.out / f"{self.stem}_mask.tif"

    @property
    def footprints(self) -> Path:
        """Polygons; where they are not wanted, older ones would not belong to the new maps."""
        return self.out / f"{self.stem}_footprints.gpkg"

    @property
    def item(self) -> Path:
        """What they are, as a STAC item."""
        return self.out / f"{self.stem}.stac.json"

    @property
    def layers(self) -> dict[Layer, Path]:
        """The maps that are wanted; each has a style beside it."""
        wanted: dict[Layer, Path] = {"probability": self.probability, "mask": self.mask}
        return wanted | ({"footprints": self.footprints} if self.wants_footprints else {})

    @property
    def outputs(self) -> list[Path]:
        """Every file that will be written."""
        return [*self.layers.values(), *map(style_path, self.layers.values()), self.item]

    @property
    def outdated(self) -> list[Path]:
        """What an older prediction may have left and this one does not replace."""
        return [] if self.wants_footprints else [self.footprints, style_path(self.footprints)]

    @property
    def unfinished(self) -> Path:
        """The folder that holds what is done so far, until all is."""
        return self.out / f".{self.stem}.partial"


def plan(
    images: Sequence[str | Path],
    out: str | Path,
    *,
    footprints: bool = True,
    overwrite: bool = False,
    mosaic: bool = False,
    nodata: Nodata = "file",
) -> list[Job]:
    """Says what predicting some images writes.

    Args:
        images: Rasters, folders of them, addresses, or whatever else GDAL opens by name; a .txt file names one a line.
        out: The folder for ``{stem}_probability.tif``, ``{stem}_mask.tif`` and ``{stem}_footprints.gpkg``, a style for
            QGIS beside each, and ``{stem}.stac.json``.
        footprints: Whether to write footprints.
        overwrite: Whether they may replace what is there.
        mosaic: Whether the images are one raster, whose outputs are called after ``mosaic``.
        nodata: As in `Settings`; the gaps of a mosaic are made of such a value.

    Raises:
        InputError: If an image is not there or cannot be read, two would be written under the same name, or images do
            not make one mosaic.
        OutputError: If an output is there already, would replace an image, cannot have its name, or another process is
            at work on it.
    """
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out} is a file; give a folder for the predictions")
    names = [name for image in images for name in _rasters_of(image)]
    groups = {"mosaic": names} if mosaic else _by_stem(names)
    inputs = {os.path.realpath(name) for name in names}
    jobs = []
    for stem, group in groups.items():
        raster, scratch = _raster_of(group, nodata)
        jobs.append(Job(raster, stem, out, footprints, overwrite, tuple(group), scratch))
        _check_names(jobs[-1])
    _clear_up(jobs)
    for job in jobs:
        _check_places(job, inputs)
        check_free(job)
    return jobs


def _rasters_of(image: str | Path) -> list[str]:
    """The rasters that an argument stands for, in GDAL's words."""
    name = gdal_name(str(image))
    if Path(name).is_dir():
        return [str(path) for path in raster_files(Path(name))]
    if Path(name).suffix.lower() == _LIST_SUFFIX and Path(name).is_file():
        return _rasters_listed(Path(name))
    return [name]


def _rasters_listed(path: Path) -> list[str]:
    """The rasters that a text file names, one a line."""
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is no list of images: it is not text") from error
    names = [gdal_name(line) for line in lines if line]
    if not names or "\0" in "".join(names):
        raise InputError(f"{path} names no images; it has one a line")
    return names


def _by_stem(names: Sequence[str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for name in names:
        stem = stem_of(name)
        if stem in groups:
            raise InputError(
                f"{groups[stem][0]} and {name} would both be written as {stem}_mask.tif; "
                "predict them into separate folders, or as one with --mosaic"
            )
        groups[stem] = [name]
    return groups


def _raster_of(names: Sequence[str], nodata: Nodata) -> tuple[Raster, TemporaryDirectory[str] | None]:
    """One raster of one file or of many; as a VRT also where a name, such as an address, is none for a path."""
    if len(names) == 1 and ("//" not in names[0] or Path(names[0]).exists()):
        return Raster.of(names[0]), None
    scratch = TemporaryDirectory(prefix="crispmap-")
    path = Path(scratch.name) / "mosaic.vrt"
    write_mosaic(path, names, nodata)
    return Raster.of(path), scratch


def _check_names(job: Job) -> None:
    """Checks that outputs can have their names."""
    if job.wants_footprints:
        check_format(job.footprints)
    for place in (*job.outputs, *job.outdated):
        if len(os.fsencode(place.name + _BESIDE)) > _LONGEST_NAME:
            raise OutputError(f"{place.name} is too long for the name of a file; give the image a shorter name")


def _clear_up(jobs: Sequence[Job]) -> None:
    """Removes what is left by a command that was killed when it had done everything but to clear up.

    Its outputs are all there, and so that they are not taken for those of another command, one journal at least has
    gone. A folder without one is removed only if it is empty.
    """
    traces = [job.unfinished for job in jobs] + [lock_file(job.out) for job in jobs]
    if any(job.overwrite for job in jobs) or not any(path.exists() for path in traces):
        return
    if not all(path.exists() for job in jobs for path in job.outputs):
        return
    with claimed([job.unfinished for job in jobs]):
        journals = [Journal.read(job.unfinished) for job in jobs]
        if None not in journals or any(journal and journal.stage != "done" for journal in journals):
            return
        for job, journal in zip(jobs, journals, strict=True):
            if journal is not None:
                journal.remove()
            elif job.unfinished.is_dir() and not any(job.unfinished.iterdir()):
                job.unfinished.rmdir()


def _check_places(job: Job, inputs: Collection[str]) -> None:
    """Checks that no output would replace an image."""
    for place in (*job.outputs, *job.outdated):
        if os.path.realpath(place) in inputs:
            raise OutputError(f"{place} is one of the images and would be replaced; give another folder")


def check_free(job: Job) -> None:
    """Checks that no output is there already, unless it may be replaced.

    Outputs that an interrupted run of the same command has moved to their places already are its own to replace.

    Raises:
        OutputError: If one is.
    """
    journal = Journal.read(job.unfinished)
    if job.overwrite or (journal is not None and journal.stage != "rows"):
        return
    for place in (*job.outputs, *job.outdated):
        if place.exists():
            raise OutputError(f"{place} exists already; give another folder or --overwrite")


def check(raster: Raster, spec: "ModelSpec") -> None:
    """Checks that a raster is what a model was trained on.

    Raises:
        InputError: If its bands or its type are others, or its resolution is needed and not known.
    """
    if len(raster.bands) != spec.bands:
        raise InputError(
            f"{raster.path} has {_bands(len(raster.bands))} but the model was trained on "
            f"{_bands(spec.bands)}; give imagery with the same bands (`gdal_translate -b` picks them)"
        )
    both_floats = np.dtype(raster.dtype).kind == np.dtype(spec.dtype).kind == "f"
    if raster.dtype != spec.dtype and not both_floats:
        raise InputError(
            f"{raster.path} holds {raster.dtype} but the model was trained on {spec.dtype}, whose values have"
            " another range; convert the image (`gdal_translate -ot … -scale`)"
        )
    scale = spec.scale_of(raster)
    if spec.resolution is None and scale != spec.scale:
        log.info(
            "%s: brought from %.3g m a pixel to the %.3g m that the model was trained at",
            raster.path.name, raster.resolution, spec.trained_resolution,
        )  # fmt: skip


def _bands(count: int) -> str:
    return f"{count} band{'s' if count != 1 else ''} of imagery"
