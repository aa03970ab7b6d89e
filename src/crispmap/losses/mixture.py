"""Losses of pixels, area and boundary in one, with a weight that may change during training."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from crispmap.errors import SettingError
from crispmap.losses.boundary import BoundaryLoss
from crispmap.losses.distance import uses_distance
from crispmap.losses.pixel import BCELoss
from crispmap.losses.region import IoULoss
from crispmap.losses.schedule import ConstantWeight


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
            Under a schedule other than `ConstantWeight`, call `set_progress` during training. A controller
            that decides from outside assigns `mixture.weight = 0.3` instead, at any time.

    Shape:
        That of its parts.

    Raises:
        SettingError: If a weight, given or of a schedule, is not from 0 to 1; when called, if a schedule has
            not been told the progress.
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
            SettingError: If it is not such a share, or if the schedule makes of it what is no weight.
        """
        if not 0 <= fraction <= 1:
            raise SettingError(f"progress is {fraction}; give the share of training done, from 0 to 1")
        weight = self.schedule(fraction)
        if not 0 <= weight <= 1:
            raise SettingError(f"{self.schedule} gives the weight {weight} at {fraction}; weights are from 0 to 1")
        self._weight = weight

    @property
    def weight(self) -> float:
        """The boundary's weight as it is now.

        Assigning a number from 0 to 1 fixes it from then on: a `ConstantWeight` takes the schedule's place, and
        telling the progress no longer moves it.

        Raises:
            SettingError: If a schedule has not been told the progress; if what is assigned is no such number.
        """
        if self._weight is None:
            raise SettingError(
                f"the weight follows {self.schedule}, which knows no progress yet; "
                "call set_progress(fraction) with the share of training that is done"
            )
        return self._weight

    @weight.setter
    def weight(self, value: float) -> None:
        self.schedule = ConstantWeight(value)
        self._weight = value

    @property
    def parts(self) -> dict[str, Tensor]:
        """The last call's ``pixel``, ``boundary``, ``region`` and ``weight``, detached; empty before it."""
        return dict(self._parts)

    @property
    def uses_distance(self) -> bool:
        """Whether a part takes the truth's signed distance map, `crispmap.functional.signed_distance`."""
        return any(uses_distance(part) for part in (self.boundary, self.region, self.pixel))

    def forward(
        self, y_pred: Tensor, y_true: Tensor, distance: Tensor | None = None, *, valid: Tensor | None = None
    ) -> Tensor:
        """Computes the mixture, a scalar.

        A distance map is handed on to the parts that take one; `valid`, false at pixels to leave out, to all of them.
        """
        weight = self.weight
        given = {} if valid is None else {"valid": valid}
        pixel = _part(self.pixel, 1.0, y_pred, y_true, distance, given)
        boundary = _part(self.boundary, weight, y_pred, y_true, distance, given)
        region = _part(self.region, 1 - weight, y_pred, y_true, distance, given)
        self._parts = {
            "pixel": pixel.detach(),
            "boundary": boundary.detach(),
            "region": region.detach(),
            "weight": torch.full_like(pixel.detach(), weight),
        }
        return pixel + weight * boundary + (1 - weight) * region


def _part(
    loss: nn.Module,
    weight: float,
    y_pred: Tensor,
    y_true: Tensor,
    distance: Tensor | None,
    given: dict[str, Tensor],
) -> Tensor:
    maps = (y_pred, y_true, distance) if uses_distance(loss) else (y_pred, y_true)
    with torch.set_grad_enabled(torch.is_grad_enabled() and weight != 0):
        value: Tensor = loss(*maps, **given)
    return value
