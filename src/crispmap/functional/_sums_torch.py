"""The sums of the boundary loss in torch alone: the form that runs everywhere, and that the others must equal.

On a CPU one map at a time, so that what is computed in between stays in the cache; elsewhere all at once.
"""

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from crispmap.functional.morphology import dilate_square

_AXES = (-1, -2)


def balanced_sums(pred: Tensor, true: Tensor, valid: Tensor | None, step: int, theta: int) -> tuple[Tensor, Tensor]:
    """Sums (B, 2) of error and amount, and a code for each window and axis, int8 (B, 2, H·W).

    A code is 2c + b: b whether the prediction goes back and forth more than the truth does, and c, from −2 to 2,
    the derivative of the error by rise − fall.
    """
    sums = pred.new_zeros(len(pred), 2)
    codes = torch.zeros(len(pred), 2, *pred.shape[1:], dtype=torch.int8, device=pred.device)
    for maps in _portions(pred, true, valid, sums, codes):
        _balanced_sums(step, theta, *maps)
    return sums / theta**2, codes.flatten(2)


def _balanced_sums(
    step: int, theta: int, pred: Tensor, true: Tensor, valid: Tensor | None, sums: Tensor, codes: Tensor
) -> None:
    integer, scale = fixed_point(pred, theta)
    sums += (pred.sum((1, 2)) + true.sum((1, 2)))[:, None] * 0  # NaN, which integers cannot be, must not vanish
    pred, true = ((y * scale).to(integer) for y in (pred, true))
    touched = None if valid is None else near_ignored(valid, theta)
    for axis, code in zip(_AXES, codes.unbind(1), strict=True):
        if pred.shape[axis] <= step:
            continue
        pred_rise, pred_fall = _rise_and_fall(pred, step, axis, theta)
        true_rise, true_fall = _rise_and_fall(true, step, axis, theta)
        pred_net = pred_rise - pred_fall
        net = pred_net - (true_rise - true_fall)
        back = torch.minimum(pred_rise, pred_fall).sub_(torch.minimum(true_rise, true_fall)).clamp_(min=0)
        if touched is not None:
            counted = untouched_edges(touched, step, axis).to(integer)
            for each in (net, back, pred_rise, pred_fall, true_rise, true_fall):
                each.mul_(counted)
        error = net.abs().add_(back, alpha=2)
        amount = pred_rise.add_(pred_fall).add_(true_rise).add_(true_fall)
        for k, each in enumerate((error, amount)):
            sums[:, k] += each.to(sums.dtype).sum((1, 2)) / scale
        more = back.sign_()
        inner = torch.add(more, net.sign_().sub_(pred_net.sign_().mul_(more)), alpha=2)
        _inside(code, step, axis).copy_(inner)


def balanced_grad(
    pred: Tensor, codes: Tensor, valid: Tensor | None, grad_sums: Tensor, step: int, theta: int
) -> Tensor:
    """Gradient of the prediction, (B, H, W), from that of its sums, (B, 2)."""
    gradient = torch.zeros_like(pred)
    for maps in _portions(pred, codes.view(len(pred), 2, *pred.shape[1:]), valid, grad_sums, gradient):
        _balanced_grad(step, theta, *maps)
    return gradient


def _balanced_grad(
    step: int, theta: int, pred: Tensor, codes: Tensor, valid: Tensor | None, grad_sums: Tensor, gradient: Tensor
) -> None:
    by_error, by_amount = (grad_sums / theta**2)[..., None, None].unbind(1)
    touched = None if valid is None else near_ignored(valid, theta)
    for axis, code in zip(_AXES, codes.unbind(1), strict=True):
        if pred.shape[axis] <= step:
            continue
        inner = _inside(code, step, axis)
        small = torch.int16 if theta < 128 else torch.int32  # of |c| ≤ 2, θ² fit; narrow integers add faster
        net, back = (box_sum(part.to(small), theta).to(pred.dtype) for part in (inner >> 1, inner & 1))
        counted = None if touched is None else untouched_edges(touched, step, axis).to(pred.dtype)
        windows = _windows_around(net, theta) if counted is None else box_sum(counted, theta)
        by_rise = back.mul_(by_error).addcmul_(windows, by_amount).mul_(_rise(pred, step, axis).sign_())
        by_rise.addcmul_(net, by_error)
        length = by_rise.shape[axis]
        gradient.narrow(axis, step, length).add_(by_rise)
        gradient.narrow(axis, 0, length).sub_(by_rise)


def paper_sums(pred: Tensor, true: Tensor, valid: Tensor | None, theta0: int, theta: int) -> tuple[Tensor, Tensor]:
    """Sums (B, 4) of the published equation, and the boundary of the prediction."""
    sums, boundary = pred.new_zeros(len(pred), 4), torch.empty_like(pred)
    for maps in _portions(pred, true, valid, sums, boundary):
        _paper_sums(theta0, theta, *maps)
    return sums, boundary


