"""What the speed of the boundary loss is measured on, and against.

Each contender is one step, forward and backward, from probabilities that lie there ready: none includes the sigmoid
that made them, but for BCE, which has its own inside. `SIGMOID` says what one costs.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor

from crispmap.functional import boundary_loss, boundary_sums

Shape = tuple[int, int, int, int]
_THETA0 = 3
_EPS = 1e-7


class Inputs(NamedTuple):
    """Tensors of one shape that no one has seen before, for one call."""

    spare: Tensor
    logits: Tensor
    probability: Tensor
    truth: Tensor


@dataclass(frozen=True)
class Contender:
    """Something whose time and memory are measured.

    Attributes:
        name: In the results.
        step: Forward and backward on the inputs at a θ; returns the loss.
        variant: Which of the two losses it computes, if any.
        kernels: "compiled" if it is only there with numba (on a CPU) or Triton (on CUDA), "torch" if it has to do
            without them.
        has_theta: Whether it knows a θ.
    """

    name: str
    step: Callable[[Inputs, int], Tensor]
    variant: Literal["paper", "balanced"] | None = None
    kernels: Literal["compiled", "torch"] | None = None
    has_theta: bool = True

    def is_there(self, device: str) -> bool:
        """Whether this installation can run it as named."""
        kernels = boundary_sums.backend(torch.empty(0, device=device)).__name__.rpartition(".")[2]
        return self.kernels != "compiled" or kernels == {"cpu": "_sums_numba", "cuda": "_sums_triton"}[device]

    @contextmanager
    def ready(self) -> Iterator[None]:
        """Inside, the loss runs on the kernels of this contender."""
        if self.kernels != "torch":
            yield
            return
        with mock.patch.multiple(boundary_sums, _numba=lambda: None, _triton=lambda: None):
            yield


def literal_loss(pred: Tensor, true: Tensor, theta: int) -> Tensor:
    """The published equation as one writes it down: four max-poolings, the rest to autograd."""
    pred_b, true_b = (_pool(1 - y, _THETA0) - (1 - y) for y in (pred, true))
    precision = (pred_b * _pool(true_b, theta)).sum((2, 3)) / (pred_b.sum((2, 3)) + _EPS)
    recall = (true_b * _pool(pred_b, theta)).sum((2, 3)) / (true_b.sum((2, 3)) + _EPS)
    return (1 - 2 * precision * recall / (precision + recall + _EPS)).mean()


def _pool(x: Tensor, width: int) -> Tensor:
    return F.max_pool2d(x, width, stride=1, padding=width // 2)


def _literal(inputs: Inputs, theta: int) -> Tensor:
    return _backward(literal_loss(inputs.probability, inputs.truth, theta))


def _crispmap(variant: Literal["paper", "balanced"], inputs: Inputs, theta: int) -> Tensor:
    return _backward(boundary_loss(inputs.probability, inputs.truth, theta0=_THETA0, theta=theta, variant=variant))


def _bce(inputs: Inputs, _: int) -> Tensor:
    return _backward(F.binary_cross_entropy_with_logits(inputs.logits, inputs.truth))


def _sigmoid(inputs: Inputs, _: int) -> Tensor:
    probability = inputs.logits.sigmoid()
    probability.backward(inputs.truth)  # for want of a loss; any map will do
    return probability


def _read_and_write(inputs: Inputs, _: int) -> Tensor:
    return torch.add(inputs.probability.detach(), inputs.truth, out=inputs.spare)


def _backward(loss: Tensor) -> Tensor:
    loss.backward()
    return loss


LITERAL = Contender("literal", _literal, "paper")
FORMS = (
    Contender("paper, compiled", partial(_crispmap, "paper"), "paper", "compiled"),
    Contender("balanced, compiled", partial(_crispmap, "balanced"), "balanced", "compiled"),
    Contender("paper, torch only", partial(_crispmap, "paper"), "paper", "torch"),
    Contender("balanced, torch only", partial(_crispmap, "balanced"), "balanced", "torch"),
)
BCE = Contender("BCE with logits", _bce, has_theta=False)
SIGMOID = Contender("sigmoid", _sigmoid, has_theta=False)
READ_AND_WRITE = Contender("read and write", _read_and_write, has_theta=False)
CONTENDERS = (LITERAL, *FORMS, BCE, SIGMOID, READ_AND_WRITE)


class Scene:
    """Masks of buildings, and logits of a network that has them roughly right: a landscape without a rim."""

    def __init__(self, shape: Shape, seed: int, device: str = "cpu") -> None:
        generator = torch.Generator().manual_seed(seed)
        images, channels, height, width = shape
        truth = torch.zeros(images * channels, height, width)
        for mask in truth:
            for _ in range(height * width // 32**2):
                top, left, tall, wide = (
                    int(torch.randint(low, high, (), generator=generator))
                    for low, high in ((0, height), (0, width), (8, 33), (8, 33))
                )
                mask[top : top + tall, left : left + wide] = 1
        truth = truth.view(shape)
        blurred = F.avg_pool2d(truth, 5, stride=1, padding=2)
        noise = torch.randn(shape, generator=generator)
        self._truth, self._logits = truth.to(device), (8 * blurred - 4 + noise / 2).to(device)

    def inputs(self, shift: tuple[int, int]) -> Inputs:
        """New tensors with the landscape rolled by so many rows and columns."""
        truth, logits = (y.roll(shift, (2, 3)) for y in (self._truth, self._logits))
        return Inputs(
            torch.zeros_like(truth), logits.requires_grad_(), logits.detach().sigmoid().requires_grad_(), truth
        )


def check_agreement(contenders: Sequence[Contender], scene: Scene, theta: int) -> None:
    """Runs each contender once and checks that losses of one variant are the same, and that they leave a gradient.

    Raises:
        AssertionError: If not: their times would not be comparable.
    """
    losses: dict[str, Tensor] = {}
    for contender in contenders:
        inputs = scene.inputs((0, 0))
        with contender.ready():
            loss = contender.step(inputs, theta).detach()
        if contender.variant is not None:
            torch.testing.assert_close(loss, losses.setdefault(contender.variant, loss), rtol=1e-4, atol=1e-5)
            assert inputs.probability.grad is not None
            assert inputs.probability.grad.any(), f"{contender.name} leaves no gradient"
