"""The Triton kernels against the torch form and the literal one: interpreted, compiled without a GPU, and on one.

Triton decides on import whether to interpret, so that is done by this very file, run as a program.
"""

import dataclasses
import importlib
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import literal
import pytest
import torch

from crispmap.functional import _sums_torch, boundary_loss

pytest.importorskip("triton", reason="Triton is not installed")


class Case(NamedTuple):
    shape: tuple[int, int, int]
    theta: int
    pred: str = "noise"
    true: str = "noise"
    step: int = 1
    ignoring: bool = False


CASES = {
    "noise, two maps": Case((2, 3, 11), 3),
    "noise, ignored pixels": Case((1, 4, 8), 3, ignoring=True),
    "noise, wider than the image": Case((1, 2, 4), 11),
    "masks, ignored pixels": Case((1, 4, 9), 5, "mask", "mask", ignoring=True),
    "two chunks of rows": Case((1, 7, 5), 3, "grey", "mask"),
    "mask and grey": Case((1, 3, 6), 5, "mask", "grey"),
    "strips of columns": Case((1, 2, 250), 3, "grey", "grey", step=2, ignoring=True),
    "strips of columns, sums by differences": Case((1, 1, 140), 11, "grey", "grey"),
    "windows as wide as a rim": Case((1, 1, 102), 31, "mask", "grey"),
    "nothing true": Case((1, 2, 5), 3, "noise", "zero"),
    "nothing predicted": Case((1, 2, 5), 3, "zero", "mask"),
    "flat": Case((1, 2, 4), 3, "third", "one"),
    "one pixel": Case((1, 1, 1), 3),
    "one column, no window": Case((1, 4, 1), 1),
    "a step beyond the image": Case((1, 2, 3), 3, step=3),
}


def make(case):
    """Prediction, truth, valid mask and the gradients of balanced and paper sums."""
    generator = torch.Generator().manual_seed(len(str(case)))

    def draw(kind):
        noise = torch.rand(case.shape, generator=generator)
        kinds = {"noise": noise, "mask": (noise > 0.6).float(), "grey": (noise * 8).round() / 8}
        return kinds[kind] if kind in kinds else torch.full_like(noise, {"zero": 0, "third": 1 / 3, "one": 1}[kind])

    pred, true = draw(case.pred), draw(case.true)
    valid = None
    if case.ignoring:
        valid = (torch.rand(case.shape[1:], generator=generator) > 0.06).expand(case.shape)
    grad_sums = [torch.randn(case.shape[0], count, generator=generator) for count in (2, 4)]
    return pred, true, valid, *grad_sums


def results(module, case, device="cpu"):
    pred, true, valid, by_balanced, by_paper = (None if t is None else t.to(device) for t in make(case))
    step, theta, theta0 = case.step, case.theta, 2 * case.step + 1
    balanced, codes = module.balanced_sums(pred, true, valid, step, theta)
    paper, boundary = module.paper_sums(pred, true, valid, theta0, theta)
    found = {
        "balanced sums": balanced,
        "balanced gradient": module.balanced_grad(pred, codes, valid, by_balanced, step, theta),
        "paper sums": paper,
        "paper gradient": module.paper_grad(pred, true, boundary, valid, by_paper, theta0, theta),
    }
    return {name: tensor.cpu() for name, tensor in found.items()}


def literal_results(case):
    """In float64; gradients by autograd."""
    pred, true, valid, by_balanced, by_paper = make(case)
    pred, true = pred.double().requires_grad_(), true.double()
    found = {}
    for name, sums, by_sums in (
        ("balanced", literal.balanced_sums(pred, true, valid, case.step, case.theta), by_balanced),
        ("paper", literal.paper_sums(pred, true, valid, 2 * case.step + 1, case.theta), by_paper),
    ):
        found[f"{name} sums"] = torch.stack(sums, 1)
        found[f"{name} gradient"] = torch.autograd.grad((found[f"{name} sums"] * by_sums).sum(), pred)[0]
    return {key: tensor.detach().float() for key, tensor in found.items()}