def _paper_sums(
    theta0: int, theta: int, pred: Tensor, true: Tensor, valid: Tensor | None, sums: Tensor, pred_boundary: Tensor
) -> None:
    boundaries = pred_boundary.copy_(_boundary(pred, theta0)), _boundary(true, theta0)
    extended = [box_max(boundary, theta) for boundary in boundaries]
    if valid is not None:
        counted = untouched_pixels(valid, theta0, theta).to(pred.dtype)
        pred_counted, true_counted = (boundary * counted for boundary in boundaries)
    else:
        pred_counted, true_counted = boundaries
    terms = (pred_counted, true_counted, pred_counted * extended[1], true_counted * extended[0])
    for k, term in enumerate(terms):
        sums[:, k] = term.sum((1, 2))


def paper_grad(
    pred: Tensor,
    true: Tensor,
    boundary: Tensor,
    valid: Tensor | None,
    grad_sums: Tensor,
    theta0: int,
    theta: int,
) -> Tensor:
    """Gradient of the prediction, (B, H, W), from that of its sums, (B, 4), and its boundary."""
    gradient = torch.empty_like(pred)
    for maps in _portions(pred, true, boundary, valid, grad_sums, gradient):
        _paper_grad(theta0, theta, *maps)
    return gradient


def _paper_grad(
    theta0: int,
    theta: int,
    pred: Tensor,
    true: Tensor,
    pred_boundary: Tensor,
    valid: Tensor | None,
    grad_sums: Tensor,
    gradient: Tensor,
) -> None:
    by_pred, _, by_precision, by_recall = grad_sums[..., None, None].unbind(1)
    true_boundary = _boundary(true, theta0)
    by_boundary = box_max(true_boundary, theta).mul_(by_precision).add_(by_pred)
    by_extended = true_boundary.mul_(by_recall)
    if valid is not None:
        counted = untouched_pixels(valid, theta0, theta).to(pred.dtype)
        by_boundary.mul_(counted)
        by_extended.mul_(counted)
    by_boundary.add_(spread_to_maxima(pred_boundary, by_extended, theta))
    del true_boundary, by_extended  # for the room they take
    torch.sub(by_boundary, spread_to_maxima(1 - pred, by_boundary, theta0), out=gradient)


def _boundary(y: Tensor, theta0: int) -> Tensor:
    background = 1 - y
    return box_max(background, theta0).sub_(background)


def box_sum(x: Tensor, width: int) -> Tensor:
    """Sum over the width×width window around each place, nothing beyond the edge; x of shape (B, H, W)."""
    rows, cols = _widths(x, width)
    return _box(_padded(x, rows, cols, 0), rows, cols, torch.add)


def box_max(x: Tensor, width: int) -> Tensor:
    """Maximum over the width×width window around each place, nothing beyond the edge; x of shape (B, H, W)."""
    rows, cols = _widths(x, width)
    return _box(_padded(x, rows, cols, float("-inf")), rows, cols, torch.maximum)


def spread_to_maxima(x: Tensor, weight: Tensor, width: int) -> Tensor:
    """The gradient of `box_max`: each window's weight shared evenly by the pixels that attain its maximum.

    A window's maximum is never less than a pixel in it, so those whose maximum a pixel attains are, of all windows
    around it, those with the least maximum: two passes of "the extreme and what is there" find first how many share
    each window, then what each pixel is given.
    """
    largest, sharing = _extreme_and_mass(x, torch.ones_like(x), width, largest=True)
    least, share = _extreme_and_mass(largest, weight / sharing, width, largest=False)
    return share.mul_(_equal(least, x))


def _extreme_and_mass(x: Tensor, mass: Tensor, width: int, *, largest: bool) -> tuple[Tensor, Tensor]:
    """The extreme of each window, and the sum of the masses of the pixels that attain it."""
    rows, cols = _widths(x, width)
    outside = float("-inf") if largest else float("inf")
    pairs = _padded(x, rows, cols, outside), _padded(mass, rows, cols, 0.0)
    del mass  # for the room it takes, if nobody else holds it
    for dim, wide in ((-2, rows), (-1, cols)):
        pairs = _windows(pairs, wide, dim, partial(_combine, largest))
    return pairs


