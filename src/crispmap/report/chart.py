"""Line charts laid out for SVG, which takes its colours and letters from the page around it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from textwrap import wrap

import numpy as np
from numpy.typing import NDArray

from crispmap.report.content import Chart, Curve

WIDTH, HEIGHT = 372, 266
_LEFT, _TOP, _BELOW = 40.0, 12.0, 46.0  # what the plot leaves free
_LETTER, _LINE, _GAP = 8.3, 15.0, 3.0  # a letter's width, a line's height and what keeps labels apart
_LONGEST = 12 / WIDTH  # letters in a line of a label for each unit of the chart's width


@dataclass(frozen=True)
class Tick:
    """A place along an axis, and what is written there."""

    place: float
    text: str


@dataclass(frozen=True)
class Line:
    """A curve as an SVG path, and the number of its method, which decides its colour."""

    method: int
    path: str


@dataclass(frozen=True)
class Label:
    """A method's name beside the ends of its curves: its lines, and where the first of them is centred."""

    method: int
    lines: list[str]
    y: float


@dataclass(frozen=True)
class Drawing:
    """A chart laid out in a box.

    Attributes:
        title: The quantity.
        axis: What it is drawn over.
        width: Of the box.
        height: Of the box.
        left: Where the plot begins.
        right: Where it ends and the labels begin.
        bottom: Where the horizontal axis lies.
        x_ticks: Of what it is drawn over.
        y_ticks: Of the quantity.
        lines: The curves.
        labels: One for each method, none upon another.
        line_height: The distance of two lines in a label.
    """

    title: str
    axis: str
    width: float
    height: float
    left: float
    right: float
    bottom: float
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    lines: list[Line]
    labels: list[Label]
    line_height: float = _LINE


def lay_out(chart: Chart, methods: Mapping[str, int], width: float = WIDTH, height: float = HEIGHT) -> Drawing:
    """Lays out a chart.

    Args:
        chart: The curves.
        methods: The number of each method by its name.
        width: Of the box.
        height: Of the box; it grows where the labels need more.
    """
    curves = [(curve.method, points) for curve in chart.curves if len(points := _known(curve))]
    every = np.concatenate([points for _, points in curves] or [np.zeros((1, 2))])
    first, lowest, last, highest = map(float, (*every.min(axis=0), *every.max(axis=0)))
    names = {name: _broken(name, int(_LONGEST * width)) for name, _ in curves}
    right = width - 10 - _LETTER * max((len(line) for lines in names.values() for line in lines), default=0)
    bottom = max(height - _BELOW, _TOP + sum(len(lines) * _LINE + _GAP for lines in names.values()))

    def x(place: float) -> float:
        return _LEFT + (place - first) / max(last - first, 1e-9) * (right - _LEFT)

    def y(value: float) -> float:
        return bottom - (value - lowest) / max(highest - lowest, 1e-9) * (bottom - _TOP)

    ends: dict[str, list[float]] = {}
    for name, points in curves:
        ends.setdefault(name, []).append(y(points[-1, 1]))
    labels = [Label(methods[name], names[name], sum(at) / len(at)) for name, at in ends.items()]
    return Drawing(
        title=chart.title,
        axis=chart.axis,
        width=width,
        height=bottom + _BELOW,
        left=_LEFT,
        right=right,
        bottom=bottom,
        x_ticks=[Tick(x(tick), f"{tick:g}") for tick in _ticks(first, last, (right - _LEFT) / 80)],
        y_ticks=[Tick(y(tick), f"{tick:g}") for tick in _ticks(lowest, highest, (bottom - _TOP) / 50)],
        lines=[Line(methods[n], "M" + "L".join(f"{x(s):.1f} {y(v):.1f}" for s, v in p)) for n, p in curves],
        labels=_apart(labels, bottom),
    )


def _broken(name: str, longest: int) -> list[str]:
    """Breaks a name into lines: before a plus sign rather than behind it, behind underscores as at spaces."""
    spaced = name.replace("+ ", "+\N{NO-BREAK SPACE}").replace("_", "_ ")
    return [line.replace("_ ", "_") for line in wrap(spaced, longest)]


def _known(curve: Curve) -> NDArray[np.float64]:
    """The points (n, 2) of a curve whose values are numbers."""
    points = np.column_stack([curve.x, curve.values]).astype(np.float64)
    return points[np.isfinite(points).all(axis=1)]


def _ticks(low: float, high: float, room: float) -> list[float]:
    """Round numbers between two: about four, or more where there is room."""
    rough = max(high - low, 1e-9) / max(4, room)
    magnitude = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * magnitude for factor in (1, 2, 2.5, 5, 10) if factor * magnitude >= rough)
    return [n * step for n in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def _apart(labels: list[Label], bottom: float) -> list[Label]:
    """Moves labels, which come centred on their curves, until none lies upon another, above the plot or below it."""
    placed = sorted(labels, key=lambda label: label.y)
    free = _TOP
    for i, label in enumerate(placed):
        placed[i] = replace(label, y=max(label.y - (len(label.lines) - 1) / 2 * _LINE, free))
        free = placed[i].y + len(label.lines) * _LINE + _GAP
    free = bottom + _LINE + _GAP
    for i, label in reversed(list(enumerate(placed))):
        placed[i] = replace(label, y=min(label.y, free - len(label.lines) * _LINE - _GAP))
        free = placed[i].y
    return placed
