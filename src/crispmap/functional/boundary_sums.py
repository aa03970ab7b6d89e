"""The sums that the boundary loss is made of, as operators that autograd, torch.compile and torch.export know.

Two pairs of operators, each a forward that leaves sums for every map and a backward that turns the gradient of
the sums into that of the prediction:

``crispmap::balanced_sums``
    Of each window's *rise* (r > 0) and *fall* (r < 0), r = y(x + s) − y(x), along each axis: what of the
    prediction disagrees with the truth, and how much there is in both.
``crispmap::paper_sums``
    The four sums of the published equation.

Each runs as a Triton kernel on CUDA, as a compiled loop on the CPU if numba is installed, and otherwise in
torch alone; all of them equal each other to rounding. Truth and valid mask are constants: no gradient flows to
them.
"""

from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from crispmap.functional import _sums_torch


def balanced_sums(pred: Tensor, true: Tensor, valid: Tensor | None, step: int, theta: int) -> tuple[Tensor, Tensor]:
    """Disagreement and amount of boundary.

    With U and F the sums of rise and fall over the θ×θ edges around an edge, for each axis and each such window:

        error  = |(U − F)_pred − (U − F)_true| + 2·max(0, min(U, F)_pred − min(U, F)_true)
        amount = (U + F)_pred + (U + F)_true

    Args:
        pred: Probabilities, float32 or float64, shape (B, H, W).
        true: Truth in [0, 1], of the same shape and dtype.
        valid: Bool, same shape; windows that reach a pixel where it is false do not count.
        step: s, the distance of the pixels compared, (θ0 − 1)/2.
        theta: θ, odd.

    Returns:
        The sums of error and amount over all windows of both axes, divided by θ², each of shape (B,).
    """
    sums, _ = torch.ops.crispmap.balanced_sums(pred, true, valid, step, theta)
    return sums[:, 0], sums[:, 1]


def paper_sums(pred: Tensor, true: Tensor, valid: Tensor | None, theta0: int, theta: int) -> tuple[Tensor, ...]:
    """The sums of the published equation; ties of its maxima share the gradient evenly.

    Args:
        pred: Probabilities, float32 or float64, shape (B, H, W).
        true: Truth in [0, 1], of the same shape and dtype.
        valid: Bool, same shape; pixels within (θ0 + θ)/2 − 1 of one where it is false do not count.
        theta0: Width of the window that finds the boundary.
        theta: Width of the window that extends it.

    Returns:
        Σ pred_b, Σ true_b, Σ pred_b·pool(true_b, θ) and Σ true_b·pool(pred_b, θ), each of shape (B,).
    """
    sums, _ = torch.ops.crispmap.paper_sums(pred, true, valid, theta0, theta)
    return sums[:, 0], sums[:, 1], sums[:, 2], sums[:, 3]


def backend(tensor: Tensor) -> ModuleType:
    """The module whose kernels run on such a tensor."""
    if tensor.device.type == "cuda" and tensor.dtype == torch.float32 and (triton := _triton()) is not None:
        return triton
    if tensor.device.type == "cpu" and (numba := _numba()) is not None:
        return numba
    return _sums_torch


@cache
def _numba() -> ModuleType | None:
    return _if_installed("crispmap.functional._sums_numba")


@cache
def _triton() -> ModuleType | None:
    return _if_installed("crispmap.functional._sums_triton")


def _if_installed(name: str) -> ModuleType | None:
    try:
        return import_module(name)
    except ImportError:
        return None


# `torch.library.custom_op` would say the same, but its first call loads the compiler, which takes seconds.
_BALANCED, _PAPER = "crispmap::balanced_sums", "crispmap::paper_sums"
_BALANCED_GRAD, _PAPER_GRAD = "crispmap::balanced_grad", "crispmap::paper_grad"
torch.library.define(_BALANCED, "(Tensor pred, Tensor true, Tensor? valid, int step, int theta) -> (Tensor, Tensor)")
torch.library.define(
    _BALANCED_GRAD, "(Tensor pred, Tensor codes, Tensor? valid, Tensor grad_sums, int step, int theta) -> Tensor"
)
torch.library.define(_PAPER, "(Tensor pred, Tensor true, Tensor? valid, int theta0, int theta) -> (Tensor, Tensor)")
torch.library.define(
    _PAPER_GRAD,
    "(Tensor pred, Tensor true, Tensor pred_boundary, Tensor? valid, Tensor grad_sums, int theta0, int theta)"
    " -> Tensor",
)


