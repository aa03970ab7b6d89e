"""``crispmap vectorize``: a probability raster into footprints."""

from pathlib import Path

from jsonargparse import Namespace

from crispmap.cli._parsing import CommandParser, existing_path, free_path
from crispmap.errors import OutputError
from crispmap.whole import whole_file

_EXAMPLE = """
crispmap vectorize maps/town_probability.tif -o footprints.gpkg
crispmap vectorize maps/town_probability.tif -o footprints.fgb --separate 0.8 --regularise
crispmap vectorize mask.tif -o footprints.geojson --min-area 10 --simplify 0.3
"""


def build_parser() -> CommandParser:
    """The command's parser."""
    parser = CommandParser(
        "vectorize",
        "Makes footprints of a probability raster (as `crispmap predict` writes it, or from 0 to 1) or a mask, of any "
        "size: polygons that never overlap, with their area, mean probability, perimeter and orientation.",
        _EXAMPLE,
    )
    add = parser.add_argument
    add("probability", type=Path, metavar="RASTER", help="the probability raster or mask")
    add(
        "-o",
        "--out",
        type=Path,
        metavar="OUT",
        required=True,
        help="the file of footprints: .gpkg, .fgb, .geojson (in longitude and latitude) or .parquet",
    )
    add("--threshold", type=float, default=0.5, help="a pixel belongs to a footprint from this probability on")
    add(
        "--separate",
        type=float,
        help="part touching buildings where the probability between cores of this much or more is lower, such as 0.8",
    )
    add("--min-area", type=float, help="drop smaller footprints: m² (2), or pixels without a CRS (16)")
    add(
        "--simplify",
        type=float,
        help="let outlines move so far: metres, or pixels without a CRS (1.25 px; 1.75 px if regularised)",
    )
    add("--regularise", action="store_true", help="turn walls to the main directions of their building")
    add("--nodata", metavar="none|VALUE", help="what counts as nodata, instead of what the file says")
    add("--overwrite", action="store_true", help="replace OUT if it exists")
    return parser


def run(args: Namespace) -> None:
    """Makes the footprints, and says how many there are."""
    probability = existing_path(args.probability, "raster")
    out = free_path(args.out, overwrite=args.overwrite)
    if out.is_dir():
        raise OutputError(f"{out} is a folder; give a file such as {out / 'footprints.gpkg'}")

    from crispmap.export.styles import style_path, write_styles
    from crispmap.geo.raster import parse_nodata
    from crispmap.vectorize.settings import VectorizeSettings
    from crispmap.vectorize.writing import write_footprints

    settings = VectorizeSettings(
        threshold=args.threshold,
        separate=args.separate,
        min_area=args.min_area,
        simplify=args.simplify,
        regularise=args.regularise,
        nodata=parse_nodata(args.nodata),
    )
    with whole_file(out) as part:
        count = write_footprints(probability, part, settings)
        if args.overwrite or not style_path(out).exists():  # a style of the user's own stays
            write_styles({"footprints": out})  # before the footprints appear: where these are, all is done
    print(f"{count} footprint{'s' if count != 1 else ''} in {out}")
