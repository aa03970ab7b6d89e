"""``crispmap check-data``: what is there of a published dataset."""

from pathlib import Path
from typing import TYPE_CHECKING

from jsonargparse import Namespace

from crispmap.cli._parsing import CommandParser, existing_path, free_path
from crispmap.whole import whole_file

if TYPE_CHECKING:
    from crispmap.data.published import Inspection

_EXAMPLE = """
crispmap check-data inria data/AerialImageDataset
crispmap check-data potsdam data/Potsdam --sheet potsdam.png --overwrite
crispmap check-data aicd data/AICDDataset --no-sheet
"""
_SHOWN = 12


def build_parser() -> CommandParser:
    """The command's parser."""
    parser = CommandParser(
        "check-data",
        "Looks through a published dataset as it comes from its archive: which files are there, missing or too many, "
        "their sizes, and the values of every label; and draws a contact sheet. Exits with 0 if anything can be used, "
        "with 2 and a word on how to get the data if not.",
        _EXAMPLE,
    )
    add = parser.add_argument
    add("name", metavar="NAME", help="aicd, inria or potsdam")
    add("root", type=Path, metavar="ROOT", help="the dataset's folder, or the folder around it")
    add(
        "--sheet", type=Path, metavar="OUT", help="the contact sheet, a PNG (default: contact-sheet-NAME.png, replaced)"
    )
    add("--no-sheet", action="store_true", help="draw none")
    add("--overwrite", action="store_true", help="replace OUT if it exists")
    return parser


def run(args: Namespace) -> None:
    """Looks through the dataset and prints what it found."""
    existing_path(args.root, "folder")
    if args.sheet is not None:
        free_path(args.sheet, overwrite=args.overwrite)

    from crispmap.data.published import inspect_dataset

    inspection = inspect_dataset(args.name, args.root)
    print("\n".join(inspection.lines()))
    if not args.no_sheet:
        sheet = args.sheet or Path(f"contact-sheet-{args.name}.png")
        _draw(inspection, sheet)
        print(f"contact sheet: {sheet}")


def _draw(inspection: "Inspection", sheet: Path) -> None:
    from PIL import Image

    from crispmap.report.contact_sheet import contact_sheet

    count = len(inspection.tiles)
    tiles = [inspection.tiles[i * count // _SHOWN] for i in range(_SHOWN)] if count > _SHOWN else inspection.tiles
    shown = [(f"{tile.split}: {tile.name}", scene) for tile, scene in tiles]
    picture = Image.fromarray(contact_sheet(shown, inspection.source.palette))
    with whole_file(sheet) as part:
        picture.save(part, "png")
