"""Rasters predicted into files: probability and mask on the raster's own grid, and footprints."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning
from rasterio.windows import Window as RasterioWindow

from crispmap.geo.raster import Raster
from crispmap.geo.vector import write_vectors
from crispmap.models import SegmentationModel
from crispmap.predict.footprints import trace
from crispmap.predict.plan import Job, Settings, check
from crispmap.predict.stream import device_of, predict_bands, tiles_of
from crispmap.progress import progress_bar
from crispmap.whole import whole_file


@dataclass(frozen=True)
class Prediction:
    """What became of one raster; ``footprints`` is their number, None where they were not wanted."""

    job: Job
    footprints: int | None


def predict_rasters(
    model: SegmentationModel, jobs: Sequence[Job], settings: Settings | None = None
) -> list[Prediction]:
    """Predicts rasters one after the other, with a progress bar in windows.

    Args:
        model: Is moved to the device of the settings.
        jobs: From `crispmap.predict.plan.plan`.
        settings: How; the defaults if not given.

    Raises:
        InputError: If a raster is not what the model was trained on, before any is predicted; or if one turns
            out to be damaged, once those before it are written.
    """
    settings = settings or Settings()
    for job in jobs:
        check(job.raster, model.spec)
    model = model.to(device_of(settings.device)).eval()
    with progress_bar("predict", sum(len(tiles_of(job.raster, model.spec, settings)) for job in jobs)) as bar:
        return [predict_raster(model, job, settings, bar.advance) for job in jobs]


def predict_raster(
    model: SegmentationModel, job: Job, settings: Settings, on_tile: Callable[[], None] = lambda: None
) -> Prediction:
    """Predicts one raster into its files, which appear together or not at all.

    Both rasters lie on the input's grid. A level of the probability raster is 255 times the probability,
    rounded, and the mask is 255 from ``255 × threshold`` on, so that the two files always agree. Pixels
    without data are 0 in both, and told from the rest by the mask band inside each file.

    Args:
        model: On its device, in evaluation mode.
        job: The raster and where its prediction goes.
        settings: How.
        on_tile: Called after each window.

    Raises:
        InputError: If the raster cannot be read.
    """
    with ExitStack() as outputs:
        levels_path = outputs.enter_context(whole_file(job.probability))
        mask_path = outputs.enter_context(whole_file(job.mask))
        with (
            _new_raster(levels_path, job.raster, "probability of building", scale=1 / 255) as levels_file,
            _new_raster(mask_path, job.raster, "building") as mask_file,
        ):
            for band in predict_bands(model, job.raster, settings, on_tile):
                levels = np.rint(band.probability * 255).astype(np.uint8)
                mask = np.where(levels >= settings.threshold * 255, 255, 0).astype(np.uint8) * band.valid
                _write_rows(levels_file, band.row, levels, band.valid)
                _write_rows(mask_file, band.row, mask, band.valid)
        if job.footprints is None:
            return Prediction(job, None)
        footprints_path = outputs.enter_context(whole_file(job.footprints))
        polygons, attributes = trace(
            job.raster, mask_path, levels_path, tolerance=settings.simplify, min_area=settings.min_area
        )
        write_vectors(footprints_path, polygons, attributes, job.raster.crs)
        return Prediction(job, len(polygons))


@contextmanager
def _new_raster(
    path: Path, raster: Raster, description: str, *, scale: float = 1.0
) -> Iterator[rasterio.io.DatasetWriter]:
    """A new raster of one uint8 band on another one's grid, to be written row by row."""
    with warnings.catch_warnings(), rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(
            path,
            "w",
            driver="GTiff",
            height=raster.height,
            width=raster.width,
            count=1,
            dtype="uint8",
            crs=raster.crs,
            transform=None if raster.transform.is_identity else raster.transform,
            tiled=True,
            blockxsize=256,
            blockysize=256,
            compress="deflate",
            bigtiff="if_safer",
        ) as file:
            file.set_band_description(1, description)
            file.scales = (scale,)
            yield file


def _write_rows(file: rasterio.io.DatasetWriter, row: int, levels: NDArray[np.uint8], valid: NDArray[np.bool_]) -> None:
    window = RasterioWindow(0, row, levels.shape[1], levels.shape[0])
    file.write(levels, 1, window=window)
    file.write_mask(valid, window=window)
