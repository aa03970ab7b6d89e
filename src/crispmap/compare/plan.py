"""What is compared: losses × networks × seeds on one data set, everything else the same.

Free of torch, so that ``--help`` is.
"""

import re
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from crispmap.errors import InputError, SettingError
from crispmap.input_file import read_yaml
from crispmap.settings import NETWORKS, DataSettings, FitSettings, GroundSettings, ModelSettings, OptimSettings, network

Loss = str | dict[str, Any]  # a class path, alone or with init_args, as `crispmap fit` takes it

_NAME = re.compile(r"[\w+.@-]+")
_MOST_SEEDS = 10**4


@dataclass(frozen=True)
class NamedLoss:
    """A loss by a short name: what it is, and its class path."""

    description: str
    loss: Loss


def _mixed(
    boundary: dict[str, Any] | None = None, region: str = "crispmap.IoULoss", pixel: Loss | None = None
) -> dict[str, Any]:
    """BCE + w·boundary + (1 − w)·region: w stays 0 without a boundary term, else it grows to 0.9."""
    weight: Any = 0.0 if boundary is None else {"class_path": "crispmap.RampWeight"}
    parts = {"boundary": boundary, "region": {"class_path": region}, "pixel": pixel, "weight": weight}
    return {"class_path": "crispmap.MixedLoss", "init_args": {k: v for k, v in parts.items() if v is not None}}


def _boundary(**settings: Any) -> dict[str, Any]:
    return {"class_path": "crispmap.BoundaryLoss", "init_args": settings}


NAMED_LOSSES = {
    "bce": NamedLoss("binary cross entropy", "crispmap.BCELoss"),
    "iou": NamedLoss("soft IoU (Jaccard)", "crispmap.IoULoss"),
    "dice": NamedLoss("soft Dice", "crispmap.DiceLoss"),
    "focal": NamedLoss("focal loss", "crispmap.FocalLoss"),
    "lovasz": NamedLoss("Lovász hinge", "crispmap.LovaszLoss"),
    "tversky": NamedLoss("Tversky loss", "crispmap.TverskyLoss"),
    "sensitivity-specificity": NamedLoss(
        "squared errors on the two sides (Brosch 2015)", "crispmap.SensitivitySpecificityLoss"
    ),
    "bce+iou": NamedLoss("BCE + soft IoU, the mixtures below without their boundary term", _mixed()),
    "bce+dice": NamedLoss("BCE + soft Dice", _mixed(region="crispmap.DiceLoss")),
    "paper": NamedLoss(
        "BCE + w·boundary + (1 − w)·IoU with the published boundary term; w grows from 0 to 0.9 over the first 30 %",
        _mixed(_boundary(variant="paper")),
    ),
    "balanced": NamedLoss(
        "the same with crispmap's balanced boundary term: what crispmap fit trains with by default",
        _mixed(_boundary(variant="balanced", reduction="batch")),
    ),
    "surface": NamedLoss(
        "BCE + w·surface + (1 − w)·IoU (Kervadec 2019), w as in paper", _mixed({"class_path": "crispmap.SurfaceLoss"})
    ),
    "boundary-dou": NamedLoss(
        "BCE and boundary DoU, mixed likewise", _mixed({"class_path": "crispmap.BoundaryDoULoss"})
    ),
}


@dataclass(frozen=True)
class Method:
    """A loss on a network.

    Attributes:
        name: What tables and pages call it; no two of a plan have one name.
        loss_name: Of the loss.
        loss: The loss as `fit` takes it.
        network: Its name, "small" or "Unet/resnet18".
        description: What the loss is, in a few words.
    """

    name: str
    loss_name: str
    loss: Loss
    network: str
    description: str


@dataclass(frozen=True)
class Run:
    """One training: a method and a seed, and its folder."""

    method: Method
    seed: int
    folder: Path


