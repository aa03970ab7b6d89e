"""Reports as one HTML file that needs nothing beside itself."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from crispmap.report.chart import HEIGHT, WIDTH, lay_out
from crispmap.report.content import Metric, Report
from crispmap.report.figures import (
    EDGE_COLOURS,
    drawing_uri,
    edge_picture,
    footprint_picture,
    mask_picture,
    photo_uri,
    reduced,
)
from crispmap.whole import whole_file

_LONGEST = 1600  # pixels of the longer side of a picture


def write_report(path: str | Path, report: Report) -> None:
    """Writes a report as a page with everything inside: style, charts and pictures.

    Args:
        path: The HTML file; it appears whole or not at all.
        report: What to show.
    """
    numbers = {method.name: number for number, method in enumerate(report.methods)}
    environment = Environment(
        loader=PackageLoader("crispmap.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("template.html").render(
        report=report,
        rows=[_row(metric, report) for metric in report.metrics],
        charts=[lay_out(chart, numbers) for chart in report.charts],
        chart_size=(WIDTH, HEIGHT),
        edge_colours={name: "#{:02x}{:02x}{:02x}".format(*rgb) for name, rgb in EDGE_COLOURS.items()},
        reduced=lambda image: photo_uri(reduced(image, _LONGEST)),
        mask_picture=lambda mask: drawing_uri(mask_picture(mask)),
        edge_picture=lambda image, pred, truth: photo_uri(edge_picture(image, pred, truth, report.tolerance)),
        footprint_picture=lambda image, polygons: photo_uri(footprint_picture(image, polygons, _LONGEST)),
    )
    with whole_file(path) as part:
        part.write_text(page, encoding="utf-8")


def _row(metric: Metric, report: Report) -> dict[str, Any]:
    """A row of the headline table: each method's number as text, and whether it is the best."""
    values = [method.scores.get(metric.key) for method in report.methods]
    best = _best(metric, values)
    texts = ["–" if value is None or math.isnan(value) else f"{value:.3f}" for value in values]
    return {"metric": metric, "cells": [(text, text == best) for text in texts]}


def _best(metric: Metric, values: Sequence[float | None]) -> str | None:
    """The best number as text, so that all that read alike are marked; None unless they can be compared."""
    known = [value for value in values if value is not None and not math.isnan(value)]
    if len(known) < 2:
        return None
    best = max(known) if metric.best == "highest" else min(known, key=lambda value: abs(value - 1))
    return f"{best:.3f}"
