"""``crispmap search-weight``: train with a boundary weight that is searched for on the way."""

from dataclasses import fields
from typing import Any

from crispmap.cli._parsing import CommandParser, free_path
from crispmap.cli.fit import FitParser, fit_settings
from crispmap.weight_search.plan import PolicySettings
from crispmap.whole import clear, clear_abandoned

_EXAMPLE = """
crispmap search-weight --images ortho/ --labels buildings.gpkg --out runs/search --steps 4000
crispmap search-weight --images ortho/ --labels buildings.gpkg --out runs/ramp --steps 4000 --policy ramp
"""


def build_parser() -> CommandParser:
    """What the command takes: all that `crispmap fit` does, and the fields of `PolicySettings`."""
    parser = FitParser(
        "search-weight",
        "Trains as `crispmap fit` does, but from an epoch on, every so many epochs, branches the run for each of "
        "several weights of the boundary term and goes on with the one that does best on validation. --steps is the "
        "length of the chosen path. Stopped at any moment and started again with the same command, it goes on.",
        _EXAMPLE,
    )
    parser.add_class_arguments(PolicySettings, None)
    parser.add_argument("--devices", type=int, default=1, help="branches side by side, each on a device of its own")
    return parser


def run(args: Any) -> None:
    """Checks the paths, then searches, and says what was chosen and what it cost."""
    given = args.as_dict()
    given.pop("config")
    overwrite, devices = given.pop("overwrite"), given.pop("devices")
    policy = PolicySettings(**{field.name: given.pop(field.name) for field in fields(PolicySettings)})
    settings = fit_settings(given)
    clear_abandoned(settings.out)
    going_on = not overwrite and (settings.out / "search.json").is_file()
    if not going_on:
        free_path(settings.out, overwrite=overwrite)

    from crispmap.weight_search.search import PARTS, search_weight

    if overwrite:
        clear(settings.out, PARTS)
    result = search_weight(settings, policy, devices=devices)
    weights = [result.tree[name].weight for name in result.tree.path]
    shown = ", ".join(f"{w:g}" for w in weights if not isinstance(w, dict)) or policy.policy
    scores = ", ".join(f"{name} {value:.3f}" for name, value in result.metrics.items() if name != "step")
    cost = result.tree.cost
    print(f"weights: {shown}; {cost['steps']} steps in all, {cost['seconds']:.0f} s")
    print(f"{result.run}: the model of step {result.metrics['step']:.0f}; on validation {scores}")
