"""The losses that were compared: baselines, what became the default, and what was tried beside it."""

from typing import Any


def mixed(boundary: Any = None, region: str = "crispmap.IoULoss", weight: Any = 0.0) -> dict[str, Any]:
    """BCE + w·boundary + (1 − w)·region, as YAML has it."""
    parts: dict[str, Any] = {"region": {"class_path": region}, "weight": weight}
    return {"class_path": "crispmap.MixedLoss", "init_args": parts | ({"boundary": boundary} if boundary else {})}


def ramp(to: float, start: float = 0.3, end: float = 0.8) -> dict[str, Any]:
    """A weight that grows."""
    return {"class_path": "crispmap.RampWeight", "init_args": {"to": to, "start": start, "end": end}}


PAPER = {"class_path": "crispmap.BoundaryLoss", "init_args": {"variant": "paper"}}

LOSSES: dict[str, Any] = {
    "bce": "crispmap.BCELoss",
    "bce_iou": mixed(),
    "bce_dice": mixed(region="crispmap.DiceLoss"),
    "paper": mixed(PAPER, weight=ramp(0.5)),
}
