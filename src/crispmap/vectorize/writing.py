"""A probability raster of any size into a file of footprints, in memory that does not grow with its height."""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray

from crispmap.geo.mask import MaskRaster, check_mask_set
from crispmap.geo.raster import Raster, kept_open, small_cache
from crispmap.progress import progress_bar
from crispmap.vectorize.formats import Batch, check_format, write_batches
from crispmap.vectorize.ground import measures, on_map, to_map
from crispmap.vectorize.plan import Plan
from crispmap.vectorize.regularise import regularised
from crispmap.vectorize.rings import trace
from crispmap.vectorize.runs import Runs
from crispmap.vectorize.separate import separated
from crispmap.vectorize.settings import VectorizeSettings
from crispmap.vectorize.simplify import points_to_keep
from crispmap.vectorize.stream import Strip, finished_groups
from crispmap.vectorize.topology import network_of
from crispmap.whole import whole_file


def write_footprints(
    probability: str | Path,
    out: str | Path,
    settings: VectorizeSettings | None = None,
    *,
    strip_pixels: int | None = None,
) -> int:
    """Makes footprints of a raster.

    They come in the order in which they are finished from top to bottom; which they are, and what they are like,
    depends on the raster and the settings alone.

    Args:
        probability: A raster of one band: levels with a scale factor as `crispmap predict` writes them,
            probabilities from 0 to 1, or a mask.
        out: The file, which appears whole or not at all; one that is there is replaced. Its suffix says the format.
        settings: How; the defaults if not given.
        strip_pixels: About how many pixels are worked on at once.

    Returns:
        How many footprints there are.

    Raises:
        InputError: If the raster cannot be read or is no mask.
        OutputError: If the suffix names no format or the file cannot be written.
    """
    settings = settings or VectorizeSettings()
    check_format(Path(out))
    with small_cache():
        [mask] = check_mask_set([MaskRaster.of(probability, settings.nodata)])
        plan = Plan.of(mask.raster, settings)
        count = 0

        def batches() -> Iterator[Batch]:
            nonlocal count
            for runs in finished_groups(
                _strips(mask, settings.threshold, strip_pixels),
                mask.raster.width,
                plan.reach,
                keep_levels=settings.separate is not None,
            ):
                batch = _footprints(runs, mask, plan)
                count += len(batch.polygons)
                yield batch

        with whole_file(out) as part:
            write_batches(part, batches(), plan.attributes, mask.raster.crs)
    return count


def _strips(mask: MaskRaster, threshold: float, pixels: int | None) -> Iterator[Strip]:
    windows = list(mask.raster.window.strips(pixels))
    with kept_open(mask.raster) as raster, progress_bar("vectorize", len(windows)) as bar:
        for window in windows:
            levels, valid = raster.read(window, mask.nodata)
            yield Strip(window.row, (levels[0] >= threshold * mask.full_scale) & valid, levels[0])
            bar.advance()


def _footprints(runs: Runs, mask: MaskRaster, plan: Plan) -> Batch:
    """The footprints of finished groups."""
    if plan.settings.separate is not None:
        core = plan.settings.separate * mask.full_scale
        runs = separated(runs, core, min_pixels=plan.min_area / math.prod(plan.scale))
    _, label = np.unique(runs.label, return_inverse=True)
    shapes = _outlines(runs, label, mask.raster, plan)
    found = measures(shapes, mask.raster)
    found["probability"] = _means(runs, label) / mask.full_scale
    keep = found[plan.attributes[0]] >= plan.min_area
    digits = dict(zip(plan.attributes, (2, 4, 2, 1), strict=True))
    attributes = {name: found[name][keep].round(digits[name]) for name in plan.attributes}
    attributes["orientation"] %= 180
    return Batch(on_map(shapes[keep], mask.raster), attributes)


def _outlines(runs: Runs, label: NDArray[np.int64], raster: Raster, plan: Plan) -> NDArray[np.object_]:
    """The polygons of objects in pixels, by their labels from 0 on."""
    traced = network_of(trace(runs, label, raster.width), raster.width)
    how = plan.tolerance, plan.scale, to_map(raster)
    keep = points_to_keep(traced, *how)
    network = regularised(traced, keep, *how) if plan.settings.regularise else traced.reduced(keep)
    shapes: NDArray[np.object_] = network.shapes()[0]
    return shapely.normalize(shapes)


def _means(runs: Runs, label: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.bincount(label, runs.total) / np.bincount(label, runs.length)
