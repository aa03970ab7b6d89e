"""``crispmap fit``: train a network on imagery with labels."""

import json
from collections.abc import Sequence
from typing import Any

import yaml

from crispmap.cli._parsing import CommandParser, existing_path, free_path
from crispmap.settings import DataSettings, FitSettings, ModelSettings, OptimSettings

_EXAMPLE = """
crispmap fit --images ortho/ --labels buildings.gpkg --out runs/first
crispmap fit --config runs/first/config.yaml --model.encoder resnet34 --out runs/second
crispmap fit --images ortho/ --labels masks/ --out runs/boundary --loss crispmap.BoundaryLoss --loss.theta 7
"""


class _FitParser(CommandParser):
    """Takes a loss as Lightning's command line does, without importing it yet."""

    def parse_args(self, args: Sequence[str] | None = None, *more: Any, **settings: Any) -> Any:  # type: ignore[override]
        """Parses the arguments."""
        return super().parse_args(gather_loss(args or []), *more, **settings)


def build_parser() -> CommandParser:
    """What the command takes: the fields of `FitSettings`, each as a flag and as a key of a YAML file."""
    parser = _FitParser(
        "fit",
        "Trains a network on imagery with labels (masks or polygons) and writes a run folder to predict with.",
        _EXAMPLE,
    )
    parser.add_argument("--config", action="config", help="a YAML file with any of these settings")
    parser.add_argument("--overwrite", action="store_true", help="replace the run in OUT")
    parser.add_class_arguments(FitSettings, None)
    return parser


def gather_loss(args: Sequence[str]) -> list[str]:
    """Turns ``--loss CLASS --loss.NAME VALUE`` into one ``--loss`` with a class path and init_args, in JSON."""
    rest: list[str] = []
    loss: dict[str, Any] = {}
    arguments = iter(args)
    for argument in arguments:
        flag, equals, text = argument.partition("=")
        first, *names = flag.split(".")
        if first != "--loss":
            rest.append(argument)
            continue
        value = yaml.safe_load(text if equals else next(arguments, ""))
        if not names:
            loss |= value if isinstance(value, dict) else {"class_path": value}
        elif names[0] in ("class_path", "init_args") and len(names) == 1:
            loss[names[0]] = value
        else:
            *outer, last = names[1:] if names[0] == "init_args" else names
            place = loss.setdefault("init_args", {})
            for name in outer:
                place = place.setdefault(name, {})
            place[last] = value
    return [*rest, f"--loss={json.dumps(loss)}"] if loss else rest


def run(args: Any) -> None:
    """Checks the paths, then trains."""
    given = args.as_dict()
    given.pop("config")
    overwrite = given.pop("overwrite")
    nested = {"data": DataSettings, "model": ModelSettings, "optim": OptimSettings}
    settings = FitSettings(**given | {name: kind(**given[name]) for name, kind in nested.items()})
    existing_path(settings.images, "images")
    existing_path(settings.labels, "labels")
    for name in ("val_images", "val_labels", "area", "init"):
        if (path := getattr(settings, name)) is not None:
            existing_path(path, f"--{name.replace('_', '-')}")
    free_path(settings.out, overwrite=overwrite)

    from crispmap.fit import fit

    result = fit(settings)
    scores = ", ".join(f"{name} {value:.3f}" for name, value in result.metrics.items() if name != "step")
    print(f"{result.run}: the model of step {result.metrics['step']:.0f}; on validation {scores}")
