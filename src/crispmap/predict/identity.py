"""What a prediction follows from: another image, model or setting, and what was kept of it is of no use."""

import json
from dataclasses import asdict
from pathlib import Path

import torch

from crispmap import __version__
from crispmap.predict.plan import Job, Settings


def identity(job: Job, settings: Settings, device: torch.device, model: str) -> dict[str, str]:
    """All that the outputs of a job follow from, in words that say what has changed where they differ.

    An image on disk is known by its size and by when it was changed; one behind a GDAL path or an address by its name,
    and by what the file says of itself.

    Args:
        job: What is predicted.
        settings: How.
        device: On what.
        model: Its fingerprint, and what the outputs call it.
    """
    raster = job.raster
    looks = (raster.height, raster.width, raster.bands, raster.dtype, raster.transform.to_gdal(), str(raster.crs))
    return {
        "its image": json.dumps([[_file(name) for name in job.inputs], looks, raster.nodata, raster.masked]),
        "the model": model,
        "a setting": json.dumps([asdict(settings), job.wants_footprints]),
        "the device or a version": json.dumps([device.type, torch.__version__, __version__]),
    }


def _file(name: str) -> list[str | int]:
    if not Path(name).exists():
        return [name]
    status = Path(name).stat()
    return [name, status.st_size, status.st_mtime_ns]
