"""Finished rows of a prediction on disk, and the journal by which an interrupted one goes on where it was.

Both lie in a folder beside the outputs. The rows are bare bytes, line by line: levels of the probability, then 255
where there are data and 0 elsewhere. The journal says how many of them can be relied on. Rows reach the disk before the
journal that counts them does, and one journal replaces another as a whole; so whatever moment the process is killed
at, the folder holds a state from which the same outputs follow.
"""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from crispmap.whole import clear, to_disk

ROWS_FILE = "rows.raw"
_JOURNAL_FILE = "journal.json"
_SECONDS_BETWEEN_COMMITS = 2.0


@dataclass
class Journal:
    """How far a prediction has come.

    Attributes:
        folder: Where it is kept.
        identity: What the outputs follow from, by name; of others than these nothing here is of use.
        batch_size: Windows a batch, found once: floats may depend on it.
        rows: How many are finished and on disk.
        stage: ``"rows"`` while these are predicted; ``"moving"`` while the outputs, all of them made, move to their
            places; ``"done"`` when they are there.
        footprints: How many there are, once they are counted; None if they are not wanted.
    """

    folder: Path
    identity: dict[str, str]
    batch_size: int
    rows: int = 0
    stage: Literal["rows", "moving", "done"] = "rows"
    footprints: int | None = None

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """The journal in a folder; None where there is none that can be read."""
        try:
            return cls(folder, **json.loads((folder / _JOURNAL_FILE).read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def write(self) -> None:
        """Replaces the journal in the folder, which is made where there is none."""
        self.folder.mkdir(parents=True, exist_ok=True)
        content = {name: value for name, value in asdict(self).items() if name != "folder"}
        part = self.folder / f"{_JOURNAL_FILE}.part"
        part.write_text(json.dumps(content), encoding="utf-8")
        to_disk(part)
        os.replace(part, self.folder / _JOURNAL_FILE)

    def remove(self) -> None:
        """Removes the folder, the journal last: as long as there is anything else, it says what that is."""
        clear(self.folder, [path.name for path in self.folder.iterdir() if path.name != _JOURNAL_FILE])
        clear(self.folder.parent, [self.folder.name])

    def holds(self, width: int) -> bool:
        """Whether the rows that it counts, each so wide, are there; a power cut may lose a file's name."""
        rows = self.folder / ROWS_FILE
        return not self.rows or (rows.exists() and rows.stat().st_size >= self.rows * 2 * width)


class RowSpool:
    """The rows of one raster, to be appended from where its journal says they end."""

    def __init__(self, journal: Journal, width: int) -> None:
        self._journal = journal
        self._rows = journal.rows
        path = journal.folder / ROWS_FILE
        self._file = path.open("r+b" if journal.rows else "wb")
        self._file.truncate(journal.rows * 2 * width)  # what was written after the last commit
        self._file.seek(0, os.SEEK_END)
        self._committed = time.monotonic()

    @classmethod
    @contextmanager
    def opened(cls, journal: Journal, width: int) -> Iterator[Self]:
        """Opens the spool of a journal; when the block ends, well or not, what was appended is kept."""
        spool = cls(journal, width)
        try:
            yield spool
        finally:
            with spool._file:
                spool._commit()

    def append(self, levels: NDArray[np.uint8], valid: NDArray[np.bool_]) -> None:
        """Adds rows (rows, width); every few seconds they are made safe."""
        self._file.write(as_lines(levels, valid))
        self._rows += len(levels)
        if time.monotonic() >= self._committed + _SECONDS_BETWEEN_COMMITS:
            self._commit()

    def _commit(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._journal.rows = self._rows
        self._journal.write()
        self._committed = time.monotonic()


def as_lines(levels: NDArray[np.uint8], valid: NDArray[np.bool_]) -> bytes:
    """Rows (rows, width) as they lie on disk."""
    return np.stack([levels, np.where(valid, np.uint8(255), np.uint8(0))], axis=1).tobytes()
