"""Exact Euclidean distance maps of masks: to points, and signed to the boundary of a mask."""

import math

import torch
from torch import Tensor

from crispmap.functional.morphology import squared_distance


def euclidean_distance(points: Tensor) -> Tensor:
    """Distance from each pixel to the nearest of the points, exact and without a limit.

    Args:
        points: Bool, shape (…, H, W); the last two dimensions are one image.

    Returns:
        float32 distances in pixels between pixel centres, of the same shape; ∞ in an image without points.
    """
    distance: Tensor = torch.ops.crispmap.euclidean_distance(points)
    return distance


def signed_distance(mask: Tensor, valid: Tensor | None = None) -> Tensor:
    """Distance from each pixel to the boundary of a mask, negative inside it.

    The boundary runs where pixels of the two sides meet. With d(x) the distance from the centre of x to that
    of the nearest pixel on the other side, φ(x) = d(x) − ½ outside the mask and −(d(x) − ½) inside.

    *Convention.* Never 0 but where there is no distance: at ignored pixels, which are on neither side, and
    throughout an image that has pixels on one side only. The image border makes no boundary. The complement
    of the mask gives −φ.

    Args:
        mask: Bool, shape (…, H, W); the last two dimensions are one image.
        valid: Bool, false at ignored pixels, of a shape that broadcasts to that of the mask.

    Returns:
        float32 distances in pixels, shape (…, H, W).
    """
    inside, outside = mask, ~mask
    if valid is not None:
        inside, outside = inside & valid, outside & valid
    beyond, within = euclidean_distance(inside) - 0.5, 0.5 - euclidean_distance(outside)
    distance = torch.where(outside, beyond, torch.where(inside, within, 0.0))
    return distance.masked_fill(distance.isinf(), 0.0)


def _by_scipy(points: Tensor) -> Tensor:
    """The fastest exact form on CPUs: linear in the pixels, wherever the points are."""
    from scipy.ndimage import distance_transform_edt

    distance = torch.full(points.shape, math.inf)
    images = (x.reshape(-1, *points.shape[-2:]) for x in (points, distance))
    for image, found in zip(*images, strict=True):
        if image.any():
            found.copy_(torch.from_numpy(distance_transform_edt(~image.numpy())))
    return distance


def _by_growing_windows(points: Tensor) -> Tensor:
    """The form for other devices: windows twice as wide each time, until every pixel has found a point.

    A window costs as much as it is wide, so all of them together cost less than twice the last one.
    """
    anywhere = points.flatten(-2).any(-1)[..., None, None]
    reach = 16
    while True:
        squared = squared_distance(points, reach)
        searching = (squared >= (reach + 1) ** 2) & anywhere
        if not searching.any():
            return squared.float().sqrt().masked_fill(~anywhere, math.inf)
        reach *= 2


# An operator of its own, which compilers take as a whole: they could see through neither form. (The decorator
# `torch.library.custom_op` says the same, but its first call loads the compiler, in each loader process anew.)
_OPERATOR = "crispmap::euclidean_distance"
torch.library.define(_OPERATOR, "(Tensor points) -> Tensor")
torch.library.impl(_OPERATOR, "default", _by_growing_windows)
torch.library.impl(_OPERATOR, "cpu", _by_scipy)
torch.library.register_fake(_OPERATOR, lambda points: points.new_empty(points.shape, dtype=torch.float32))
