"""``crispmap suggest-theta``: how far labels lie off, and the θ of the boundary loss that fits them."""

from jsonargparse import Namespace

from crispmap.cli._parsing import CommandParser, existing_path
from crispmap.geo.raster import parse_nodata

_EXAMPLE = """
crispmap suggest-theta --images ortho/ --labels buildings.gpkg
crispmap suggest-theta --images ortho/ --labels osm.geojson --reference surveyed.gpkg --resolution 0.3
"""


def build_parser() -> CommandParser:
    """The command's parser."""
    parser = CommandParser(
        "suggest-theta",
        "Measures how far labels lie from the buildings they mark, building by building, against the edges in the "
        "imagery or against other labels, and suggests the boundary loss's θ: its tolerance (θ − 1)/2 should be about "
        "that far. Lengths are in pixels that the network sees, so give the --scale or --resolution of the training.",
        _EXAMPLE,
    )
    add = parser.add_argument
    add("--images", required=True, metavar="PATH", help="a raster or a folder of rasters")
    add("--labels", required=True, metavar="PATH", help="a mask or a folder of masks, or vectors")
    add("--reference", metavar="PATH", help="labels held to be right, to measure against instead of the imagery")
    add("--area", metavar="AOI", help="polygons outside which no building is looked at")
    add("--nodata", metavar="none|VALUE", help="what counts as nodata, instead of what the images say")
    add("--scale", type=float, default=1.0, help="the share of its pixels a side to which imagery is brought")
    add("--resolution", type=float, metavar="METRES", help="instead of the scale: metres a pixel")
    add("--buildings", type=int, default=500, help="stop looking once so many have been measured")
    add("--reach", type=int, default=8, help="pixels along each axis within which labels are looked for")
    add("--seed", type=int, default=0, help="by which places are drawn where there are more buildings")
    return parser


def run(args: Namespace) -> None:
    """Measures, and prints the suggestion and what it rests on, a line each."""
    for name in ("images", "labels", "reference", "area"):
        if (path := getattr(args, name)) is not None:
            existing_path(path, f"--{name}")
    given = args.as_dict() | {"nodata": parse_nodata(args.nodata)}

    from crispmap.misregistration import suggest_theta

    print(suggest_theta(**given))
