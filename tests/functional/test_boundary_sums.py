"""The operators under the boundary loss: each form of them against slow loops, and what torch asks of an operator."""

import sys
from functools import cache

import literal
import pytest
import torch
from soft_maps import KINDS, soft_map

import crispmap.functional
from crispmap import BoundaryLoss
from crispmap.functional import _sums_torch, boundary_sums
from crispmap.functional.boundary_sums import backend

WINDOWS = [(3, 1), (3, 3), (3, 5), (5, 3), (5, 7), (7, 9), (3, 31)]
SHAPES = [(1, 1), (1, 7), (6, 1), (6, 9)]
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")


@pytest.fixture(params=["numba", "torch"])
def form(request, monkeypatch):
    if request.param == "numba":
        pytest.importorskip("numba")
    else:
        monkeypatch.setattr(boundary_sums, "_numba", lambda: None)
    return request.param


def pairs(shape, dtype=torch.float64, ignoring=False):
    """Every kind of prediction with every kind of truth, (49, H, W) each; and pixels to ignore."""
    pred = torch.cat([soft_map(kind, (len(KINDS), *shape), seed=1) for kind in KINDS])
    true = torch.stack([soft_map(kind, shape, seed=2) for kind in KINDS]).repeat(len(KINDS), 1, 1)
    if not ignoring:
        return pred.to(dtype), true.to(dtype), None
    valid = torch.rand(pred.shape, generator=torch.Generator().manual_seed(3)) < 0.95
    valid[0], valid[1] = True, False
    return pred.to(dtype), true.to(dtype), valid


