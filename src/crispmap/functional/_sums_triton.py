"""The sums of the boundary loss as Triton kernels for CUDA, at a cost nearly flat in θ.

A program is one warp. It walks down a strip of 128 columns, four to a lane, so that rows are read 16 bytes a lane and
neighbouring columns come from registers or by shuffles: no shared memory, no barriers, no atomics. Every program
leaves sums of its own, which are added up in float64, so results repeat bit by bit.

*balanced*, one pass forward and one back: running sums down the columns, then sums along the row, all of them
integers. What enters a window leaves it exactly, so a flat map has no change of 1e-8 whose sign would become a
gradient. Probabilities are rounded for this to 2⁻²³, or to less where θ > 11; codes are small integers anyway.

*paper*, two passes forward and five back: maxima do not run, so each window is made anew, two rows at a time down the
columns and from spans of 1, 2, 4, … along the row.
"""

import math
from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from crispmap.functional import _sums_torch

if tuple(int(part) for part in triton.__version__.split(".")[:2]) < (3, 4):
    raise ImportError(f"triton is {triton.__version__}; tuples of tensors in loops need 3.4")

_LANES = tl.constexpr(32)
_STRIP = tl.constexpr(128)  # columns of a program: four to a lane
_WIDEST = 31  # θ up to which the sums of a window's codes fit into one integer, three to 32 bits
_FARTHEST = 48  # reach up to which enough of a strip is left within its rim
_ENOUGH = 4096  # programs that keep a large GPU busy
_NOT_COUNTED = tl.constexpr(8)  # the code of a window that does not count


def balanced_sums(pred: Tensor, true: Tensor, valid: Tensor | None, step: int, theta: int) -> tuple[Tensor, Tensor]:
    """As `_sums_torch.balanced_sums`, but for what a code is.

    A code is 4(c + 2) + 2k + b: k whether the window counts, b whether the prediction goes back and forth more than
    the truth does, and c, from −2 to 2, the derivative of the error by rise − fall. Where there is no edge it means
    nothing.
    """
    reach = theta // 2 + step
    if not _fits(pred, theta, reach):
        return _sums_torch.balanced_sums(pred, true, valid, step, theta)
    maps, height, width = pred.shape
    bits = min(23, 30 - math.ceil(math.log2(theta**2)))  # 2θ² changes of one must fit into an integer
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


