"""``crispmap compare``: fair comparison of losses."""

import json
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Any

from crispmap.class_paths import check_loss
from crispmap.cli._parsing import CommandParser
from crispmap.cli._training import settings_from
from crispmap.compare.plan import NAMED_LOSSES, Plan

_EXAMPLE = """
crispmap compare --images ortho/ --labels buildings.gpkg --out compared --losses bce+iou,paper,balanced
crispmap compare --images train/images --labels train/masks --val-images val/images --val-labels val/masks \\
    --out compared --losses losses.yaml --reference bce --networks small,unet-resnet34 --seeds 5 --steps 1000

losses by name:
""" + "\n".join(f"{name:<24}{named.description}" for name, named in NAMED_LOSSES.items())


def build_parser() -> CommandParser:
    """What the command takes: the fields of `Plan`, each as a flag and as a key of a YAML file."""
    parser = CommandParser(
        "compare",
        "Trains losses × networks × seeds on one data set: equal steps and, for each seed, the same first weights, "
        "windows and augmentation. Writes OUT/report.html, results.json and results.md: a ranking, paired differences "
        "with intervals, learning curves, costs, and the windows where they differ most. Called again it goes on "
        "where it stopped: finished runs are not repeated.",
        _EXAMPLE,
    )
    parser.add_argument("--config", action="config", help="a YAML file with any of these settings")
    parser.take_trust()
    parser.add_class_arguments(Plan, None)
    return parser


def run(args: Any) -> None:
    """Checks the paths, then compares and says where the page is."""
    given = args.as_dict()
    given.pop("config")
    trusted = given.pop("trust")
    plan = settings_from(Plan, given)
    if not trusted:
        check_loss([named.loss for named in plan.loss_map.values()])

    from crispmap.compare.comparing import compare

    found = compare(plan, command=_command(plan))
    if found.failures:
        print(f"{len(found.failures)} of {len(plan.runs())} runs failed; the same command tries them again")
    print(f"{plan.out / 'report.html'}: open it in a browser")


def _command(plan: Plan) -> str:
    """The command that gives this plan, whether its settings came from flags or from a file."""
    usual = _flat(asdict(Plan(images=plan.images, labels=plan.images, out=plan.out))) | {"labels": None}
    given = {key: value for key, value in _flat(asdict(plan)).items() if usual.get(key, ...) != value}
    paths = {name: getattr(plan, name) for name in ("images", "out")}
    return shlex.join(
        ["crispmap", "compare", *(part for k, v in (paths | given).items() for part in (f"--{_dashed(k)}", _text(v)))]
    )


def _flat(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings by the names of their flags; mappings that are one setting stay whole."""
    nested = {"data", "model", "optim", "trainer"}
    found: dict[str, Any] = {}
    for key, value in settings.items():
        found |= {f"{key}.{inner}": v for inner, v in value.items()} if key in nested else {key: value}
    return found


def _dashed(name: str) -> str:
    """A flag as help has it; arguments of Lightning's Trainer keep their own names."""
    return name if name.startswith("trainer.") else name.replace("_", "-")


def _text(value: Any) -> str:
    return str(value) if isinstance(value, str | Path) else json.dumps(value)
