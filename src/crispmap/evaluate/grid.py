"""The grid on which polygons are compared with polygons."""

import math
from collections.abc import Sequence

import rasterio

from crispmap.errors import InputError, PairingError
from crispmap.geo.grid import Bounds, Grid, metric_crs, moved_bounds
from crispmap.geo.vector import check_crs
from crispmap.geo.vector_source import VectorSource

DEFAULT_RESOLUTION = 0.25  # metres


def lay_grids(
    pairs: Sequence[tuple[VectorSource, VectorSource]], area: VectorSource | None, resolution: float | None
) -> list[Grid | None]:
    """Lays a grid for each prediction and its truth.

    It has the truth's CRS if that is in metres, else the UTM zone of the place. It covers the area, or, without one,
    the bounds of both files, and a metre around.

    Args:
        pairs: Predictions and truths.
        area: Outside of which nothing is compared; None for everywhere.
        resolution: The side of a pixel in metres; a quarter of a metre if None.

    Returns:
        The grids in order; None where both sides are empty and no area says where that is.

    Raises:
        SettingError: If the resolution is not above 0.
        InputError: If a grid would be too large, lies in no UTM zone or on both sides of the antimeridian.
        PairingError: If all files are empty, no prediction lies where its truth does, or one file has a CRS and
            another has none.
    """
    resolution = DEFAULT_RESOLUTION if resolution is None else resolution
    grids = [_grid(pred, truth, area, resolution) for pred, truth in pairs]
    first, other = pairs[0]
    if not any(grids):
        empty = f"{first.path} and {other.path} hold" if area is None else f"{area.path} holds"
        raise PairingError(f"{empty} no polygon; there is nothing to compare")
    if area is None and all(grid is None or _apart(*pair, grid) for pair, grid in zip(pairs, grids, strict=True)):
        raise PairingError(f"{first.path} and {other.path} lie apart; are they of the same place?")
    return grids


def _grid(pred: VectorSource, truth: VectorSource, area: VectorSource | None, resolution: float) -> Grid | None:
    sources = [pred, truth] if area is None else [area]
    for source in (pred, *sources):
        check_crs(source, truth)
    bounds = [(source, source.bounds) for source in sources if source.bounds is not None]
    if not bounds:
        return None
    for source, box in bounds:
        if _is_around_the_earth(box, source.crs):
            raise InputError(
                f"{source.path} reaches from 180° west to 180° east and lies in no UTM zone; if it lies on both sides "
                "of that line, reproject both files to the UTM zone of one side, else give an --area"
            )
    rough = _around([moved_bounds(box, source.crs, truth.crs) for source, box in bounds])
    _check_place(rough, sources[0], truth, truth.crs)
    crs = metric_crs(truth.path, truth.crs, rough)
    exact = _around([moved_bounds(box, source.crs, crs) for source, box in bounds])
    _check_place(exact, sources[0], truth, crs)
    return Grid.over(truth.path, exact, crs, resolution)


def _is_around_the_earth(box: Bounds, crs: rasterio.CRS | None) -> bool:
    """Whether bounds are wider than half of the earth, as they are of ground on both sides of the antimeridian."""
    if crs is None or not (crs.is_geographic or crs.is_projected):
        return False
    west, _, east, _ = moved_bounds(box, crs, rasterio.CRS.from_epsg(4326))
    return east - west > 180


def _check_place(bounds: Bounds, source: VectorSource, truth: VectorSource, crs: rasterio.CRS | None) -> None:
    if not all(map(math.isfinite, bounds)):
        raise PairingError(f"{source.path} has no place in {crs}, that of {truth.path}; is its CRS right?")


def _around(boxes: Sequence[Bounds]) -> Bounds:
    west, south, east, north = zip(*boxes, strict=True)
    return min(west), min(south), max(east), max(north)


def _apart(pred: VectorSource, truth: VectorSource, grid: Grid) -> bool:
    """Whether both sides hold something, but nowhere near each other."""
    if pred.bounds is None or truth.bounds is None:
        return False
    one, other = (moved_bounds(box, crs, grid.crs) for box, crs in ((pred.bounds, pred.crs), (truth.bounds, truth.crs)))
    return one[0] > other[2] or other[0] > one[2] or one[1] > other[3] or other[1] > one[3]
