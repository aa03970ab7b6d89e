"""Exact counts of the bands inside the outlines, and Boundary IoU made of them."""

from typing import NamedTuple

import torch
from torch import Tensor

from crispmap.errors import SettingError
from crispmap.functional._checks import check_masks
from crispmap.functional.conventions import ScoreReduction, check_reduction
from crispmap.functional.lengths import Length, PixelSize
from crispmap.functional.morphology import dilate_square
from crispmap.functional.region_score import per_image, quotient

WIDTH = Length(0.02, "diagonal")  # that of Cheng et al. 2021
_PIXELS_AT_ONCE = 2**20


class BandCounts(NamedTuple):
    """Pixels in both inner bands and in either of them in each image, int64, shape (N,)."""

    intersection: Tensor
    union: Tensor


def boundary_iou_counts(
    pred: Tensor,
    truth: Tensor,
    width: float | str | Length | None = None,
    valid: Tensor | None = None,
    *,
    pixel_size: PixelSize | None = None,
    rows: slice = slice(None),
    cols: slice = slice(None),
) -> BandCounts:
    """Counts the pixels of the inner bands along the boundaries, as Boundary IoU compares them.

    The band is the mask minus as many erosions by a 3×3 square as it is wide, after zero padding (Cheng et al. 2021,
    arXiv:2103.16562), so an object cut by the image border has a band there. On pixels that are not square it is as
    many of them wide as fit the metres in each direction.

    Args:
        pred: Bool, shape (N, H, W).
        truth: Bool, shape (N, H, W).
        width: Of the band, see `band_width`; None for 2 % of the diagonal, as in the paper.
        valid: Bool, shape (N, H, W), false at ignored pixels, which make no band and are not counted.
        pixel_size: Metres down and to the right; a width in metres needs it.
        rows: Whose pixels to count; the others lend their masks only.
        cols: Whose pixels to count, likewise.

    Returns:
        The counts; `boundary_iou` makes a score of them.

    Raises:
        SettingError: If the width is less than 1 pixel or the masks do not fit together.
    """
    check_masks(pred, truth, valid)
    down, right = band_width(width, (pred.shape[1], pred.shape[2]), pixel_size)
    inside = torch.zeros(2, len(pred), dtype=torch.int64, device=pred.device)
    first, last, _ = rows.indices(pred.shape[1])
    step = max(2 * down, _PIXELS_AT_ONCE // max(1, len(pred) * pred.shape[2]))
    for start in range(first, last, step):  # a few rows and those around: what is made of them stays in the cache
        stop = min(start + step, last)
        top = max(0, start - down)
        around, here = slice(top, stop + down), slice(start - top, stop - top)
        known = None if valid is None else valid[:, around]
        inside += _in_bands(pred[:, around], truth[:, around], known, (down, right), here, cols)
    return BandCounts(inside[0], inside[1])


def boundary_iou(counts: BandCounts, reduction: ScoreReduction = "pooled") -> Tensor:
    """Boundary IoU of a set: a float64 scalar in [0, 1], NaN where neither side has a band.

    Args:
        counts: Of all images of the set.
        reduction: ``"pooled"`` for the IoU of all their pixels, ``"image"`` for the mean of the images' own, leaving
            out those without a band on either side.

    Raises:
        SettingError: If the reduction is none of these.
    """
    check_reduction(reduction)
    if reduction == "pooled":
        return quotient(counts.intersection.sum(), counts.union.sum())
    return quotient(counts.intersection, counts.union).nanmean()


def band_width(
    width: float | str | Length | None, image_shape: tuple[int, int], pixel_size: PixelSize | None = None
) -> tuple[int, int]:
    """Width of the inner band in pixels, down and to the right: max(1, round(width)), halves to the even side.

    Raises:
        SettingError: If the width is given in pixels and less than 1, or in metres on pixels of unknown size.
    """
    length = WIDTH if width is None else Length.of(width, "width")
    if length.unit == "px" and length.value < 1:
        raise SettingError(f"width is {length}; a band is at least 1 pixel wide")
    down, right = (max(1, round(pixels)) for pixels in length.on(image_shape).in_pixels(pixel_size))
    return down, right


def _in_bands(
    pred: Tensor, truth: Tensor, valid: Tensor | None, width: tuple[int, int], rows: slice, cols: slice
) -> Tensor:
    """Pixels in both bands and in either, (2, N), of some rows."""
    pred_band, truth_band = (_band(mask, width, valid)[:, rows, cols] for mask in (pred, truth))
    return torch.stack([per_image(pred_band & truth_band), per_image(pred_band | truth_band)])


def _band(mask: Tensor, width: tuple[int, int], valid: Tensor | None) -> Tensor:
    background = ~mask if valid is None else valid & ~mask
    band = dilate_square(background, width, outside=True) & mask
    return band if valid is None else band & valid
