"""Which parts a run under a weight policy has, and what they cost. Free of torch."""

from dataclasses import dataclass, field
from typing import Any, Literal

from crispmap.errors import SettingError
from crispmap.settings import FitSettings, check_nulls

Weight = float | dict[str, Any]  # a number, or a schedule by its class path
_SCHEDULES = {"constant": "ConstantWeight", "ramp": "RampWeight", "cosine": "CosineWeight"}


@dataclass
class PolicySettings:
    """How the weight of the boundary term is chosen in training.

    Attributes:
        policy: "search" branches and keeps the best; the others follow a schedule for as many steps as it would take.
        weights: What the search tries.
        final_weight: The weight of "constant", and what "ramp" and "cosine" grow to; by default those schedules' own.
        from_epoch: The epoch after which the search begins; until then the weight is 0.
        every_epochs: How many epochs a branch lasts.
        metric: By which validation metric branches are compared and the model is kept.
    """

    policy: Literal["search", "ramp", "constant", "cosine"] = "search"
    weights: list[float] = field(default_factory=lambda: [0.1, 0.3, 0.5, 0.7, 0.9])
    final_weight: float | None = None
    from_epoch: int = 8
    every_epochs: int = 30
    metric: Literal["iou", "boundary_f1"] = "iou"

    def __post_init__(self) -> None:
        """Checks the ranges."""
        check_nulls(self)
        if not self.weights or len(set(self.weights)) < len(self.weights):
            raise SettingError(f"--weights is {self.weights}; give one or more, each once")
        for weight in self.weights:
            if not 0 <= weight <= 1:
                raise SettingError(f"--weights has {weight}; weights are from 0 to 1")
        if self.final_weight is not None:
            if self.policy == "search":
                raise SettingError("--final-weight belongs to ramp, constant and cosine; the search takes --weights")
            if not 0 <= self.final_weight <= 1:
                raise SettingError(f"--final-weight is {self.final_weight}; weights are from 0 to 1")
        if self.from_epoch < 0:
            raise SettingError(f"--from-epoch is {self.from_epoch}; it must be at least 0")
        if self.every_epochs < 1:
            raise SettingError(f"--every-epochs is {self.every_epochs}; it must be at least 1")


@dataclass(frozen=True)
class Stage:
    """A part of the run, trained once for each weight.

    Attributes:
        index: Its place among the stages.
        start: The step it begins after.
        stop: The step it ends with, the end of an epoch.
        weights: One branch for each.
    """

    index: int
    start: int
    stop: int
    weights: tuple[Weight, ...]

    @property
    def names(self) -> list[str]:
        """What its branches are called, such as ``2-0.5``."""
        return [str(self.index) if isinstance(w, dict) else f"{self.index}-{w}" for w in self.weights]


@dataclass(frozen=True)
class Plan:
    """All stages of a run.

    Attributes:
        stages: From the first step to the last, without a gap.
        epoch: Steps between two validations.
    """

    stages: tuple[Stage, ...]
    epoch: int

    @property
    def steps(self) -> int:
        """How long the chosen path is."""
        return self.stages[-1].stop

    @property
    def cost(self) -> int:
        """How many steps are trained in all."""
        return sum((stage.stop - stage.start) * len(stage.weights) for stage in self.stages)


def make_plan(settings: FitSettings, policy: PolicySettings) -> Plan:
    """Lays out the stages.

    *Convention.* ``settings.steps`` is the length of the search's chosen path. What the search costs, the steps of all
    branches together, is what the other policies train for, in one long run of the same stages without branches.

    Raises:
        SettingError: If the run is over before the search begins.
    """
    epochs = -(-settings.steps // settings.epoch)
    if policy.from_epoch >= epochs:
        raise SettingError(
            f"the run has {epochs} epochs of {settings.epoch} steps, so a search from epoch {policy.from_epoch} on "
            "never begins; raise --steps, or lower --steps-per-epoch or --from-epoch"
        )
    search = Plan(_stages(settings.steps, settings.epoch, policy, (0.0,), tuple(policy.weights)), settings.epoch)
    if policy.policy == "search":
        return search
    schedule: dict[str, Any] = {"class_path": f"crispmap.{_SCHEDULES[policy.policy]}"}
    if policy.final_weight is not None:
        name = "value" if policy.policy == "constant" else "to"
        schedule["init_args"] = {name: policy.final_weight}
    return Plan(_stages(search.cost, settings.epoch, policy, (schedule,), (schedule,)), settings.epoch)


def _stages(
    steps: int, epoch: int, policy: PolicySettings, before: tuple[Weight, ...], after: tuple[Weight, ...]
) -> tuple[Stage, ...]:
    stages: list[Stage] = []
    start = 0
    stop = policy.from_epoch * epoch
    if stop > 0:
        stages.append(Stage(0, 0, stop, before))
        start = stop
    while start < steps:
        stop = min(steps, start + policy.every_epochs * epoch)
        stages.append(Stage(len(stages), start, stop, after))
        start = stop
    return tuple(stages)


def weighted(loss: str | dict[str, Any] | None, weight: Weight) -> dict[str, Any]:
    """A mixture with a weight of one's choice, as `crispmap.fit.build_loss` takes it.

    Args:
        loss: The mixture as given; None for the default one.
        weight: Of its boundary.

    Raises:
        SettingError: If it brings a weight of its own.
    """
    if loss is None:
        boundary = {"class_path": "crispmap.BoundaryLoss", "init_args": {"reduction": "batch"}}
        loss = {"class_path": "crispmap.MixedLoss", "init_args": {"boundary": boundary}}
    given: dict[str, Any] = {"class_path": loss} if isinstance(loss, str) else loss
    arguments = dict(given.get("init_args") or {})
    if "weight" in arguments:
        raise SettingError(f"--loss.weight is {arguments['weight']}, but the policy sets the weight; leave it out")
    return given | {"init_args": arguments | {"weight": weight}}
