"""The page of an evaluation: scores, the curve over tolerances, where outlines go wrong, and every image."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from crispmap.report.chart import lay_out
from crispmap.report.content import Chart, MethodResult, Metric
from crispmap.report.edges import PALETTE, EdgeWindow, indexed_uri, window_picture, window_thumbnail
from crispmap.report.render import write_html
from crispmap.report.table import Cell, number, row

_WIDE = (760, 330)  # the chart where there is room for it


@dataclass(frozen=True)
class EvaluationPage:
    """All that the page shows, from top to bottom.

    Attributes:
        title: The headline.
        facts: Names and values of what was compared.
        metrics: Rows of the table of scores.
        predictions: Columns of it, one to ten, no two of one name.
        curve: A quantity over the tolerance, with one curve for each prediction.
        per_image: The name of each image and the results there of predictions, found by their names.
        windows: Where outlines go wrong, the worst first.
        notes: What the numbers mean and what they do not, in paragraphs.
        command: That made the page.
        made: When, by which version, on which machine.
    """

    title: str
    facts: Sequence[tuple[str, str]]
    metrics: Sequence[Metric]
    predictions: Sequence[MethodResult]
    curve: Chart | None = None
    per_image: Sequence[tuple[str, Sequence[MethodResult]]] | None = None
    windows: Sequence[EdgeWindow] = field(default=())
    notes: Sequence[str] = field(default=())
    command: str = ""
    made: str = ""


def write_evaluation_page(path: str | Path, page: EvaluationPage) -> None:
    """Writes the page of an evaluation with everything inside: style, chart and pictures.

    *Convention*: a score that is NaN or None prints as a dash, an infinite one as ∞. Where there are several
    predictions, all that read like the best of a row are marked, in the table of scores and for each image. Metrics
    that no image has a score in are left out of the table of images.

    Args:
        path: The HTML file; it appears whole or not at all.
        page: What to show.

    Raises:
        KeyError: If a curve or a window names a prediction that is not among the predictions.
    """
    numbers = {prediction.name: i for i, prediction in enumerate(page.predictions)}
    images = page.per_image or ()
    of_images = [metric for metric in page.metrics if any(_scored(metric, results) for _, results in images)]
    write_html(
        path,
        "evaluation.html",
        page=page,
        rows=[row(metric, page.predictions) for metric in page.metrics],
        charts=[] if page.curve is None else [lay_out(page.curve, numbers, *_WIDE), lay_out(page.curve, numbers)],
        number=number,
        windows=[(numbers[window.prediction], window) for window in page.windows],
        image_metrics=of_images,
        images=((name, _cells(results, of_images, list(numbers))) for name, results in images),
        full=lambda window: indexed_uri(window_picture(window)),
        thumbnail=lambda window: indexed_uri(window_thumbnail(window)),
        palette=["rgb({} {} {})".format(*colour) for colour in PALETTE.values()],
    )


def _scored(metric: Metric, results: Sequence[MethodResult]) -> bool:
    """Whether any of the results has something to print for a metric."""
    return any(cell.text != number(None) for cell in row(metric, results).cells)


def _cells(results: Sequence[MethodResult], metrics: Sequence[Metric], names: Sequence[str]) -> Iterator[Cell]:
    """An image's cells, metric by metric and within one prediction by prediction."""
    found = {result.name: result for result in results}
    of_each = [found.get(name, MethodResult(name, "", {})) for name in names]
    for metric in metrics:
        yield from row(metric, of_each).cells
