"""``crispmap predict``: rasters through a trained model, into rasters and footprints."""

from jsonargparse import Namespace

from crispmap.cli._parsing import CommandParser, existing_path
from crispmap.geo.raster import parse_nodata

EXAMPLE = """
crispmap predict runs/houses orthophoto.tif -o maps
crispmap predict runs/houses tiles/ -o maps --threshold 0.4 --min-area 10
"""


def build_parser() -> CommandParser:
    """The command's parser."""
    parser = CommandParser(
        "predict",
        "Maps rasters with a trained model: for each image, OUT gets STEM_probability.tif (0 to 255), "
        "STEM_mask.tif (0 or 255) and STEM_footprints.gpkg, all on the image's own grid and CRS.",
        EXAMPLE,
    )
    add = parser.add_argument
    add("run", metavar="RUN", help="folder that `crispmap fit` wrote, or its model.pt")
    add("images", metavar="IMAGE", nargs="+", help="rasters, or folders of them")
    add("-o", "--out", metavar="OUT", required=True, help="folder for the results")
    add("--threshold", type=float, default=0.5, help="a pixel is mapped from this probability on")
    add("--patch", type=int, default=512, help="side of the windows, in pixels that the network sees")
    add("--overlap", type=float, default=0.25, help="share of a window's side common with the next one")
    add("--batch-size", type=int, help="windows a batch (default: 2 on a CPU, 8 on a GPU)")
    add(
        "--min-area",
        type=float,
        help="drop smaller footprints: m² (2), or pixels without a CRS (16)",
    )
    add(
        "--simplify",
        type=float,
        help="let outlines move so far: metres, or pixels without a CRS (1.25 px)",
    )
    add("--no-footprints", action="store_true", help="write no footprints")
    add("--nodata", metavar="none|VALUE", help="what counts as nodata, instead of what the files say")
    add("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    add("--overwrite", action="store_true", help="replace results that are there")
    return parser


def run(args: Namespace) -> None:
    """Predicts, and says in a line what came out."""
    from crispmap.predict.plan import Settings, plan

    existing_path(args.run, "run")
    settings = Settings(
        threshold=args.threshold,
        patch=args.patch,
        overlap=args.overlap,
        batch_size=args.batch_size,
        min_area=args.min_area,
        simplify=args.simplify,
        nodata=parse_nodata(args.nodata),
        device=args.device,
    )
    jobs = plan(args.images, args.out, footprints=not args.no_footprints, overwrite=args.overwrite)

    from crispmap.models import load_model
    from crispmap.predict.rasters import predict_rasters

    predictions = predict_rasters(load_model(args.run), jobs, settings)
    megapixels = sum(job.raster.height * job.raster.width for job in jobs) / 1e6
    parts = [f"{len(jobs)} image{'s' if len(jobs) != 1 else ''}", f"{megapixels:,.2f} megapixels"]
    if not args.no_footprints:
        parts.append(f"{sum(prediction.footprints or 0 for prediction in predictions)} footprints")
    print(f"{', '.join(parts)} in {args.out}")
