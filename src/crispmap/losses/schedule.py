"""How much the boundary weighs while a network trains: small functions of the share of training that is done."""

import math
from dataclasses import dataclass

from crispmap.errors import SettingError


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
class _GrowingWeight:
    # What did best for the balanced boundary loss: docs/research/boundary-loss.md.
    to: float = 0.9
    start: float = 0.0
    end: float = 0.3

    def __post_init__(self) -> None:
        if not 0 <= self.to <= 1:
            raise SettingError(f"weight to grow to is {self.to}; give a number from 0 to 1")
        if not 0 <= self.start < self.end <= 1:
            raise SettingError(
                f"weight grows from {self.start} to {self.end} of training; give shares of it, 0 ≤ start < end ≤ 1"
            )

    def _time(self, progress: float) -> float:
        """The share of the growth's time that has passed: 0 before `start`, 1 after `end`."""
        return min(max((progress - self.start) / (self.end - self.start), 0.0), 1.0)


@dataclass(frozen=True)
class RampWeight(_GrowingWeight):
    """0 during a warm-up, then growing linearly, then constant.

    Args:
        to: The weight at the end, from 0 to 1.
        start: The share of training after which it begins to grow, at least 0.
        end: The share at which it has grown to `to`, more than `start`, at most 1.

    Raises:
        SettingError: If these do not hold.
    """

    def __call__(self, progress: float) -> float:
        """The weight when a share of training, from 0 to 1, is done."""
        return self.to * self._time(progress)


@dataclass(frozen=True)
class CosineWeight(_GrowingWeight):
    """0 during a warm-up, then growing along half a cosine, then constant: slow at both ends.

    With s the share of the time from `start` to `end` that has passed, the weight is to · (1 − cos πs) / 2.

    Args:
        to: The weight at the end, from 0 to 1.
        start: The share of training after which it begins to grow, at least 0.
        end: The share at which it has grown to `to`, more than `start`, at most 1.

    Raises:
        SettingError: If these do not hold.
    """

    def __call__(self, progress: float) -> float:
        """The weight when a share of training, from 0 to 1, is done."""
        return self.to * (1 - math.cos(math.pi * self._time(progress))) / 2
