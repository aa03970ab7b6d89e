"""The sums of the boundary loss as Triton kernels for CUDA, at a cost nearly flat in θ.

A program is one warp. It walks down a strip of 128 columns, four to a lane, so that rows are read 16 bytes a lane and
neighbouring columns come from registers or by shuffles: no shared memory, no barriers, no atomics. Every program
leaves sums of its own, which are added up in float64, so results repeat bit by bit.

*balanced*, one pass forward and one back: running sums down the columns, then sums along the row, all of them
integers. What enters a window leaves it exactly, so a flat map has no change of 1e-8 whose sign would become a
gradient. Probabilities are rounded for this to 2⁻²³, from θ = 9 on to more, 2⁻¹⁹ at 31.

*paper*, three kernels forward and six back: maxima do not run, so each window is made anew, two rows at a time down
the columns and from spans of 1, 2, 4, … along the row.

What these cannot hold, windows wider than 31 above all, is left to `_sums_torch`.
"""

import math
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from crispmap.functional import _sums_torch

if tuple(int(part) for part in triton.__version__.split(".")[:2]) < (3, 4):
    raise ImportError(f"triton is {triton.__version__}; tuples of tensors in loops need 3.4")

_LANES = tl.constexpr(32)
_STRIP = tl.constexpr(128)  # columns of a program: four to a lane
_WIDEST = 31  # θ up to which the three sums of a window's codes fit into one integer
_FARTHEST = 48  # reach up to which enough of a strip is left within its rim
_MOST_MAPS, _MOST_PIXELS = 65535, 2**30  # that a grid of programs and 32 bits can number
_HEIGHTS = (64, 32, 16)  # of chunks, even
_ENOUGH = 4096  # programs that keep a large GPU busy
_NOT_COUNTED = tl.constexpr(8)  # the code of a window that does not count


def balanced_sums(pred: Tensor, true: Tensor, valid: Tensor | None, step: int, theta: int) -> tuple[Tensor, Tensor]:
    """As `_sums_torch.balanced_sums`, but for what a code is.

    A code is 4(c + 2) + 2k + b: k whether the window counts, b whether the prediction goes back and forth more than
    the truth does, and c, from −2 to 2, the derivative of the error by rise − fall.
    """
    reach = theta // 2 + step
    if not _fits(pred, theta, reach):
        return _sums_torch.balanced_sums(pred, true, valid, step, theta)
    maps, height, width = pred.shape
    bits = min(23, 29 - math.ceil(math.log2(theta**2)))  # 4θ² changes of one must fit into an integer
    counted = None if valid is None else _counted_edges(valid, step, theta)
    codes = torch.empty((maps, 2, height * width), dtype=torch.int8, device=pred.device)
    parts = _new_parts(pred, reach, 2)
    tensors = (pred, true, counted, codes, parts)
    _launch(_balanced_sums_kernel, reach, *tensors, STEP=step, THETA=theta, ONE=2.0 ** (23 - bits))
    return (parts.sum(1, dtype=torch.float64) / (2.0**bits * theta**2)).to(pred.dtype), codes


