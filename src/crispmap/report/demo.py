"""The page of `crispmap demo`: one HTML file that needs nothing beside itself."""

from pathlib import Path

from crispmap.report.chart import lay_out
from crispmap.report.content import Report
from crispmap.report.figures import drawing_uri, edge_picture, footprint_picture, mask_picture, photo_uri, reduced
from crispmap.report.render import write_html
from crispmap.report.table import row

_LONGEST = 1600  # pixels of the longer side of a picture


def write_report(path: str | Path, report: Report) -> None:
    """Writes a report as a page with everything inside: style, charts and pictures.

    Args:
        path: The HTML file; it appears whole or not at all.
        report: What to show.
    """
    numbers = {method.name: number for number, method in enumerate(report.methods)}
    write_html(
        path,
        "demo.html",
        report=report,
        rows=[row(metric, report.methods) for metric in report.metrics],
        charts=[lay_out(chart, numbers) for chart in report.charts],
        reduced=lambda image: photo_uri(reduced(image, _LONGEST)),
        mask_picture=lambda mask: drawing_uri(mask_picture(mask)),
        edge_picture=lambda image, pred, truth: photo_uri(edge_picture(image, pred, truth, report.tolerance)),
        footprint_picture=lambda image, polygons: photo_uri(footprint_picture(image, polygons, _LONGEST)),
    )
