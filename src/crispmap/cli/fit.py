"""``crispmap fit``: train a network on imagery with labels."""

from typing import Any

from crispmap.cli._parsing import CommandParser, existing_path, free_path
from crispmap.settings import DataSettings, FitSettings, ModelSettings, OptimSettings

_EXAMPLE = """
crispmap fit --images ortho/ --labels buildings.gpkg --out runs/first
crispmap fit --config runs/first/config.yaml --model.encoder resnet34 --out runs/second
"""


def build_parser() -> CommandParser:
    """What the command takes: the fields of `FitSettings`, each as a flag and as a key of a YAML file."""
    parser = CommandParser(
        "fit",
        "Trains a network on imagery with labels (masks or polygons) and writes a run folder to predict with.",
        _EXAMPLE,
    )
    parser.add_argument("--config", action="config", help="a YAML file with any of these settings")
    parser.add_argument("--overwrite", action="store_true", help="replace the run in OUT")
    parser.add_class_arguments(FitSettings, None)
    return parser


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
