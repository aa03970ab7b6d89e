"""Losses of pixels, area and boundary in one, with a weight that may change during training."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from crispmap.errors import SettingError
from crispmap.losses.boundary import BoundaryLoss
from crispmap.losses.pixel import BCELoss
from crispmap.losses.region import IoULoss


@dataclass(frozen=True)
class ConstantWeight:
    """The same weight throughout.

    Args:
        value: From 0 to 1.

    Raises:
        SettingError: If it is not.
    """

    value: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.value <= 1:
            raise SettingError(f"weight is {self.value}; give a number from 0 to 1")

    def __call__(self, progress: float) -> float:
        """The weight when a share of training, from 0 to 1, is done."""
        return self.value


@dataclass(frozen=True)
class RampWeight:
    """0 during a warm-up, then growing linearly, then constant.

    Args:
        to: The weight at the end, from 0 to 1.
        start: The share of training after which it begins to grow, at least 0.
        end: The share at which it has grown to `to`, more than `start`, at most 1.

    Raises:
        SettingError: If these do not hold.
    """

    to: float = 0.5
    start: float = 0.3
    end: float = 0.8

    def __post_init__(self) -> None:
        if not 0 <= self.to <= 1:
            raise SettingError(f"weight to ramp to is {self.to}; give a number from 0 to 1")
        if not 0 <= self.start < self.end <= 1:
            raise SettingError(
                f"ramp starts at {self.start} and ends at {self.end}; give shares of training, 0 ≤ start < end ≤ 1"
            )

    def __call__(self, progress: float) -> float:
        """The weight when a share of training, from 0 to 1, is done."""
        grown = (progress - self.start) / (self.end - self.start)
        return self.to * min(max(grown, 0.0), 1.0)


class MixedLoss(nn.Module):
    """L = pixel + w·boundary + (1 − w)·region, the mixture of Bokhovkin & Burnaev 2019 (arXiv:1905.07852).

    *Convention.* Each part keeps its own conventions and settings; give all three the same mode,
    `from_logits` and `ignore_index`. A part whose weight is 0 is still computed, to be reported, but
    without a gradient: it costs no backward pass.

    Args:
        boundary: `BoundaryLoss()` by default.
        region: `IoULoss()` by default.
        pixel: `BCELoss()` by default.
        weight: w, or a schedule: a function from the share of training done to w, such as `RampWeight()`.
            Under a schedule other than `ConstantWeight`, call `set_progress` during training.

    Shape:
        That of its parts.

    Raises:
        SettingError: If a weight is not from 0 to 1; when called, if a schedule has not been told the
            progress.
    """

    def __init__(
        self,
        boundary: nn.Module | None = None,
        region: nn.Module | None = None,
        pixel: nn.Module | None = None,
        weight: float | Callable[[float], float] = 0.5,
    ) -> None:
        super().__init__()
        self.boundary = BoundaryLoss() if boundary is None else boundary
        self.region = IoULoss() if region is None else region
        self.pixel = BCELoss() if pixel is None else pixel
        self.schedule = weight if callable(weight) else ConstantWeight(weight)
        self._weight = self.schedule(0.0) if isinstance(self.schedule, ConstantWeight) else None
        self._parts: dict[str, Tensor] = {}

    def extra_repr(self) -> str:
        """The weight's schedule, as ``print`` shows it."""
        return f"(weight): {self.schedule}"

    def set_progress(self, fraction: float) -> None:
        """Tells where training is.

        Args:
            fraction: The share of training that is done, from 0 to 1.

        Raises:
            SettingError: If it is not such a share.
        """
        if not 0 <= fraction <= 1:
            raise SettingError(f"progress is {fraction}; give the share of training done, from 0 to 1")
        self._weight = self.schedule(fraction)

    @property
    def weight(self) -> float:
        """The boundary's weight as it is now.

        Raises:
            SettingError: If a schedule has not been told the progress.
        """
        if self._weight is None:
            raise SettingError(
                f"the weight follows {self.schedule}, which knows no progress yet; "
                "call set_progress(fraction) with the share of training that is done"
            )
        return self._weight

    @property
    def parts(self) -> dict[str, Tensor]:
        """The last call's ``pixel``, ``boundary``, ``region`` and ``weight``, detached; empty before it."""
        return dict(self._parts)

    def forward(self, y_pred: Tensor, y_true: Tensor) -> Tensor:
        """Computes the mixture, a scalar."""
        weight = self.weight
        pixel: Tensor = self.pixel(y_pred, y_true)
        boundary = _part(self.boundary, weight, y_pred, y_true)
        region = _part(self.region, 1 - weight, y_pred, y_true)
        self._parts = {
            "pixel": pixel.detach(),
            "boundary": boundary.detach(),
            "region": region.detach(),
            "weight": torch.full_like(pixel.detach(), weight),
        }
        return pixel + weight * boundary + (1 - weight) * region


def _part(loss: nn.Module, weight: float, y_pred: Tensor, y_true: Tensor) -> Tensor:
    with torch.set_grad_enabled(torch.is_grad_enabled() and weight != 0):
        value: Tensor = loss(y_pred, y_true)
    return value