@dataclass(kw_only=True)
class Plan(GroundSettings):
    """Everything about one comparison.

    Attributes:
        losses: Names with commas between them (docs/comparing.md lists them), a YAML file with a class path for each
            name, or such a mapping.
        reference: The loss that the others are held against; the first one by default.
        networks: Names of `crispmap networks` with commas between them, or ENCODER, or ARCHITECTURE/ENCODER; what model
            says by default.
        seeds: How many, counted from 0; or a list of them.
        steps: Of the optimiser, in every run.
        steps_per_epoch: Steps between two points of the learning curves; by default as in `crispmap fit`.
        data: How samples are taken.
        model: What of a network its name leaves open.
        optim: How the weights are moved.
        trainer: Arguments of Lightning's Trainer, such as accelerator, devices, precision.
    """

    losses: str | dict[str, Any] = "bce,iou,dice,bce+iou,paper,balanced"
    reference: str | None = None
    networks: str | list[str] | None = None
    seeds: int | list[int] = 5
    steps: int = 300
    steps_per_epoch: int | None = None
    data: DataSettings = field(default_factory=DataSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    optim: OptimSettings = field(default_factory=OptimSettings)
    trainer: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Checks the ranges of these, too."""
        super().__post_init__()
        count = self.seeds if isinstance(self.seeds, int) else len(self.seeds)
        if not 1 <= count <= _MOST_SEEDS:
            raise SettingError(f"--seeds is {str(self.seeds)[:60]}; it must give from 1 to {_MOST_SEEDS} seeds")
        if len(set(self.seed_list)) < len(self.seed_list):
            raise SettingError(f"--seeds names a seed twice: {self.seeds}")
        if self.optim.patience is not None:
            raise SettingError("--optim.patience would give runs unequal numbers of steps; leave it out")
        if self.trainer.get("devices", 1) not in (1, "1") or self.trainer.get("num_nodes", 1) != 1:
            raise SettingError("--trainer.devices is not for a comparison: a run of it takes one device")
        losses = self.loss_map
        if self.reference is not None and self.reference not in losses:
            raise SettingError(f"--reference is {self.reference}; it must be one of the losses {', '.join(losses)}")
        self.settings(self.runs()[0])

    @property
    def seed_list(self) -> list[int]:
        """The seeds."""
        return list(range(self.seeds)) if isinstance(self.seeds, int) else list(self.seeds)

    @property
    def loss_map(self) -> dict[str, NamedLoss]:
        """The losses by name.

        Raises:
            SettingError: If a name is not known or cannot be a folder's.
            InputError: If the YAML file cannot be used.
        """
        return _resolve(self.losses)

    @property
    def reference_loss(self) -> str:
        """The name of the loss that others are held against."""
        return self.reference or next(iter(self.loss_map))

    @property
    def network_map(self) -> dict[str, ModelSettings]:
        """The networks by name: one of the family's, or ARCHITECTURE/ENCODER.

        Raises:
            SettingError: If a name cannot be a folder's, or stands there twice.
        """
        given = self.networks.split(",") if isinstance(self.networks, str) else self.networks
        names = [name.strip() for name in given or [self.model.encoder]]
        full = [name if name in NETWORKS or "/" in name else f"{self.model.architecture}/{name}" for name in names]
        if not all(_NAME.fullmatch(part) for name in full for part in name.split("/", 1)) or len(set(full)) < len(full):
            asked = f"--networks is {self.networks}" if given else f"--model.encoder is {self.model.encoder!r}"
            raise SettingError(f"{asked}; give different names, with commas between them if there are several")
        return {name: self._network(name) for name in full}

    def _network(self, name: str) -> ModelSettings:
        if name in NETWORKS:
            return replace(network(name), weights=self.model.weights)
        architecture, encoder = name.split("/", 1)
        return replace(self.model, architecture=architecture, encoder=encoder)

    def methods(self) -> list[Method]:
        """Every loss on every network, network by network."""
        networks = self.network_map
        return [
            Method(
                loss if len(networks) == 1 else f"{loss} · {network.removeprefix(self.model.architecture + '/')}",
                loss,
                named.loss,
                network,
                named.description,
            )
            for network in networks
            for loss, named in self.loss_map.items()
        ]

    def runs(self) -> list[Run]:
        """Every run, seed by seed, so that what is finished early can be compared."""
        return [
            Run(method, seed, self.out / "runs" / method.network.replace("/", "-") / method.loss_name / f"seed{seed}")
            for seed in self.seed_list
            for method in self.methods()
        ]

    def settings(self, run: Run) -> FitSettings:
        """What `fit` is told for a run; between the losses of one network and seed only `loss` and `out` differ."""
        ground = {each.name: getattr(self, each.name) for each in fields(GroundSettings)}
        return FitSettings(
            **ground | {"out": run.folder},
            steps=self.steps,
            steps_per_epoch=self.steps_per_epoch,
            seed=run.seed,
            loss=run.method.loss,
            data=self.data,
            model=self.network_map[run.method.network],
            optim=self.optim,
            trainer=self.trainer,
        )


def _resolve(given: str | dict[str, Any]) -> dict[str, NamedLoss]:
    if isinstance(given, str) and given.endswith((".yaml", ".yml")):
        given = _read(Path(given))
    if isinstance(given, dict):
        found = {name: _named(loss) for name, loss in given.items()}
    else:
        names = [name.strip() for name in given.split(",")]
        unknown = [name for name in names if name not in NAMED_LOSSES]
        if unknown:
            raise SettingError(
                f"no loss '{unknown[0]}'; there are {', '.join(NAMED_LOSSES)}, or give a YAML file of class paths"
            )
        found = {name: NAMED_LOSSES[name] for name in names}
    wrong = [name for name in found if not (isinstance(name, str) and _NAME.fullmatch(name) and name.strip("."))]
    if wrong or not found:
        raise SettingError(f"losses need names of letters, digits, + . @ _ and -; found {wrong or 'none'}")
    return found


def _read(path: Path) -> dict[str, Any]:
    found = read_yaml(path, "--losses")
    if not isinstance(found, dict) or not found:
        raise InputError(f"{path} must hold a class path, or class_path and init_args, for each loss's name")
    return found


def _named(loss: Any) -> NamedLoss:
    """A loss of the user's own, described by its class and arguments; or one of ours under another name."""
    if isinstance(loss, str):
        return NAMED_LOSSES.get(loss, NamedLoss(loss, loss))
    if not isinstance(loss, dict) or "class_path" not in loss:
        raise SettingError(f"a loss is a class path, or class_path and init_args; found {loss!r}")
    return NamedLoss(" ".join(str(loss[key]) for key in ("class_path", "init_args") if loss.get(key)), loss)
