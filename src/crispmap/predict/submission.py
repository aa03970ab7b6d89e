"""The form in which the INRIA contest takes predictions: a one-band 8-bit GeoTIFF a tile, all in one zip."""

import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from zipfile import ZIP_STORED, ZipFile

import numpy as np
import rasterio
from rasterio.errors import NotGeoreferencedWarning
from rasterio.windows import Window as RasterioWindow

from crispmap.errors import InputError
from crispmap.geo.raster import Raster
from crispmap.geo.read_back import check_raster
from crispmap.models import SegmentationModel
from crispmap.predict.inference import device_of, with_batch_size
from crispmap.predict.plan import Settings, check
from crispmap.predict.stream import predict_bands, tiles_of
from crispmap.progress import progress_bar
from crispmap.whole import whole_file


def write_submission(
    model: SegmentationModel, tiles: Sequence[Raster], out: str | Path, settings: Settings | None = None
) -> Path:
    """Predicts tiles into a zip as the INRIA contest takes it.

    The zip holds, side by side, a GeoTIFF of one 8-bit band for each tile, of the same name, size and place: 255 where
    there is a building and 0 elsewhere, also where the tile has no data. Values are those of the masks that
    `crispmap predict` writes; unlike these, the files have no mask band. The contest wants all 180 tiles; whether they
    are there, `crispmap check-data inria` says.

    Args:
        model: Is moved to the device of the settings.
        tiles: The images of the test cities: ``[scene.image for scene in open_dataset("inria", root).test]``.
        out: The zip, which appears whole or not at all, and replaces one that is there.
        settings: How to predict; the defaults if not given.

    Raises:
        InputError: If there are no tiles, two have the same name, one is not what the model was trained on, or one
            cannot be read.
        OutputError: If a mask cannot be written as a whole.
    """
    settings = settings or Settings()
    names = [tile.path.name for tile in tiles]
    if not names:
        raise InputError("there are no test tiles to predict; `crispmap check-data inria ROOT` says what is there")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(f"several tiles are called {twice[0]}; a submission holds each name once")
    for tile in tiles:
        check(tile, model.spec)
    model = model.to(device_of(settings.device)).eval()
    settings = with_batch_size(model, settings)
    windows = sum(len(tiles_of(tile, model.spec, settings)) for tile in tiles)
    with (
        whole_file(out) as part,
        ZipFile(part, "w", ZIP_STORED) as archive,  # the GeoTIFFs are compressed already
        tempfile.TemporaryDirectory() as folder,
        progress_bar("predict", windows) as bar,
    ):
        for tile in tiles:
            file = Path(folder) / tile.path.name
            _write_mask(file, model, tile, settings, bar.advance)
            archive.write(file, file.name)
            file.unlink()
    return Path(out)


def _write_mask(
    file: Path, model: SegmentationModel, tile: Raster, settings: Settings, on_windows: Callable[[int], None]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(
            file,
            "w",
            driver="GTiff",
            height=tile.height,
            width=tile.width,
            count=1,
            dtype="uint8",
            crs=tile.crs,
            transform=None if tile.transform.is_identity else tile.transform,
            compress="lzw",
        ) as output:
            for band in predict_bands(model, tile, settings, on_windows):
                building = band.levels >= settings.threshold * 255
                levels = np.where(building & band.valid, 255, 0).astype(np.uint8)
                output.write(levels, 1, window=RasterioWindow(0, band.row, tile.width, len(levels)))
    check_raster(file)
