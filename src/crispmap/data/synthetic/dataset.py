"""A folder of synthetic scenes: GeoTIFFs, masks, and one GeoPackage of all footprints."""

import os
import signal
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import rasterio
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.errors import RasterioError

from crispmap.data.synthetic.label_offset import check_label_offset, displace_labels
from crispmap.data.synthetic.scene import CRS, Footprint, check_scene, render_scene
from crispmap.errors import CrispmapError, OutputError, SettingError
from crispmap.geo.read_back import check_raster, check_vectors
from crispmap.progress import track
from crispmap.whole import clear, whole_folder

_Labels = tuple[list[Footprint], list[Footprint]]  # of one scene: the truth, and displaced labels if asked for


_OFFSET_MASKS, _OFFSET_FOOTPRINTS = "masks_offset", "footprints_offset.gpkg"


def write_scenes(
    out: str | Path, scenes: int, size: int, seed: int, workers: int | None = None, label_offset: float = 0.0
) -> int:
    """Writes scenes 0 to ``scenes`` − 1 of a seed, whole or not at all.

        out/images/scene_0000.tif    three bands, uint8
        out/masks/scene_0000.tif     {0, 255}
        out/footprints.gpkg          layer footprints: scene, building, plan, roof, height

    and with a label offset also labels to train on that lie beside their buildings, each by itself, while those above
    stay the truth to score against:

        out/masks_offset/scene_0000.tif    {0, 255}
        out/footprints_offset.gpkg         the same rows as footprints.gpkg, with offset_east and offset_north in metres

    Args:
        out: The folder to make; scenes that are there are replaced.
        scenes: How many, at least 1.
        size: Height and width of each in pixels, at least 64.
        seed: Any integer from 0.
        workers: Processes to share the work; as many as there are processors by default. The files are the
            same whatever their number.
        label_offset: Each building's training label is displaced by up to this many metres, uniformly over a disc
            (see `displace_labels`). 0, the default, writes no such labels.

    Returns:
        The number of footprints.

    Raises:
        SettingError: If a number is out of range.
        OutputError: If a name has signs in it that names of vector files cannot have, or the disk is full.
        CrispmapError: If a process that draws scenes is killed.
    """
    if scenes < 1:
        raise SettingError(f"scenes is {scenes}; give at least 1")
    if workers is not None and workers < 1:
        raise SettingError(f"workers is {workers}; give at least 1")
    from crispmap.geo.vector_file import check_vector_name  # not needed by the workers, which import this module too

    check_scene(seed, 0, size)
    check_vector_name(out)  # of the folder, as it is a part of the names of the vector files in it
    check_label_offset(label_offset)
    with whole_folder(out) as folder:
        (folder / "images").mkdir()
        (folder / "masks").mkdir()
        if label_offset:
            (folder / _OFFSET_MASKS).mkdir()
        write = partial(_write_scene, folder, seed, size, label_offset)
        results = list(track(_spread(write, scenes, workers), "synthesize", scenes))
        footprints = [(_name(index), footprint) for index, (found, _) in enumerate(results) for footprint in found]
        _write_footprints(folder / "footprints.gpkg", footprints)
        if label_offset:
            displaced = [(_name(index), footprint) for index, (_, found) in enumerate(results) for footprint in found]
            _write_footprints(folder / _OFFSET_FOOTPRINTS, displaced, _offset_columns(displaced))
        else:
            clear(Path(out), [_OFFSET_MASKS, _OFFSET_FOOTPRINTS])  # those of scenes that are replaced now
    return len(footprints)


def _name(index: int) -> str:
    return f"scene_{index:04d}"


def _spread(write: Callable[[int], _Labels], scenes: int, workers: int | None) -> Iterator[_Labels]:
    """Yields the results of ``write`` for each scene, in order, from as many processes as there is use for."""
    processes = min(workers or os.cpu_count() or 1, scenes)
    if processes == 1:
        yield from map(write, range(scenes))
        return
    with ProcessPoolExecutor(processes, get_context("spawn"), _follow_parent) as pool:
        try:
            yield from pool.map(write, range(scenes))
        except BrokenProcessPool as error:
            raise CrispmapError(
                f"one of {processes} processes that draw scenes was killed, likely for want of memory; give fewer "
                "workers, or smaller scenes"
            ) from error


def _follow_parent() -> None:
    """Only the parent hears an interrupt; it lets the others finish their scenes and clears up. They leave with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_leave_with_parent, daemon=True).start()


def _leave_with_parent() -> None:
    """Ends this process when the one that it works for has been killed, which would leave it waiting for work."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _write_scene(folder: Path, seed: int, size: int, label_offset: float, index: int) -> _Labels:
    """Writes one scene; returns its footprints, and the displaced ones if there are any."""
    scene = render_scene(seed, index, size)
    _write_raster(folder / "images" / f"{_name(index)}.tif", scene.image, scene.transform)
    _write_raster(folder / "masks" / f"{_name(index)}.tif", scene.mask[None], scene.transform)
    if not label_offset:
        return scene.footprints, []
    displaced = displace_labels(scene, seed, index, label_offset)
    _write_raster(folder / _OFFSET_MASKS / f"{_name(index)}.tif", displaced.mask[None], scene.transform)
    return scene.footprints, displaced.footprints


def _write_raster(path: Path, bands: NDArray[np.uint8], transform: Affine) -> None:
    count, height, width = bands.shape
    profile = {"driver": "GTiff", "dtype": "uint8", "count": count, "height": height, "width": width}
    layout = {"tiled": True, "blockxsize": 256, "blockysize": 256, "interleave": "pixel"}
    # Noise hardly compresses: the fastest level costs a tenth of the default's time and a few per cent of space.
    compression = {"compress": "deflate", "predictor": 2, "zlevel": 1}
    try:
        with rasterio.open(path, "w", crs=CRS, transform=transform, **profile, **layout, **compression) as raster:
            raster.write(bands)
    except RasterioError as error:
        raise OutputError(f"{path} cannot be written; is the disk full? ({error})") from error
    check_raster(path)


def _offset_columns(footprints: list[tuple[str, Footprint]]) -> dict[str, NDArray[Any]]:
    east, north = np.array([f.offset for _, f in footprints]).reshape(-1, 2).T
    return {"offset_east": east, "offset_north": north}


def _write_footprints(
    path: Path, footprints: list[tuple[str, Footprint]], more: Mapping[str, NDArray[Any]] | None = None
) -> None:
    import pyogrio  # nor this

    columns = {
        "scene": np.array([name for name, _ in footprints], dtype=object),
        "building": np.array([f.building for _, f in footprints], dtype=np.int32),
        "plan": np.array([f.plan for _, f in footprints], dtype=object),
        "roof": np.array([f.roof for _, f in footprints], dtype=object),
        "height": np.array([f.height for _, f in footprints]),
        **(more or {}),
    }
    # GeoPackages carry the time of their last change; a fixed one makes equal content equal bytes.
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": "2000-01-01T00:00:00Z"})
    try:
        pyogrio.raw.write(
            path,
            geometry=shapely.to_wkb([f.polygon for _, f in footprints]),
            field_data=list(columns.values()),
            fields=list(columns),
            layer="footprints",
            driver="GPKG",
            geometry_type="Polygon",
            crs=CRS,
        )
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, pyogrio.errors.FeatureError) as error:
        raise OutputError(f"{path} cannot be written; is the disk full? ({error})") from error
    finally:
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": None})
    check_vectors(path, len(footprints))
