"""The page of a comparison: a ranking, differences with intervals, curves, costs, and windows where methods differ."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from crispmap.report.chart import lay_out
from crispmap.report.content import Chart, Metric
from crispmap.report.figures import EDGE_COLOURS, data_uri, photo_uri, reduced
from crispmap.report.render import write_html

_LONGEST = 1024  # pixels of the longer side of a photograph
_OUTLINE = (255, 214, 10)


@dataclass(frozen=True)
class ScoreCell:
    """A score in the ranking.

    Attributes:
        text: The mean over seeds.
        spread: What stands beside it, such as "± 0.012"; "" for nothing.
        best: Whether no other method's is better.
    """

    text: str
    spread: str = ""
    best: bool = False


@dataclass(frozen=True)
class RankedMethod:
    """A row of the ranking.

    Attributes:
        name: What the method is called; no two of a page have one name.
        number: Decides its colour throughout the page, so that colours do not follow the ranks.
        description: What it is, in a sentence.
        seeds: How many runs were finished.
        cells: One for each metric.
        costs: One for each cost.
        reference: Whether the others are held against it.
    """

    name: str
    number: int
    description: str
    seeds: int
    cells: Sequence[ScoreCell]
    costs: Sequence[str]
    reference: bool = False


@dataclass(frozen=True)
class Estimate:
    """A difference with two intervals; NaN bounds where there is none.

    Attributes:
        method: Whose it is.
        mean: The difference.
        inner: Drawn as a broad bar.
        outer: Drawn as a thin line.
        text: Beside it: the number and how sure it is.
    """

    method: str
    mean: float
    inner: tuple[float, float]
    outer: tuple[float, float]
    text: str


@dataclass(frozen=True)
class Contest:
    """Differences in one metric.

    Attributes:
        title: The metric.
        definition: What is subtracted from what, and which side is better.
        higher_is_better: Which side of 0 is the better one.
        estimates: One for each method but the reference.
    """

    title: str
    definition: str
    higher_is_better: bool
    estimates: Sequence[Estimate]


@dataclass(frozen=True)
class View:
    """What one method made of a window, each bool, (height, width).

    Attributes:
        method: Its name.
        caption: Its scores there.
        outline: Boundary of the predicted mask.
        matched: Predicted boundary that the truth has within the tolerance.
        spurious: Predicted boundary that it has not.
        missed: True boundary that the prediction has not within the tolerance.
    """

    method: str
    caption: str
    outline: NDArray[np.bool_]
    matched: NDArray[np.bool_]
    spurious: NDArray[np.bool_]
    missed: NDArray[np.bool_]


@dataclass(frozen=True)
class ContestedWindow:
    """A window where methods differ.

    Attributes:
        name: Of the tile.
        place: Of the window in it, and whatever else there is to say.
        image: (bands, height, width) of any type, NaN where nothing is known.
        truth: Boundary of the true mask, bool, (height, width).
        views: One for each method.
    """

    name: str
    place: str
    image: NDArray[Any]
    truth: NDArray[np.bool_]
    views: Sequence[View]


@dataclass(frozen=True)
class ComparisonPage:
    """All that the page shows, from top to bottom.

    Attributes:
        title: The headline.
        lead: What was done and what came of it, in a few sentences.
        facts: Names and values of what was compared.
        metrics: Columns of the ranking.
        ranked_by: Label of the metric that gives the order.
        methods: Rows of it, the best first.
        contests: Differences to the reference.
        legend: What the broad bar and the thin line are.
        charts: Learning curves.
        costs: Heads of the columns of costs.
        tolerance: Of the edge pictures, in pixels.
        windows: Where methods differ most.
        failures: Runs that failed: name and reason.
        notes: What the numbers mean and what they do not, in paragraphs.
        made: Names and values of what it takes to repeat it, the command first.
    """

    title: str
    lead: str
    facts: Sequence[tuple[str, str]]
    metrics: Sequence[Metric]
    ranked_by: str
    methods: Sequence[RankedMethod]
    contests: Sequence[Contest] = ()
    legend: tuple[str, str] = ("", "")
    charts: Sequence[Chart] = ()
    costs: Sequence[tuple[str, str]] = ()
    tolerance: float = 2.0
    windows: Sequence[ContestedWindow] = ()
    failures: Sequence[tuple[str, str]] = ()
    notes: Sequence[str] = ()
    made: Sequence[tuple[str, str]] = field(default=())


@dataclass(frozen=True)
class Axis:
    """A horizontal axis: where numbers lie on it, as percentages of its length."""

    low: float
    high: float
    ticks: Sequence[float]

    def at(self, value: float) -> float:
        """The place of a number."""
        return round(100 * (value - self.low) / (self.high - self.low), 2)


def axis_of(contest: Contest) -> Axis:
    """An axis that holds 0 and all that is known of a contest, with three to six round ticks."""
    values = [value for e in contest.estimates for value in (e.mean, *e.inner, *e.outer) if math.isfinite(value)]
    low, high = min([0.0, *values]), max([0.0, *values])
    low, high = (low, high) if high > low else (-0.01, 0.01)
    span = high - low
    least = span / 5
    magnitude = 10.0 ** math.floor(math.log10(least))
    step = min(factor * magnitude for factor in (1, 2, 2.5, 5, 10) if factor * magnitude >= least * (1 - 1e-9))
    low, high = low - 0.04 * span, high + 0.04 * span
    ticks = [n * step for n in range(math.ceil(low / step), math.floor(high / step) + 1)]
    return Axis(low, high, ticks)


def write_comparison_page(path: str | Path, page: ComparisonPage) -> None:
    """Writes the page of a comparison with everything inside: style, charts, pictures and the script for zooming.

    Args:
        path: The HTML file; it appears whole or not at all.
        page: What to show.

    Raises:
        KeyError: If a curve, a difference or a view names a method that is not in the ranking.
    """
    numbers = {method.name: method.number for method in page.methods}
    write_html(
        path,
        "comparison.html",
        page=page,
        contests=[(contest, axis_of(contest)) for contest in page.contests],
        charts=[lay_out(chart, numbers) for chart in page.charts],
        number_of=numbers.__getitem__,
        tick_text=lambda value: f"{value:+.4g}".replace("-", "−") if value else "0",
        difference=lambda value: "–" if math.isnan(value) else f"{value:+.3f}".replace("-", "−"),
        photo=lambda window: photo_uri(reduced(window.image, _LONGEST)),
        edges=lambda view: overlay_uri(
            [(getattr(view, name), EDGE_COLOURS[name]) for name in ("matched", "spurious", "missed")]
        ),
        outline=lambda mask: overlay_uri([(mask, _OUTLINE)]),
    )


def overlay_uri(layers: Sequence[tuple[NDArray[np.bool_], tuple[int, int, int]]]) -> str:
    """A data URI of lines in colours, later ones above earlier ones, on clear ground, as PNG."""
    picture = np.zeros(layers[0][0].shape, np.uint8)
    for i, (mask, _) in enumerate(layers, 1):
        picture[mask] = i
    image = Image.fromarray(picture)
    image.putpalette([0, 0, 0, *(value for _, colour in layers for value in colour)])
    return data_uri(image, "png", optimize=True, transparency=0)
