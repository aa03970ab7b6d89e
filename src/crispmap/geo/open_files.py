"""Raster files that stay open between reads, so that a window costs its own pixels and not the opening of its file.

*Convention.* Whoever reads has the handle to himself until he is done, because GDAL's handles bear one thread at a
time; a second reader of the same file gets a second handle. Handles belong to the process that opened them: after a
fork the child opens its own. Before each read a file must be the one that was opened, byte for byte as far as its
inode, size and times tell, or it is opened anew; so must the files beside it, such as overviews and masks. What cannot
be watched in this way is opened for every read: VRTs, which are made of other files, what lies behind GDAL's virtual
file systems, and files so young that a change might not show in their times.
"""

import atexit
import os
import time
import warnings
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import rasterio
from rasterio._err import CPLE_BaseError
from rasterio.errors import CRSError, NotGeoreferencedWarning, RasterioError

from crispmap.errors import InputError
from crispmap.geo.caution import allow_network, asks_for_network
from crispmap.geo.drivers import choose_raster_drivers
from crispmap.geo.vrt import check_raster_files

_MOST_KEPT = 128  # files a process keeps open: half of what macOS allows by default
_SETTLED = 2.0  # seconds: file systems tell times this coarsely
_MOST_MAPPED = 2**28  # bytes: of larger files whole gigabytes would count as this process's memory
_MAPPING = "GTIFF_VIRTUAL_MEM_IO"
_UNKNOWN_FORMAT = "not recognized as being in a supported file format"  # GDAL's words

_Key = tuple[str, int | None]
_State = tuple[int, int, int, int, int]  # of a file: device, inode, size, times of the last changes


class _Kept(NamedTuple):
    """An open file, the states of all files it is made of when it was opened, and whether any later change shows."""

    file: rasterio.DatasetReader
    states: dict[str, _State | None]
    watched: bool

    @property
    def is_current(self) -> bool:
        return all(_state(path) == state for path, state in self.states.items())


_kept: dict[int, OrderedDict[_Key, _Kept]] = {}  # by process; a parent's are left alone, for they are not ours to close


@contextmanager
def kept_file(path: str | Path, overview: int | None = None) -> Iterator[rasterio.DatasetReader]:
    """A raster for one read; it stays open for the next. Errors are those of `opened`.

    Args:
        path: The file.
        overview: The number of an overview to be read in its place, from 0.
    """
    # each step on the table is one call into C, which no other thread can interrupt
    files = _kept.setdefault(os.getpid(), OrderedDict())
    key = (str(path), overview)
    with errors_named(path):
        mine = files.pop(key, None)
        if mine is not None and not mine.is_current:
            mine.file.close()
            mine = None
        if mine is None:
            mine = _open_watched(path, overview)
        try:
            yield mine.file
        except BaseException:
            mine.file.close()
            raise
    if mine.watched:
        _put_back(files, key, mine)
    else:
        mine.file.close()


@contextmanager
def opened(path: str | Path) -> Iterator[rasterio.DatasetReader]:
    """Opens a raster until the context ends.

    Raises:
        InputError: If anything goes wrong while it is read; the message names the file.
    """
    with errors_named(path), open_raster(path) as file:
        yield file


@atexit.register
def close_kept_files() -> None:
    """Closes what this process keeps open, as a program must before it replaces such a file on Windows."""
    files = _kept.pop(os.getpid(), OrderedDict())
    for kept in files.values():
        kept.file.close()


def _put_back(files: OrderedDict[_Key, _Kept], key: _Key, mine: _Kept) -> None:
    other = files.pop(key, None)  # of another thread, or of a read within this one
    files[key] = mine
    surplus = [other] if other else []
    while len(files) > _MOST_KEPT:
        surplus.append(files.popitem(last=False)[1])
    for kept in surplus:
        kept.file.close()


def _open_watched(path: str | Path, overview: int | None) -> _Kept:
    settled = time.time_ns() - round(_SETTLED * 1e9)
    before = _state(str(path))
    file = open_raster(path, overview, mapped=before is not None and before[2] <= _MOST_MAPPED)
    states = {name: _state(name) for name in file.files} | {str(path): before}
    shows = all(state is not None and max(state[3:]) < settled for state in states.values())
    return _Kept(file, states, watched=shows and file.driver != "VRT")


def open_raster(path: str | Path, overview: int | None = None, *, mapped: bool = False) -> rasterio.DatasetReader:
    """Opens a raster.

    Args:
        path: The file.
        overview: The number of an overview to be opened in its place, from 0.
        mapped: Whether an uncompressed TIFF may be mapped into memory, so that no whole rows are read for the sake of a
            window; the environment variable GTIFF_VIRTUAL_MEM_IO, if there is one, decides instead.
    """
    if asks_for_network(str(path)):
        allow_network()
    choose_raster_drivers()
    _check_once(str(path), _state(str(path)))
    settings = {} if overview is None else {"overview_level": overview}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)  # PNG tiles without a place are welcome
        if not mapped or _MAPPING in os.environ:
            return rasterio.open(path, **settings)
        with rasterio.Env(**{_MAPPING: "YES"}):
            return rasterio.open(path, **settings)


@lru_cache(maxsize=1024)
def _check_once(path: str, state: _State | None) -> None:
    """Checks a raster before it is opened for the first time: a VRT of many sources is opened for every read."""
    check_raster_files(path)


def _state(path: str) -> _State | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


@contextmanager
def errors_named(path: str | Path) -> Iterator[None]:
    """Whatever goes wrong while a raster is read becomes an `InputError` that names it."""
    try:
        yield
    except (RasterioError, CRSError, CPLE_BaseError, UnicodeDecodeError) as error:
        # some of GDAL's errors rasterio gives as they are, and trips over damaged names of CRSs in the words of others
        if not Path(path).exists():
            raise InputError(f"image not found: {path}") from error
        formats = "; docs/safety.md lists the formats" if _UNKNOWN_FORMAT in str(error) else ""
        raise InputError(f"{path} cannot be read as a raster; is it whole? ({error}{formats})") from error
