"""What a report shows; filled in by whoever has something to report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from numpy.typing import NDArray
from shapely import Polygon


@dataclass(frozen=True)
class Metric:
    """A row of the headline table.

    Attributes:
        key: Its name in `MethodResult.scores`.
        label: Its name on the page.
        definition: The convention that gives the number its meaning, printed beside it.
        best: Which value of several is the best.
    """

    key: str
    label: str
    definition: str
    best: Literal["highest", "lowest", "nearest 1"] = "highest"


@dataclass(frozen=True)
class MethodResult:
    """A column of the headline table.

    Attributes:
        name: What the method is called, in a few words.
        description: What it is, in a sentence.
        scores: Numbers by the keys of the metrics; None or NaN where there is none. A distance of which only a lower
            bound is known is infinite here, so that it is never marked as the best.
        texts: By the same keys, what is printed instead of a number, such as "> 100 px".
    """

    name: str
    description: str
    scores: Mapping[str, float | None]
    texts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Curve:
    """A quantity over the steps of one run, or over whatever else the chart's axis counts.

    Attributes:
        method: The name of the method that the curve belongs to; it gives the line its colour and label.
        x: Increasing numbers.
        values: As many; NaN is left out.
    """

    method: str
    x: Sequence[float]
    values: Sequence[float]


@dataclass(frozen=True)
class Chart:
    """Curves of one quantity.

    Attributes:
        title: The quantity.
        curves: One for each run.
        axis: What it is drawn over, with the unit: "steps", "tolerance in px".
    """

    title: str
    curves: Sequence[Curve]
    axis: str = "steps"


@dataclass(frozen=True)
class Prediction:
    """What one method made of a scene.

    Attributes:
        mask: Bool, (height, width).
        caption: A few words, such as its scores on this scene.
    """

    mask: NDArray[Any]
    caption: str = ""


@dataclass(frozen=True)
class GallerySample:
    """A scene with its truth and what each method made of it.

    Attributes:
        name: What the scene is called.
        image: (bands, height, width) of any type.
        truth: Bool, (height, width).
        predictions: One for each method, in the methods' order.
    """

    name: str
    image: NDArray[Any]
    truth: NDArray[Any]
    predictions: Sequence[Prediction]


@dataclass(frozen=True)
class LargeScene:
    """A scene of many windows, mapped at once.

    Attributes:
        name: What the scene is called.
        image: (bands, height, width) of any type.
        footprints: Predicted polygons in pixel coordinates, x the column and y the row.
        caption: What to know about it, in a sentence.
    """

    name: str
    image: NDArray[Any]
    footprints: Sequence[Polygon]
    caption: str = ""


@dataclass(frozen=True)
class Report:
    """All that a page shows, from top to bottom.

    Attributes:
        title: The headline.
        lead: What was done and what came of it, in a few sentences.
        facts: Names and values of what it takes to repeat it: command, seeds, versions, machine, times.
        metrics: Rows of the headline table.
        methods: Columns of it, the reference first.
        tolerance: Of the edge pictures, in pixels.
        charts: Training curves.
        gallery: Scenes.
        large_scene: One large scene.
        notes: What the numbers mean and what they do not, in paragraphs.
    """

    title: str
    lead: str
    facts: Mapping[str, str]
    metrics: Sequence[Metric]
    methods: Sequence[MethodResult]
    tolerance: float
    charts: Sequence[Chart] = ()
    gallery: Sequence[GallerySample] = ()
    large_scene: LargeScene | None = None
    notes: Sequence[str] = field(default=())