def balanced_grad(
    pred: Tensor, codes: Tensor, valid: Tensor | None, grad_sums: Tensor, step: int, theta: int
) -> Tensor:
    """As `_sums_torch.balanced_grad`; which windows count stands in their codes."""
    if not _fits(pred, theta, theta // 2 + step):
        return _sums_torch.balanced_grad(pred, codes, valid, grad_sums, step, theta)
    gradient = torch.empty_like(pred)
    tensors = (pred, codes, grad_sums / theta**2, gradient)
    _launch(_balanced_grad_kernel, theta // 2 + step + 1, *tensors, STEP=step, THETA=theta)
    return gradient


def paper_sums(pred: Tensor, true: Tensor, valid: Tensor | None, theta0: int, theta: int) -> tuple[Tensor, Tensor]:
    """As `_sums_torch.paper_sums`."""
    if not _fits(pred, max(theta0, theta)):
        return _sums_torch.paper_sums(pred, true, valid, theta0, theta)
    counted = None if valid is None else _counted_pixels(valid, theta0, theta)
    boundaries = [_window_maximum(y, theta0, boundary=True) for y in (pred, true)]
    parts = _new_parts(pred, theta // 2, 4)
    _launch(_paper_sums_kernel, theta // 2, *boundaries, counted, parts, THETA=theta)
    return parts.sum(1, dtype=torch.float64).to(pred.dtype), boundaries[0]


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
    if not _fits(pred, max(theta0, theta)):
        return _sums_torch.paper_grad(pred, true, boundary, valid, grad_sums, theta0, theta)
    counted = None if valid is None else _counted_pixels(valid, theta0, theta)
    true_boundary = _window_maximum(true, theta0, boundary=True)
    weight = true_boundary if counted is None else true_boundary * counted
    extended = _window_maximum(true_boundary, theta, boundary=False)
    largest, share, by_boundary = (torch.empty_like(pred) for _ in range(3))
    _launch(_share_kernel, theta // 2, boundary, weight, largest, share, WIDTH=theta, COMPLEMENT=False)
    tensors = (boundary, largest, share, extended, counted, grad_sums, by_boundary)
    _launch(_by_boundary_kernel, theta // 2, *tensors, WIDTH=theta)
    _launch(_share_kernel, theta0 // 2, pred, by_boundary, largest, share, WIDTH=theta0, COMPLEMENT=True)
    gradient = torch.empty_like(pred)
    _launch(_by_pixel_kernel, theta0 // 2, pred, largest, share, by_boundary, gradient, WIDTH=theta0)
    return gradient


def _window_maximum(x: Tensor, width: int, *, boundary: bool) -> Tensor:
    """Maximum over each window; with `boundary`, that of 1 − x, less 1 − x."""
    maximum = torch.empty_like(x)
    _launch(_window_maximum_kernel, width // 2, x, maximum, WIDTH=width, BOUNDARY=boundary)
    return maximum


def _counted_edges(valid: Tensor, step: int, theta: int) -> Tensor:
    """Which windows count, by axis and the edge in their middle, uint8 (B, 2, H, W)."""
    maps, height, width = valid.shape
    counted = valid.new_zeros(maps, 2, height, width)
    touched = _sums_torch.near_ignored(valid, theta)
    for axis, size, where in ((-1, width, counted[:, 0, :, :-step]), (-2, height, counted[:, 1, :-step])):
        if size > step:
            where.copy_(_sums_torch.untouched_edges(touched, step, axis))
    return counted.view(torch.uint8)


def _counted_pixels(valid: Tensor, theta0: int, theta: int) -> Tensor:
    return _sums_torch.untouched_pixels(valid, theta0, theta).contiguous().view(torch.uint8)


def _fits(image: Tensor, theta: int, reach: int = 0) -> bool:
    numbered = 0 < len(image) <= _MOST_MAPS and 0 < image[0].numel() <= _MOST_PIXELS
    return numbered and theta <= _WIDEST and reach <= _FARTHEST


def _tiling(image: Tensor, reach: int) -> tuple[int, int, int]:
    """Strips, chunks of rows, and rows of a chunk: as many as leave enough programs, since its rim is read twice."""
    maps, height, width = image.shape
    strips = triton.cdiv(width, _STRIP.value - 2 * _halo(reach))
    for rows in _HEIGHTS:
        chunks = triton.cdiv(height, rows)
        if maps * strips * chunks >= _ENOUGH:
            break
    return strips, chunks, rows


def _halo(reach: int) -> int:
    """Columns on each side of a strip that are only read, in whole lanes."""
    return 4 * triton.cdiv(reach, 4)


def _new_parts(image: Tensor, reach: int, count: int) -> Tensor:
    """Room for the sums of every program, (B, programs, count)."""
    strips, chunks, _ = _tiling(image, reach)
    return image.new_empty(len(image), chunks * strips, count)


def _launch(kernel: Any, reach: int, image: Tensor, *tensors: Tensor | None, **constants: Any) -> None:
    maps, height, width = image.shape
    strips, chunks, rows = _tiling(image, reach)
    constants |= {"HALO": _halo(reach), "ALIGNED": width % 4 == 0}
    with torch.cuda.device_of(image):
        kernel[strips, chunks, maps](image, *tensors, height, width, rows, **constants, num_warps=1)


_kernel = triton.jit(do_not_specialize=("height", "width", "rows"))

# What a kernel works with. A row is a tensor of 128, of which lane i holds columns 4i to 4i + 3.


@triton.jit
def _place(height: tl.tensor, width: tl.tensor, rows: tl.tensor, HALO: tl.constexpr, ALIGNED: tl.constexpr) -> tl.tuple:
    """Where a program's map starts, its first row, its columns, and the width."""
    if ALIGNED:  # so that the compiler knows, and reads four pixels at a time
        width = width // 4 * 4
    start = tl.program_id(2).to(tl.int64) * height * width
    cols = tl.program_id(0) * (_STRIP - 2 * HALO) - HALO + tl.arange(0, _STRIP)
    return start, tl.program_id(1) * rows, cols, width


@triton.jit
def _part() -> tl.tensor:
    """Number of a program."""
    return (tl.program_id(2) * tl.num_programs(1) + tl.program_id(1)) * tl.num_programs(0) + tl.program_id(0)


@triton.jit
def _own(row: tl.tensor, height: tl.tensor, width: tl.tensor, cols: tl.tensor, HALO: tl.constexpr) -> tl.tensor:
    """Pixels of a row that are this program's and not in the rim that its neighbours own."""
    at = tl.arange(0, _STRIP)
    return (at >= HALO) & (at < _STRIP - HALO) & (cols < tl.where(row < height, width, 0))


@triton.jit
def _row(image: tl.tensor, row: tl.tensor, inside: tl.tensor, cols: tl.tensor, width: tl.tensor) -> tl.tensor:
    """A row of an image, zero beyond it."""
    return tl.load(image + row * width + cols, mask=(cols >= 0) & (cols < tl.where(inside, width, 0)), other=0)


@triton.jit
def _split(row: tl.tensor) -> tl.tuple:
    """The four columns of the lanes."""
    even, odd = tl.split(tl.reshape(row, [_LANES, 2, 2]))
    a, c = tl.split(even)
    b, d = tl.split(odd)
    return (a, b, c, d)


@triton.jit
def _join(x: tl.tuple) -> tl.tensor:
    """The row of four columns."""
    return tl.reshape(tl.join(tl.join(x[0], x[2]), tl.join(x[1], x[3])), [_STRIP])


@triton.jit
def _from_lane(x: tl.tensor, AWAY: tl.constexpr) -> tl.tensor:
    """What the lane that far away holds; undefined where there is none."""
    if AWAY == 0:
        return x
    else:
        return tl.gather(x, tl.minimum(tl.maximum(tl.arange(0, _LANES) + AWAY, 0), _LANES - 1), 0)


@triton.jit
def _shift(row: tl.tensor, BY: tl.constexpr) -> tl.tensor:
    """What stands BY columns to the right; undefined at the strip's rim."""
    x = _split(row)
    out = ()
    for c in tl.static_range(4):
        out += (_from_lane(x[(c + BY) % 4], (c + BY) // 4),)
    return _join(out)


# The balanced form.


@triton.jit
def _changes(
    image: tl.tensor,
    row: tl.tensor,
    inside: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    cols: tl.tensor,
    STEP: tl.constexpr,
    ONE: tl.constexpr,
) -> tl.tensor:
    """Changes from a row of pixels to the right and their rise, downwards and their rise, and the pixels.

    In fixed point: from ONE to 2·ONE floats are evenly spaced, and so are their bits.
    """
    y = _row(image, row, inside, cols, width)
    below = _row(image, tl.where(row + STEP < height, row + STEP, row), inside, cols, width)
    fixed = (y + ONE).to(tl.int32, bitcast=True)
    right = tl.where((cols >= 0) & (cols < width - STEP), _shift(fixed, STEP) - fixed, 0)
    down = (below + ONE).to(tl.int32, bitcast=True) - fixed
    return right, tl.maximum(right, 0), down, tl.maximum(down, 0), y


@triton.jit
def _advance(sums: tl.tuple, entering: tl.tuple, leaving: tl.tuple) -> tl.tuple:
    out = ()
    for i in tl.static_range(len(sums)):
        out += (sums[i] + entering[i] - leaving[i],)
    return out


@triton.jit
def _sum_along(row: tl.tensor, REACH: tl.constexpr) -> tl.tensor:
    """Sums over the columns within reach, of integers: what is added can be taken away again."""
    x = _split(row)
    out = ()
    if REACH <= 4:
        total = _from_lane(x[-REACH % 4], -REACH // 4)
        for k in tl.static_range(1 - REACH, REACH + 1):
            total += _from_lane(x[k % 4], k // 4)
        out += (total,)
        for c in tl.static_range(1, 4):
            total += _from_lane(x[(c + REACH) % 4], (c + REACH) // 4)
            total -= _from_lane(x[(c - REACH - 1) % 4], (c - REACH - 1) // 4)
            out += (total,)
    else:
        up_to = (x[0],)
        for c in tl.static_range(1, 4):
            up_to += (up_to[c - 1] + x[c],)
        lane = tl.arange(0, _LANES)
        before = up_to[3]
        for i in tl.static_range(5):
            lower = tl.where(lane >= 1 << i, _from_lane(before, -(1 << i)), 0)
            before = tl.add(before, lower, sanitize_overflow=False)  # sums so long may wrap, differences come right
        before = tl.sub(before, up_to[3], sanitize_overflow=False)
        sums = ()
        for c in tl.static_range(4):
            sums += (tl.add(before, up_to[c], sanitize_overflow=False),)
        for c in tl.static_range(4):
            right = _from_lane(sums[(c + REACH) % 4], (c + REACH) // 4)
            left = _from_lane(sums[(c - REACH - 1) % 4], (c - REACH - 1) // 4)
            out += (tl.sub(right, left, sanitize_overflow=False),)
    return _join(out)


@triton.jit
def _clamp(x: tl.tensor, least: tl.tensor, most: tl.tensor) -> tl.tensor:
    return tl.minimum(tl.maximum(x, least), most)


@triton.jit
def _compare(pred_net: tl.tensor, pred_rise: tl.tensor, true_net: tl.tensor, true_rise: tl.tensor) -> tl.tuple:
    """Code, error and amount of windows: with fall = rise − net, min(rise, fall) = rise − max(0, net)."""
    net = pred_net - true_net
    back = pred_rise - tl.maximum(pred_net, 0) - (true_rise - tl.maximum(true_net, 0))
    back = tl.maximum(back, 0)
    more = tl.minimum(back, 1)
    code = 4 * (_clamp(net, -1, 1) - _clamp(pred_net, -more, more)) + more + 10
    return code, tl.abs(net) + 2 * back, 2 * (pred_rise + true_rise) - (pred_net + true_net)


@_kernel
def _balanced_sums_kernel(
    pred: tl.tensor,
    true: tl.tensor,
    counted: tl.tensor,
    codes: tl.tensor,
    parts: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    rows: tl.tensor,
    STEP: tl.constexpr,
    THETA: tl.constexpr,
    ONE: tl.constexpr,
    HALO: tl.constexpr,
    ALIGNED: tl.constexpr,
) -> None:
    REACH: tl.constexpr = THETA // 2
    start, top, cols, width = _place(height, width, rows, HALO, ALIGNED)
    pred += start
    true += start
    codes += 2 * start
    codes_down = codes + height * width
    if counted is not None:
        counted += 2 * start
        counted_down = counted + height * width
    own = _own(top, height, width, cols, HALO)
    nothing = tl.zeros([_STRIP], tl.int32)
    pred_sums = (nothing, nothing, nothing, nothing)
    true_sums = pred_sums
    errors = tl.zeros([_STRIP], tl.float32)
    amounts = errors
    for row in range(top - 2 * REACH, tl.minimum(top + rows, height)):
        new = row + REACH
        enters = (new >= 0) & (new < height)
        old = row - REACH - 1
        leaves = (old >= 0) & (old >= top - REACH)
        pred_new = _changes(pred, new, enters, height, width, cols, STEP, ONE)
        true_new = _changes(true, new, enters, height, width, cols, STEP, ONE)
        pred_old = _changes(pred, old, leaves, height, width, cols, STEP, ONE)
        true_old = _changes(true, old, leaves, height, width, cols, STEP, ONE)
        pred_sums = _advance(pred_sums, pred_new, pred_old)
        true_sums = _advance(true_sums, true_new, true_old)
        not_a_number = pred_new[4] - pred_new[4] + (true_new[4] - true_new[4])  # which integers would hide
        errors += not_a_number
        amounts += not_a_number
        if row >= top:
            boxes = ()
            for i in tl.static_range(4):
                boxes += (_sum_along(pred_sums[i], REACH), _sum_along(true_sums[i], REACH))
            code, error, amount = _compare(boxes[0], boxes[2], boxes[1], boxes[3])
            code_down, error_down, amount_down = _compare(boxes[4], boxes[6], boxes[5], boxes[7])
            counts = cols < width - STEP
            counts_down = cols < tl.where(row < height - STEP, width, 0)
            if counted is not None:
                counts = counts & (_row(counted, row, True, cols, width) != 0)
                counts_down = counts_down & (_row(counted_down, row, True, cols, width) != 0)
            tl.store(codes + row * width + cols, tl.where(counts, code, _NOT_COUNTED).to(tl.int8), mask=own)
            code_down = tl.where(counts_down, code_down, _NOT_COUNTED)
            tl.store(codes_down + row * width + cols, code_down.to(tl.int8), mask=own)
            errors += tl.where(counts, error, 0).to(tl.float32)
            errors += tl.where(counts_down, error_down, 0).to(tl.float32)
            amounts += tl.where(counts, amount, 0).to(tl.float32)
            amounts += tl.where(counts_down, amount_down, 0).to(tl.float32)
    tl.store(parts + 2 * _part(), tl.sum(tl.where(own, errors, 0.0)))
    tl.store(parts + 2 * _part() + 1, tl.sum(tl.where(own, amounts, 0.0)))


@triton.jit
def _unpacked(codes: tl.tensor, row: tl.tensor, inside: tl.tensor, cols: tl.tensor, width: tl.tensor) -> tl.tensor:
    """Codes of a row as b + 2¹⁰·k + 2²⁰·(c + 2), so that one sum holds three."""
    mask = (cols >= 0) & (cols < tl.where(inside, width, 0))
    return (tl.load(codes + row * width + cols, mask=mask, other=_NOT_COUNTED).to(tl.int32) * 0x40201) & 0x700401


@triton.jit
def _by_change(
    sums: tl.tensor, change: tl.tensor, by_error: tl.tensor, by_amount: tl.tensor, THETA: tl.constexpr
) -> tl.tensor:
    """Gradient of edges: the derivative by net change, and that by length times the sign of the change."""
    net = (sums >> 20) - 2 * THETA * THETA
    length = by_error * (sums & 1023).to(tl.float32) + by_amount * ((sums >> 10) & 1023).to(tl.float32)
    return by_error * net.to(tl.float32) + tl.where(change > 0, length, tl.where(change < 0, -length, 0.0))


@_kernel
def _balanced_grad_kernel(
    pred: tl.tensor,
    codes: tl.tensor,
    grad_sums: tl.tensor,
    gradient: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    rows: tl.tensor,
    STEP: tl.constexpr,
    THETA: tl.constexpr,
    HALO: tl.constexpr,
    ALIGNED: tl.constexpr,
) -> None:
    REACH: tl.constexpr = THETA // 2
    start, top, cols, width = _place(height, width, rows, HALO, ALIGNED)
    by_error = tl.load(grad_sums + 2 * tl.program_id(2))
    by_amount = tl.load(grad_sums + 2 * tl.program_id(2) + 1)
    pred += start
    gradient += start
    codes += 2 * start
    codes_down = codes + height * width
    own = _own(top, height, width, cols, HALO)
    right = (cols >= 0) & (cols < width - STEP)
    sums = tl.zeros([_STRIP], tl.int32) + (THETA << 21)  # of windows that do not count, until others enter
    sums_down = sums
    above = ()
    for _ in tl.static_range(STEP):
        above += (tl.zeros([_STRIP], tl.float32),)
    for row in range(top - 2 * REACH - STEP, tl.minimum(top + rows, height)):
        new = row + REACH
        enters = (new >= 0) & (new < height)
        old = row - REACH - 1
        leaves = (old >= 0) & (old >= top - REACH - STEP)
        sums += _unpacked(codes, new, enters, cols, width) - _unpacked(codes, old, leaves, cols, width)
        sums_down += _unpacked(codes_down, new, enters, cols, width) - _unpacked(codes_down, old, leaves, cols, width)
        if row >= top - STEP:
            inside = (row >= 0) & (row < height - STEP)
            y = _row(pred, row, row >= 0, cols, width)
            change = _shift(y, STEP) - y
            by_right = _by_change(_sum_along(sums, REACH), change, by_error, by_amount, THETA)
            by_right = tl.where(right, by_right, 0.0)
            change = _row(pred, row + STEP, inside, cols, width) - y
            by_down = _by_change(_sum_along(sums_down, REACH), change, by_error, by_amount, THETA)
            by_down = tl.where(inside, by_down, 0.0)
            if row >= top:
                by_pixel = _shift(by_right, -STEP) - by_right + above[0] - by_down
                tl.store(gradient + row * width + cols, by_pixel, mask=own)
            above = above[1:]
            above += (by_down,)


# The paper's form. A cell is a value, or a value and a mass; a row of cells one row of numbers, or two.


@triton.jit
def _merge(a: tl.tuple, b: tl.tuple, LARGEST: tl.constexpr) -> tl.tuple:
    """The extreme of cells and, if they have masses, the mass of what attains it."""
    extreme = tl.maximum(a[0], b[0]) if LARGEST else tl.minimum(a[0], b[0])
    if len(a) == 1:
        return (extreme,)
    else:
        return extreme, tl.where(a[0] == extreme, a[1], 0.0) + tl.where(b[0] == extreme, b[1], 0.0)


@triton.jit
def _shift_cells(cells: tl.tuple, BY: tl.constexpr) -> tl.tuple:
    if len(cells) == 1:
        return (_shift(cells[0], BY),)
    else:
        return _shift(cells[0], BY), _shift(cells[1], BY)


@triton.jit
def _extreme_along(cells: tl.tuple, WIDTH: tl.constexpr, LARGEST: tl.constexpr) -> tl.tuple:
    """Windows along a row from spans of 1, 2, 4, … that share no cell."""
    window = _shift_cells(cells, -(WIDTH // 2))
    for i in tl.static_range(1, 5):
        if WIDTH >> i:
            cells = _merge(cells, _shift_cells(cells, 1 << (i - 1)), LARGEST)
            if (WIDTH >> i) & 1:
                window = _merge(window, _shift_cells(cells, (WIDTH & ((1 << i) - 1)) - WIDTH // 2), LARGEST)
    return window


@triton.jit
def _cells(
    x: tl.tensor,
    mass: tl.tensor,
    row: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    cols: tl.tensor,
    COUNT: tl.constexpr,
    COMPLEMENT: tl.constexpr,
) -> tl.tensor:
    """x, or 1 − x, and with it nothing, or 1 of which to COUNT the sum, or a mass."""
    inside = (cols >= 0) & (cols < tl.where((row >= 0) & (row < height), width, 0))
    value = tl.load(x + row * width + cols, mask=inside, other=0.0)
    if COMPLEMENT:
        value = 1 - value
    value = tl.where(inside, value, float("-inf") if mass is None else float("inf"))
    if COUNT:
        return value, inside.to(tl.float32)
    elif mass is not None:
        return value, tl.load(mass + row * width + cols, mask=inside, other=0.0)
    else:
        return (value,)


@triton.jit
def _two_rows_of_windows(
    x: tl.tensor,
    mass: tl.tensor,
    row: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    cols: tl.tensor,
    WIDTH: tl.constexpr,
    COUNT: tl.constexpr,
    COMPLEMENT: tl.constexpr,
) -> tl.tensor:
    """Windows around a row and around the next, which have all rows but one in common.

    Their maxima; or, of x with a mass, their minima and what mass attains those.
    """
    REACH: tl.constexpr = WIDTH // 2
    LARGEST: tl.constexpr = mass is None
    upper = _cells(x, mass, row - REACH, height, width, cols, COUNT, COMPLEMENT)
    lower = _cells(x, mass, row + REACH + 1, height, width, cols, COUNT, COMPLEMENT)
    if REACH > 0:
        common = _cells(x, mass, row + 1 - REACH, height, width, cols, COUNT, COMPLEMENT)
        for at in range(row + 2 - REACH, row + REACH + 1):
            more = _cells(x, mass, at, height, width, cols, COUNT, COMPLEMENT)
            common = _merge(common, more, LARGEST)
        upper = _merge(upper, common, LARGEST)
        lower = _merge(common, lower, LARGEST)
    return _extreme_along(upper, WIDTH, LARGEST), _extreme_along(lower, WIDTH, LARGEST)


@_kernel
def _window_maximum_kernel(
    x: tl.tensor,
    maximum: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    rows: tl.tensor,
    WIDTH: tl.constexpr,
    BOUNDARY: tl.constexpr,
    HALO: tl.constexpr,
    ALIGNED: tl.constexpr,
) -> None:
    start, top, cols, width = _place(height, width, rows, HALO, ALIGNED)
    x += start
    maximum += start
    for base in range(top, tl.minimum(top + rows, height), 2):
        windows = _two_rows_of_windows(x, None, base, height, width, cols, WIDTH, False, BOUNDARY)
        for i in tl.static_range(2):
            row = base + i
            value = windows[i][0]
            if BOUNDARY:
                value -= 1 - _row(x, row, row < height, cols, width)
            tl.store(maximum + row * width + cols, value, mask=_own(row, height, width, cols, HALO))


@_kernel
def _paper_sums_kernel(
    pred_boundary: tl.tensor,
    true_boundary: tl.tensor,
    counted: tl.tensor,
    parts: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    rows: tl.tensor,
    THETA: tl.constexpr,
    HALO: tl.constexpr,
    ALIGNED: tl.constexpr,
) -> None:
    start, top, cols, width = _place(height, width, rows, HALO, ALIGNED)
    pred_boundary += start
    true_boundary += start
    if counted is not None:
        counted += start
    pred_sum = tl.zeros([_STRIP], tl.float32)
    true_sum = pred_sum
    pred_matched = pred_sum
    true_matched = pred_sum
    for base in range(top, tl.minimum(top + rows, height), 2):
        pred_far = _two_rows_of_windows(pred_boundary, None, base, height, width, cols, THETA, False, False)
        true_far = _two_rows_of_windows(true_boundary, None, base, height, width, cols, THETA, False, False)
        for i in tl.static_range(2):
            row = base + i
            counts = _own(row, height, width, cols, HALO)
            if counted is not None:
                counts = counts & (_row(counted, row, row < height, cols, width) != 0)
            pred_near = _row(pred_boundary, row, row < height, cols, width)
            true_near = _row(true_boundary, row, row < height, cols, width)
            pred_sum += tl.where(counts, pred_near, 0.0)
            true_sum += tl.where(counts, true_near, 0.0)
            pred_matched += tl.where(counts, pred_near * true_far[i][0], 0.0)
            true_matched += tl.where(counts, true_near * pred_far[i][0], 0.0)
    parts += 4 * _part()
    tl.store(parts, tl.sum(pred_sum))
    tl.store(parts + 1, tl.sum(true_sum))
    tl.store(parts + 2, tl.sum(pred_matched))
    tl.store(parts + 3, tl.sum(true_matched))


@_kernel
def _share_kernel(
    x: tl.tensor,
    weight: tl.tensor,
    largest: tl.tensor,
    share: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    rows: tl.tensor,
    WIDTH: tl.constexpr,
    COMPLEMENT: tl.constexpr,
    HALO: tl.constexpr,
    ALIGNED: tl.constexpr,
) -> None:
    """The maximum of each window, and its weight over the number of pixels that attain it."""
    start, top, cols, width = _place(height, width, rows, HALO, ALIGNED)
    x += start
    weight += start
    largest += start
    share += start
    for base in range(top, tl.minimum(top + rows, height), 2):
        windows = _two_rows_of_windows(x, None, base, height, width, cols, WIDTH, True, COMPLEMENT)
        for i in tl.static_range(2):
            row = base + i
            own = _own(row, height, width, cols, HALO)
            tl.store(largest + row * width + cols, windows[i][0], mask=own)
            each = _row(weight, row, row < height, cols, width) / windows[i][1]
            tl.store(share + row * width + cols, each, mask=own)


@triton.jit
def _given(
    x: tl.tensor,
    largest: tl.tensor,
    share: tl.tensor,
    row: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    cols: tl.tensor,
    WIDTH: tl.constexpr,
    COMPLEMENT: tl.constexpr,
) -> tl.tuple:
    """What the pixels of two rows are given: the shares of the least maxima around each, if it attains those."""
    windows = _two_rows_of_windows(largest, share, row, height, width, cols, WIDTH, False, False)
    given = ()
    for i in tl.static_range(2):
        value = _row(x, row + i, row + i < height, cols, width)
        if COMPLEMENT:
            value = 1 - value
        given += (tl.where(value == windows[i][0], windows[i][1], 0.0),)
    return given


@_kernel
def _by_boundary_kernel(
    boundary: tl.tensor,
    largest: tl.tensor,
    share: tl.tensor,
    extended: tl.tensor,
    counted: tl.tensor,
    grad_sums: tl.tensor,
    by_boundary: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    rows: tl.tensor,
    WIDTH: tl.constexpr,
    HALO: tl.constexpr,
    ALIGNED: tl.constexpr,
) -> None:
    """Gradient of the prediction's boundary: of it as such, and of it extended."""
    start, top, cols, width = _place(height, width, rows, HALO, ALIGNED)
    boundary += start
    largest += start
    share += start
    extended += start
    by_boundary += start
    if counted is not None:
        counted += start
    by_pred = tl.load(grad_sums + 4 * tl.program_id(2))
    by_precision = tl.load(grad_sums + 4 * tl.program_id(2) + 2)
    by_recall = tl.load(grad_sums + 4 * tl.program_id(2) + 3)
    for base in range(top, tl.minimum(top + rows, height), 2):
        given = _given(boundary, largest, share, base, height, width, cols, WIDTH, False)
        for i in tl.static_range(2):
            row = base + i
            near = by_pred + by_precision * _row(extended, row, row < height, cols, width)
            if counted is not None:
                near *= _row(counted, row, row < height, cols, width).to(tl.float32)
            own = _own(row, height, width, cols, HALO)
            tl.store(by_boundary + row * width + cols, near + by_recall * given[i], mask=own)


@_kernel
def _by_pixel_kernel(
    pred: tl.tensor,
    largest: tl.tensor,
    share: tl.tensor,
    by_boundary: tl.tensor,
    gradient: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    rows: tl.tensor,
    WIDTH: tl.constexpr,
    HALO: tl.constexpr,
    ALIGNED: tl.constexpr,
) -> None:
    """Gradient of the prediction, of which the boundary is max(1 − y) − (1 − y)."""
    start, top, cols, width = _place(height, width, rows, HALO, ALIGNED)
    pred += start
    largest += start
    share += start
    by_boundary += start
    gradient += start
    for base in range(top, tl.minimum(top + rows, height), 2):
        given = _given(pred, largest, share, base, height, width, cols, WIDTH, True)
        for i in tl.static_range(2):
            row = base + i
            by_pixel = _row(by_boundary, row, row < height, cols, width) - given[i]
            tl.store(gradient + row * width + cols, by_pixel, mask=_own(row, height, width, cols, HALO))
