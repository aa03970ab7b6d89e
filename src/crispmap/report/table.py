"""Scores of several methods as text, the best of them marked."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from crispmap.report.content import MethodResult, Metric


@dataclass(frozen=True)
class Cell:
    """What stands in a table for one score, and whether it is the best of its row."""

    text: str
    best: bool


@dataclass(frozen=True)
class Row:
    """A metric with the cell of each method."""

    metric: Metric
    cells: list[Cell]


def row(metric: Metric, results: Sequence[MethodResult]) -> Row:
    """Lays out what several methods reach in a metric.

    *Convention*: of two or more known scores all that read like the best are marked. A score that is infinite is
    known, and never the best.
    """
    values = [result.scores.get(metric.key) for result in results]
    texts = [result.texts.get(metric.key, number(value)) for result, value in zip(results, values, strict=True)]
    best = _best(metric, values)
    return Row(metric, [Cell(text, best is not None and text == texts[best]) for text in texts])


def number(value: float | None) -> str:
    """A score as text: three decimals, whole numbers as such, a dash where there is none, a sign for the infinite."""
    if value is None or math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f}"


def _best(metric: Metric, values: Sequence[float | None]) -> int | None:
    """Which value is the best; None unless there are several to compare and one of them is finite."""
    known = {i: value for i, value in enumerate(values) if value is not None and not math.isnan(value)}
    finite = {i: value for i, value in known.items() if math.isfinite(value)}
    if len(known) < 2 or not finite:
        return None
    return min(finite, key=lambda i: _cost(metric, finite[i]))


def _cost(metric: Metric, value: float) -> float:
    match metric.best:
        case "highest":
            return -value
        case "lowest":
            return value
        case "nearest 1":
            return abs(value - 1)
