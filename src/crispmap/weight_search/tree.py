"""The record of a search: which branches were trained, what came of them, and which were chosen."""

import json
from dataclasses import asdict, dataclass, field
from math import inf
from pathlib import Path
from typing import Any

from crispmap.errors import InputError
from crispmap.weight_search.plan import Stage, Weight
from crispmap.whole import whole_file


@dataclass(frozen=True)
class Branch:
    """One training of one stage with one weight.

    Attributes:
        name: Of its folder.
        parent: The branch that it went on from; None at the beginning.
        weight: Of the boundary.
        start: The step it began after.
        stop: The step it ended with.
        seconds: What it took.
        validations: Step and metrics at the end of each of its epochs; metrics without a value are left out.
    """

    name: str
    parent: str | None
    weight: Weight
    start: int
    stop: int
    seconds: float
    validations: list[dict[str, float]]

    def score(self, metric: str) -> float:
        """The metric where the branch ended; no value is worse than any."""
        return self.validations[-1].get(metric, -inf)

    def best(self, metric: str) -> float:
        """The metric at its best validation."""
        return max(row.get(metric, -inf) for row in self.validations)


@dataclass
class Tree:
    """What a search has done so far; all that it needs to go on.

    Attributes:
        settings: Of training and policy, as plain values: a search goes on only with the same.
        versions: Of what trained it.
        branches: All that ended, stage by stage, in the order of their weights.
        path: The chosen branch of each stage that was decided.
    """

    settings: dict[str, Any]
    versions: dict[str, str]
    branches: list[Branch] = field(default_factory=list)
    path: list[str] = field(default_factory=list)

    def __getitem__(self, name: str) -> Branch:
        return next(branch for branch in self.branches if branch.name == name)

    @property
    def names(self) -> list[str]:
        """Of all branches that ended."""
        return [branch.name for branch in self.branches]

    @property
    def cost(self) -> dict[str, float]:
        """The steps of all branches together, and their seconds."""
        return {
            "steps": sum(branch.stop - branch.start for branch in self.branches),
            "seconds": round(sum(branch.seconds for branch in self.branches), 1),
        }

    def add(self, branch: Branch, order: list[str]) -> None:
        """Takes in a branch, at its place in the order of its stage's names."""
        earlier = order[: order.index(branch.name)]
        at = max((i + 1 for i, name in enumerate(self.names) if name in earlier or name not in order), default=0)
        self.branches.insert(at, branch)

    def choose(self, stage: Stage, metric: str) -> Branch:
        """Decides a stage: the branch with the highest metric where it ended; the first of those that are equal."""
        chosen = max((self[name] for name in stage.names), key=lambda branch: branch.score(metric))
        self.path.append(chosen.name)
        return chosen

    def save(self, path: Path) -> None:
        """Writes it, whole or not at all."""
        with whole_file(path) as part:
            part.write_text(json.dumps(asdict(self) | {"cost": self.cost}, indent=2, allow_nan=False) + "\n")

    @classmethod
    def load(cls, path: Path) -> "Tree":
        """Reads what `save` wrote.

        Raises:
            InputError: If the file is something else.
        """
        try:
            content = json.loads(path.read_text())
            branches = [Branch(**branch) for branch in content["branches"]]
            return cls(dict(content["settings"]), dict(content["versions"]), branches, list(content["path"]))
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path} is no record of a weight search; give another --out or --overwrite") from error