def _balanced_forward(pred: Tensor, true: Tensor, valid: Tensor | None, step: int, theta: int) -> tuple[Tensor, Tensor]:
    """Sums (B, 2), and what the backward needs to know of each window: int8, (B, 2, H·W)."""
    sums, codes = backend(pred).balanced_sums(pred.contiguous(), true.contiguous(), valid, step, theta)
    return sums, codes


def _balanced_shapes(pred: Tensor, true: Tensor, valid: Tensor | None, step: int, theta: int) -> tuple[Tensor, Tensor]:
    maps, height, width = pred.shape
    return pred.new_empty(maps, 2), pred.new_empty((maps, 2, height * width), dtype=torch.int8)


def _balanced_backward(pred: Tensor, codes: Tensor, *settings: Any) -> Tensor:
    gradient: Tensor = backend(pred).balanced_grad(pred.contiguous(), codes, *settings)
    return gradient


def _balanced_setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    pred, _, valid, ctx.step, ctx.theta = inputs
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(pred, output[1], valid)


@once_differentiable
def _balanced_autograd(ctx: Any, grad_sums: Tensor | None, _: None) -> tuple[Tensor | None, ...]:
    if grad_sums is None:
        return None, None, None, None, None
    pred, codes, valid = ctx.saved_tensors
    gradient = torch.ops.crispmap.balanced_grad(pred, codes, valid, grad_sums.contiguous(), ctx.step, ctx.theta)
    return gradient, None, None, None, None


def _paper_forward(pred: Tensor, true: Tensor, valid: Tensor | None, theta0: int, theta: int) -> tuple[Tensor, Tensor]:
    """Sums (B, 4), and for the backward the boundary of the prediction, (B, H, W)."""
    sums, boundary = backend(pred).paper_sums(pred.contiguous(), true.contiguous(), valid, theta0, theta)
    return sums, boundary


def _paper_shapes(pred: Tensor, true: Tensor, valid: Tensor | None, theta0: int, theta: int) -> tuple[Tensor, Tensor]:
    return pred.new_empty(len(pred), 4), _like(pred)


def _paper_backward(pred: Tensor, true: Tensor, *rest: Any) -> Tensor:
    gradient: Tensor = backend(pred).paper_grad(pred.contiguous(), true.contiguous(), *rest)
    return gradient


def _paper_setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    pred, true, valid, ctx.theta0, ctx.theta = inputs
    ctx.set_materialize_grads(False)  # a map of zeros as the gradient of the boundary
    ctx.save_for_backward(pred, true, output[1], valid)


@once_differentiable
def _paper_autograd(ctx: Any, grad_sums: Tensor | None, _: None) -> tuple[Tensor | None, ...]:
    if grad_sums is None:
        return None, None, None, None, None
    pred, true, boundary, valid = ctx.saved_tensors
    gradient = torch.ops.crispmap.paper_grad(pred, true, boundary, valid, grad_sums.contiguous(), ctx.theta0, ctx.theta)
    return gradient, None, None, None, None


def _like(pred: Tensor, *_: Any) -> Tensor:
    return torch.empty_like(pred, memory_format=torch.contiguous_format)


for _name, _run, _shapes in (
    (_BALANCED, _balanced_forward, _balanced_shapes),
    (_BALANCED_GRAD, _balanced_backward, _like),
    (_PAPER, _paper_forward, _paper_shapes),
    (_PAPER_GRAD, _paper_backward, _like),
):
    torch.library.impl(_name, "default", _run)
    torch.library.register_fake(_name, _shapes)
torch.library.register_autograd(_BALANCED, _balanced_autograd, setup_context=_balanced_setup)
torch.library.register_autograd(_PAPER, _paper_autograd, setup_context=_paper_setup)
