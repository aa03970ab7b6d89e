"""Masks on disk: which pixels are foreground, and of which of them anything is known.

{0, 1}, {0, 255}, anti-aliased grey and probabilities are all masks: a pixel is foreground from half of the full scale
on. The full scale is what the file's own scale factor makes 1 (the maps of `crispmap predict` state one), or follows
from the largest value: 1, 255 or 65535. Files that belong together are then read on one scale (`check_mask_set`),
because a tile without a building does not show by itself which it has.

Nodata: an alpha or mask band has the first word. A declared nodata value is often just the background or, in
files of two values, the class; it means "nothing is known here" only where it is neither: not 0, and not the
only value beside 0. A file that holds nothing else does not tell; files that belong to it may.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crispmap.errors import InputError
from crispmap.geo.raster import Nodata, Raster, Window, opened

_SLACK = 0.01  # how far probabilities may leave 0…1 after resampling with a filter that overshoots


@dataclass(frozen=True)
class MaskRaster:
    """A raster of one class, looked through once.

    Attributes:
        raster: The file, reduced to one band.
        maximum: The largest value among its pixels that hold data.
        full_scale: The value that stands for certainty: 1, 255 or 65535; infinite where values go beyond.
        nodata: What tells pixels without data: a value, ``"none"``, or ``"file"`` for an alpha or mask band.
        scale_is_stated: Whether the file itself says what its full scale is.
        class_is_nodata: Whether the file declares its only value beside 0 as nodata, which it is not, then.
        only_nodata: Whether it holds nothing but the value above 0 that it declares as nodata.
    """

    raster: Raster
    maximum: float
    full_scale: float
    nodata: Nodata
    scale_is_stated: bool = False
    class_is_nodata: bool = False
    only_nodata: bool = False

    @classmethod
    def of(cls, path: str | Path, nodata: Nodata = "file") -> "MaskRaster":
        """Looks through a file, block by block.

        Args:
            path: The file.
            nodata: ``"file"`` for the file's own word, ``"none"``, or a value that replaces it.

        Raises:
            InputError: If it cannot be read, has bands that differ, or values below 0.
        """
        raster = Raster.of(path)
        in_doubt = None
        if nodata == "file" and not raster.masked:
            nodata = raster.nodata or "none"  # 0 is the background
            in_doubt = nodata if nodata != "none" and nodata > 0 else None
        lowest, highest, seen, others = 0.0, 0.0, False, False
        for window in raster.window.strips():
            pixels, valid = raster.read(window, "none" if in_doubt is not None else nodata)
            if (pixels != pixels[0])[:, valid].any():
                raise InputError(f"{path} has {len(pixels)} bands that differ; give a mask of one band")
            values = pixels[0][valid]
            if in_doubt is not None:
                seen = seen or bool((values == in_doubt).any())
                values = values[values != in_doubt]
            if values.size:
                others = True
                lowest, highest = min(lowest, float(values.min())), max(highest, float(values.max()))
        if lowest < -_SLACK:
            raise InputError(
                f"{path} has values from {lowest:g} to {highest:g}; give a mask, or probabilities from 0 to 1"
            )
        raster = replace(raster, bands=raster.bands[:1])
        if in_doubt is not None and seen and others and highest == 0:
            return cls(raster, in_doubt, _full_scale(in_doubt), "none", class_is_nodata=True)
        stated = _stated_scale(raster)
        full_scale = stated or _full_scale(highest)
        return cls(raster, highest, full_scale, nodata, stated is not None, only_nodata=seen and not others)

    def read(self, window: Window, threshold: float = 0.5) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Reads a part, which may reach beyond the raster.

        Args:
            window: What to read.
            threshold: The share of the full scale from which on a pixel is foreground.

        Returns:
            Where the foreground is and where the pixels hold data, each (height, width). What holds no data
            is not foreground.

        Raises:
            InputError: If the file cannot be read.
        """
        pixels, valid = self.raster.read(window, self.nodata)
        return (pixels[0] >= threshold * self.full_scale) & valid, valid


def check_mask_set(masks: Sequence[MaskRaster]) -> list[MaskRaster]:
    """Judges masks that belong together, such as the labels of one training set.

    Args:
        masks: The masks; integers share one scale, floats another.

    Returns:
        The same masks, in order, on their common scale and with their common word on nodata.

    Raises:
        InputError: If the largest value of all reaches half of no full scale, as with numbers of classes.
    """
    judged = list(masks)
    # where one file of a set has another class value, a declared nodata value is what it says in all of them
    really_nodata = {mask.raster.nodata for mask in masks if mask.maximum > 0 and not mask.class_is_nodata}
    really_class = {mask.raster.nodata for mask in masks if mask.class_is_nodata} - really_nodata
    for i, mask in enumerate(judged):
        declared = mask.raster.nodata
        if mask.class_is_nodata and declared in really_nodata:
            judged[i] = replace(mask, maximum=0.0, nodata=mask.maximum, class_is_nodata=False)
        elif mask.only_nodata and declared is not None and declared in really_class:
            judged[i] = replace(mask, maximum=declared, nodata="none", class_is_nodata=True)
    for kind in {_kind(mask) for mask in judged} - {"stated"}:
        largest = max((mask for mask in judged if _kind(mask) == kind), key=lambda mask: mask.maximum)
        full_scale = _full_scale(largest.maximum)
        if 1 + _SLACK < largest.maximum < full_scale / 2:
            raise InputError(
                f"values run 0…{largest.maximum:g} in {largest.raster.path}: neither {{0,1}} nor {{0,255}}; "
                "make a mask of one class first"
            )
        judged = [replace(mask, full_scale=full_scale) if _kind(mask) == kind else mask for mask in judged]
    return judged


def _kind(mask: MaskRaster) -> str:
    if mask.scale_is_stated:
        return "stated"
    return "float" if np.dtype(mask.raster.dtype).kind == "f" else "integer"


def _stated_scale(raster: Raster) -> float | None:
    with opened(raster.path) as file:
        factor = file.scales[raster.bands[0] - 1]
    return float(round(1 / factor)) if 0 < factor < 1 else None


def _full_scale(highest: float) -> float:
    for scale in (1, 255, 65535):
        if highest <= scale * (1 + _SLACK):
            return float(scale)
    return math.inf
