"""``crispmap evaluate``: scores of masks or footprints on disk against the truth."""

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

from jsonargparse import Namespace
from rich.console import Console
from rich.table import Table

from crispmap.cli._parsing import CommandParser, existing_path, free_path
from crispmap.whole import whole_file

if TYPE_CHECKING:
    from crispmap.evaluate import Evaluation

_EXAMPLE = """
crispmap evaluate maps/ truth/ --json scores.json
crispmap evaluate maps/tile_mask.tif footprints.gpkg --area surveyed.geojson --tolerance 5
"""


def build_parser() -> CommandParser:
    """The command's parser."""
    parser = CommandParser(
        "evaluate",
        "Compare predicted masks or footprints with the truth: raster with raster, raster with vectors or "
        "vectors with raster. Folders are paired by stem; _mask, _probability and _footprints are ignored.",
        _EXAMPLE,
    )
    parser.add_argument("pred", type=Path, metavar="PRED", help="prediction: a file or a folder")
    parser.add_argument(
        "truth", type=Path, metavar="TRUTH", help="truth: a file or a folder; one vector file serves a folder"
    )
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the scores to this file")
    parser.add_argument("--tolerance", type=float, default=3.0, help="of the boundary F1, in pixels")
    parser.add_argument("--threshold", type=float, default=0.5, help="probability from which on a pixel is foreground")
    parser.add_argument("--area", type=Path, metavar="AOI", help="polygons outside which nothing is compared")
    parser.add_argument("--nodata", metavar="none|VALUE", help="replaces what the rasters say about nodata")
    parser.add_argument("--overwrite", action="store_true", help="replace the JSON file if it exists")
    return parser


def run(args: Namespace) -> None:
    """Evaluates, prints a table and writes the JSON file."""
    pred = existing_path(args.pred, "prediction")
    truth = existing_path(args.truth, "truth")
    area = None if args.area is None else existing_path(args.area, "area")
    out = None if args.json is None else free_path(args.json, overwrite=args.overwrite)

    from crispmap.geo.raster import parse_nodata

    nodata = parse_nodata(args.nodata)

    from crispmap.evaluate import evaluate

    evaluation = evaluate(
        pred,
        truth,
        tolerance=args.tolerance,
        threshold=args.threshold,
        area=area,
        nodata=nodata,
    )
    if out is not None:
        with whole_file(out) as part:
            part.write_text(json.dumps(evaluation.to_dict(), indent=2, allow_nan=False) + "\n")
    _print(evaluation)


def _print(evaluation: "Evaluation") -> None:
    tolerance = f"{evaluation.boundary_f1_tolerance:g} {evaluation.boundary_f1_unit}"
    width = f"{evaluation.boundary_iou_width_ratio:.0%}"
    measured = f"{evaluation.boundary_f1_images} of {evaluation.n_images}"
    table = Table("", "score", "how it is defined", box=None, pad_edge=False, header_style="dim")
    table.columns[1].justify = "right"
    table.columns[2].style = "dim"
    for name, score, meaning in (
        ("IoU", evaluation.iou, "pixels pooled"),
        ("F1", evaluation.f1, "pixels pooled"),
        ("precision", evaluation.precision, "pixels pooled"),
        ("recall", evaluation.recall, "pixels pooled"),
        (
            "boundary F1",
            evaluation.boundary_f1,
            f"{evaluation.boundary_f1_convention}, distance < {tolerance}, mean of {measured} images",
        ),
        (
            "Boundary IoU",
            evaluation.boundary_iou,
            f"Cheng, bands {width} of the diagonal wide, pixels pooled",
        ),
        ("perimeter ratio", evaluation.perimeter_ratio, "predicted / true outline in pixel edges, pooled"),
    ):
        table.add_row(name, "–" if math.isnan(score) else f"{score:.4f}", meaning)
    console = Console(highlight=False, markup=False)
    images = "1 image" if evaluation.n_images == 1 else f"{evaluation.n_images} images"
    console.print(f"{images}, {evaluation.n_pixels:,} pixels compared\n")
    console.print(table)
    for note in evaluation.notes:
        console.print(f"note: {note}", style="yellow")
