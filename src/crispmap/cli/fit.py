"""``crispmap fit``: train a network on imagery with labels."""

import json
from collections.abc import Sequence
from typing import Any

from crispmap.class_paths import check_loss
from crispmap.cli._parsing import CommandParser, free_path
from crispmap.cli._training import settings_from
from crispmap.errors import SettingError
from crispmap.input_file import parse_yaml
from crispmap.run import unfinished
from crispmap.settings import FitSettings, network
from crispmap.whole import clear_abandoned

_EXAMPLE = """
crispmap fit --images ortho/ --labels buildings.gpkg --out runs/first
crispmap fit --images ortho/ --labels buildings.gpkg --out runs/vgg --network unet-vgg16 --model.weights imagenet
crispmap fit --dataset inria --images AerialImageDataset/ --out runs/inria
crispmap fit --config runs/first/config.yaml --model.encoder resnet34 --out runs/second
crispmap fit --images ortho/ --labels masks/ --out runs/theta --loss crispmap.MixedLoss \\
    --loss.boundary crispmap.BoundaryLoss --loss.boundary.theta 9 --loss.boundary.reduction batch \\
    --loss.weight crispmap.RampWeight
"""

_CLASS = ("class_path", "init_args")  # the keys of a class that settings name


class FitParser(CommandParser):
    """Takes the fields of `FitSettings`, a network by its name, and a loss as Lightning's command line does.

    Neither the loss nor the network is imported yet.

    Args:
        command: The command's name.
        summary: What it does, in a sentence.
        example: Lines shown under "example:" at the end of the help.
    """

    def __init__(self, command: str = "", summary: str = "", example: str = "", **settings: Any) -> None:
        super().__init__(command, summary, example, **settings)
        if command:  # jsonargparse makes parsers of this class for its own ends, too
            self.add_argument("--config", action="config", help="a YAML file with any of these settings")
            self.add_argument("--overwrite", action="store_true", help="replace the run in OUT")
            self.add_argument("--network", metavar="NAME", help="architecture, encoder and decoder by the name that "
                              "`crispmap networks` shows; --model.* flags change it")  # fmt: skip
            self.take_trust()
            self.add_class_arguments(FitSettings, None)

    def parse_args(self, args: Sequence[str] | None = None, *more: Any, **settings: Any) -> Any:  # type: ignore[override]
        """Parses the arguments."""
        return super().parse_args(gather_loss(name_network(args or [])), *more, **settings)


def build_parser() -> CommandParser:
    """What the command takes: the fields of `FitSettings`, each as a flag and as a key of a YAML file."""
    return FitParser(
        "fit",
        "Trains a network on imagery with labels (masks or polygons) and writes a run folder to predict with. Stopped "
        "at any moment and started again with the same command, it goes on from its last validation.",
        _EXAMPLE,
    )


def name_network(args: Sequence[str]) -> list[str]:
    """Turns ``--network NAME`` into the ``--model.*`` flags that it stands for, before any such flag that was given."""
    rest: list[str] = []
    name: str | None = None
    place: int | None = None
    arguments = iter(args)
    for argument in arguments:
        flag, equals, text = argument.partition("=")
        if flag == "--network":
            name = text if equals else next(arguments, "")
        if place is None and (flag == "--network" or flag.startswith("--model")):
            place = len(rest)
        if flag != "--network":
            rest.append(argument)
    if name is None or place is None:
        return rest
    model = network(name)
    rest[place:place] = [
        f"--model.architecture={model.architecture}",
        f"--model.encoder={model.encoder}",
        f"--model.decoder_channels={json.dumps(model.decoder_channels)}",
    ]
    return rest


def gather_loss(args: Sequence[str]) -> list[str]:
    """Turns ``--loss CLASS --loss.NAME VALUE`` into one ``--loss`` with a class path and init_args, in JSON.

    Arguments may be classes with arguments of their own: ``--loss.NAME CLASS --loss.NAME.NAME VALUE``.

    Raises:
        InputError: If a value is no YAML.
        SettingError: If a flag sets a part of what has none, or replaces what the flags before it have set parts of.
    """
    rest: list[str] = []
    loss: dict[str, Any] = {}
    arguments = iter(args)
    for argument in arguments:
        flag, equals, text = argument.partition("=")
        first, *names = flag.split(".")
        if first != "--loss":
            rest.append(argument)
            continue
        value = parse_yaml(text if equals else next(arguments, ""), flag)
        if not names:
            loss |= value if isinstance(value, dict) else {"class_path": value}
        else:
            _set(loss, names if names[0] in _CLASS else ["init_args", *names], value, flag)
    return [*rest, f"--loss={json.dumps(loss)}"] if loss else rest


def _set(place: dict[str, Any], names: Sequence[str], value: Any, flag: str) -> None:
    """Sets what a flag names, at any depth; of a class, which may be its path alone so far, an argument."""
    name, *inner = names if "class_path" not in place or names[0] in _CLASS else ["init_args", *names]
    part = place.get(name)
    if inner:
        part = {} if part is None else {"class_path": part} if isinstance(part, str) else part
        if not isinstance(part, dict):
            raise SettingError(f"{flag} sets a part of {part!r}, which has none")
        place[name] = part
        _set(part, inner, value, flag)
    elif isinstance(part, dict):
        raise SettingError(f"{flag} would replace what other flags have set parts of; give it before them")
    else:
        place[name] = value


def fit_settings(given: dict[str, Any]) -> FitSettings:
    """Settings from parsed arguments, their paths checked.

    Raises:
        InputError: If a path is not there.
        SettingError: If a setting cannot be, or the loss names code that is not known and not to be trusted.
    """
    if given.pop("network") is not None:  # a flag has become --model.* flags long before
        raise SettingError(
            "a YAML file cannot name a network; write its model: architecture, encoder, decoder_channels"
        )
    if not given.pop("trust"):
        check_loss(given["loss"])
    return settings_from(FitSettings, given)


def run(args: Any) -> None:
    """Checks the paths, then trains."""
    given = args.as_dict()
    given.pop("config")
    overwrite = given.pop("overwrite")
    settings = fit_settings(given)
    clear_abandoned(settings.out)
    resume = not overwrite and unfinished(settings)
    free_path(settings.out, overwrite=overwrite or resume)

    from crispmap.fit import fit

    result = fit(settings, resume=resume)
    if not result.metrics:
        return  # one process of several has said it
    scores = ", ".join(f"{name} {value:.3f}" for name, value in result.metrics.items() if name != "step")
    print(f"{result.run}: the model of step {result.metrics['step']:.0f}; on validation {scores}")