def sums_of(module, variant):
    """A function of maps, θ0 and θ that gives (B, 2) or (B, 4)."""
    if variant == "balanced":
        return lambda p, t, v, theta0, theta: torch.stack(module.balanced_sums(p, t, v, theta0 // 2, theta), 1)
    return lambda p, t, v, theta0, theta: torch.stack(module.paper_sums(p, t, v, theta0, theta), 1)


def with_gradient(sums, pred, *rest):
    """The sums, and the gradient of a mixture of them in which some count positive and some negative."""
    pred = pred.detach().requires_grad_()
    values = sums(pred, *rest)
    mixture = torch.randn(values.shape, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    (gradient,) = torch.autograd.grad(values, pred, mixture.to(values.dtype))
    return values.detach(), gradient


@cache
def expected(variant, shape, windows, ignoring, dtype):
    pred, true, valid = pairs(shape, dtype, ignoring)
    return with_gradient(sums_of(literal, variant), pred.double(), true.double(), valid, *windows)


@pytest.mark.parametrize("ignoring", [False, True])
@pytest.mark.parametrize("windows", WINDOWS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("variant", ["balanced", "paper"])
def test_double_precision_equals_the_loops(form, variant, shape, windows, ignoring):
    found = with_gradient(sums_of(boundary_sums, variant), *pairs(shape, torch.float64, ignoring), *windows)
    for ours, theirs in zip(found, expected(variant, shape, windows, ignoring, torch.float64), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("windows", [(3, 5), (5, 9), (3, 31)])
@pytest.mark.parametrize("shape", [(6, 9), (13, 8)])
@pytest.mark.parametrize("variant", ["balanced", "paper"])
def test_single_precision_equals_the_loops(form, variant, shape, windows):
    found = with_gradient(sums_of(boundary_sums, variant), *pairs(shape, torch.float32, True), *windows)
    for ours, theirs in zip(found, expected(variant, shape, windows, True, torch.float32), strict=True):
        assert ours.dtype == torch.float32
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("theta", [5, 31])
def test_forms_say_the_same_of_every_window(theta):
    """On maps of more rows than the compiled form takes at once, and with windows that the loops are too slow for."""
    numba = pytest.importorskip("crispmap.functional._sums_numba")
    pred, true = (soft_map(kind, (3, 61, 83)).float() for kind in ("random", "blob"))
    for valid in (None, soft_map("random", (3, 61, 83), seed=5) < 0.999):
        sums, codes = numba.balanced_sums(pred, true, valid, 1, theta)
        again, codes_again = _sums_torch.balanced_sums(pred, true, valid, 1, theta)
        torch.testing.assert_close(sums, again)
        assert torch.equal(codes, codes_again)
        for ours, theirs in zip(
            numba.paper_sums(pred, true, valid, 3, theta),
            _sums_torch.paper_sums(pred, true, valid, 3, theta),
            strict=True,
        ):
            torch.testing.assert_close(ours, theirs)


def test_maps_that_are_not_contiguous_mean_the_same(form):
    pred, true, valid = pairs((6, 9), ignoring=True)
    for variant in ("balanced", "paper"):
        sums = sums_of(boundary_sums, variant)
        straight = with_gradient(sums, pred, true, valid, 3, 5)
        skewed = [y.mT.contiguous().mT for y in (pred, true, valid)]
        assert not skewed[0].is_contiguous()
        for ours, theirs in zip(with_gradient(sums, *skewed, 3, 5), straight, strict=True):
            assert torch.equal(ours, theirs)


@pytest.mark.parametrize("ignoring", [False, True])
def test_operators_keep_their_promises_to_torch(ignoring):
    """Schema, fake tensors, autograd and tracing, as `torch.library.opcheck` tests them."""
    operators = torch.ops.crispmap
    pred, true, valid = (None if y is None else y[:2] for y in pairs((6, 9), torch.float32, ignoring))
    leaf = pred.clone().requires_grad_()
    _, codes = operators.balanced_sums(pred, true, valid, 1, 5)
    _, boundary = operators.paper_sums(pred, true, valid, 3, 5)
    by_two, by_four = torch.ones(len(pred), 2), torch.ones(len(pred), 4)
    for operator, arguments in (
        (operators.balanced_sums, (leaf, true, valid, 1, 5)),
        (operators.balanced_grad, (pred, codes, valid, by_two, 1, 5)),
        (operators.paper_sums, (leaf, true, valid, 3, 5)),
        (operators.paper_grad, (pred, true, boundary, valid, by_four, 3, 5)),
    ):
        torch.library.opcheck(operator.default, arguments)


def test_the_compiled_form_is_used_where_it_is_installed(monkeypatch):
    numba = pytest.importorskip("crispmap.functional._sums_numba")
    assert backend(torch.zeros(1)) is numba
    assert backend(torch.zeros(1, device="meta")) is _sums_torch
    monkeypatch.setattr(crispmap.functional, "_sums_numba", None)
    monkeypatch.setitem(sys.modules, "crispmap.functional._sums_numba", None)  # as if numba could not be imported
    boundary_sums._numba.cache_clear()
    try:
        assert backend(torch.zeros(1)) is _sums_torch
    finally:
        boundary_sums._numba.cache_clear()


@needs_cuda
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("variant", ["balanced", "paper"])
def test_cuda_equals_the_loops(variant, dtype):
    accuracy = 1e-5 if dtype == torch.float32 else 1e-9
    for windows in ((3, 5), (5, 3), (3, 31)):
        maps = [y.cuda() for y in pairs((13, 8), dtype, True)]
        found = with_gradient(sums_of(boundary_sums, variant), *maps, *windows)
        for ours, theirs in zip(found, expected(variant, (13, 8), windows, True, dtype), strict=True):
            torch.testing.assert_close(ours.double().cpu(), theirs, rtol=accuracy, atol=accuracy)


@pytest.mark.parametrize("variant", ["balanced", "paper"])
def test_a_second_derivative_is_refused_in_words(variant):
    logits = torch.randn(1, 12, 12, requires_grad=True)
    loss = BoundaryLoss(variant=variant)(logits, torch.randint(0, 2, (1, 12, 12)))
    (gradient,) = torch.autograd.grad(loss, logits, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()
