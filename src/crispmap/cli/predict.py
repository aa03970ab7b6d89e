"""``crispmap predict``: rasters through a trained model, into rasters and footprints."""

from importlib.util import find_spec

from jsonargparse import Namespace

from crispmap.cli._parsing import CommandParser, existing_path
from crispmap.errors import SettingError
from crispmap.geo.raster import parse_nodata

EXAMPLE = """
crispmap predict runs/houses orthophoto.tif -o maps
crispmap predict runs/houses tiles/ -o maps --threshold 0.4 --min-area 10
crispmap predict runs/houses orthophoto.tif -o maps --separate 0.8 --regularise
crispmap predict runs/houses tiles/ --mosaic -o maps
crispmap predict runs/houses https://example.org/ortho.tif /vsizip/tiles.zip/a.tif -o maps
crispmap predict runs/houses tiles.txt -o maps --engine ray
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
    add(
        "images",
        metavar="IMAGE",
        nargs="+",
        help="rasters, folders or .txt lists of them, addresses, GDAL names",
    )
    add("-o", "--out", metavar="OUT", required=True, help="folder for the results")
    add("--mosaic", action="store_true", help="take all images as one, on one grid: OUT gets mosaic_mask.tif …")
    add("--threshold", type=float, default=0.5, help="a pixel is mapped from this probability on")
    add("--patch", type=int, default=512, help="side of the windows, in pixels that the network sees")
    add("--overlap", type=float, default=0.25, help="share of a window's side common with the next one")
    add("--batch-size", type=int, help="windows a batch (default: 2 on a CPU, on a GPU what fits its memory)")
    add("--tta", type=int, default=1, help="flips and turns of each window to average over: 1 (none), 4 or 8")
    add("--precision", default="auto", help="32, bf16, or auto: half the width where the device computes with it")
    add(
        "--min-area",
        type=float,
        help="drop smaller footprints: m² (2), or pixels without a CRS (16)",
    )
    add(
        "--simplify",
        type=float,
        help="let outlines move so far: metres, or pixels without a CRS (1.25 px; 1.75 px if regularised)",
    )
    add("--separate", type=float, help="part touching buildings between cores of this probability or more, such as 0.8")
    add("--regularise", action="store_true", help="turn walls to the main directions of their building")
    add("--no-footprints", action="store_true", help="write no footprints")
    add("--nodata", metavar="none|VALUE", help="what counts as nodata, instead of what the files say")
    add("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    add("--engine", choices=["local", "ray"], default="local", help="this machine, or the cluster that Ray finds")
    add("--overwrite", action="store_true", help="replace results that are there")
    return parser


def run(args: Namespace) -> None:
    """Predicts, and says in a line what came out."""
    from crispmap.predict.plan import Settings, plan

    existing_path(args.run, "run")
    if args.engine == "ray" and find_spec("ray") is None:
        raise SettingError('--engine ray needs Ray, which is not here: pip install "crispmap[ray]"')
    settings = Settings(
        threshold=args.threshold,
        patch=args.patch,
        overlap=args.overlap,
        batch_size=args.batch_size,
        min_area=args.min_area,
        simplify=args.simplify,
        separate=args.separate,
        regularise=args.regularise,
        nodata=parse_nodata(args.nodata),
        device=args.device,
        tta=args.tta,
        precision=args.precision,
    )
    jobs = plan(
        args.images,
        args.out,
        footprints=not args.no_footprints,
        overwrite=args.overwrite,
        mosaic=args.mosaic,
        nodata=settings.nodata,
    )

    from crispmap.models import load_model
    from crispmap.predict.cluster import predict_on_cluster
    from crispmap.predict.rasters import predict_rasters

    predict = predict_on_cluster if args.engine == "ray" else predict_rasters
    predictions = predict(load_model(args.run), jobs, settings, run=args.run)
    megapixels = sum(job.raster.height * job.raster.width for job in jobs) / 1e6
    parts = [f"{len(jobs)} image{'s' if len(jobs) != 1 else ''}", f"{megapixels:,.2f} megapixels"]
    if not args.no_footprints:
        parts.append(f"{sum(prediction.footprints or 0 for prediction in predictions)} footprints")
    print(f"{', '.join(parts)} in {args.out}")
