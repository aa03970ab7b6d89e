"""``crispmap synthesize``: make synthetic aerial scenes with exact masks and footprints."""

from pathlib import Path
from typing import Any

from crispmap.cli._parsing import CommandParser, free_path
from crispmap.data.synthetic.dataset import write_scenes

_EXAMPLE = """
crispmap synthesize scenes --scenes 32 --size 512 --seed 1
crispmap fit --images scenes/images --labels scenes/masks --out run
crispmap synthesize shifted --label-offset 1.2
crispmap fit --images shifted/images --labels shifted/masks_offset --out run_shifted
"""


def build_parser() -> CommandParser:
    """The command's parser."""
    parser = CommandParser("synthesize", "Makes synthetic aerial scenes with exact masks and footprints.", _EXAMPLE)
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to make: images/, masks/ and footprints.gpkg")
    parser.add_argument("--scenes", type=int, default=32, help="how many scenes")
    parser.add_argument("--size", type=int, default=512, help="height and width of each in pixels of 0.3 m, from 64")
    parser.add_argument("--seed", type=int, default=0, help="number from 0; the same seed gives the same scenes")
    parser.add_argument("--workers", type=int, help="processes (default: one a processor); changes no scene")
    parser.add_argument(
        "--label-offset",
        type=float,
        default=0.0,
        metavar="METRES",
        help="also write labels to train on that are displaced, each building's by up to this by itself, as "
        "masks_offset/ and footprints_offset.gpkg; masks/ and footprints.gpkg stay exact",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace OUT if it exists")
    return parser


def run(args: Any) -> None:
    """Runs the command."""
    out = free_path(args.out, overwrite=args.overwrite)
    footprints = write_scenes(out, args.scenes, args.size, args.seed, args.workers, args.label_offset)
    displaced = f", labels in masks_offset displaced by up to {args.label_offset:g} m" if args.label_offset else ""
    scenes = f"{args.scenes} scenes of {args.size}×{args.size} pixels"
    print(f"{out}: {scenes}, {footprints} footprints{displaced} (seed {args.seed})")
