"""``crispmap reproduce``: the paper's experiment on one of its data sets."""

import shlex
from pathlib import Path
from typing import Any

from crispmap.class_paths import check_loss
from crispmap.cli._parsing import CommandParser
from crispmap.errors import InputError
from crispmap.input_file import read_yaml
from crispmap.reproduce.recipe import RECIPES, plans, recipe, recipe_text

_EXAMPLE = """
crispmap reproduce synthetic --out reproduced/synthetic
crispmap reproduce inria --data AerialImageDataset --out reproduced/inria
crispmap reproduce potsdam --data Potsdam --out tried --networks small --seeds 2 --steps 200
crispmap reproduce inria --print

recipes:
""" + "\n".join(f"{name:<12}{what}" for name, what in RECIPES.items())


def build_parser() -> CommandParser:
    """What the command takes."""
    parser = CommandParser(
        "reproduce",
        "Repeats the experiment of arXiv:1905.07852 on one of its data sets, or on synthetic scenes: `crispmap "
        "compare` with settings written down in a recipe, which says what the paper states and what was chosen here. "
        "Called again it goes on where it stopped.",
        _EXAMPLE,
    )
    parser.add_argument("name", choices=list(RECIPES), help="the recipe")
    parser.add_argument("--data", type=Path, help="the data set's folder, or the one around it")
    parser.add_argument("--out", type=Path, help="folder for everything; reproduced/NAME if not given")
    parser.add_argument(
        "--losses", help="instead of the recipe's, as crispmap compare takes them; the first is the reference"
    )
    parser.add_argument("--networks", help="instead of the recipe's, as crispmap compare takes them")
    parser.add_argument("--seeds", type=int, help="how many, instead of the recipe's")
    parser.add_argument("--steps", type=int, help="of each run, instead of the recipe's")
    parser.add_argument("--config", type=Path, help="a YAML file with settings that replace the recipe's")
    parser.take_trust()
    parser.add_argument("--print", action="store_true", help="print the recipe and do nothing else")
    return parser


def run(args: Any) -> None:
    """Checks everything that can be checked at once, then makes scenes where wanted, trains and compares."""
    if args.print:
        print(recipe_text(args.name), end="")
        return
    changes = _changes(args)
    out = args.out or Path("reproduced") / args.name
    made = plans(args.name, out, args.data, changes)
    if not args.trust:
        check_loss([named.loss for plan in made.values() for named in plan.loss_map.values()])

    from crispmap.reproduce.reproduction import make_scenes, reproduce

    if args.name == "synthetic":
        make_scenes(out, recipe(args.name, changes)["scenes"])
    for name, found in reproduce(made, _command(args)).items():
        runs = len(made[name].runs())
        if found.failures:
            print(f"{name}: {len(found.failures)} of {runs} runs failed; the same command tries them again")
        print(f"{made[name].out / 'report.html'}: open it in a browser")


def _changes(args: Any) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    if args.config is not None:
        changes = read_yaml(args.config, "--config") or {}
        if not isinstance(changes, dict):
            raise InputError(f"--config {args.config} must hold settings by name")
    flags = {name: getattr(args, name) for name in ("losses", "networks", "seeds", "steps")}
    return changes | {name: value for name, value in flags.items() if value is not None}


def _command(args: Any) -> str:
    flags = {name: getattr(args, name) for name in ("data", "out", "losses", "networks", "seeds", "steps", "config")}
    given = (part for name, value in flags.items() if value is not None for part in (f"--{name}", str(value)))
    return shlex.join(["crispmap", "reproduce", args.name, *given])
