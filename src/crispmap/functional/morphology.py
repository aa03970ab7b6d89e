"""Boundaries, dilation and distance of masks, exact, in bool and integers.

All of them treat the last two dimensions as the image.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def inner_boundary(mask: Tensor, *, border: bool, valid: Tensor | None = None) -> Tensor:
    """Pixels of the mask with background above, below, left or right of them.

    With ``border`` this is the mask minus its erosion by a 3×3 cross after zero padding.

    Args:
        mask: Bool, shape (…, H, W).
        border: Whether what lies beyond the image counts as background.
        valid: Bool, false at ignored pixels, which are on neither side: they are no boundary and make none.

    Returns:
        Bool, shape (…, H, W).
    """
    background = ~mask if valid is None else valid & ~mask
    around = F.pad(background, (1, 1, 1, 1), value=border)
    beside = around[..., :-2, 1:-1] | around[..., 2:, 1:-1]
    beside |= around[..., 1:-1, :-2]
    beside |= around[..., 1:-1, 2:]
    beside &= mask
    return beside if valid is None else beside & valid


def dilate_square(mask: Tensor, radius: int, *, outside: bool = False) -> Tensor:
    """Pixels within Chebyshev distance ``radius`` of the mask, at a cost that grows with log(radius).

    Args:
        mask: Bool, shape (…, H, W).
        radius: In pixels, at least 0; a square of 2·radius + 1 pixels a side.
        outside: Whether what lies beyond the image belongs to the mask.

    Returns:
        Bool, shape (…, H, W).
    """
    for dim in (-1, -2):
        reach = min(radius, mask.shape[dim])
        padding = (reach, reach) if dim == -1 else (0, 0, reach, reach)
        mask = F.pad(mask, padding, value=outside)
        span, width = 1, 2 * reach + 1
        while span < width:  # windows of two spans from windows of one, the last pair overlapping
            step = min(span, width - span)
            length = mask.shape[dim] - step
            mask = mask.narrow(dim, 0, length) | mask.narrow(dim, step, length)
            span += step
    return mask


def squared_distance(points: Tensor, cap: int) -> Tensor:
    """Squared Euclidean distance from each pixel to the nearest of the points, exact up to a cap.

    First the distance along each row, then, down each column, the least sum of its square and the squared
    offset. Integers throughout, and of the smallest type that holds them.

    Args:
        points: Bool, shape (…, H, W).
        cap: Distance in pixels beyond which it does not matter how far a pixel is; the cost grows with it.

    Returns:
        Integers, shape (…, H, W): d² where d < cap + 1, some number that is at least (cap + 1)² elsewhere.
    """
    far = cap + 1
    dtype = next(t for t in (torch.int16, torch.int32, torch.int64) if 2 * far * far <= torch.iinfo(t).max)
    along = torch.full(points.shape, far, dtype=dtype, device=points.device).masked_fill_(points, 0)
    width, step = points.shape[-1], 1
    while step <= min(cap, width - 1):  # steps of 1, 2, 4, … add up to every offset
        for to, source in _shifts(along, along, -1, step):
            torch.minimum(to, source + step, out=to)
        step *= 2
    row = along.square_()
    nearest = row.clone()
    for step in range(1, min(cap, points.shape[-2] - 1) + 1):
        for to, source in _shifts(nearest, row, -2, step):
            torch.minimum(to, source + step * step, out=to)
    return nearest


def _shifts(to: Tensor, source: Tensor, dim: int, step: int) -> tuple[tuple[Tensor, Tensor], ...]:
    """Pairs of views in which a pixel of ``to`` meets that ``step`` before or after it in ``source``."""
    length = to.shape[dim] - step
    return (
        (to.narrow(dim, 0, length), source.narrow(dim, step, length)),
        (to.narrow(dim, step, length), source.narrow(dim, 0, length)),
    )