def _box(padded: Tensor, rows: int, cols: int, combine: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    maps = (padded,)
    for dim, wide in ((-2, rows), (-1, cols)):
        maps = _windows(maps, wide, dim, lambda a, b: (combine(*a, *b),))
    return maps[0]


Maps = TypeVar("Maps", tuple[Tensor], tuple[Tensor, Tensor])


def _windows(maps: Maps, width: int, dim: int, combine: Callable[[Maps, Maps], Maps]) -> Maps:
    """Windows along one dimension, which grows shorter by width − 1, from spans of 1, 2, 4, … that share no place."""
    length = maps[0].shape[dim] - width + 1
    result, span, size, offset = _part(maps, dim, 0, length), maps, 1, 1  # odd widths begin with a span of one
    while offset < width:
        shorter = span[0].shape[dim] - size
        span = combine(_part(span, dim, 0, shorter), _part(span, dim, size, shorter))
        size *= 2
        if width & size:
            result = combine(result, _part(span, dim, offset, length))
            offset += size
    return result


def _part(maps: Maps, dim: int, start: int, length: int) -> Maps:
    return tuple([m.narrow(dim, start, length) for m in maps])  # type: ignore[return-value]


def _widths(x: Tensor, width: int) -> tuple[int, int]:
    """The window's height and width, as far as a map of this size can tell."""
    rows, cols = (min(width, 2 * size - 1) for size in x.shape[-2:])
    return rows, cols


def _padded(x: Tensor, rows: int, cols: int, value: float) -> Tensor:
    return F.pad(x, (cols // 2, cols // 2, rows // 2, rows // 2), value=value)


def _combine(largest: bool, a: tuple[Tensor, Tensor], b: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """The extreme of two values, and the masses of those that are it."""
    extreme = torch.maximum(a[0], b[0]) if largest else torch.minimum(a[0], b[0])
    mass = _equal(a[0], extreme).mul_(a[1])
    return extreme, mass.addcmul_(_equal(b[0], extreme), b[1])


def _equal(a: Tensor, b: Tensor) -> Tensor:
    """1 where equal, otherwise 0, in the dtype of the maps: on a CPU arithmetic with bool is many times slower."""
    return torch.eq(a, b, out=torch.empty_like(b))


def _windows_around(x: Tensor, width: int) -> Tensor:
    """How many windows each place lies in, (H, W)."""
    reach = width // 2
    rows, cols = (
        torch.clamp(at + reach, max=size - 1) - torch.clamp(at - reach, min=0) + 1
        for size in x.shape[-2:]
        for at in [torch.arange(size, device=x.device)]
    )
    return (rows[:, None] * cols).to(x.dtype)


def _rise(y: Tensor, step: int, axis: int) -> Tensor:
    length = y.shape[axis] - step
    return y.narrow(axis, step, length) - y.narrow(axis, 0, length)


def _rise_and_fall(y: Tensor, step: int, axis: int, theta: int) -> list[Tensor]:
    """What rises and what falls in the window around each edge."""
    rise = _rise(y, step, axis)
    rows, cols = _widths(rise, theta)
    height, width = rise.shape[-2:]
    parts = []
    for sign in (1, -1):
        padded = rise.new_zeros(len(rise), height + rows - 1, width + cols - 1)
        inner = padded[:, rows // 2 : rows // 2 + height, cols // 2 : cols // 2 + width]
        torch.clamp(rise if sign > 0 else rise.neg_(), min=0, out=inner)
        parts.append(_box(padded, rows, cols, torch.add))
    return parts


def _inside(code: Tensor, step: int, axis: int) -> Tensor:
    """The part of a map that has a place for each edge along an axis."""
    return code.narrow(axis, 0, code.shape[axis] - step)


def fixed_point(y: Tensor, theta: int) -> tuple[torch.dtype, float]:
    """The integers, and what to multiply by, for sums over windows that are exact and fit whatever the map.

    Sums of floats depend on their order: where a map rises and falls alike, the sign of what their rounding leaves
    would become a gradient, and another one for the map turned.
    """
    integer, bits = (torch.int32, 31) if y.dtype == torch.float32 else (torch.int64, 63)
    widest = min(theta, 2 * max(y.shape[-2:]) + 1)
    return integer, 2.0 ** min(bits - math.ceil(math.log2(4 * widest**2)), 44)


def untouched_pixels(valid: Tensor, theta0: int, theta: int) -> Tensor:
    """Pixels whose boundary and its extension are made by valid pixels alone."""
    return ~dilate_square(~valid, (theta0 + theta) // 2 - 1)


def near_ignored(valid: Tensor, theta: int) -> Tensor:
    """Pixels within half a window of an ignored one."""
    return dilate_square(~valid, theta // 2)


def untouched_edges(touched: Tensor, step: int, axis: int) -> Tensor:
    """Windows of edges between valid pixels alone, by the edge in their middle: neither end is `near_ignored`."""
    length = touched.shape[axis] - step
    return ~(touched.narrow(axis, 0, length) | touched.narrow(axis, step, length))


def _portions(*maps: Tensor | None) -> Iterator[Any]:
    """The maps one by one on a CPU, otherwise all together; all of them have as many as the first."""
    first = maps[0]
    assert first is not None
    if first.device.type != "cpu":
        yield maps
        return
    for i in range(len(first)):
        yield tuple([None if m is None else m[i : i + 1] for m in maps])
