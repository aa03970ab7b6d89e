"""What the result files of benchmarks/reproductions.py say: docs/results/reproduced.md, and the README's table."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from crispmap.compare.results import p_text, score_text
from crispmap.compare.statistics import Interval, mean_interval

RESULTS = Path(__file__).parents[1] / "docs" / "results"
LOSSES = ("bce", "iou", "dice", "sensitivity-specificity", "bce+iou", "paper", "balanced")
BASELINES = ("bce", "iou", "dice")  # those of the paper's claim
BEGIN, END = "<!-- made by benchmarks/reproductions.py readme -->", "<!-- end -->"
METRICS = {
    "iou": "IoU",
    "boundary_f1_1px": "boundary F1, 1 px",
    "boundary_f1_2px": "boundary F1, 2 px",
    "boundary_f1_3px": "boundary F1, 3 px",
    "boundary_iou": "Boundary IoU",
    "perimeter_ratio": "perimeter ratio",
}
IN_README = ("iou", "boundary_f1_2px", "perimeter_ratio")
MEASURED = ("synthetic-exact", "synthetic-offset", "jonkoping")

NOT_MEASURED = (
    "**Not measured**: larger networks and budgets (ResNet-34, 20,000 crops a run, on a GPU), and INRIA, Potsdam and "
    "AICD at their full size, for which `crispmap reproduce` has the recipes. Rankings of losses are known to change "
    "with the budget."
)


@dataclass(frozen=True)
class Subject:
    """What one result file is about."""

    title: str
    text: str


SUBJECTS = {
    "synthetic-exact": Subject(
        "synthetic scenes, exact labels",
        "64 scenes of 512² to learn from, 20 others to be examined on, at 0.6 m; labels are exact.",
    ),
    "synthetic-offset": Subject(
        "synthetic scenes, labels off",
        "The same scenes, but each building's label to learn from is displaced by itself by up to 1.2 m, two pixels of "
        "the 0.6 m that the network sees; examined on exact labels.",
    ),
    "jonkoping": Subject(
        "Jönköping",
        "Orthophotos of Barnarp, Sweden: 100 tiles to learn from, 20 to be examined on with a gap of one column "
        "between them, at 0.4 m. The default settings of *balanced* were chosen on these 20 tiles, with another "
        "network: for it they are validation tiles, not test tiles. The imagery is not part of the project.",
    ),
    "aicd": Subject(
        "an AICD tree, a tiny budget",
        "A tree in AICD's layout with pixels of synthetic scenes, since the data set's own site is gone. It shows that "
        "the recipe goes through from end to end; its numbers mean nothing.",
    ),
    "inria": Subject(
        "an INRIA tree, a tiny budget",
        "A tree in INRIA's layout with a few of its pixels: ten crops of 256² to 1000². It shows that the recipe goes "
        "through from end to end; its numbers mean nothing.",
    ),
    "potsdam": Subject(
        "a Potsdam tree, a tiny budget",
        "A tree in Potsdam's layout with one crop of 512² of its pixels, cut in two by a straight line. It shows that "
        "the recipe goes through from end to end; its numbers mean nothing.",
    ),
}


def published() -> dict[str, Any]:
    """The result files that say what a loss is worth, by name, as far as they are there."""
    files = {name: RESULTS / f"reproduced-{name}.json" for name in MEASURED}
    return {name: json.loads(path.read_text(encoding="utf-8")) for name, path in files.items() if path.exists()}


def with_headline(page: str, found: Mapping[str, Any]) -> str:
    """A page with the headline between its two marks."""
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n{headline(found)}\n{END}{after}"


def headline(found: Mapping[str, Any]) -> str:
    """One table, whether the paper's claim holds, and what was not measured."""
    heads = ["loss", *(SUBJECTS[name].title for name in found)]
    rows = [[loss, *(_means(result, loss) for result in found.values())] for loss in LOSSES]
    budgets = sorted({f"{result['plan']['steps']} steps" for result in found.values()})
    return "\n".join(
        [
            *_table(heads, rows),
            "",
            f"In each cell IoU, boundary F1 (2 px) and perimeter ratio: means over {_seeds(found)} seeds, a small UNet "
            f"from scratch, {' or '.join(budgets)} on two processors. Perimeter ratio: predicted / true length of "
            "outlines; 1 is right, more is jagged or full of specks. Intervals, tests, other metrics, commands and "
            "machine: [docs/results/reproduced.md](docs/results/reproduced.md).",
            "",
            verdict(found),
            "",
            balanced(found),
            "",
            NOT_MEASURED,
        ]
    )


