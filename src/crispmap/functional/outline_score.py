"""Exact measures of the shape of outlines: how long they are, and how much of them turns."""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from crispmap.functional._checks import check_masks
from crispmap.functional.region_score import per_image, quotient

CORNER_RADIUS = 4  # pixels
_TURNS = (
    0.125  # by how much the share of foreground around a place must differ from the half that a straight line leaves
)

_HALF_WIDTHS = [math.isqrt(CORNER_RADIUS**2 - row**2) for row in range(-CORNER_RADIUS, CORNER_RADIUS + 1)]
_DISK = sum(2 * half + 1 for half in _HALF_WIDTHS)  # its pixels

ALL = slice(None)


class PerimeterCounts(NamedTuple):
    """Lengths of all outlines in each image in pixel edges, int64, shape (N,)."""

    predicted: Tensor
    true: Tensor


class CornerCounts(NamedTuple):
    """Lengths of the outlines that turn in each image in pixel edges, int64, shape (N,)."""

    predicted: Tensor
    true: Tensor


def perimeter_counts(
    pred: Tensor, truth: Tensor, valid: Tensor | None = None, *, rows: slice = ALL, cols: slice = ALL
) -> PerimeterCounts:
    """Measures outlines as the number of 4-adjacent pixel pairs with different labels.

    The image border is no outline, and pairs with an ignored pixel are not counted.

    Args:
        pred: Bool, shape (N, H, W).
        truth: Bool, shape (N, H, W).
        valid: Bool, shape (N, H, W), false at ignored pixels.
        rows: Whose pairs to count; a pair belongs to its upper, or left, pixel.
        cols: Whose pairs to count, likewise.

    Returns:
        The lengths; `perimeter_ratio` makes a ratio of them.

    Raises:
        SettingError: If the masks do not fit together.
    """
    check_masks(pred, truth, valid)
    return PerimeterCounts(*(_length(_pairs(mask, valid), rows, cols) for mask in (pred, truth)))


def perimeter_ratio(counts: PerimeterCounts) -> Tensor:
    """Predicted over true perimeter, pooled: a float64 scalar, 1 where equal, NaN if the truth has none.

    Well above 1 the masks are jagged or full of specks; well below 1 they are smoothed or miss objects.
    """
    return _ratio(counts.predicted.sum(), counts.true.sum())


def corner_counts(
    pred: Tensor, truth: Tensor, valid: Tensor | None = None, *, rows: slice = ALL, cols: slice = ALL
) -> CornerCounts:
    """Measures how much of the outlines turns: the pixel pairs of the perimeter that are near a corner.

    Around each of the two pixels of a pair lies a disk of 4 pixels radius. Along a straight outline, at any angle,
    half of the disks is foreground; at a right angle a quarter or three quarters. Pairs where the share differs from
    one half by more than 1/8 are near a corner. Outlines bent with a radius of 8 pixels and more have none; the teeth
    of a comb are made of them.

    *Convention.* Pairs as in `perimeter_counts`; those whose disks leave the image or hold an ignored pixel are not
    counted.

    Args:
        pred: Bool, shape (N, H, W).
        truth: Bool, shape (N, H, W).
        valid: Bool, shape (N, H, W), false at ignored pixels.
        rows: Whose pairs to count; a pair belongs to its upper, or left, pixel.
        cols: Whose pairs to count, likewise.

    Returns:
        The lengths; `corner_ratio` makes a ratio of them.

    Raises:
        SettingError: If the masks do not fit together.
    """
    check_masks(pred, truth, valid)
    here = torch.ones_like(pred) if valid is None else valid
    unknown = _in_disk(~here, outside=True) > 0
    return CornerCounts(*(_turning(mask, unknown, rows, cols) for mask in (pred, truth)))


def corner_ratio(counts: CornerCounts) -> Tensor:
    """Predicted over true length of outline that turns, pooled: a float64 scalar, NaN if the truth has none.

    1 for outlines as they should be, near 0 where corners are rounded off, and well above 1 where outlines are jagged:
    about 10 for teeth of 2 pixels.
    """
    return _ratio(counts.predicted.sum(), counts.true.sum())


def _pairs(mask: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor]:
    """Where neighbours across and down differ, by the left or upper one."""
    across = mask[:, :, 1:] != mask[:, :, :-1]
    down = mask[:, 1:] != mask[:, :-1]
    if valid is not None:
        across &= valid[:, :, 1:] & valid[:, :, :-1]
        down &= valid[:, 1:] & valid[:, :-1]
    return across, down


def _length(pairs: tuple[Tensor, Tensor], rows: slice, cols: slice) -> Tensor:
    across, down = pairs
    return per_image(across[:, rows, cols]) + per_image(down[:, rows, cols])


def _turning(mask: Tensor, unknown: Tensor, rows: slice, cols: slice) -> Tensor:
    """Of one mask, the length that turns in each image."""
    inside = _in_disk(mask, outside=False)
    across, down = _pairs(mask, ~unknown)
    across &= (inside[:, :, 1:] + inside[:, :, :-1] - _DISK).abs_() > 2 * _TURNS * _DISK
    down &= (inside[:, 1:] + inside[:, :-1] - _DISK).abs_() > 2 * _TURNS * _DISK
    return _length((across, down), rows, cols)


def _in_disk(mask: Tensor, *, outside: bool) -> Tensor:
    """How many pixels of the mask lie in the disk around each pixel, int16; `outside` is what lies beyond the image."""
    height, width = mask.shape[-2:]
    padded = F.pad(mask, (CORNER_RADIUS + 1, CORNER_RADIUS, CORNER_RADIUS, CORNER_RADIUS), value=outside)
    totals = padded.cumsum(-1, dtype=torch.int16)  # wraps around in wide images, and differences come back exactly
    count = torch.zeros(mask.shape, dtype=torch.int16, device=mask.device)
    for row, half in enumerate(_HALF_WIDTHS):
        line = totals[..., row : row + height, :]
        count += line[..., CORNER_RADIUS + half + 1 :][..., :width]
        count -= line[..., CORNER_RADIUS - half :][..., :width]
    return count


def _ratio(predicted: Tensor, true: Tensor) -> Tensor:
    return quotient(predicted, true).masked_fill(true == 0, math.nan)