def assert_equal(found, expected, what):
    for name, tensor in expected.items():
        largest = tensor.abs().max().item()
        torch.testing.assert_close(
            found[name], tensor, rtol=1e-5, atol=1e-5 * largest + 1e-9, msg=lambda m, name=name: f"{what}, {name}: {m}"
        )


def interpret(output):
    """Every case through the interpreter, which is kept from doing most of its work again and again."""
    from triton.runtime import interpreter

    assert "crispmap.functional._sums_triton" not in sys.modules
    from crispmap.functional import _sums_triton

    builder = interpreter.interpreter_builder
    builder.options = dataclasses.replace(builder.options, sanitize_overflow=False)
    call, prepared = interpreter.InterpretedFunction.__call__, set()

    def call_prepared(self, *args, **kwargs):
        """What a function's module knows as `triton.language` need not be made ready for each of its calls."""
        if self.fn.__module__ in prepared:
            return self.rewrite()(*args, **kwargs)
        prepared.add(self.fn.__module__)
        return call(self, *args, **kwargs)

    interpreter.InterpretedFunction.__call__ = call_prepared
    _sums_triton._HEIGHTS = (4,)  # chunks as low as these maps
    found = {name: results(_sums_triton, case) for name, case in CASES.items()}
    pred, true = torch.rand(1, 3, 4), torch.rand(1, 3, 4)
    pred[0, 0, 0] = torch.nan
    sums = [form(pred, true, None, 1, 3)[0] for form in (_sums_triton.balanced_sums, _sums_triton.paper_sums)]
    torch.save((found, sums), output)


def test_interpreted_kernels_equal_the_torch_form_and_the_literal_one(tmp_path):
    output = tmp_path / "results.pt"
    command = [sys.executable, "-W", "ignore", __file__, str(output)]
    subprocess.run(command, env=os.environ | {"TRITON_INTERPRET": "1"}, check=True)
    found, sums_of_nan = torch.load(output)
    for name, case in CASES.items():
        assert_equal(found[name], results(_sums_torch, case), name)
        expected = literal_results(case)
        if case.pred != "noise":  # at ties autograd picks another of the gradients there are
            expected = {key: tensor for key, tensor in expected.items() if "sums" in key}
        assert_equal(found[name], expected, f"{name}, literally")
    assert found["flat"]["balanced sums"].eq(0).all()
    assert found["flat"]["balanced gradient"].eq(0).all()
    assert all(sums.isnan().any() for sums in sums_of_nan)


class NoDevice:
    """As much of a driver as Triton asks for before it would launch a kernel."""

    def get_current_device(self):
        return 0

    def get_current_stream(self, device):
        return 0

    def get_current_target(self):
        from triton.backends.compiler import GPUTarget

        return GPUTarget("cuda", 90, 32)


@pytest.fixture
def compiled(monkeypatch):
    """The kernels that were to be launched, as compiled for a Hopper GPU."""
    from triton.runtime import driver
    from triton.runtime.jit import JITFunction

    kernels = []
    run = JITFunction.run

    def compile_only(self, *args, **kwargs):
        kernels.append(run(self, *args, **kwargs | {"warmup": True}))

    monkeypatch.setattr(driver, "_active", NoDevice())
    monkeypatch.setattr(JITFunction, "run", compile_only)
    return kernels


@pytest.mark.filterwarnings("ignore:TRITON_DEFAULT_FP_FUSION")
@pytest.mark.parametrize("theta", [5, 31])
def test_balanced_kernels_compile_and_keep_to_registers(compiled, theta):
    from crispmap.functional import _sums_triton

    pred, valid = torch.rand(1, 8, 20), torch.ones(1, 8, 20, dtype=torch.bool)
    _, codes = _sums_triton.balanced_sums(pred, pred, valid, 1, theta)
    _sums_triton.balanced_grad(pred, codes, valid, torch.ones(1, 2), 1, theta)
    check_registers(compiled, 2)


@pytest.mark.filterwarnings("ignore:TRITON_DEFAULT_FP_FUSION")
def test_paper_kernels_compile_and_keep_to_registers(compiled):
    from crispmap.functional import _sums_triton

    pred = torch.rand(1, 8, 20)
    _, boundary = _sums_triton.paper_sums(pred, pred, None, 3, 5)
    _sums_triton.paper_grad(pred, pred, boundary, None, torch.ones(1, 4), 3, 5)
    check_registers(compiled, 9)


