"""A network over one raster of any height: windows in, finished bands of probability out, top to bottom."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from crispmap.errors import SettingError
from crispmap.geo.raster import Nodata, Raster
from crispmap.geo.resample import resample
from crispmap.geo.tiling import Tile, tiles
from crispmap.models import ModelSpec, SegmentationModel
from crispmap.predict.plan import Settings

_BATCH_SIZES = {"cpu": 2, "cuda": 8}


class Band(NamedTuple):
    """Rows of a raster over its whole width, finished.

    Attributes:
        row: The first of them.
        probability: (rows, width), in [0, 1]; 0 where there are no data.
        valid: Where the raster holds data, (rows, width).
    """

    row: int
    probability: NDArray[np.float32]
    valid: NDArray[np.bool_]


def tiles_of(raster: Raster, spec: ModelSpec, settings: Settings) -> list[Tile]:
    """The windows through which a model sees a raster, in the raster's own pixels."""
    side = max(1, round(settings.patch / spec.scale_of(raster)))
    return tiles(raster.height, raster.width, side, min(round(side * settings.overlap), side - 1))


def predict_bands(
    model: SegmentationModel, raster: Raster, settings: Settings, on_tile: Callable[[], None] = lambda: None
) -> Iterator[Band]:
    """Predicts a raster through overlapping windows.

    Where windows overlap, their *probabilities* are averaged, not their logits: near its border a window
    lacks context and may be wrong with a logit of any size, but a probability never counts for more than its
    share. Windows without any data are not shown to the network; the others hold NaN where they have none.

    The memory this takes grows with the raster's width and not with its height. Windows and the composition
    of batches follow from the raster and the settings alone.

    Args:
        model: On its device, in evaluation mode.
        raster: What to predict.
        settings: How.
        on_tile: Called after each window.

    Yields:
        Bands that together cover the raster, from top to bottom.

    Raises:
        InputError: If the raster cannot be read.
    """
    device = next(model.parameters()).device
    batch_size = settings.batch_size or _BATCH_SIZES.get(device.type, 1)
    layout = tiles_of(raster, model.spec, settings)
    scale = model.spec.scale_of(raster)
    blend = Blend(layout[0].window.height, raster.width)
    batch: list[_View] = []
    for tile in layout:
        view = _view(tile, raster, scale, settings.nodata)
        if view is None:
            on_tile()
            continue
        batch.append(view)
        if len(batch) == batch_size:
            yield from _blended(model, batch, blend, on_tile)
            batch = []
    yield from _blended(model, batch, blend, on_tile)
    yield from blend.release(raster.height)


class Blend:
    """The rows of a raster on which windows may yet fall: as many as a window has."""

    def __init__(self, rows: int, width: int) -> None:
        self.row = 0
        self.probability: NDArray[np.float32] = np.zeros((rows, width), np.float32)
        self.valid = np.zeros((rows, width), bool)

    def add(self, tile: Tile, probability: NDArray[np.float32], valid: NDArray[np.bool_]) -> None:
        """Adds a window's share; its rows must not have been released."""
        window = tile.window
        rows = slice(window.row - self.row, window.row - self.row + window.height)
        cols = slice(window.col, window.col + window.width)
        self.probability[rows, cols] += probability * tile.share
        self.valid[rows, cols] |= valid

    def release(self, end: int) -> Iterator[Band]:
        """Hands out the rows above ``end``, which no later window touches, and moves on."""
        while self.row < end:
            count = min(end - self.row, len(self.valid))
            valid = self.valid[:count].copy()
            yield Band(self.row, np.where(valid, self.probability[:count], 0), valid)
            for rows in (self.probability, self.valid):
                rows[:-count] = rows[count:]
                rows[-count:] = 0
            self.row += count


class _View(NamedTuple):
    """What a window shows the network (bands, height, width) and where the raster's own pixels hold data."""

    tile: Tile
    image: NDArray[np.float32]
    valid: NDArray[np.bool_]


def _view(tile: Tile, raster: Raster, scale: float, nodata: Nodata) -> _View | None:
    pixels, valid = raster.read(tile.window, nodata)
    if not valid.any():
        return None
    height, width = valid.shape
    image, seen = resample(pixels, valid, (max(1, round(height * scale)), max(1, round(width * scale))))
    return _View(tile, np.where(seen, image, np.nan).astype(np.float32, copy=False), valid)


def _blended(
    model: SegmentationModel, batch: Sequence[_View], blend: Blend, on_tile: Callable[[], None]
) -> Iterator[Band]:
    """Predicts a batch, blends it in, and hands out the rows that are finished by then."""
    if not batch:
        return
    probabilities = _probabilities(model, np.stack([view.image for view in batch]), batch[0].valid.shape)
    for view, probability in zip(batch, probabilities, strict=True):
        yield from blend.release(view.tile.window.row)
        blend.add(view.tile, probability, view.valid)
        on_tile()


@torch.inference_mode()
def _probabilities(
    model: SegmentationModel, images: NDArray[np.float32], shape: tuple[int, ...]
) -> NDArray[np.float32]:
    """The probabilities of a batch (N, bands, h, w) in the raster's own pixels, (N, *shape)."""
    logits = model(torch.from_numpy(images).to(next(model.parameters()).device))
    if logits.shape[-2:] != shape:
        logits = F.interpolate(logits, size=shape, mode="bilinear", antialias=True)
    probabilities: NDArray[np.float32] = logits[:, 0].float().sigmoid().cpu().numpy()
    return probabilities


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
