"""The active boundary loss (Wang et al. 2022, arXiv:2102.02696)."""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from crispmap.functional._reduction import in_full_precision
from crispmap.functional.distance import euclidean_distance
from crispmap.functional.morphology import dilate_square

_DIRECTIONS = [(row, col) for row in (-1, 0, 1) for col in (-1, 0, 1) if (row, col) != (0, 0)]
_LEAST_DIVERGENCE = 1e-5  # between pixels that can be a boundary at all, as in the authors' program
_NOWHERE = -1e4  # in the place of a divergence: so far below all of them that the softmax gives it nothing


def active_boundary_loss(
    log_probabilities: Tensor,
    y_true: Tensor,
    *,
    boundary_share: float = 0.01,
    max_distance: float = 20.0,
    label_smoothing: float = 0.2,
    valid: Tensor | None = None,
) -> Tensor:
    """Moves predicted boundary pixels towards the true boundary, one step at a time.

    P_i is the distribution over classes at pixel i, M_i its distance to the true boundary: pixels whose class
    differs from that of the pixel to the right or below. The predicted boundary B: pixels with
    KL(P_i ‖ P_j) > ε for one of these two j, with ε such that they are at most a share of the image, and the
    pixels around them. Then:

        loss = 1/|B| · Σ_{i∈B} min(M_i, θ)/θ · CE(softmax_j KL(P_i ‖ P_j), D_i)        j the 8 neighbours of i

    The target D_i is 1 − s at the neighbour nearest to the true boundary and s over the rest, s being the
    label smoothing and θ the maximal distance. A pixel learns to differ most from that neighbour, which moves
    the boundary there. No gradient runs to the P_j, to B or to M. Neighbours that are equally near share the
    1 − s, so that no direction is preferred. (In the authors' program the order of P_i and P_j is the other
    way round here, a sum decides where B is, and B is without the pixels already on the true boundary.)

    *Convention.* Pixels of B are pooled over the batch. An image without a true boundary takes no part; 0
    without a gradient if no pixel is left, and for constant predictions. The image border makes no boundary.
    Ignored pixels make none, are nobody's neighbours and take no part. Computed in float32 at least.

    Args:
        log_probabilities: Of K ≥ 2 classes that exclude each other, shape (N, K, H, W).
        y_true: Class ids, shape (N, H, W).
        boundary_share: The share of an image's pixels that are B before the pixels around them come in; their
            number is rounded up. From 0 to 1.
        max_distance: The θ above, in pixels, above 0.
        label_smoothing: The s above, from 0 to below 1.
        valid: Bool, false at ignored pixels, shape (N, H, W).

    Returns:
        A scalar of at least 0.
    """
    (log_p,) = in_full_precision(log_probabilities)
    valid = torch.ones_like(y_true, dtype=torch.bool) if valid is None else valid
    limit = math.ceil(boundary_share * valid[0].numel())
    boundary = dilate_square(_predicted_boundary(log_p.detach(), valid, limit), 1) & valid
    distance = euclidean_distance(_true_boundary(y_true, valid))
    # A fixed number of places, more than B has pixels, keeps shapes independent of the data.
    counted, places = boundary.flatten(1).float().topk(min(9 * limit, valid[0].numel()), sorted=False)
    here, around = _gather(log_p, distance, valid, places)
    counted = counted * here.distance.isfinite()

    divergence = (here.log_p.exp()[:, :, None] * (here.log_p[:, :, None] - around.log_p)).sum(1)
    direction = divergence.masked_fill(~around.valid, _NOWHERE).log_softmax(1)
    away = around.distance.masked_fill(~around.valid, math.inf)
    closest = away.amin(1, keepdim=True)
    target = _smoothed((away == closest) & around.valid, around.valid, label_smoothing)
    cross_entropy = -(target * direction).sum(1)
    weight = counted * (closest[:, 0] < here.distance) * (here.distance.clamp(max=max_distance) / max_distance)
    return (weight * cross_entropy).sum() / counted.sum().clamp(min=1)


def _predicted_boundary(log_p: Tensor, valid: Tensor, limit: int) -> Tensor:
    """Where a pixel differs most from that below or to the right, at most so many pixels of each image."""
    divergence = torch.zeros_like(log_p[:, 0])
    for first, second in _PAIRS:
        one, other = log_p[:, :, *first], log_p[:, :, *second]
        both = valid[:, *first] & valid[:, *second]
        across = (one.exp() * (one - other)).sum(1) * both
        divergence[:, *first] = torch.maximum(divergence[:, *first], across)
    flat = divergence.flatten(1)
    threshold = flat.topk(min(limit + 1, flat.shape[1])).values[:, -1].clamp(min=_LEAST_DIVERGENCE)
    return divergence > threshold[:, None, None]


def _true_boundary(y_true: Tensor, valid: Tensor) -> Tensor:
    """Where the class differs from that below or to the right."""
    boundary = torch.zeros_like(valid)
    for first, second in _PAIRS:
        boundary[:, *first] |= (y_true[:, *first] != y_true[:, *second]) & valid[:, *first] & valid[:, *second]
    return boundary


_PAIRS = (
    ((slice(None, -1), slice(None)), (slice(1, None), slice(None))),
    ((slice(None), slice(None, -1)), (slice(None), slice(1, None))),
)


class _Pixels(NamedTuple):
    """What is known about M pixels of each image, or about the 8 neighbours of each."""

    log_p: Tensor  # (N, K, M) or (N, K, 8, M)
    distance: Tensor  # (N, M) or (N, 8, M)
    valid: Tensor  # (N, M) or (N, 8, M)


def _gather(log_p: Tensor, distance: Tensor, valid: Tensor, places: Tensor) -> tuple[_Pixels, _Pixels]:
    """The pixels at places (N, M), numbered row by row, and the neighbours of each, without a gradient."""
    width = valid.shape[2]
    centre = (places // width + 1) * (width + 2) + places % width + 1
    steps = torch.tensor([row * (width + 2) + col for row, col in _DIRECTIONS], device=places.device)
    beside = (centre[:, None] + steps[:, None]).flatten(1)

    def at(x: Tensor, index: Tensor) -> Tensor:
        return x.flatten(-2).gather(-1, index if x.ndim == 3 else index[:, None].expand(-1, x.shape[1], -1))

    def beside_it(x: Tensor) -> Tensor:
        found = at(F.pad(x, (1, 1, 1, 1)), beside)
        return found.reshape(*found.shape[:-1], 8, -1)

    here = _Pixels(at(log_p, places), at(distance, places), at(valid, places))
    around = _Pixels(beside_it(log_p.detach()), beside_it(distance), beside_it(valid))
    return here, around


def _smoothed(chosen: Tensor, allowed: Tensor, smoothing: float) -> Tensor:
    """Distributions over the 8 neighbours, dim 1: all but the smoothing shared by the chosen, it by the rest."""
    rest = allowed & ~chosen
    target = chosen * ((1 - smoothing) / chosen.sum(1, keepdim=True).clamp(min=1))
    target = target + rest * (smoothing / rest.sum(1, keepdim=True).clamp(min=1))
    return target / target.sum(1, keepdim=True).clamp(min=1 - smoothing)  # where there is no rest