def check_registers(kernels, count):
    assert len(kernels) == count
    for kernel in kernels:
        assert kernel.metadata.shared == 0
        assert "convert_layout" not in kernel.asm["ttgir"]


@pytest.mark.parametrize(("step", "theta"), [(1, 33), (45, 9)])
def test_what_the_kernels_cannot_hold_is_left_to_torch(step, theta):
    from crispmap.functional import _sums_triton

    case = Case((1, 6, 7), theta, step=step)
    pred, true, valid, by_sums, _ = make(case)
    sums, codes = _sums_triton.balanced_sums(pred, true, valid, step, theta)
    expected, expected_codes = _sums_torch.balanced_sums(pred, true, valid, step, theta)
    assert torch.equal(sums, expected)
    assert torch.equal(codes, expected_codes)
    gradient = _sums_triton.balanced_grad(pred, codes, valid, by_sums, step, theta)
    assert torch.equal(gradient, _sums_torch.balanced_grad(pred, codes, valid, by_sums, step, theta))


OLD = SimpleNamespace(__version__="3.3.1", language=SimpleNamespace())


@pytest.mark.parametrize(("triton", "message"), [(None, "triton"), (OLD, "triton is 3.3.1")])
def test_no_triton_or_an_old_one_is_an_import_error(monkeypatch, triton, message):
    name = "crispmap.functional._sums_triton"
    monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "triton", triton)
    monkeypatch.setitem(sys.modules, "triton.language", triton and triton.language)
    with pytest.raises(ImportError, match=message):
        importlib.import_module(name)


needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device to run the kernels on")


@needs_cuda
@pytest.mark.parametrize("name", CASES)
def test_kernels_on_cuda_equal_the_torch_form(name):
    from crispmap.functional import _sums_triton

    assert_equal(results(_sums_triton, CASES[name], "cuda"), results(_sums_torch, CASES[name]), name)


@needs_cuda
@pytest.mark.parametrize("variant", ["balanced", "paper"])
@pytest.mark.parametrize(
    ("shape", "theta0", "theta"),
    [((64, 1, 1024, 1024), 3, 5), ((2, 3, 333, 517), 3, 31), ((3, 1, 100, 1000), 7, 9), ((1, 2, 40, 60), 3, 41)],
)
def test_loss_on_cuda_equals_that_in_float64(variant, shape, theta0, theta):
    generator = torch.Generator().manual_seed(0)
    pred = torch.rand(shape, generator=generator)
    true = (torch.nn.functional.avg_pool2d(torch.rand(shape, generator=generator), 9, 1, 4) > 0.5).float()
    valid = torch.rand(shape[0], 1, *shape[2:], generator=generator) > 1e-4
    settings = {"variant": variant, "theta0": theta0, "theta": theta, "reduction": "none"}

    def losses(device, dtype, images):
        y = pred[images].to(device, dtype).requires_grad_()
        loss = boundary_loss(y, true[images].to(device, dtype), valid=valid[images].to(device), **settings)
        (gradient,) = torch.autograd.grad(loss.sum(), y)
        return loss.detach().cpu().double(), gradient.cpu().double()

    loss, gradient = losses("cuda", torch.float32, slice(None))
    again, gradient_again = losses("cuda", torch.float32, slice(None))
    assert torch.equal(loss, again)
    assert torch.equal(gradient, gradient_again)
    assert loss.isfinite().all()
    assert gradient.isfinite().all()
    for image in {0, shape[0] // 2, shape[0] - 1}:
        expected, expected_gradient = losses("cpu", torch.float64, slice(image, image + 1))
        torch.testing.assert_close(loss[image : image + 1], expected, rtol=1e-5, atol=0)
        # Where a window's change is all but nothing, its sign is a matter of rounding; such windows are few.
        difference = (gradient[image] - expected_gradient[0]).abs().sum()
        assert difference <= 1e-5 * expected_gradient.abs().sum()


if __name__ == "__main__":
    interpret(Path(sys.argv[1]))
