"""Rasters: what they are, which of their pixels hold data, and reading any part of them.

Nodata: an alpha or mask band has the first word. Without one, a pixel is nodata only where *all* bands equal
the declared value, so a white roof under ``nodata=255`` stays imagery as long as one band differs. A number
given by the user replaces what the file declares; ``"none"`` declares every pixel to be data. Pixels that are
not finite in some band never are.
"""

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.windows import Window as RasterioWindow

from crispmap.errors import InputError, PairingError
from crispmap.geo.caution import check_stays_here
from crispmap.geo.metres import pixel_size
from crispmap.geo.open_files import errors_named, kept_file, open_raster
from crispmap.geo.open_files import opened as opened
from crispmap.geo.overview import LEAST, fitting_overview, place_on_overview
from crispmap.geo.resample import resample

RASTER_SUFFIXES = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".vrt", ".jp2")

Nodata = Literal["file", "none"] | float

_PIXELS_AT_ONCE = 2**22
_LONGEST = 10**8  # pixels a side: more than the equator has at half a metre
MOST_BANDS = 2**12  # several times those of any sensor; the time that rasterio takes to read grows with their square
_CACHE = 2**27  # bytes: a row of blocks of two rasters 100,000 pixels wide, and to spare


class Window(NamedTuple):
    """A rectangle of pixels; it may reach beyond the raster."""

    row: int
    col: int
    height: int
    width: int

    def intersection(self, other: "Window") -> "Window":
        """The common part; its height or width is 0 where there is none."""
        row, col = max(self.row, other.row), max(self.col, other.col)
        bottom = min(self.row + self.height, other.row + other.height)
        right = min(self.col + self.width, other.col + other.width)
        return Window(row, col, max(0, bottom - row), max(0, right - col))

    def strips(self, pixels: int | None = None) -> "Iterator[Window]":
        """Strips over the full width from top to bottom, each of so many pixels that it can be worked on."""
        step = max(1, (pixels or _PIXELS_AT_ONCE) // max(1, self.width))
        for row in range(self.row, self.row + self.height, step):
            yield Window(row, self.col, min(step, self.row + self.height - row), self.width)

    def slices_in(self, outer: "Window") -> tuple[slice, slice]:
        """Where this window lies in an array that holds ``outer``."""
        row, col = self.row - outer.row, self.col - outer.col
        return slice(row, row + self.height), slice(col, col + self.width)


@dataclass(frozen=True)
class Raster:
    """What a raster file is, without its pixels.

    Attributes:
        path: The file.
        height: Rows.
        width: Columns.
        bands: The 1-based numbers of the bands that hold imagery; alpha is not one of them.
        dtype: The pixels' type as numpy names it.
        transform: Pixel (column, row) to map coordinates; the identity where the file has none.
        crs: The coordinate reference system, or None.
        nodata: The declared nodata value, or None.
        masked: Whether an alpha or mask band says which pixels hold data.
    """

    path: Path
    height: int
    width: int
    bands: tuple[int, ...]
    dtype: str
    transform: rasterio.Affine
    crs: rasterio.CRS | None
    nodata: float | None
    masked: bool

    @classmethod
    def of(cls, path: str | Path) -> "Raster":
        """Looks at a file.

        Raises:
            InputError: If it cannot be read, holds complex numbers or no imagery, has pixels
                without a size, or takes them from the network.
        """
        with opened(path) as file:
            _check_form(path, file)
            alpha = _alpha_bands(file)
            return cls(
                path=Path(path),
                height=file.height,
                width=file.width,
                bands=tuple(i for i in file.indexes if i not in alpha),
                dtype=file.dtypes[0],
                transform=file.transform,
                crs=file.crs,
                nodata=file.nodata,
                masked=bool(alpha) or MaskFlags.per_dataset in file.mask_flag_enums[0],
            )

    @property
    def window(self) -> Window:
        """The whole of it."""
        return Window(0, 0, self.height, self.width)

    @property
    def located(self) -> bool:
        """Whether it has a place on the ground; a local engineering CRS gives none."""
        on_ground = self.crs is not None and (self.crs.is_projected or self.crs.is_geographic)
        return on_ground and not self.transform.is_identity

    @property
    def resolution(self) -> float | None:
        """The side of a pixel on the ground in metres (geometric mean of both), at the centre; None if unknown."""
        return None if self.pixel_size is None else math.sqrt(math.prod(self.pixel_size))

    @property
    def pixel_size(self) -> tuple[float, float] | None:
        """Metres on the ground from row to row and from column to column, at the centre; None if unknown."""
        if self.crs is None or not self.located:
            return None
        return pixel_size(self.path, self.transform, self.crs, (self.height, self.width))

    def read(self, window: Window, nodata: Nodata = "file") -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Reads a part, which may reach beyond the raster.

        Args:
            window: What to read.
            nodata: ``"file"`` for the file's own word, ``"none"``, or a value that replaces it.

        Returns:
            The pixels (bands, height, width) in the file's type and where they hold data (height, width);
            beyond the raster they are zero and hold none.

        Raises:
            InputError: If the file cannot be read.
        """
        inside = window.intersection(self.window)
        if inside == window and inside.height and inside.width:
            with self._file() as file:
                return self._read(file, inside, nodata)
        pixels: NDArray[Any] = np.zeros((len(self.bands), window.height, window.width), self.dtype)
        valid = np.zeros((window.height, window.width), bool)
        if inside.height and inside.width:
            rows, cols = inside.slices_in(window)
            pixels[:, rows, cols], valid[rows, cols] = self.read(inside, nodata)
        return pixels, valid

    def read_at(
        self, window: Window, shape: tuple[int, int], nodata: Nodata = "file"
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]:
        """Reads a part, which may reach beyond the raster, and brings it to a shape as `resample` does.

        *Convention.* Where the part shrinks, it is taken from the coarsest of the file's overviews that is no coarser
        than what is asked for, and brought from there by area means: a fraction of the pixels, on the same ground.
        Where an overview's alpha band, mask or values show anything without data in it, it is read at the raster's own
        pixels, for only they tell how much of the ground holds data; so it is where ``nodata`` is not the file's own
        word, by which its overviews were made. A declared nodata value shows only in those pixels of an overview that
        hold nothing else: what lies strewn about in smaller pieces is left out of the means, but counts as ground that
        holds data. Overviews are expected to be up to date and to hold means, as ``gdaladdo -r average`` makes them:
        what another filter left in them is read as it is, and nearest neighbours, gdaladdo's default, flicker. Only
        those of GeoTIFFs are used (built in, or in an .ovr file): the reduced images in JPEG 2000 lie up to half of
        their pixels off.

        Args:
            window: What to read.
            shape: The height and width wanted.
            nodata: As `read` takes it.

        Returns:
            The pixels (bands, *shape), where at least half of their ground holds data (*shape), and where the raster's
            own pixels do (window.height, window.width).

        Raises:
            InputError: If the file cannot be read.
        """
        reduced = self._reduced(window, shape, nodata)
        if reduced is not None:
            return reduced, np.ones(shape, bool), np.ones((window.height, window.width), bool)
        pixels, valid = self.read(window, nodata)
        return *resample(pixels, valid, shape), valid

    def _reduced(self, window: Window, shape: tuple[int, int], nodata: Nodata) -> NDArray[np.float32] | None:
        """A part by way of an overview; None where none will do, or where not all of the part holds data."""
        shrinks = min(window.height / shape[0], window.width / shape[1])
        if shrinks < LEAST or window.intersection(self.window) != window or not self._is_own_word(nodata):
            return None
        with self._file() as file:
            overview = fitting_overview(file, self.bands[0], shrinks)
            # GDAL takes overviews for whole where a mask was added after them, so a mask is asked in full
            if overview is None or (self.masked and not _alpha_bands(file) and not _opacity(file, window).all()):
                return None
        with kept_file(self.path, overview) as file:
            row, height, rows = place_on_overview(window.row, window.height, self.height, file.height)
            col, width, cols = place_on_overview(window.col, window.width, self.width, file.width)
            pixels, valid = self._read(file, Window(row, col, height, width), nodata, in_part=False)
        return resample(pixels, valid, shape, rows, cols)[0] if valid.all() else None

    def _read(
        self, file: rasterio.DatasetReader, window: Window, nodata: Nodata, *, in_part: bool = True
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Reads a window inside a file: this one, or an overview, where ground may hold data in part."""
        pixels: NDArray[Any] = file.read(self.bands, window=_for_rasterio(window))
        if nodata == "file" and self.masked:
            opacity = _opacity(file, window)
            valid: NDArray[np.bool_] = opacity > 0 if in_part else opacity == _opaque(opacity.dtype)
        else:
            valid = ~_all_equal(pixels, self.nodata if nodata == "file" else nodata)
        if pixels.dtype.kind == "f":
            valid &= np.isfinite(pixels).all(axis=0)
        return pixels, valid

    def _is_own_word(self, nodata: Nodata) -> bool:
        """Whether this is what the file itself says of nodata."""
        return nodata == "file" or (not self.masked and nodata == ("none" if self.nodata is None else self.nodata))

    def _file(self) -> AbstractContextManager[rasterio.DatasetReader]:
        return kept_file(self.path)


@dataclass(frozen=True)
class _OpenRaster(Raster):
    """A raster whose file is open."""

    file: rasterio.DatasetReader

    @contextmanager
    def _file(self) -> Iterator[rasterio.DatasetReader]:
        with errors_named(self.path):
            yield self.file


@contextmanager
def kept_open(raster: Raster) -> Iterator[Raster]:
    """The same raster for many reads: its file, and what GDAL has cached of it, stays open until the context ends."""
    with errors_named(raster.path):
        file = open_raster(raster.path)
    with file:
        yield _OpenRaster(**(vars(raster) | {"file": file}))


@contextmanager
def small_cache() -> Iterator[None]:
    """GDAL keeps few decoded blocks; by itself it keeps as many as fit a twentieth of the machine's memory."""
    with rasterio.Env(GDAL_CACHEMAX=_CACHE):
        yield


def is_hidden(path: Path) -> bool:
    """Whether a file is not meant to be seen, such as those that macOS leaves beside every file of an archive."""
    return path.name.startswith(".")


def rasters_in(folder: Path) -> list[Path]:
    """The rasters directly in a folder, by name, without hidden ones."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in RASTER_SUFFIXES and not is_hidden(path))


def raster_files(folder: Path) -> list[Path]:
    """Those of `rasters_in`, of which there must be some.

    Raises:
        InputError: If there are none.
    """
    files = rasters_in(folder)
    if not files:
        raise InputError(f"no images in {folder}; looked for {', '.join(RASTER_SUFFIXES)}")
    return files


def check_same_grid(one: Raster, other: Raster) -> None:
    """Checks that two rasters have the same pixels: size and, where both have a place, place.

    *Convention.* One without a CRS is in that of the other; if it has no place in it either, sizes alone are compared.

    Raises:
        PairingError: If they differ by more than a twentieth of a pixel anywhere.
    """
    if (one.height, one.width) != (other.height, other.width):
        raise PairingError(
            f"{one.path} is {one.width}×{one.height} pixels but {other.path} is {other.width}×{other.height}; "
            "they must share one grid"
        )
    if one.crs and other.crs and one.crs != other.crs:
        if one.located and other.located:
            raise PairingError(f"{one.path} is in {one.crs} but {other.path} is in {other.crs}; warp one to the other")
        return  # what a local engineering CRS measures from is not known
    if not (_has_origin(one) and _has_origin(other)):
        return
    for corner in ((0, 0), (0, one.height), (one.width, 0), (one.width, one.height)):
        col, row = ~other.transform @ (one.transform @ corner)
        if max(abs(col - corner[0]), abs(row - corner[1])) > 0.05:
            raise PairingError(
                f"{one.path} lies {col - corner[0]:+.2f} columns and {row - corner[1]:+.2f} rows from {other.path}; "
                "they must share one grid"
            )


def _has_origin(raster: Raster) -> bool:
    """Whether a raster's pixels are counted from a place; where only their size or order is known, they are from 0."""
    return raster.located or raster.transform.c != 0


def parse_nodata(text: str | float | None) -> Nodata:
    """Reads the value of ``--nodata``: nothing (the file's word), ``none`` or a number.

    Raises:
        InputError: If it is something else.
    """
    if text is None:
        return "file"
    if text == "none":
        return "none"
    try:
        return float(text)
    except ValueError:
        raise InputError(f"nodata is 'none' or a number, not '{text}'") from None


def _check_form(path: str | Path, file: rasterio.DatasetReader) -> None:
    """Checks that a file holds imagery that can be worked on, and holds it itself."""
    check_stays_here(path, file.driver)
    if file.count > MOST_BANDS:
        raise InputError(f"{path} says that it has {file.count} bands, and no more than {MOST_BANDS} are read")
    if len(_alpha_bands(file)) == file.count:
        raise InputError(f"{path} has no bands of imagery" + (", only an alpha band" if file.count else ""))
    if file.dtypes[0].startswith("complex"):
        raise InputError(f"{path} holds complex numbers; give imagery of integers or floats")
    if max(file.height, file.width) > _LONGEST:
        raise InputError(f"{path} says that it has {file.width}×{file.height} pixels; is it damaged?")
    place = file.transform
    if not all(map(math.isfinite, place[:6])) or place.determinant == 0:
        raise InputError(
            f"{path} has pixels without a size, its geotransform is {place.to_gdal()}; `gdal_edit.py -a_ullr` gives it "
            "a place"
        )


def _alpha_bands(file: rasterio.DatasetReader) -> list[int]:
    return [i for i, kind in zip(file.indexes, file.colorinterp, strict=True) if kind == ColorInterp.alpha]


def _opacity(file: rasterio.DatasetReader, window: Window) -> NDArray[Any]:
    """The alpha or mask band; GDAL's own dataset mask would let a declared nodata value overrule the alpha band."""
    alpha, part = _alpha_bands(file), _for_rasterio(window)
    return np.asarray(file.read(alpha[0], window=part) if alpha else file.dataset_mask(window=part))


def _for_rasterio(window: Window) -> RasterioWindow:
    return RasterioWindow(window.col, window.row, window.width, window.height)


def _opaque(dtype: "np.dtype[Any]") -> float:
    """What an alpha band says of ground that holds data in full."""
    return 1.0 if dtype.kind == "f" else float(np.iinfo(dtype).max)


def _all_equal(pixels: NDArray[Any], value: float | str | None) -> NDArray[np.bool_]:
    """Where all bands hold a value, (height, width)."""
    if value is None or isinstance(value, str):
        return np.zeros(pixels.shape[1:], bool)
    equal: NDArray[np.bool_] = np.ones(pixels.shape[1:], bool)
    for band in pixels:
        equal &= np.isnan(band) if math.isnan(value) else band == value
        if not equal.any():  # as a rule after the first band
            break
    return equal
