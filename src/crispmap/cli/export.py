"""``crispmap export``: a trained model for other tools."""

from pathlib import Path

from jsonargparse import Namespace

from crispmap.cli._parsing import CommandParser, existing_path, free_path
from crispmap.errors import OutputError, SettingError

_HUB = "hf://"
_EXAMPLE = """
crispmap export runs/houses -o houses.onnx
crispmap export runs/houses -o houses.onnx --tile 512  # for QGIS Deepness
crispmap export runs/houses -o runs/houses/model.stac.json
crispmap export runs/houses -o houses/  # a folder for the Hugging Face Hub
crispmap export runs/houses -o hf://owner/houses  # into it
"""


def build_parser() -> CommandParser:
    """The command's parser."""
    parser = CommandParser(
        "export",
        "Writes a trained model for other tools: an ONNX file with normalisation and sigmoid inside, a STAC item, or a "
        "folder as the Hugging Face Hub has them (safetensors, config.json and a model card).",
        _EXAMPLE,
    )
    add = parser.add_argument
    add("run", metavar="RUN", help="folder that `crispmap fit` or `export` wrote, its model.pt, or a checkpoint")
    add(
        "-o",
        "--out",
        metavar="OUT",
        required=True,
        help="FILE.onnx, FILE.stac.json, FOLDER/ or hf://OWNER/NAME",
    )
    add("--tile", type=int, metavar="SIDE", help="ONNX: fix the side of images in pixels; QGIS Deepness needs that")
    add("--overwrite", action="store_true", help="replace OUT if it exists")
    return parser


def run(args: Namespace) -> None:
    """Writes the model, and says in a line what came out."""
    source = existing_path(args.run, "run")
    form = _form(args.out)
    if args.tile is not None and form != "onnx":
        raise SettingError("--tile is for ONNX files only; end OUT with .onnx, or leave it out")
    if form != "hub":
        _check_place(args.out, form, overwrite=args.overwrite)

    from crispmap.models import load_model

    model = load_model(source)
    if form == "onnx":
        from crispmap.export.onnx import OPSET, write_onnx

        difference = write_onnx(model, args.out, tile=args.tile)
        size = f"{args.tile} pixels a side" if args.tile else "any height and width (QGIS Deepness needs --tile)"
        print(f"{args.out}: opset {OPSET}, for images of {size}; within {difference:.0e} of PyTorch")
    elif form == "stac":
        from crispmap.export.stac import write_item
        from crispmap.export.stac_model import model_item
        from crispmap.models import model_file

        write_item(model_item(model, model_file(source), Path(args.out).parent), args.out)
        print(f"{args.out}: a STAC item with the machine learning model extension")
    elif form == "folder":
        model.save_pretrained(args.out)
        print(f"{args.out}: model.safetensors, config.json and README.md, which leaves the licence to you")
    else:
        address = model.push_to_hub(args.out.removeprefix(_HUB), private=True)
        print(f"{address}: private if it is new; say its licence in README.md before you make it public")


def _form(out: str) -> str:
    """What is written, by the place where it goes: "onnx", "stac", "folder" or "hub"."""
    if out.startswith(_HUB):
        return "hub"
    suffix = Path(out).suffix.lower()
    if out.endswith("/") or Path(out).is_dir() or not suffix:
        return "folder"
    forms = {".onnx": "onnx", ".json": "stac"}
    if suffix not in forms:
        raise OutputError(f"{out} names no form of a model; end it with .onnx, .stac.json or, for a folder, with /")
    return forms[suffix]


def _check_place(out: str, form: str, *, overwrite: bool) -> None:
    """Checks that the output may be written."""
    path = free_path(out, overwrite=overwrite)
    if form == "folder" and path.is_file():
        raise OutputError(f"{path} is a file; give a folder")
