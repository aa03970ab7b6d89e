"""``crispmap demo``: the main job at once, on data that it makes itself."""

from pathlib import Path
from typing import Any

from crispmap.cli._parsing import CommandParser, free_path
from crispmap.errors import SettingError
from crispmap.whole import clear_abandoned

_EXAMPLE = """
crispmap demo --out demo
crispmap demo --quick --out /tmp/demo
"""


def build_parser() -> CommandParser:
    """What the command takes."""
    parser = CommandParser(
        "demo",
        "Synthesises aerial scenes, trains with and without the boundary term, evaluates both on unseen scenes, maps "
        "a large scene and writes OUT/report.html. Takes about five minutes on two idle processors.",
        _EXAMPLE,
    )
    parser.add_argument("--out", type=Path, default="demo", help="folder for everything")
    parser.add_argument("--seed", type=int, default=0, help="of scenes, weights and windows")
    parser.add_argument("--quick", action="store_true", help="far too little training, to see that all works")
    parser.add_argument("--overwrite", action="store_true", help="replace an older demo in OUT, finished or not")
    return parser


def run(args: Any) -> None:
    """Runs the demo and says where the report is."""
    if args.seed < 0:
        raise SettingError(f"--seed is {args.seed}; it must be at least 0")
    clear_abandoned(args.out)
    free_path(args.out, overwrite=args.overwrite)

    from crispmap.demo import FULL, QUICK, demo

    quick = " --quick" if args.quick else ""
    command = f"crispmap demo --out {args.out} --seed {args.seed}{quick}"
    report = demo(args.out, seed=args.seed, size=QUICK if args.quick else FULL, command=command)
    print(f"{report}: open it in a browser")
