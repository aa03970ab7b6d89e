"""A network over one raster of any height: windows in, finished bands of probability out, top to bottom.

A window needs those above and beside it only where they overlap, so a band as high as one window is all that is held.
Windows are shown to the network in batches that never reach from one *section* of the raster into the next: whole rows
of windows, as many as the raster's width says. Prediction can therefore begin at any section, and gives there, to the
last bit, what it gives when it comes from the top.
"""

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from crispmap.geo.raster import Nodata, Raster, Window, kept_open, small_cache
from crispmap.geo.tiling import Tile, TileGrid
from crispmap.models import ModelSpec, SegmentationModel
from crispmap.predict.inference import probabilities, with_batch_size
from crispmap.predict.overlap import made_ahead
from crispmap.predict.plan import Settings

_BATCHES_AHEAD = 2
_SECTION = 64  # windows, at least: what may have to be predicted again, against batches that are not full


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

    @property
    def levels(self) -> NDArray[np.uint8]:
        """255 times the probability, rounded."""
        return np.rint(self.probability * 255).astype(np.uint8)


def tiles_of(raster: Raster, spec: ModelSpec, settings: Settings) -> TileGrid:
    """The windows through which a model sees a raster, in the raster's own pixels."""
    side = max(1, round(settings.patch / spec.scale_of(raster)))
    return TileGrid(raster.height, raster.width, side, min(round(side * settings.overlap), side - 1))


def predict_bands(
    model: SegmentationModel,
    raster: Raster,
    settings: Settings,
    on_windows: Callable[[int], None] = lambda count: None,
    *,
    start: int = 0,
    stop: int | None = None,
) -> Generator[Band]:
    """Predicts a raster, or some of its rows, through overlapping windows.

    Where windows overlap, their *probabilities* are averaged, not their logits: near its border a window
    lacks context and may be wrong with a logit of any size, but a probability never counts for more than its
    share. Windows without any data are not shown to the network; the others hold NaN where they have none.

    The memory this takes grows with the raster's width and not with its height. Windows and the composition
    of batches follow from the raster and the settings alone. A thread reads ahead while the network computes.

    Args:
        model: On its device, in evaluation mode.
        raster: What to predict.
        settings: How.
        on_windows: Called with how many more windows are done.
        start: The first row that is wanted.
        stop: The first row below it that is not; the raster's end if not given.

    Yields:
        Bands that together cover those rows, from top to bottom.

    Raises:
        InputError: If the raster cannot be read.
    """
    grid = tiles_of(raster, model.spec, settings)
    settings = with_batch_size(model, settings)
    first, stop = _first_section(grid, start), raster.height if stop is None else stop
    blend = Blend(grid.tops[first], grid.size[0], raster.width, start)
    done = first * grid.columns
    on_windows(done)
    batches = _batches(raster, grid, first, stop, model.spec.scale_of(raster), settings)
    with closing(made_ahead(batches, _BATCHES_AHEAD)) as ahead:
        for batch in ahead:
            found = probabilities(model, batch.images, grid.size, settings)
            for view, probability in zip(batch.views, found, strict=True):
                if view.tile.window.row >= stop:
                    break  # only for the company of those before it
                yield from blend.release(view.tile.window.row)
                blend.add(view.tile, probability, view.valid)
            on_windows(batch.done - done)
            done = batch.done
    on_windows(len(grid) - done)
    yield from blend.release(stop)


class Blend:
    """The rows of a raster on which windows may yet fall: as many as a window has.

    Args:
        row: The first row on which the first window falls.
        rows: How many a window has.
        width: Of the raster.
        start: Rows above it are not handed out.
    """

    def __init__(self, row: int, rows: int, width: int, start: int = 0) -> None:
        self.row, self.start = row, start
        self.probability: NDArray[np.float32] = np.zeros((rows, width), np.float32)
        self.valid = np.zeros((rows, width), bool)

    def add(self, tile: Tile, probability: NDArray[np.float32], valid: NDArray[np.bool_]) -> None:
        """Adds a window's share; its rows must not have been released."""
        place = tile.window.slices_in(Window(self.row, 0, *self.valid.shape))
        self.probability[place] += probability * tile.share
        self.valid[place] |= valid

    def release(self, end: int) -> Iterator[Band]:
        """Hands out the rows above ``end``, which no later window touches, and moves on."""
        while self.row < end:
            count = min(end - self.row, len(self.valid))
            above = min(count, max(0, self.start - self.row))
            for strip in Window(above, 0, count - above, self.valid.shape[1]).strips():
                rows = slice(strip.row, strip.row + strip.height)
                valid = self.valid[rows].copy()
                yield Band(self.row + strip.row, np.where(valid, self.probability[rows], 0), valid)
            for held in (self.probability, self.valid):
                held[:-count] = held[count:]
                held[-count:] = 0
            self.row += count


class _View(NamedTuple):
    """What a window shows the network (bands, height, width) and where the raster's own pixels hold data."""

    tile: Tile
    image: NDArray[np.float32]
    valid: NDArray[np.bool_]


class _Batch(NamedTuple):
    """Windows for one pass, their images stacked (N, bands, height, width), and how far into the grid they reach."""

    views: list[_View]
    images: NDArray[np.float32]
    done: int


def section_starts(grid: TileGrid) -> list[tuple[int, int]]:
    """For every section its first row of windows, and the first row of pixels that no window above it touches.

    Prediction that starts at such a row of pixels predicts nothing of the section above again.
    """
    rows = range(0, len(grid.tops), _rows_of_section(grid))
    return [(row, grid.tops[row - 1] + grid.size[0] if row else 0) for row in rows]


def _rows_of_section(grid: TileGrid) -> int:
    return -(-_SECTION // grid.columns)


def _first_section(grid: TileGrid, start: int) -> int:
    """The row of windows with which the first section begins that touches a row of pixels."""
    touching = next(i for i, top in enumerate(grid.tops) if top + grid.size[0] > start)
    return touching - touching % _rows_of_section(grid)


def _batches(
    raster: Raster, grid: TileGrid, first: int, stop: int, scale: float, settings: Settings
) -> Generator[_Batch]:
    """Reads the windows that hold data, batch by batch: from a row of windows on, until none touches what is wanted."""
    step = _rows_of_section(grid)
    done = first * grid.columns
    with small_cache(), kept_open(raster) as source:
        for section in range(first, len(grid.tops), step):
            views: list[_View] = []
            for tile in chain.from_iterable(grid.row(i) for i in range(len(grid.tops))[section : section + step]):
                if tile.window.row >= stop and not views:
                    return
                done += 1
                if (view := _view(tile, source, scale, settings.nodata)) is not None:
                    views.append(view)
                if len(views) == settings.batch_size:
                    yield _batch(views, done)
                    views = []
            if views:
                yield _batch(views, done)


def _batch(views: list[_View], done: int) -> _Batch:
    return _Batch(views, np.stack([view.image for view in views]), done)


def _view(tile: Tile, raster: Raster, scale: float, nodata: Nodata) -> _View | None:
    height, width = tile.window.height, tile.window.width
    shape = max(1, round(height * scale)), max(1, round(width * scale))
    image, seen, valid = raster.read_at(tile.window, shape, nodata)
    if not valid.any():
        return None
    return _View(tile, np.where(seen, image, np.nan).astype(np.float32, copy=False), valid)
