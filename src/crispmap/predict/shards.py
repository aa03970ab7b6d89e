"""The rows of a raster in shards, which can be predicted anywhere and in any order, and become one spool in the end.

A shard is a range of whole sections (`crispmap.predict.stream`), so windows, batches and the order in which windows are
added up are those of a raster predicted from top to bottom, and so is every bit. Only windows at a shard's lower edge,
which touch its last rows and begin the section below, are predicted for both. A shard lies beside the journal in a file
of its own, in the form of the spool, and is there as a whole or not at all.
"""

import os
import shutil
from collections.abc import Sequence
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO, NamedTuple

from crispmap.geo.tiling import TileGrid
from crispmap.models import SegmentationModel
from crispmap.predict.overlap import put_away_behind
from crispmap.predict.plan import Job, Settings
from crispmap.predict.spool import ROWS_FILE, Journal, as_lines
from crispmap.predict.stream import predict_bands, section_starts
from crispmap.whole import whole_file

_WINDOWS = 256  # so few that what a lost worker had done costs minutes at most
_BYTES_AT_ONCE = 2**22
_ROWS_OF_WINDOWS = 8  # so many that what is predicted twice, one row of them where overlap is at most a half, is little


class Shard(NamedTuple):
    """Some rows of a raster.

    Attributes:
        first: The first of them.
        end: The row below the last.
        windows: How many begin in its sections; those of all shards add up to those of the raster.
    """

    first: int
    end: int
    windows: int

    def path(self, job: Job) -> Path:
        """Where its rows are kept."""
        return job.unfinished / f"rows-{self.first}-{self.end}.raw"


def shards_of(grid: TileGrid, height: int, windows: int | None = None) -> list[Shard]:
    """Cuts a raster into shards, from top to bottom.

    Args:
        grid: Its windows.
        height: Its rows.
        windows: How many begin in a shard, at least, but for the last one; by default as many as make good shards.
    """
    windows = max(_WINDOWS, _ROWS_OF_WINDOWS * grid.columns) if windows is None else windows
    starts = [(0, 0)]
    for start in section_starts(grid):
        if (start[0] - starts[-1][0]) * grid.columns >= windows:
            starts.append(start)
    ends = [*starts, (len(grid.tops), height)]
    return [Shard(first, end, (below - row) * grid.columns) for (row, first), (below, end) in pairwise(ends)]


def write_shard(model: SegmentationModel, job: Job, settings: Settings, shard: Shard) -> None:
    """Predicts a shard into its file; one that is there already is left as it is.

    Raises:
        InputError: If the raster cannot be read.
    """
    if shard.path(job).exists():
        return
    with (
        whole_file(shard.path(job)) as part,
        part.open("wb") as file,
        closing(predict_bands(model, job.raster, settings, start=shard.first, stop=shard.end)) as bands,
    ):
        put_away_behind(bands, lambda band: file.write(as_lines(band.levels, band.valid)))


def join_shards(job: Job, journal: Journal, shards: Sequence[Shard]) -> None:
    """Makes one spool of the rows that the journal counts and of the shards below them."""
    rows = job.unfinished / ROWS_FILE
    with whole_file(rows) as part, part.open("wb") as whole:
        if journal.rows:
            _append(rows, whole)
            whole.truncate(journal.rows * 2 * job.raster.width)
            whole.seek(0, os.SEEK_END)
        for shard in shards:
            _append(shard.path(job), whole)
    journal.rows = job.raster.height
    journal.write()
    for shard in shards:
        shard.path(job).unlink()


def _append(path: Path, whole: BinaryIO) -> None:
    with path.open("rb") as file:
        shutil.copyfileobj(file, whole, _BYTES_AT_ONCE)
