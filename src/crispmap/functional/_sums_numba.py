"""The sums of the boundary loss as compiled loops for the CPU, one thread, at a cost that hardly grows with θ.

Row by row, with running window sums. Those of probabilities are kept in fixed point, as integers: what enters a
window leaves it again exactly, so a flat map has no change of 1e-17 whose sign would become a gradient.
"""

from typing import Any

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from crispmap.functional._sums_torch import fixed_point, near_ignored, untouched_edges, untouched_pixels

_DIRECTIONS = ((0, 1), (1, 0))
_compiled = numba.njit(cache=True, nogil=True, error_model="numpy")
_compiled_sum = numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "nsz"})

Array = NDArray[Any]


def balanced_sums(pred: Tensor, true: Tensor, valid: Tensor | None, step: int, theta: int) -> tuple[Tensor, Tensor]:
    """As `_sums_torch.balanced_sums`."""
    maps, height, width = pred.shape
    reach = min(theta // 2, max(height, width))
    kind = pred.numpy().dtype.type
    integer, factor = fixed_point(pred, theta)
    scale = kind(factor)
    sums = np.zeros((maps, 2))
    sums += (pred.sum((1, 2)) + true.sum((1, 2))).numpy()[:, None] * 0  # NaN, which integers cannot be, must not vanish
    codes = np.zeros((maps, 2, height, width), np.int8)
    lines = np.zeros((4, width), np.int32 if integer == torch.int32 else np.int64)
    sums_along, prefix = np.zeros_like(lines), np.zeros(width + 2 * reach + 1, lines.dtype)
    touched = None if valid is None else near_ignored(valid, theta)
    for axis, (down, right) in enumerate(_DIRECTIONS):
        rows, cols = height - step * down, width - step * right
        if rows < 1 or cols < 1:
            continue
        counted = _counted_edges(touched, step, axis)
        for i in range(maps):
            sums[i] += _balanced_forward(
                pred[i].numpy(),
                true[i].numpy(),
                counted[i % len(counted)],
                (rows, cols),
                (step * down, step * right),
                reach,
                scale,
                codes[i, axis],
                lines,
                prefix,
                sums_along,
            )
    sums /= factor * theta**2
    return torch.from_numpy(sums).to(pred.dtype), torch.from_numpy(codes).flatten(2)


def balanced_grad(
    pred: Tensor, codes: Tensor, valid: Tensor | None, grad_sums: Tensor, step: int, theta: int
) -> Tensor:
    """As `_sums_torch.balanced_grad`."""
    maps, height, width = pred.shape
    reach = min(theta // 2, max(height, width))
    kind = pred.numpy().dtype.type
    gradient = torch.zeros_like(pred)
    factors = (grad_sums.double() / theta**2).to(pred.dtype).numpy()
    lines = np.zeros((3, width), np.int32)
    sums_along, prefix = np.zeros_like(lines), np.zeros(width + 2 * reach + 1, lines.dtype)
    change = np.zeros(width, kind)
    touched = None if valid is None else near_ignored(valid, theta)
    for axis, (down, right) in enumerate(_DIRECTIONS):
        rows, cols = height - step * down, width - step * right
        if rows < 1 or cols < 1:
            continue
        counted = _counted_edges(touched, step, axis)
        for i in range(maps):
            _balanced_backward(
                pred[i].numpy(),
                codes[i, axis].view(height, width).numpy(),
                counted[i % len(counted)],
                (rows, cols),
                (step * down, step * right),
                reach,
                factors[i],
                gradient[i].numpy(),
                lines,
                prefix,
                sums_along,
                change,
            )
    return gradient


def _counted_edges(touched: Tensor | None, step: int, axis: int) -> Array:
    """Which windows count, (B, rows, cols) uint8; of shape (1, 0, 0) if all do."""
    return _flags(None if touched is None else untouched_edges(touched, step, (-1, -2)[axis]))


def _flags(counted: Tensor | None) -> Array:
    return np.zeros((1, 0, 0), np.uint8) if counted is None else counted.to(torch.uint8).numpy()


@_compiled
def _balanced_forward(
    pred: Array,
    true: Array,
    counted: Array,
    size: tuple[int, int],
    shift: tuple[int, int],
    reach: int,
    scale: float,
    codes: Array,
    lines: Array,
    prefix: Array,
    sums: Array,
) -> tuple[float, float]:
    rows, cols = size
    lines[:] = 0
    # Sums over the window's rows. Each array by itself: of a slice of several numba does not know that it is dense.
    pred_up, pred_net, true_up, true_net = lines[0], lines[1], lines[2], lines[3]
    error, amount = 0.0, 0.0
    for row in range(-reach, rows):
        if row + reach < rows:
            _add_row(pred, row + reach, shift, cols, scale, 1, pred_up, pred_net)
            _add_row(true, row + reach, shift, cols, scale, 1, true_up, true_net)
        if row - reach - 1 >= 0:
            _add_row(pred, row - reach - 1, shift, cols, scale, -1, pred_up, pred_net)
            _add_row(true, row - reach - 1, shift, cols, scale, -1, true_up, true_net)
        if row < 0:
            continue
        for k in range(len(lines)):
            _sum_along(lines[k], reach, cols, prefix, sums[k])
        row_error, row_amount = _compare(sums[0], sums[1], sums[2], sums[3], cols, scale, counted, row, codes[row])
        error += row_error
        amount += row_amount
    return error, amount


@_compiled
def _add_row(
    y: Array, row: int, shift: tuple[int, int], cols: int, scale: float, sign: int, up: Array, net: Array
) -> None:
    """Adds the rises of one row of edges, in fixed point."""
    here, there = y[row], y[row + shift[0], shift[1] :]
    fixed = up.dtype.type
    if sign > 0:
        for col in range(cols):
            rise = fixed(fixed(there[col] * scale) - fixed(here[col] * scale))
            up[col] += max(rise, fixed(0))
            net[col] += rise
    else:
        for col in range(cols):
            rise = fixed(fixed(there[col] * scale) - fixed(here[col] * scale))
            up[col] -= max(rise, fixed(0))
            net[col] -= rise


@_compiled
def _sum_along(line: Array, reach: int, cols: int, prefix: Array, out: Array) -> None:
    """Sums over windows along a row, as differences of running totals; integers wrap around and come back exactly."""
    total = line.dtype.type(0)
    start = np.uint64(reach + 1)
    for col in range(np.uint64(cols)):
        total += line[col]
        prefix[col + start] = total
    for col in range(np.uint64(cols) + start, np.uint64(cols + 2 * reach + 1)):
        prefix[col] = total
    _subtract(prefix[2 * reach + 1 :], prefix, out, cols)


@_compiled
def _subtract(a: Array, b: Array, out: Array, count: int) -> None:
    for col in range(count):  # indices that start at 0 in each array: with an offset numba would not vectorise
        out[col] = a[col] - b[col]


@_compiled
def _copy(x: Array, out: Array, count: int) -> None:
    for col in range(count):
        out[col] = x[col]


@_compiled
def _add(a: Array, b: Array, out: Array, count: int) -> None:
    for col in range(count):  # indices that start at 0 in each array: with an offset numba would not vectorise
        out[col] = a[col] + b[col]


@_compiled_sum
def _compare(
    pred_rise: Array,
    pred_change: Array,
    true_rise: Array,
    true_change: Array,
    cols: int,
    scale: float,
    counted: Array,
    row: int,
    codes: Array,
) -> tuple[float, float]:
    """Error and amount of one row of windows, and their codes."""
    fixed, kind = pred_rise.dtype.type, type(scale)
    zero, one, two = fixed(0), fixed(1), fixed(2)
    error, amount = scale - scale, scale - scale
    if counted.size:
        keep = counted[row]
        for col in range(cols):
            codes[col] = keep[col]
    else:
        for col in range(cols):
            codes[col] = 1
    for col in range(cols):
        keep_it = fixed(codes[col])
        pred_up, pred_net, true_up, true_net = pred_rise[col], pred_change[col], true_rise[col], true_change[col]
        pred_down, true_down = fixed(pred_up - pred_net), fixed(true_up - true_net)
        excess = max(fixed(min(pred_up, pred_down) - min(true_up, true_down)), zero)
        net = fixed(pred_net - true_net)
        more = one if excess > zero else zero
        slope = fixed((one if net > zero else zero) - (one if net < zero else zero))
        turn = fixed((one if pred_net > zero else zero) - (one if pred_net < zero else zero))
        error += kind(fixed(keep_it * fixed(max(net, fixed(-net)) + fixed(two * excess))))
        amount += kind(fixed(keep_it * fixed(fixed(pred_up + pred_down) + fixed(true_up + true_down))))
        codes[col] = np.int8(keep_it * fixed(fixed(two * fixed(slope - fixed(more * turn))) + more))
    return float(error), float(amount)


@_compiled
def _balanced_backward(
    pred: Array,
    codes: Array,
    counted: Array,
    size: tuple[int, int],
    shift: tuple[int, int],
    reach: int,
    factors: Array,
    gradient: Array,
    lines: Array,
    prefix: Array,
    sums: Array,
    change: Array,
) -> None:
    rows, cols = size
    lines[:] = 0
    slope, more, count = lines[0], lines[1], lines[2]
    for row in range(-reach, rows):
        if row + reach < rows:
            _add_codes(codes[row + reach], counted, row + reach, cols, 1, slope, more, count)
        if row - reach - 1 >= 0:
            _add_codes(codes[row - reach - 1], counted, row - reach - 1, cols, -1, slope, more, count)
        if row < 0:
            continue
        for k in range(len(lines)):
            _sum_along(lines[k], reach, cols, prefix, sums[k])
        _apply(pred, row, shift, sums[0], sums[1], sums[2], cols, factors, gradient, change)


@_compiled
def _add_codes(
    code: Array, counted: Array, row: int, cols: int, sign: int, slope: Array, more: Array, count: Array
) -> None:
    """Adds one row: its slopes, whether more goes back and forth there, and how many windows count."""
    by = np.int32(sign)
    for col in range(cols):
        slope[col] += by * np.int32(code[col] >> 1)
        more[col] += by * np.int32(code[col] & 1)
    if counted.size == 0:
        for col in range(cols):
            count[col] += by
    else:
        keep = counted[row]
        for col in range(cols):
            count[col] += by * np.int32(keep[col])


@_compiled
def _apply(
    pred: Array,
    row: int,
    shift: tuple[int, int],
    slope: Array,
    more: Array,
    count: Array,
    cols: int,
    factors: Array,
    gradient: Array,
    change: Array,
) -> None:
    here, there = pred[row], pred[row + shift[0], shift[1] :]
    to_here, to_there = gradient[row], gradient[row + shift[0], shift[1] :]
    kind = pred.dtype.type
    zero, one = kind(0), kind(1)
    by_error, by_amount = factors[0], factors[1]
    for col in range(cols):
        sign = (one if there[col] > here[col] else zero) - (one if there[col] < here[col] else zero)
        amount = by_error * kind(more[col]) + by_amount * kind(count[col])
        change[col] = by_error * kind(slope[col]) + sign * amount
    for col in range(cols):
        to_there[col] += change[col]
    for col in range(cols):
        to_here[col] -= change[col]


def paper_sums(pred: Tensor, true: Tensor, valid: Tensor | None, theta0: int, theta: int) -> tuple[Tensor, Tensor]:
    """As `_sums_torch.paper_sums`."""
    boundary = torch.empty_like(pred)
    work = np.empty((4, *pred.shape[1:]), pred.numpy().dtype)
    counted = _counted_pixels(valid, theta0, theta)
    sums = np.zeros((len(pred), 4))
    for i in range(len(pred)):
        _paper_forward(
            pred[i].numpy(),
            true[i].numpy(),
            counted[i % len(counted)],
            theta0 // 2,
            theta // 2,
            boundary[i].numpy(),
            sums[i],
            work,
        )
    return torch.from_numpy(sums).to(pred.dtype), boundary


def paper_grad(
    pred: Tensor,
    true: Tensor,
    boundary: Tensor,
    valid: Tensor | None,
    grad_sums: Tensor,
    theta0: int,
    theta: int,
) -> Tensor:
    """As `_sums_torch.paper_grad`."""
    gradient = torch.empty_like(pred)
    counted = _counted_pixels(valid, theta0, theta)
    factors = grad_sums.to(pred.dtype).numpy()
    work = np.ones((7, *pred.shape[1:]), pred.numpy().dtype)
    for i in range(len(pred)):
        _paper_backward(
            pred[i].numpy(),
            true[i].numpy(),
            boundary[i].numpy(),
            counted[i % len(counted)],
            factors[i],
            theta0 // 2,
            theta // 2,
            gradient[i].numpy(),
            work,
        )
    return gradient


def _counted_pixels(valid: Tensor | None, theta0: int, theta: int) -> Array:
    """Which pixels count, (B, H, W) uint8; of shape (1, 0, 0) if all do."""
    return _flags(None if valid is None else untouched_pixels(valid, theta0, theta))


@_compiled
def _paper_forward(
    pred: Array, true: Array, counted: Array, reach0: int, reach: int, boundary: Array, sums: Array, work: Array
) -> None:
    true_boundary, extended = work[0], work[1:3]
    _boundary(pred, reach0, boundary, work[3])
    _boundary(true, reach0, true_boundary, work[3])
    _window_maximum(boundary, reach, extended[0])
    _window_maximum(true_boundary, reach, extended[1])
    _sum_of_products(boundary, true_boundary, extended, counted, sums)


@_compiled
def _boundary(y: Array, reach: int, out: Array, background: Array) -> None:
    one = y.dtype.type(1)
    for row in range(len(y)):
        here, result = y[row], background[row]
        for col in range(len(here)):
            result[col] = one - here[col]
    _window_maximum(background, reach, out)
    for row in range(len(y)):
        here, result = background[row], out[row]
        for col in range(len(here)):
            result[col] -= here[col]


@_compiled
def _sum_of_products(pred: Array, true: Array, extended: Array, counted: Array, sums: Array) -> None:
    for row in range(len(pred)):
        p, t, pe, te = pred[row], true[row], extended[0, row], extended[1, row]
        if counted.size == 0:
            for col in range(len(p)):
                sums[0] += p[col]
                sums[1] += t[col]
                sums[2] += p[col] * te[col]
                sums[3] += t[col] * pe[col]
        else:
            kept = counted[row]
            for col in range(len(p)):
                sums[0] += kept[col] * p[col]
                sums[1] += kept[col] * t[col]
                sums[2] += kept[col] * p[col] * te[col]
                sums[3] += kept[col] * t[col] * pe[col]


@_compiled
def _paper_backward(
    pred: Array,
    true: Array,
    pred_boundary: Array,
    counted: Array,
    factors: Array,
    reach0: int,
    reach: int,
    gradient: Array,
    work: Array,
) -> None:
    by_pred, by_precision, by_recall = factors[0], factors[2], factors[3]
    one = pred.dtype.type(1)
    by_boundary, by_extended, background = work[4], work[5], work[6]
    _boundary(true, reach0, by_extended, background)
    _window_maximum(by_extended, reach, by_boundary)
    for row in range(len(pred)):
        here, extended, p, q = by_boundary[row], by_extended[row], pred[row], background[row]
        for col in range(len(here)):
            here[col] = by_pred + by_precision * here[col]
            extended[col] *= by_recall
            q[col] = one - p[col]
        if counted.size:
            kept = counted[row]
            for col in range(len(here)):
                here[col] *= kept[col]
                extended[col] *= kept[col]
    _spread_to_maxima(pred_boundary, by_extended, reach, gradient, work)
    for row in range(len(pred)):
        _add(by_boundary[row], gradient[row], by_boundary[row], pred.shape[1])
    _spread_to_maxima(background, by_boundary, reach0, gradient, work)
    for row in range(len(pred)):
        here, result = by_boundary[row], gradient[row]
        for col in range(len(here)):
            result[col] = here[col] - result[col]


@_compiled
def _window_maximum(x: Array, reach: int, out: Array) -> None:
    """Maximum over windows of 2·reach + 1 pixels a side.

    Down the columns from maxima within blocks of a window's height, to their end and from their start, which make any
    window with three comparisons a pixel whatever its size (van Herk 1992).
    """
    rows, cols = x.shape
    width = min(2 * reach, 2 * rows) + 1
    reach_down = width // 2
    behind = np.empty((width, cols), x.dtype)  # maxima from each row of a block to the block's end
    ahead = np.empty(cols, x.dtype)  # from the next block's start so far
    line = np.empty((2, cols + 2 * reach), x.dtype)
    for block in range(-reach_down, rows, width):
        for k in range(width - 1, -1, -1):
            row = block + k
            if k == width - 1 or not 0 <= row < rows:
                _copy_row(x, row, -np.inf, behind[k])
                if k < width - 1:
                    _copy(behind[k + 1], behind[k], cols)
            else:
                _larger(x[row], behind[k + 1], behind[k], cols)
        _copy_row(x, -1, -np.inf, ahead)
        for k in range(width):
            row = block + width + k - 1
            if k > 0 and 0 <= row < rows:
                _enlarge(ahead, x[row], cols)
            row = block + k + reach_down
            if 0 <= row < rows:
                line[0] = -np.inf
                _larger(behind[k], ahead, line[0, reach:], cols)
                _maximum_along(line, 2 * reach + 1, out[row])


@_compiled
def _maximum_along(line: Array, width: int, out: Array) -> None:
    """Windows along a row from spans of 1, 2, 4, …, the last two of which may overlap: a maximum does not mind."""
    length, span, now = line.shape[1], 1, 0
    while 2 * span <= width:
        length -= span
        _larger(line[now], line[now, span:], line[1 - now], length)
        span, now = 2 * span, 1 - now
    _larger(line[now], line[now, width - span :], out, len(out))


@_compiled
def _spread_to_maxima(x: Array, weight: Array, reach: int, out: Array, work: Array) -> None:
    """As `_sums_torch.spread_to_maxima`; work has four maps, the last of them all ones."""
    largest, share, least = work[0], work[1], work[2]
    _largest_and_mass(x, work[3], reach, largest, share)
    for row in range(len(x)):
        _weigh(weight[row], largest[row], share[row])
    _largest_and_mass(largest, share, reach, least, out)
    for row in range(len(x)):
        _keep_where_opposite(least[row], x[row], out[row])


@_compiled
def _weigh(weight: Array, largest: Array, share: Array) -> None:
    for col in range(len(weight)):
        largest[col] = -largest[col]  # the least of the largest, as the largest of the negatives
        share[col] = weight[col] / share[col]


@_compiled
def _keep_where_opposite(least: Array, x: Array, out: Array) -> None:
    none = out.dtype.type(0)
    for col in range(len(x)):
        out[col] = out[col] if -least[col] == x[col] else none


@_compiled
def _largest_and_mass(x: Array, mass: Array, reach: int, out: Array, out_mass: Array) -> None:
    """The maximum of each window and the sum of the masses of the pixels that attain it."""
    rows, cols = x.shape
    width = min(2 * reach, 2 * rows) + 1
    reach_down = width // 2
    behind = np.empty((2, width, cols), x.dtype)
    ahead, line = np.empty((2, cols), x.dtype), np.empty((6, cols + 2 * reach), x.dtype)
    line[0] = -np.inf
    line[1] = 0
    for block in range(-reach_down, rows, width):
        for k in range(width - 1, -1, -1):
            row = block + k
            if k == width - 1 or not 0 <= row < rows:
                _copy_row(x, row, -np.inf, behind[0, k])
                _copy_row(mass, row, 0.0, behind[1, k])
                if k < width - 1:
                    _copy(behind[0, k + 1], behind[0, k], cols)
                    _copy(behind[1, k + 1], behind[1, k], cols)
            else:
                _larger_with_mass(
                    x[row], mass[row], behind[0, k + 1], behind[1, k + 1], behind[0, k], behind[1, k], cols
                )
        for k in range(width):
            row = block + width + k - 1
            if k == 1:
                _copy_row(x, row, -np.inf, ahead[0])
                _copy_row(mass, row, 0.0, ahead[1])
            elif k > 1 and row < rows:
                _enlarge_with_mass(ahead[0], ahead[1], x[row], mass[row], cols)
            row = block + k + reach_down
            if 0 <= row < rows:
                if k == 0:
                    _copy(behind[0, k], line[0, reach:], cols)
                    _copy(behind[1, k], line[1, reach:], cols)
                else:
                    _larger_with_mass(
                        behind[0, k], behind[1, k], ahead[0], ahead[1], line[0, reach:], line[1, reach:], cols
                    )
                _along_with_mass(line, 2 * reach + 1, out[row], out_mass[row])


@_compiled
def _along_with_mass(line: Array, width: int, out: Array, out_mass: Array) -> None:
    """Windows along a row from spans of 1, 2, 4, … that share no pixel."""
    cols, length = len(out), line.shape[1]
    a, a_mass = line[0], line[1]  # windows are of odd width: a span of one is always part of them
    if width == 1:
        _copy(a, out, cols)
        _copy(a_mass, out_mass, cols)
        return
    span, offset, now, fresh = 1, 1, 1, True
    while offset < width:
        length -= span
        b, b_mass = line[2 * now], line[2 * now + 1]
        _larger_with_mass(a, a_mass, a[span:], a_mass[span:], b, b_mass, length)
        a, a_mass, now, span = b, b_mass, 3 - now, 2 * span
        if width & span:
            if fresh:
                _larger_with_mass(line[0], line[1], a[offset:], a_mass[offset:], out, out_mass, cols)
            else:
                _enlarge_with_mass(out, out_mass, a[offset:], a_mass[offset:], cols)
            fresh = False
            offset += span


@_compiled
def _copy_row(x: Array, row: int, outside: float, out: Array) -> None:
    if 0 <= row < len(x):
        for col in range(len(out)):
            out[col] = x[row, col]
    else:
        out[:] = outside


@_compiled
def _larger(a: Array, b: Array, out: Array, count: int) -> None:
    for col in range(count):
        out[col] = a[col] if a[col] >= b[col] else b[col]


@_compiled
def _larger_with_mass(a: Array, a_mass: Array, b: Array, b_mass: Array, out: Array, mass: Array, count: int) -> None:
    none = a.dtype.type(0)
    for col in range(count):
        first, second, one, other = a[col], b[col], a_mass[col], b_mass[col]
        out[col] = first if first >= second else second
        mass[col] = (one if first >= second else none) + (other if second >= first else none)


# In place by a function of its own: arrays that might overlap are not vectorised, and one that is both given and
# returned does.
@_compiled
def _enlarge(a: Array, b: Array, count: int) -> None:
    for col in range(count):
        a[col] = a[col] if a[col] >= b[col] else b[col]


@_compiled
def _enlarge_with_mass(a: Array, a_mass: Array, b: Array, b_mass: Array, count: int) -> None:
    none = a.dtype.type(0)
    for col in range(count):
        first, second, one, other = a[col], b[col], a_mass[col], b_mass[col]
        a[col] = first if first >= second else second
        a_mass[col] = (one if first >= second else none) + (other if second >= first else none)