def summary(found: Mapping[str, Any]) -> str:
    """docs/results/reproduced.md: every score with its interval, and the differences that sentences rest on."""
    lines = [
        "# The paper's losses, compared",
        "",
        "Made by `benchmarks/reproductions.py` from the files named below. Every loss starts from the same weights and "
        "sees the same windows for each seed; the last weights are examined, so nothing is chosen on the tiles that "
        "are reported. [comparing.md](../comparing.md) says how it is measured.",
        "",
        verdict(found),
        "",
        balanced(found),
        "",
        NOT_MEASURED,
    ]
    for name, result in found.items():
        plan, subject = result["plan"], SUBJECTS[name]
        lines += [
            "",
            f"## {subject.title[0].upper()}{subject.title[1:]}",
            "",
            f"{subject.text} {plan['steps']} steps of {plan['data']['batch_size']} windows of "
            f"{plan['data']['window']}², network `{plan['networks']}`, {_seeds({name: result})} seeds. Numbers and "
            f"seeds: [reproduced-{name}.json](reproduced-{name}.json); bootstrap over tiles and costs: "
            f"[reproduced-{name}.md](reproduced-{name}.md).",
            "",
            *_table(
                ["loss", *METRICS.values()],
                ([loss, *(_score(result, loss, key) for key in METRICS)] for loss in LOSSES),
            ),
            "",
            "Mean ± half of the 95 % t interval over seeds. Differences, paired by seed: mean [95 % t interval], p "
            "uncorrected.",
            "",
            *(
                f"- {METRICS[key]}: {'; '.join(_difference(result, loss, other, key) for other in others)}"
                for loss, others in (("paper", (*BASELINES, "bce+iou")), ("balanced", ("bce+iou", "paper")))
                for key in ("iou", "boundary_f1_2px", "perimeter_ratio")
            ),
        ]
    return "\n".join(lines) + "\n"


def verdict(found: Mapping[str, Any]) -> str:
    """Whether the paper's claim, a better IoU than with BCE, IoU and Dice, holds on each ground."""
    words = [
        f"on {SUBJECTS[name].title} it is {_standing(result, 'paper', BASELINES)}" for name, result in found.items()
    ]
    return (
        "**The paper's claim** is that networks trained with its loss beat BCE, IoU and Dice in IoU. In our hands, at "
        f"this budget, {'; '.join(words)} (by the 95 % interval over seeds)."
    )


def balanced(found: Mapping[str, Any]) -> str:
    """How crispmap's own default stands beside the mixture without a boundary and the published one."""
    words = []
    for name, result in found.items():
        standings = [(METRICS[key], _standing(result, "balanced", ("bce+iou", "paper"), key)) for key in IN_README[:2]]
        words.append(
            f"on {SUBJECTS[name].title}, its {' and its '.join(f'{what} is {how}' for what, how in standings)}"
        )
    return f"**crispmap's default**, *balanced*: {'; '.join(words)}."


def _standing(result: Mapping[str, Any], loss: str, others: Sequence[str], metric: str = "iou") -> str:
    """How a loss stands to others by the intervals of their differences, in words."""
    groups: dict[str, list[str]] = {"better than": [], "worse than": [], "not to be told from": []}
    for other in others:
        interval, _ = _paired(result, loss, other, metric)
        how = "better than" if interval.low > 0 else "worse than" if interval.high < 0 else "not to be told from"
        groups[how].append(other)
    return " and ".join(f"{how} {', '.join(names)}" for how, names in groups.items() if names)


def _paired(result: Mapping[str, Any], loss: str, other: str, metric: str) -> tuple[Interval, float]:
    return mean_interval(_by_seed(result, loss, metric) - _by_seed(result, other, metric))


def _difference(result: Mapping[str, Any], loss: str, other: str, metric: str) -> str:
    interval, p = _paired(result, loss, other, metric)
    return f"{loss} − {other} {interval.mean:+.3f} [{interval.low:+.3f}, {interval.high:+.3f}], {p_text(p)}"


def _by_seed(result: Mapping[str, Any], loss: str, metric: str) -> np.ndarray:
    method = next(method for method in result["methods"] if method["loss_name"] == loss)
    return np.array(method["scores"][metric]["by_seed"], float)


def _means(result: Mapping[str, Any], loss: str) -> str:
    iou, boundary_f1, perimeter = (float(_by_seed(result, loss, key).mean()) for key in IN_README)
    return f"{iou:.3f} · {boundary_f1:.3f} · {perimeter:.2f}"


def _score(result: Mapping[str, Any], loss: str, metric: str) -> str:
    return score_text(mean_interval(_by_seed(result, loss, metric))[0])


def _seeds(found: Mapping[str, Any]) -> str:
    counts = {len(method["seeds"]) for result in found.values() for method in result["methods"]}
    return " or ".join(str(count) for count in sorted(counts))


def _table(heads: Sequence[str], rows: Any) -> list[str]:
    return ["| " + " | ".join(row) + " |" for row in (heads, ["---"] * len(heads), *rows)]
