"""One pass of a network: the device it runs on, its precision, how many windows at a time, flips and turns."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from crispmap.errors import SettingError
from crispmap.models import SegmentationModel, half_precision
from crispmap.predict.plan import Settings

_CPU_BATCH = 2
_LARGEST_BATCH = 32  # more windows at a time make no GPU faster


@torch.inference_mode()
def probabilities(
    model: SegmentationModel, images: NDArray[np.float32], shape: tuple[int, int], settings: Settings
) -> NDArray[np.float32]:
    """The probabilities of a batch of windows, the mean over flips and turns where the settings ask for them.

    Args:
        model: On its device, in evaluation mode.
        images: In the units of the file, NaN where there are no data, (N, bands, h, w).
        shape: The windows' height and width in the raster's own pixels.
        settings: How.

    Returns:
        In [0, 1], (N, *shape).
    """
    device = next(model.parameters()).device
    batch = torch.from_numpy(images).to(device)
    total = torch.zeros(len(batch), *shape, device=device)
    with _autocast(settings.precision, device):
        for turns, flip in orientations(settings.tta):
            turned = batch.flip(-1) if flip else batch
            logits = model(turned.rot90(turns, (-2, -1)))[:, :1].float().rot90(-turns, (-2, -1))
            logits = logits.flip(-1) if flip else logits
            if logits.shape[-2:] != shape:
                logits = F.interpolate(logits, size=shape, mode="bilinear", antialias=True)
            total += logits[:, 0].sigmoid()
    mean: NDArray[np.float32] = (total / settings.tta).cpu().numpy()
    return mean


def orientations(count: int) -> Iterator[tuple[int, bool]]:
    """Quarter turns, and whether a flip of the columns precedes them.

    One is the image as it is; four keep height and width apart: the image, its two mirror images and half a turn; eight
    are all there are.
    """
    for turns in {1: (0,), 4: (0, 2), 8: (0, 1, 2, 3)}[count]:
        for flip in (False, True)[:count]:
            yield turns, flip


def with_batch_size(model: SegmentationModel, settings: Settings) -> Settings:
    """The settings with a batch size: the one they hold, or what suits the device.

    A GPU gets the largest that its memory holds, found by trying; it depends on what else runs there, so whoever wants
    the same floats again must keep it.

    Raises:
        SettingError: If not even one window fits the GPU's memory.
    """
    device = next(model.parameters()).device
    if settings.batch_size is not None:
        return settings
    return replace(settings, batch_size=_fitting_batch(model, settings) if device.type == "cuda" else _CPU_BATCH)


def _fitting_batch(model: SegmentationModel, settings: Settings) -> int:
    """The largest batch of full windows that goes through the network, halved from `_LARGEST_BATCH` on."""
    shape = settings.patch, settings.patch
    size = _LARGEST_BATCH
    while size:
        try:
            probabilities(model, np.zeros((size, model.spec.bands, *shape), np.float32), shape, settings)
            return size
        except torch.OutOfMemoryError:
            size //= 2
        torch.cuda.empty_cache()
    raise SettingError(f"no window of {settings.patch} pixels a side fits the GPU's memory; take a smaller --patch")


def device_of(name: str) -> torch.device:
    """The device that a setting names.

    Raises:
        SettingError: If there is none of that name here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise SettingError(f"no device '{name}' here; take --device cpu, or auto") from error
    return device


def check_precision(precision: str, device: torch.device) -> None:
    """Checks that a device computes with a precision.

    Raises:
        SettingError: If it is bf16 and the device only imitates it, slowly.
    """
    if precision == "bf16" and half_precision(device) is not torch.bfloat16:
        raise SettingError(f"this {device.type} does not compute with bfloat16; take --precision 32, or auto")


def _autocast(precision: str, device: torch.device) -> AbstractContextManager[object]:
    dtype = None if precision == "32" else half_precision(device)
    return nullcontext() if dtype is None else torch.autocast(device.type, dtype)
