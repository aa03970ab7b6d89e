"""What GDAL has written, read again: of a write that fails last of all, as on a disk that fills up, it says nothing.

Everything is decoded once, block by block or batch by batch, so that memory does not grow with the file.
"""

from pathlib import Path

from crispmap.errors import InputError, OutputError
from crispmap.geo.open_files import errors_named, open_raster


def check_raster(path: Path) -> None:
    """Checks that every block of a raster can be read: of its bands, of its mask and of its overviews.

    Raises:
        OutputError: If not.
    """
    try:
        overviews = _read_blocks(path)
        for number in range(overviews):
            _read_blocks(path, number)
    except InputError as error:
        raise _unwritten(path, error.__cause__ or error) from error


def check_vectors(path: Path, count: int) -> None:
    """Checks that a file of one layer gives so many features, and a GeoPackage has all of them in its spatial index.

    Raises:
        OutputError: If not.
    """
    import pyarrow as pa  # here, for rasters are written by processes that have no use for these
    import pyogrio

    try:
        with pyogrio.open_arrow(path, use_pyarrow=True) as (_, batches):
            found = sum(batch.num_rows for batch in batches)
        indexed = _indexed(path) if path.suffix.lower() == ".gpkg" else found
    except (RuntimeError, pa.ArrowException, OSError) as error:  # pyogrio's own are of the first kind
        raise _unwritten(path, error) from error
    if not found == indexed == count:
        raise _unwritten(path, f"it gives {found} of {count} features, {indexed} by its index")


def _read_blocks(path: Path, overview: int | None = None) -> int:
    """Reads a raster, or one of its overviews; gives how many of these it has."""
    with errors_named(path), open_raster(path, overview) as file:
        for _, window in file.block_windows():
            file.read(window=window)
            file.dataset_mask(window=window)
        return len(file.overviews(1))


def _indexed(path: Path) -> int:
    """How many features the spatial index of a GeoPackage knows."""
    import pyogrio

    info = pyogrio.read_info(path)
    query = f'SELECT count(*) FROM "rtree_{info["layer_name"]}_{info["geometry_name"]}"'
    _, _, _, [counts] = pyogrio.raw.read(path, sql=query)
    return int(counts[0])


def _unwritten(path: Path, why: object) -> OutputError:
    return OutputError(f"{path} cannot be written as a whole; is the disk full? ({why})")
