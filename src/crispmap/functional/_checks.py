"""Checks of what callers give, with messages that say what was found and what is allowed."""

from typing import Any, get_args

import torch
from torch import Tensor

from crispmap.errors import SettingError


def check_choice(name: str, value: str, choices: Any) -> None:
    """Checks that a setting is one of the values of a ``Literal`` type.

    Raises:
        SettingError: If it is not.
    """
    allowed = get_args(choices)
    if value not in allowed:
        raise SettingError(f"{name} is {value!r}; allowed are {', '.join(map(repr, allowed))}")


def check_odd(name: str, value: int, at_least: int) -> None:
    """Checks that a window has a centre and a size that makes sense.

    Raises:
        SettingError: If its width is even, too small or not an integer.
    """
    if not isinstance(value, int) or value < at_least or value % 2 == 0:
        raise SettingError(f"{name} is {value}; it must be an odd integer of at least {at_least}")


def check_masks(pred: Tensor, truth: Tensor, valid: Tensor | None) -> None:
    """Checks that masks are bool and of one shape (N, H, W).

    Raises:
        SettingError: If they are not.
    """
    masks = {"pred": pred, "truth": truth} | ({} if valid is None else {"valid": valid})
    if pred.ndim != 3 or any(mask.shape != pred.shape or mask.dtype != torch.bool for mask in masks.values()):
        found = ", ".join(f"{name} {mask.dtype} {tuple(mask.shape)}" for name, mask in masks.items())
        raise SettingError(f"masks must be bool and of one shape (N, H, W); found {found}")
