"""Pixels that a label says to leave out."""

import torch
from torch import Tensor


def not_ignored(labels: Tensor, ignore_index: int | None) -> Tensor | None:
    """Where labels are something else than `ignore_index`, bool; None if no label can be that.

    An index that the dtype cannot hold (-1, or torch's usual -100, in uint8) is in no label: compared as it is, it
    would wrap around and ignore another value (255, or 156).
    """
    if ignore_index is None or not _can_hold(labels.dtype, ignore_index):
        return None
    return labels != ignore_index


def _can_hold(dtype: torch.dtype, value: int) -> bool:
    if dtype == torch.bool:
        return value in (0, 1)
    if dtype.is_floating_point:
        return True
    limits = torch.iinfo(dtype)
    return limits.min <= value <= limits.max