def paper_sums(
    pred: Tensor, true: Tensor, valid: Tensor | None, theta0: int, theta: int
) -> tuple[Tensor, Tensor, Tensor]:
    """As `_sums_torch.paper_sums`."""
    if not _fits(pred, max(theta0, theta)):
        return _sums_torch.paper_sums(pred, true, valid, theta0, theta)
    counted = None if valid is None else _counted_pixels(valid, theta0, theta)
    boundaries = [_window_maximum(y, theta0, boundary=True) for y in (pred, true)]
    parts = _new_parts(pred, theta // 2, 4)
    _launch(_paper_sums_kernel, theta // 2, *boundaries, counted, parts, THETA=theta)
    return parts.sum(1, dtype=torch.float64).to(pred.dtype), boundaries[0], boundaries[1]


def paper_grad(
    pred: Tensor,
    pred_boundary: Tensor,
    true_boundary: Tensor,
    valid: Tensor | None,
    grad_sums: Tensor,
    theta0: int,
    theta: int,
) -> Tensor:
    """As `_sums_torch.paper_grad`."""
    if not _fits(pred, max(theta0, theta)):
        return _sums_torch.paper_grad(pred, pred_boundary, true_boundary, valid, grad_sums, theta0, theta)
    counted = None if valid is None else _counted_pixels(valid, theta0, theta)
    weight = true_boundary if counted is None else true_boundary * counted
    extended = _window_maximum(true_boundary, theta, boundary=False)
    by_sums = grad_sums[:, [0, 2, 3]]  # as they stand in: by_pred + by_precision·extended + by_recall·(…)
    by_boundary = _spread_to_maxima(pred_boundary, weight, theta, extended, by_sums, counted)
    by_itself = pred.new_tensor([[0.0, 1.0, -1.0]]).repeat(len(pred), 1)
    return _spread_to_maxima(pred, by_boundary, theta0, by_boundary, by_itself, None, complement=True)


def _window_maximum(x: Tensor, width: int, *, boundary: bool) -> Tensor:
    """Maximum over each window; with `boundary`, that of 1 − x, less 1 − x."""
    maximum = torch.empty_like(x)
    _launch(_window_maximum_kernel, width // 2, x, maximum, WIDTH=width, BOUNDARY=boundary)
    return maximum


def _spread_to_maxima(
    x: Tensor,
    weight: Tensor,
    width: int,
    other: Tensor,
    factors: Tensor,
    counted: Tensor | None,
    *,
    complement: bool = False,
) -> Tensor:
    """(f₀ + f₁·other)·counted + f₂·spread, with each window's weight spread evenly to where x (or 1 − x) is maximal.

    In two passes, as in `_sums_torch.spread_to_maxima`; factors (B, 3).
    """
    largest, share, result = torch.empty_like(x), torch.empty_like(x), torch.empty_like(x)
    settings = {"WIDTH": width, "COMPLEMENT": complement}
    _launch(_share_kernel, width // 2, x, weight, largest, share, **settings)
    _launch(_spread_kernel, width // 2, x, largest, share, other, factors, counted, result, **settings)
    return result


def _counted_edges(valid: Tensor, step: int, theta: int) -> Tensor:
    """Which windows count, by axis and the edge in their middle, uint8 (B, 2, H, W)."""
    maps, height, width = valid.shape
    counted = valid.new_zeros(maps, 2, height, width)
    for axis, size, where in ((-1, width, counted[:, 0, :, :-step]), (-2, height, counted[:, 1, :-step])):
        if size > step:
            where.copy_(_sums_torch.untouched_edges(valid, step, theta, axis))
    return counted.view(torch.uint8)


def _counted_pixels(valid: Tensor, theta0: int, theta: int) -> Tensor:
    return _sums_torch.untouched_pixels(valid, theta0, theta).contiguous().view(torch.uint8)


def _fits(image: Tensor, theta: int, reach: int = 0) -> bool:
    return theta <= _WIDEST and reach <= _FARTHEST and image.numel() > 0


class _Tiling(NamedTuple):
    strips: int
    chunks: int
    rows: int  # of a chunk

    @classmethod
    def of(cls, image: Tensor, reach: int) -> "_Tiling":
        """Chunks as high as leaves enough programs: the rows above and below them are read twice."""
        maps, height, width = image.shape
        strips = triton.cdiv(width, _STRIP.value - 2 * _halo(reach))
        for rows in (64, 32, 16):
            chunks = triton.cdiv(height, rows)
            if maps * strips * chunks >= _ENOUGH:
                break
        return cls(strips, chunks, rows)


def _halo(reach: int) -> int:
    """Columns on each side of a strip that are only read, in whole lanes."""
    return 4 * triton.cdiv(reach, 4)


def _new_parts(image: Tensor, reach: int, count: int) -> Tensor:
    """Room for the sums of every program, (B, programs, count)."""
    tiling = _Tiling.of(image, reach)
    return image.new_empty(len(image), tiling.strips * tiling.chunks, count)


def _launch(kernel: Any, reach: int, image: Tensor, *tensors: Tensor | None, **constants: Any) -> None:
    maps, height, width = image.shape
    tiling = _Tiling.of(image, reach)
    grid = (maps * tiling.strips * tiling.chunks,)
    with torch.cuda.device_of(image):
        kernel[grid](image, *tensors, height, width, *tiling, HALO=_halo(reach), **constants, num_warps=1)


# What a kernel works with. A row is a tuple of tensors, one to a column of the lanes', (32,) each.


@triton.jit
def _place(strips: Any, chunks: Any, rows: Any, HALO: tl.constexpr) -> Any:
    """Map, first row and first column of a program."""
    program = tl.program_id(0)
    image = (program // (strips * chunks)).to(tl.int64)
    return image, program // strips % chunks * rows, program % strips * (_STRIP - 2 * HALO) - HALO


@triton.jit
def _own(row: Any, height: Any, width: Any, cols: Any, HALO: tl.constexpr) -> Any:
    """Pixels of a row that are this program's to write."""
    at = tl.arange(0, _STRIP)
    return (at >= HALO) & (at < _STRIP - HALO) & (cols < tl.where(row < height, width, 0))


@triton.jit
def _split(x: Any) -> Any:
    """Columns of a row, (128,)."""
    even, odd = tl.split(tl.reshape(x, [_LANES, 2, 2]))
    a, c = tl.split(even)
    b, d = tl.split(odd)
    return (a, b, c, d)


@triton.jit
def _join(x: Any) -> Any:
    """The row, (128,), of its columns."""
    return tl.reshape(tl.join(tl.join(x[0], x[2]), tl.join(x[1], x[3])), [_STRIP])


@triton.jit
def _column(x: Any, AT: tl.constexpr) -> Any:
    """Column AT of each lane, which is another lane's where AT is not in 0 … 3; the strip's rim is undefined."""
    if AT // 4 == 0:
        return x[AT]
    else:
        lane = tl.arange(0, _LANES) + AT // 4
        return tl.gather(x[AT % 4], tl.minimum(tl.maximum(lane, 0), _LANES - 1), 0)


@triton.jit
def _row(image: Any, row: Any, inside: Any, cols: Any, width: Any) -> Any:
    """A row of an image, (128,), zero beyond it."""
    return tl.load(image + row * width + cols, mask=(cols >= 0) & (cols < tl.where(inside, width, 0)), other=0)


# The balanced form.


@triton.jit
def _fixed(y: Any, ONE: tl.constexpr) -> Any:
    """Probabilities in fixed point: from ONE to 2·ONE floats are evenly spaced, and so are their bits."""
    return (y + ONE).to(tl.int32, bitcast=True)


@triton.jit
def _changes(
    image: Any, row: Any, inside: Any, height: Any, width: Any, cols: Any, STEP: tl.constexpr, ONE: tl.constexpr
):
    """Of a row's edges, along it and down: net change and rise, each of four columns; all zero if not inside."""
    y = _split(_fixed(_row(image, row, inside, cols, width), ONE))
    below = tl.where(row + STEP < height, row + STEP, row)
    z = _split(_fixed(_row(image, below, inside, cols, width), ONE))
    is_edge = _split(((cols >= 0) & (cols < width - STEP)).to(tl.int32))
    right = ()
    right_rise = ()
    down = ()
    down_rise = ()
    for c in tl.static_range(4):
        change = tl.where(is_edge[c] != 0, _column(y, c + STEP) - y[c], 0)
        right += (change,)
        right_rise += (tl.maximum(change, 0),)
        change = z[c] - y[c]
        down += (change,)
        down_rise += (tl.maximum(change, 0),)
    return right + right_rise + down + down_rise


@triton.jit
def _advance(sums: Any, entering: Any, leaving: Any) -> Any:
    out = ()
    for i in tl.static_range(len(sums)):
        out += (sums[i] + entering[i] - leaving[i],)
    return out


@triton.jit
def _sum_along(x: Any, REACH: tl.constexpr) -> Any:
    """Sums over the columns within reach, of integers."""
    out = ()
    if REACH <= 4:
        total = _column(x, -REACH)
        for k in tl.static_range(1 - REACH, REACH + 1):
            total += _column(x, k)
        out += (total,)
        for c in tl.static_range(1, 4):
            total += _column(x, c + REACH) - _column(x, c - REACH - 1)
            out += (total,)
    else:
        running = (x[0],)
        for c in tl.static_range(1, 4):
            running += (running[c - 1] + x[c],)
        before = tl.cumsum(running[3], 0) - running[3]
        up_to = ()
        for c in tl.static_range(4):
            up_to += (before + running[c],)
        for c in tl.static_range(4):
            out += (_column(up_to, c + REACH) - _column(up_to, c - REACH - 1),)
    return out


@triton.jit
def _clamp(x: Any, least: Any, most: Any) -> Any:
    return tl.minimum(tl.maximum(x, least), most)


@triton.jit
def _compare(pred_net: Any, pred_rise: Any, true_net: Any, true_rise: Any) -> Any:
    """Code, error and amount of windows: with fall = rise − net, min(rise, fall) = rise − max(0, net)."""
    net = pred_net - true_net
    back = pred_rise - tl.maximum(pred_net, 0) - (true_rise - tl.maximum(true_net, 0))
    back = tl.maximum(back, 0)
    more = tl.minimum(back, 1)
    code = 4 * (_clamp(net, -1, 1) - _clamp(pred_net, -more, more)) + more + 10
    return code, tl.abs(net) + 2 * back, 2 * (pred_rise + true_rise) - (pred_net + true_net)


@triton.jit
def _compare_row(
    sums: Any,
    counted: Any,
    codes: Any,
    row: Any,
    inside: Any,
    cols: Any,
    width: Any,
    own: Any,
    errors: Any,
    amounts: Any,
):
    """Writes the codes of a row of windows, and adds their errors and amounts to the columns'."""
    out = ()
    new_errors = ()
    new_amounts = ()
    if counted is not None:
        counts = _split(_row(counted, row, inside, cols, width).to(tl.int32))
    for c in tl.static_range(4):
        code, error, amount = _compare(sums[c], sums[4 + c], sums[8 + c], sums[12 + c])
        is_counted = inside
        if counted is not None:
            is_counted = inside & (counts[c] != 0)
            code = tl.where(is_counted, code, _NOT_COUNTED)
        new_errors += (errors[c] + tl.where(is_counted, error, 0).to(tl.float32),)
        new_amounts += (amounts[c] + tl.where(is_counted, amount, 0).to(tl.float32),)
        out += (code,)
    tl.store(codes + row * width + cols, _join(out).to(tl.int8), mask=own)
    return new_errors, new_amounts


@triton.jit(do_not_specialize=("height", "strips", "chunks", "rows"))
def _balanced_sums_kernel(
    pred: Any,
    true: Any,
    counted: Any,
    codes: Any,
    parts: Any,
    height: Any,
    width: Any,
    strips: Any,
    chunks: Any,
    rows: Any,
    STEP: tl.constexpr,
    THETA: tl.constexpr,
    ONE: tl.constexpr,
    HALO: tl.constexpr,
):
    REACH: tl.constexpr = THETA // 2
    image, top, first = _place(strips, chunks, rows, HALO)
    size = height * width
    pred += image * size
    true += image * size
    codes += 2 * image * size
    counted_down = None
    if counted is not None:
        counted += 2 * image * size
        counted_down = counted + size
    cols = first + tl.arange(0, _STRIP)
    own = _own(top, height, width, cols, HALO)
    sums = ()
    for _ in tl.static_range(32):
        sums += (tl.zeros([_LANES], tl.int32),)
    none = ()
    for _ in tl.static_range(4):
        none += (tl.zeros([_LANES], tl.float32),)
    errors, amounts, errors_down, amounts_down = none, none, none, none
    for row in range(top - 2 * REACH, tl.minimum(top + rows, height)):
        new = row + REACH
        old = row - REACH - 1
        enters = (new >= 0) & (new < height)
        leaves = (old >= 0) & (old >= top - REACH)
        entering = _changes(pred, new, enters, height, width, cols, STEP, ONE) + _changes(
            true, new, enters, height, width, cols, STEP, ONE
        )
        leaving = _changes(pred, old, leaves, height, width, cols, STEP, ONE) + _changes(
            true, old, leaves, height, width, cols, STEP, ONE
        )
        sums = _advance(sums, entering, leaving)
        if row >= top:
            boxes = ()
            for i in tl.static_range(8):
                boxes += _sum_along(sums[4 * i : 4 * i + 4], REACH)
            errors, amounts = _compare_row(
                boxes[0:8] + boxes[16:24], counted, codes, row, row < height, cols, width, own, errors, amounts
            )
            errors_down, amounts_down = _compare_row(
                boxes[8:16] + boxes[24:32],
                counted_down,
                codes + size,
                row,
                row < height - STEP,
                cols,
                width,
                own,
                errors_down,
                amounts_down,
            )
    at = _split(cols)
    own_at = _split(own.to(tl.int32))
    error = none[0]
    amount = none[0]
    for c in tl.static_range(4):
        right = (own_at[c] != 0) & (at[c] < width - STEP)
        error += tl.where(right, errors[c], 0.0) + tl.where(own_at[c] != 0, errors_down[c], 0.0)
        amount += tl.where(right, amounts[c], 0.0) + tl.where(own_at[c] != 0, amounts_down[c], 0.0)
    program = tl.program_id(0)
    tl.store(parts + 2 * program, tl.sum(error))
    tl.store(parts + 2 * program + 1, tl.sum(amount))


@triton.jit
def _unpacked(codes: Any, row: Any, inside: Any, edges: Any, cols: Any, width: Any) -> Any:
    """Codes of a row as b + 2¹⁰·k + 2²⁰·(c + 2), so that one sum holds three."""
    mask = (cols >= 0) & (cols < tl.where(inside, edges, 0))
    code = tl.load(codes + row * width + cols, mask=mask, other=_NOT_COUNTED).to(tl.int32)
    return _split((code * 0x40201) & 0x700401)


@triton.jit
def _by_change(sums: Any, change: Any, by_error: Any, by_amount: Any, THETA: tl.constexpr) -> Any:
    """Gradient of edges: the derivative by net change, and that by length times the sign of the change."""
    net = (sums >> 20) - 2 * THETA * THETA
    length = by_error * (sums & 1023).to(tl.float32) + by_amount * ((sums >> 10) & 1023).to(tl.float32)
    return by_error * net.to(tl.float32) + tl.where(change > 0, length, tl.where(change < 0, -length, 0.0))


@triton.jit(do_not_specialize=("height", "strips", "chunks", "rows"))
def _balanced_grad_kernel(
    pred: Any,
    codes: Any,
    grad_sums: Any,
    gradient: Any,
    height: Any,
    width: Any,
    strips: Any,
    chunks: Any,
    rows: Any,
    STEP: tl.constexpr,
    THETA: tl.constexpr,
    HALO: tl.constexpr,
):
    REACH: tl.constexpr = THETA // 2
    image, top, first = _place(strips, chunks, rows, HALO)
    size = height * width
    by_error = tl.load(grad_sums + 2 * image)
    by_amount = tl.load(grad_sums + 2 * image + 1)
    pred += image * size
    gradient += image * size
    codes += 2 * image * size
    cols = first + tl.arange(0, _STRIP)
    own = _own(top, height, width, cols, HALO)
    is_edge = _split(((cols >= 0) & (cols < width - STEP)).to(tl.int32))
    sums = ()
    none = ()
    for _ in tl.static_range(4):  # no window counts but those that enter
        sums += (tl.zeros([_LANES], tl.int32) + (THETA << 21),)
        none += (tl.zeros([_LANES], tl.float32),)
    sums_down = sums
    above = ()
    for _ in tl.static_range(STEP):
        above += (none,)
    for row in range(top - 2 * REACH - STEP, tl.minimum(top + rows, height)):
        new = row + REACH
        old = row - REACH - 1
        enters = (new >= 0) & (new < height)
        leaves = (old >= 0) & (old >= top - REACH - STEP)
        down = height - STEP
        sums = _advance(
            sums,
            _unpacked(codes, new, enters, width - STEP, cols, width),
            _unpacked(codes, old, leaves, width - STEP, cols, width),
        )
        sums_down = _advance(
            sums_down,
            _unpacked(codes + size, new, enters & (new < down), width, cols, width),
            _unpacked(codes + size, old, leaves & (old < down), width, cols, width),
        )
        if row >= top - STEP:
            inside = (row >= 0) & (row < down)
            y = _split(_row(pred, row, row >= 0, cols, width))
            z = _split(_row(pred, row + STEP, inside, cols, width))
            boxes = _sum_along(sums, REACH)
            boxes_down = _sum_along(sums_down, REACH)
            by_right = ()
            by_down = ()
            for c in tl.static_range(4):
                by_edge = _by_change(boxes[c], _column(y, c + STEP) - y[c], by_error, by_amount, THETA)
                by_right += (tl.where(is_edge[c] != 0, by_edge, 0.0),)
                by_edge = _by_change(boxes_down[c], z[c] - y[c], by_error, by_amount, THETA)
                by_down += (tl.where(inside, by_edge, 0.0),)
            by_pixel = ()
            for c in tl.static_range(4):
                by_pixel += (_column(by_right, c - STEP) - by_right[c] + above[0][c] - by_down[c],)
            above = above[1:] + (by_down,)
            if row >= top:
                tl.store(gradient + row * width + cols, _join(by_pixel), mask=own)


# The paper's form. A cell is a value, or a value and a mass; a row of cells four of one, or four and four.


@triton.jit
def _merge(a: Any, b: Any, LARGEST: tl.constexpr) -> Any:
    """The extreme of two rows of cells, and the masses of those that attain it."""
    cells = ()
    for c in tl.static_range(4):
        cells += (tl.maximum(a[c], b[c]) if LARGEST else tl.minimum(a[c], b[c]),)
    if len(a) == 8:
        for c in tl.static_range(4):
            mass = tl.where(a[c] == cells[c], a[4 + c], 0.0) + tl.where(b[c] == cells[c], b[4 + c], 0.0)
            cells += (mass,)
    return cells


@triton.jit
def _shift(cells: Any, BY: tl.constexpr) -> Any:
    out = ()
    for i in tl.static_range(len(cells)):
        out += (_column(cells[i // 4 * 4 : i // 4 * 4 + 4], i % 4 + BY),)
    return out


@triton.jit
def _along(cells: Any, WIDTH: tl.constexpr, LARGEST: tl.constexpr) -> Any:
    """Windows along a row, from spans that share no cell."""
    span = _shift(cells, -(WIDTH // 2))
    window = span
    for i in tl.static_range(1, 5):
        if WIDTH >> i:
            span = _merge(span, _shift(span, 1 << (i - 1)), LARGEST)
            if (WIDTH >> i) & 1:
                window = _merge(window, _shift(span, WIDTH & ((1 << i) - 1)), LARGEST)
    return window


@triton.jit
def _cells(
    x: Any,
    mass: Any,
    row: Any,
    height: Any,
    width: Any,
    cols: Any,
    COUNT: tl.constexpr,
    COMPLEMENT: tl.constexpr,
    LARGEST: tl.constexpr,
):
    inside = (cols >= 0) & (cols < tl.where((row >= 0) & (row < height), width, 0))
    value = tl.load(x + row * width + cols, mask=inside, other=0.0)
    if COMPLEMENT:
        value = 1 - value
    cells = _split(tl.where(inside, value, float("-inf") if LARGEST else float("inf")))
    if COUNT:
        cells += _split(inside.to(tl.float32))
    elif mass is not None:
        cells += _split(tl.load(mass + row * width + cols, mask=inside, other=0.0))
    return cells


@triton.jit
def _windows(
    x: Any,
    mass: Any,
    row: Any,
    height: Any,
    width: Any,
    cols: Any,
    WIDTH: tl.constexpr,
    COUNT: tl.constexpr,
    COMPLEMENT: tl.constexpr,
    LARGEST: tl.constexpr,
):
    """Windows around this row and around the next, which have all rows but two in common."""
    REACH: tl.constexpr = WIDTH // 2
    upper = _cells(x, mass, row - REACH, height, width, cols, COUNT, COMPLEMENT, LARGEST)
    lower = _cells(x, mass, row + REACH + 1, height, width, cols, COUNT, COMPLEMENT, LARGEST)
    if REACH > 0:
        common = _cells(x, mass, row + 1 - REACH, height, width, cols, COUNT, COMPLEMENT, LARGEST)
        for at in range(row + 2 - REACH, row + REACH + 1):
            common = _merge(common, _cells(x, mass, at, height, width, cols, COUNT, COMPLEMENT, LARGEST), LARGEST)
        upper = _merge(upper, common, LARGEST)
        lower = _merge(common, lower, LARGEST)
    return _along(upper, WIDTH, LARGEST), _along(lower, WIDTH, LARGEST)


@triton.jit(do_not_specialize=("height", "strips", "chunks", "rows"))
def _window_maximum_kernel(
    x: Any,
    maximum: Any,
    height: Any,
    width: Any,
    strips: Any,
    chunks: Any,
    rows: Any,
    WIDTH: tl.constexpr,
    BOUNDARY: tl.constexpr,
    HALO: tl.constexpr,
):
    image, top, first = _place(strips, chunks, rows, HALO)
    x += image * height * width
    maximum += image * height * width
    cols = first + tl.arange(0, _STRIP)
    for base in range(top, tl.minimum(top + rows, height), 2):
        windows = _windows(x, None, base, height, width, cols, WIDTH, False, BOUNDARY, True)
        for i in tl.static_range(2):
            row = base + i
            value = _join(windows[i])
            if BOUNDARY:
                value -= 1 - _row(x, row, row < height, cols, width)
            tl.store(maximum + row * width + cols, value, mask=_own(row, height, width, cols, HALO))


@triton.jit(do_not_specialize=("height", "strips", "chunks", "rows"))
def _paper_sums_kernel(
    pred_boundary: Any,
    true_boundary: Any,
    counted: Any,
    parts: Any,
    height: Any,
    width: Any,
    strips: Any,
    chunks: Any,
    rows: Any,
    THETA: tl.constexpr,
    HALO: tl.constexpr,
):
    image, top, first = _place(strips, chunks, rows, HALO)
    pred_boundary += image * height * width
    true_boundary += image * height * width
    if counted is not None:
        counted += image * height * width
    cols = first + tl.arange(0, _STRIP)
    pred_sum = tl.zeros([_STRIP], tl.float32)
    true_sum = pred_sum
    pred_matched = pred_sum
    true_matched = pred_sum
    for base in range(top, tl.minimum(top + rows, height), 2):
        pred_extended = _windows(pred_boundary, None, base, height, width, cols, THETA, False, False, True)
        true_extended = _windows(true_boundary, None, base, height, width, cols, THETA, False, False, True)
        for i in tl.static_range(2):
            row = base + i
            inside = _own(row, height, width, cols, HALO)
            if counted is not None:
                inside = inside & (_row(counted, row, row < height, cols, width) != 0)
            pred_b = _row(pred_boundary, row, row < height, cols, width)
            true_b = _row(true_boundary, row, row < height, cols, width)
            pred_sum += tl.where(inside, pred_b, 0.0)
            true_sum += tl.where(inside, true_b, 0.0)
            pred_matched += tl.where(inside, pred_b * _join(true_extended[i]), 0.0)
            true_matched += tl.where(inside, true_b * _join(pred_extended[i]), 0.0)
    parts += 4 * tl.program_id(0)
    tl.store(parts, tl.sum(pred_sum))
    tl.store(parts + 1, tl.sum(true_sum))
    tl.store(parts + 2, tl.sum(pred_matched))
    tl.store(parts + 3, tl.sum(true_matched))


@triton.jit(do_not_specialize=("height", "strips", "chunks", "rows"))
def _share_kernel(
    x: Any,
    weight: Any,
    largest: Any,
    share: Any,
    height: Any,
    width: Any,
    strips: Any,
    chunks: Any,
    rows: Any,
    WIDTH: tl.constexpr,
    COMPLEMENT: tl.constexpr,
    HALO: tl.constexpr,
):
    """The maximum of each window, and its weight over the number of pixels that attain it."""
    image, top, first = _place(strips, chunks, rows, HALO)
    x += image * height * width
    weight += image * height * width
    largest += image * height * width
    share += image * height * width
    cols = first + tl.arange(0, _STRIP)
    for base in range(top, tl.minimum(top + rows, height), 2):
        windows = _windows(x, None, base, height, width, cols, WIDTH, True, COMPLEMENT, True)
        for i in tl.static_range(2):
            row = base + i
            at = row * width + cols
            inside = _own(row, height, width, cols, HALO)
            tl.store(largest + at, _join(windows[i][:4]), mask=inside)
            tl.store(share + at, _row(weight, row, row < height, cols, width) / _join(windows[i][4:]), mask=inside)


@triton.jit(do_not_specialize=("height", "strips", "chunks", "rows"))
def _spread_kernel(
    x: Any,
    largest: Any,
    share: Any,
    other: Any,
    factors: Any,
    counted: Any,
    result: Any,
    height: Any,
    width: Any,
    strips: Any,
    chunks: Any,
    rows: Any,
    WIDTH: tl.constexpr,
    COMPLEMENT: tl.constexpr,
    HALO: tl.constexpr,
):
    """What each pixel gets: the shares of the windows with the least maximum around it, if it attains that."""
    image, top, first = _place(strips, chunks, rows, HALO)
    x += image * height * width
    largest += image * height * width
    share += image * height * width
    other += image * height * width
    result += image * height * width
    if counted is not None:
        counted += image * height * width
    constant = tl.load(factors + 3 * image)
    by_other = tl.load(factors + 3 * image + 1)
    by_spread = tl.load(factors + 3 * image + 2)
    cols = first + tl.arange(0, _STRIP)
    for base in range(top, tl.minimum(top + rows, height), 2):
        windows = _windows(largest, share, base, height, width, cols, WIDTH, False, False, False)
        for i in tl.static_range(2):
            row = base + i
            value = _row(x, row, row < height, cols, width)
            if COMPLEMENT:
                value = 1 - value
            given = constant + by_other * _row(other, row, row < height, cols, width)
            if counted is not None:
                given *= _row(counted, row, row < height, cols, width).to(tl.float32)
            given += by_spread * tl.where(value == _join(windows[i][:4]), _join(windows[i][4:]), 0.0)
            tl.store(result + row * width + cols, given, mask=_own(row, height, width, cols, HALO))
