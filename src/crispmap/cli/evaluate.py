"""``crispmap evaluate``: scores of masks or footprints on disk against the truth."""

import shlex
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from jsonargparse import Namespace
from rich.console import Console
from rich.table import Table

from crispmap.cli._parsing import CommandParser, existing_path, free_path
from crispmap.errors import SettingError
from crispmap.whole import whole_file

if TYPE_CHECKING:
    from crispmap.evaluate import Evaluation

_EXAMPLE = """
crispmap evaluate maps/ truth/ --json scores.json
crispmap evaluate maps/tile_mask.tif footprints.gpkg --area surveyed.geojson --tolerance 1m --tolerance 3px
crispmap evaluate with_loss/ without_loss/ truth/ --html compared.html --per-image
"""


def build_parser() -> CommandParser:
    """The command's parser."""
    parser = CommandParser(
        "evaluate",
        "Compare predicted masks or footprints with the truth, rasters or vectors on either side, of any size. Folders "
        "are paired by stem; _mask, _probability and _footprints are ignored. Several predictions make one table.",
        _EXAMPLE,
    )
    parser.add_argument(
        "pred", type=Path, nargs="+", metavar="PRED", help="prediction: a file or a folder; or several of them"
    )
    parser.add_argument(
        "truth", type=Path, metavar="TRUTH", help="truth: a file or a folder; one vector file serves a folder"
    )
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the scores to this file")
    parser.add_argument("--csv", type=Path, metavar="OUT", help="write the scores as a table to this file")
    parser.add_argument(
        "--html", type=Path, metavar="OUT", help="write a page with the scores and the windows where outlines are worst"
    )
    parser.add_argument("--per-image", action="store_true", help="list the scores of every image in these files too")
    parser.add_argument(
        "--tolerance",
        action="append",
        metavar="LENGTH",
        help="of the boundary F1, 3px unless told otherwise: 2.5px, 1m or 0.75% of the diagonal; again for more",
    )
    parser.add_argument(
        "--convention", default="csurka", help="of the boundary F1: csurka, davis or pixels, see docs/metrics.md"
    )
    parser.add_argument(
        "--band-width", metavar="LENGTH", help="of the bands of Boundary IoU; 2% of the diagonal unless told otherwise"
    )
    parser.add_argument(
        "--distance-cap", default="100px", metavar="LENGTH", help="measure surface distances up to this, in its unit"
    )
    parser.add_argument("--threshold", type=float, default=0.5, help="probability from which on a pixel is foreground")
    parser.add_argument("--area", type=Path, metavar="AOI", help="polygons outside which nothing is compared")
    parser.add_argument("--nodata", metavar="none|VALUE", help="replaces what the rasters say about nodata")
    parser.add_argument(
        "--resolution",
        type=float,
        metavar="METRES",
        help="of a pixel where files do not say: rasters without a CRS, vectors against vectors (there 0.25)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace output files if they exist")
    return parser


def run(args: Namespace) -> None:
    """Evaluates, prints a table and writes what was asked for."""
    preds = [existing_path(pred, "prediction") for pred in args.pred]
    truth = existing_path(args.truth, "truth")
    area = None if args.area is None else existing_path(args.area, "area")
    outs = {kind: path for kind in ("json", "csv", "html") if (path := getattr(args, kind)) is not None}
    for path in outs.values():
        free_path(path, overwrite=args.overwrite)
    names = _names(preds)

    from crispmap.geo.raster import parse_nodata

    nodata = parse_nodata(args.nodata)

    from crispmap.evaluate import evaluate

    evaluations = [
        (
            name,
            evaluate(
                pred,
                truth,
                tolerance=args.tolerance or "3px",
                convention=args.convention,
                band_width=args.band_width,
                distance_cap=args.distance_cap,
                threshold=args.threshold,
                area=area,
                nodata=nodata,
                resolution=args.resolution,
            ),
        )
        for name, pred in zip(names, preds, strict=True)
    ]
    with ExitStack() as together:  # all of them appear, or none
        parts = {kind: together.enter_context(whole_file(path)) for kind, path in outs.items()}
        for kind, part in parts.items():
            _write(kind, part, evaluations, args)
    _print(evaluations)


def _names(preds: Sequence[Path]) -> list[str]:
    """What tells the predictions apart: the last parts of their paths, as few as that takes."""
    for parts in range(1, max(len(pred.parts) for pred in preds) + 1):
        names = [str(Path(*pred.parts[-parts:])) for pred in preds]
        if len(set(names)) == len(names):
            return names
    raise SettingError("the same prediction is given twice")


def _write(kind: str, path: Path, evaluations: Sequence[tuple[str, "Evaluation"]], args: Namespace) -> None:
    from crispmap.evaluate.tables import write_csv, write_json

    if kind == "json":
        write_json(path, evaluations, per_image=args.per_image)
    elif kind == "csv":
        write_csv(path, evaluations, per_image=args.per_image)
    else:
        from crispmap import __version__
        from crispmap.evaluate.page import write_page

        tolerances = [f"--tolerance={each}" for each in args.tolerance or []]
        command = shlex.join(["crispmap", "evaluate", *map(str, args.pred), str(args.truth), *tolerances])
        made = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, crispmap {__version__}"
        write_page(path, evaluations, args.truth, per_image=args.per_image, command=command, made=made)


def _print(evaluations: Sequence[tuple[str, "Evaluation"]]) -> None:
    from crispmap.evaluate.score_rows import metrics_of, result_of
    from crispmap.report.table import row

    first = evaluations[0][1]
    results = [result_of(name, evaluation, first.definitions) for name, evaluation in evaluations]
    columns = [result.name for result in results] if len(results) > 1 else ["score"]
    table = Table("", *columns, "how it is defined", box=None, pad_edge=False, header_style="dim")
    for column in table.columns[1:-1]:
        column.justify = "right"
    table.columns[-1].style = "dim"
    for metric in metrics_of(first):
        cells = row(metric, results).cells
        table.add_row(metric.label, *(cell.text for cell in cells), metric.definition)
    console = Console(highlight=False, markup=False)
    images = "1 image" if first.n_images == 1 else f"{first.n_images} images"
    ground = "" if first.resolution is None else f" of {first.resolution:.3g} m"
    console.print(f"{images}, {first.n_pixels:,} pixels{ground} compared\n")
    console.print(table)
    for name, evaluation in evaluations:
        for note in evaluation.notes:
            console.print(f"note: {note if len(evaluations) == 1 else f'{name}: {note}'}", style="yellow")
