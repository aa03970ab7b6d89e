"""A run folder: what training leaves in it, and how a run that was stopped goes on.

Free of torch, so that a mistake in the settings of a run that is there answers at once.
"""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from crispmap.errors import InputError
from crispmap.input_file import check_input_file, read_yaml
from crispmap.settings import FitSettings
from crispmap.whole import clear, whole_file

MODEL_FILE = "model.pt"
CONFIG_FILE = "config.yaml"
METRICS_FILE = "metrics.csv"
MODEL_ITEM_FILE = "model.stac.json"
CHECKPOINTS = "checkpoints"  # best.ckpt and last.ckpt
_PARTS = (MODEL_FILE, MODEL_ITEM_FILE, CONFIG_FILE, METRICS_FILE, CHECKPOINTS, "tensorboard")

Row = Mapping[str, Any]


def begin(settings: FitSettings) -> None:
    """Makes the folder of a run and writes its settings; of an older run there, what it wrote is removed."""
    settings.out.mkdir(parents=True, exist_ok=True)
    clear(settings.out, _PARTS)
    with whole_file(settings.out / CONFIG_FILE) as path:
        path.write_text(yaml.safe_dump(settings.plain(), sort_keys=False))


def ended(settings: FitSettings) -> bool:
    """Whether the folder holds a run of these settings that went to its end."""
    return (settings.out / MODEL_FILE).exists() and _is_of(settings)


def unfinished(settings: FitSettings) -> bool:
    """Whether the folder holds a run of these settings that was stopped before its end."""
    return not (settings.out / MODEL_FILE).exists() and _is_of(settings)


def _is_of(settings: FitSettings) -> bool:
    """Whether the folder holds a run of these settings."""
    config = settings.out / CONFIG_FILE
    if not config.exists():
        return False
    try:
        there = read_yaml(config, "the settings")
    except InputError:
        return False
    return isinstance(there, dict) and essence(there) == essence(yaml.safe_load(yaml.safe_dump(settings.plain())))


def essence(plain: dict[str, Any]) -> dict[str, Any]:
    """What a run's result depends on, of its plain settings: not its folder, nor how many processes read windows."""
    data = {name: value for name, value in (plain.get("data") or {}).items() if name != "workers"}
    return {name: value for name, value in plain.items() if name != "out"} | {"data": data}


def last_checkpoint(settings: FitSettings) -> Path | None:
    """The checkpoint from which a run that was stopped goes on; None where it must begin."""
    path = settings.out / CHECKPOINTS / "last.ckpt"
    return path if path.exists() and unfinished(settings) else None


def logged_before(run: Path, step: int) -> list[Row]:
    """What a run logged, in `write_metrics`, in its first so many steps; what came later will be logged again."""
    return [row for row in _rows(run) if int(row["step"]) < step]


def write_metrics(path: Path, rows: Sequence[Row]) -> None:
    """Writes what was logged as a table, whole or not at all; a metric that was not logged in a row is left empty."""
    with whole_file(path) as part, part.open("w", newline="") as file:
        writer = csv.DictWriter(file, sorted({name for row in rows for name in row}))
        writer.writeheader()
        writer.writerows(rows)


def validations(run: Path) -> list[dict[str, float]]:
    """What a run logged at each validation: ``step`` (steps done) and the metrics, named without ``val/``."""
    return [
        {"step": float(row["step"]) + 1}
        | {name.removeprefix("val/"): float(value) for name, value in row.items() if name.startswith("val/")}
        for row in _rows(run)
        if row.get("val/iou")
    ]


def _rows(run: Path) -> list[dict[str, str]]:
    """The table that `write_metrics` wrote; what of it is lost, or torn by a failing disk, is left out."""
    path = run / METRICS_FILE
    check_input_file(path)
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8", errors="replace")
    table = csv.DictReader(text[: text.rfind("\n") + 1].splitlines())  # a line without its end is torn
    return [row for row in table if _is_whole(row)]


def _is_whole(row: Mapping[str, Any]) -> bool:
    """Whether each of the columns is there, with a number in it or empty, and a step."""
    try:
        _ = int(row["step"]), [float(value) for value in row.values() if value != ""]
    except (KeyError, TypeError, ValueError):
        return False
    return True
