"""What will be predicted, how, and where it goes: every mistake found before the first prediction."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from crispmap.errors import InputError, OutputError, SettingError
from crispmap.geo.raster import Nodata, Raster, raster_files

if TYPE_CHECKING:  # models import torch
    from crispmap.models import ModelSpec


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
            has no place on the ground. By default 1.25 pixels.
        nodata: Which pixels hold no data: the file's word (``"file"``), ``"none"`` or those of a value.
        device: ``"auto"`` (a GPU if there is one) or torch's name for one, such as ``"cpu"`` or ``"cuda:1"``.

    Raises:
        SettingError: If one of them is out of range.
    """

    threshold: float = 0.5
    patch: int = 512
    overlap: float = 0.25
    batch_size: int | None = None
    min_area: float | None = None
    simplify: float | None = None
    nodata: Nodata = "file"
    device: str = "auto"

    def __post_init__(self) -> None:
        if not 0 < self.threshold < 1:
            raise SettingError(f"the threshold is a probability between 0 and 1, not {self.threshold:g}")
        if self.patch < 32:
            raise SettingError(f"the patch is at least 32 pixels a side, not {self.patch}")
        if not 0 <= self.overlap <= 0.9:
            raise SettingError(f"the overlap is a share of the patch from 0 to 0.9, not {self.overlap:g}")
        if self.batch_size is not None and self.batch_size < 1:
            raise SettingError(f"a batch has at least 1 window, not {self.batch_size}")
        for name, value in (("least area", self.min_area), ("tolerance of simplifying", self.simplify)):
            if value is not None and not 0 <= value < np.inf:
                raise SettingError(f"the {name} is 0 or more, not {value:g}")


@dataclass(frozen=True)
class Job:
    """One raster and the files its prediction becomes; no ``footprints`` where they are not wanted."""

    raster: Raster
    probability: Path
    mask: Path
    footprints: Path | None

    @property
    def outputs(self) -> list[Path]:
        """Every file that will be written."""
        return [path for path in (self.probability, self.mask, self.footprints) if path is not None]


def plan(
    images: Sequence[str | Path], out: str | Path, *, footprints: bool = True, overwrite: bool = False
) -> list[Job]:
    """Says what predicting some images writes.

    Args:
        images: Rasters, or folders of them.
        out: The folder for ``{stem}_probability.tif``, ``{stem}_mask.tif`` and ``{stem}_footprints.gpkg``.
        footprints: Whether to write the last of these.
        overwrite: Whether they may replace what is there.

    Raises:
        InputError: If an image is not there or cannot be read, or two would be written under the same name.
        OutputError: If an output is there already, or would replace an image.
    """
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out} is a file; give a folder for the predictions")
    files: dict[str, Path] = {}
    for path in (file for image in images for file in _rasters_of(Path(image))):
        if path.stem in files:
            raise InputError(
                f"{files[path.stem]} and {path} would both be written as {path.stem}_mask.tif; "
                "predict them into separate folders"
            )
        files[path.stem] = path
    jobs = [
        Job(
            raster=Raster.of(path),
            probability=out / f"{stem}_probability.tif",
            mask=out / f"{stem}_mask.tif",
            footprints=out / f"{stem}_footprints.gpkg" if footprints else None,
        )
        for stem, path in files.items()
    ]
    inputs = {path.resolve() for path in files.values()}
    for output in (path for job in jobs for path in job.outputs):
        if output.resolve() in inputs:
            raise OutputError(f"{output} is one of the images and would be replaced; give another folder")
        if output.exists() and not overwrite:
            raise OutputError(f"{output} exists already; give another folder or --overwrite")
    return jobs


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
    spec.scale_of(raster)


def _rasters_of(path: Path) -> list[Path]:
    if not path.exists():
        raise InputError(f"image not found: {path}")
    return raster_files(path) if path.is_dir() else [path]


def _bands(count: int) -> str:
    return f"{count} band{'s' if count != 1 else ''} of imagery"
