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


def forward_boundary(mask: Tensor, valid: Tensor | None = None) -> Tensor:
    """Pixels that differ from the one to their right, below, or right below, on whichever side they are.

    In the last row only the one to the right counts, in the last column only the one below.

    Args:
        mask: Bool, shape (…, H, W).
        valid: Bool, false at ignored pixels, which differ from nothing.

    Returns:
        Bool, shape (…, H, W).
    """
    right, below = mask[..., :, 1:] ^ mask[..., :, :-1], mask[..., 1:, :] ^ mask[..., :-1, :]
    slanting = mask[..., 1:, 1:] ^ mask[..., :-1, :-1]
    if valid is not None:
        right &= valid[..., :, 1:] & valid[..., :, :-1]
        below &= valid[..., 1:, :] & valid[..., :-1, :]
        slanting &= valid[..., 1:, 1:] & valid[..., :-1, :-1]
    found = F.pad(right, (0, 1))
    found[..., :-1, :] |= below
    found[..., :-1, :-1] |= slanting
    return found


def dilate_square(mask: Tensor, radius: int | tuple[int, int], *, outside: bool = False) -> Tensor:
    """Pixels within Chebyshev distance ``radius`` of the mask, at a cost that grows with log(radius).

    Args:
        mask: Bool, shape (…, H, W).
        radius: In pixels, at least 0; a square of 2·radius + 1 pixels a side. Two numbers, down and to the right, make
            a rectangle.
        outside: Whether what lies beyond the image belongs to the mask.

    Returns:
        Bool, shape (…, H, W).
    """
    radii = (radius, radius) if isinstance(radius, int) else radius
    for dim in (-1, -2):
        reach = min(radii[dim], mask.shape[dim])
        padding = (reach, reach) if dim == -1 else (0, 0, reach, reach)
        mask = F.pad(mask, padding, value=outside)
        span, width = 1, 2 * reach + 1
        while span < width:  # windows of two spans from windows of one, the last pair overlapping
            step = min(span, width - span)
            length = mask.shape[dim] - step
            mask = mask.narrow(dim, 0, length) | mask.narrow(dim, step, length)
            span += step
    return mask


def squared_distance(points: Tensor, cap: int, spacing: tuple[float, float] = (1.0, 1.0)) -> Tensor:
    """Squared Euclidean distance from each pixel to the nearest of the points, exact up to a cap.

    First the distance along each row, then, down each column, the least sum of its square and the squared
    offset. Integers throughout, and of the smallest type that holds them, where steps are of length 1.

    Args:
        points: Bool, shape (…, H, W).
        cap: Steps beyond which it does not matter how far a pixel is; the cost grows with it.
        spacing: How long a step down and a step to the right are.

    Returns:
        Integers, or float64 where a step's length is not 1, shape (…, H, W): d² where d is less than cap + 1 of the
        shorter steps, some number that is at least the square of that elsewhere.
    """
    down, right = spacing
    whole = spacing == (1.0, 1.0)
    far = cap + 1
    dtype = next(t for t in (torch.int16, torch.int32, torch.int64) if 2 * far * far <= torch.iinfo(t).max)
    along = torch.full(points.shape, far, dtype=dtype, device=points.device).masked_fill_(points, 0)
    width, step = points.shape[-1], 1
    while step <= min(cap, width - 1):  # steps of 1, 2, 4, … add up to every offset
        for to, source in _shifts(along, along, -1, step):
            torch.minimum(to, source + step, out=to)
        step *= 2
    row = along.square_() if whole else (along.double() * right).square_()
    nearest = row.clone()
    for step in range(1, min(cap, points.shape[-2] - 1) + 1):
        for to, source in _shifts(nearest, row, -2, step):
            torch.minimum(to, source + (step * step if whole else (down * step) ** 2), out=to)
    return nearest


def _shifts(to: Tensor, source: Tensor, dim: int, step: int) -> tuple[tuple[Tensor, Tensor], ...]:
    """Pairs of views in which a pixel of ``to`` meets that ``step`` before or after it in ``source``."""
    length = to.shape[dim] - step
    return (
        (to.narrow(dim, 0, length), source.narrow(dim, step, length)),
        (to.narrow(dim, step, length), source.narrow(dim, 0, length)),
    )
