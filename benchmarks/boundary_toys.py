"""Free logits under labels that move: which boundary terms grow teeth, before any network is trained.

    .venv/bin/python benchmarks/boundary_toys.py

One image of 128² logits, nothing else, is moved by Adam (0.05, 600 steps) under BCE + w·boundary + (1 − w)·IoU while
the label lies elsewhere in every step. Reported: IoU and perimeter of the mask against the truth that does not move,
and the share of objects kept. Written to docs/results/boundary-toys.json and .md.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import candidates
import torch
from machine import circumstances
from torch import Tensor, nn

from crispmap.losses import BCELoss, BoundaryLoss, IoULoss

RESULTS = Path(__file__).parents[1] / "docs" / "results"
SIZE = 128


class Toy(NamedTuple):
    """What moves, how far, under which tolerance, and from which step on the boundary counts (with w = 0.9)."""

    title: str
    squares: list[tuple[int, int]]  # upper left corners
    side: int
    offset: int
    theta: int
    warm_up: int


ONE = [(39, 39)]
FORTY = [(row, col) for row in range(6, SIZE - 8, 16) for col in range(6, SIZE - 8, 16)][:40]
TOYS = {
    "square ±4": Toy("one 50-px square ±4 px, θ = 9, warm-up of 300 steps", ONE, 50, 4, 9, 300),
    "square ±2": Toy("one 50-px square ±2 px, θ = 5, no warm-up", ONE, 50, 2, 5, 0),
    "forty ±1": Toy("forty 8-px squares, each ±1 px by itself, θ = 5, warm-up of 300 steps", FORTY, 8, 1, 5, 300),
    "square ±4, θ short": Toy("one 50-px square ±4 px, θ = 5 (too small), warm-up of 300 steps", ONE, 50, 4, 5, 300),
}


class Outcome(NamedTuple):
    """Against the truth that does not move: IoU, length of outline, share of objects at least half kept."""

    iou: float
    perimeter: float
    kept: float


def play(toy: Toy, boundary: nn.Module | None, seed: int, steps: int = 600, weight: float = 0.9) -> Outcome:
    """Moves the logits and looks at what they have become."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.zeros(1, 1, SIZE, SIZE, requires_grad=True)
    optimizer = torch.optim.Adam([logits], 0.05)
    pixel, region = BCELoss(), IoULoss()
    for step in range(steps):
        w = 0.0 if step < toy.warm_up else weight
        label = _label(toy, generator)
        loss = pixel(logits, label) + (1 - w) * region(logits, label)
        if boundary is not None and w:
            loss = loss + w * boundary(logits, label)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return _judge(toy, logits.detach()[0, 0] > 0)


def _label(toy: Toy, generator: torch.Generator | None) -> Tensor:
    label = torch.zeros(1, 1, SIZE, SIZE)
    count = len(toy.squares)
    offsets = (
        torch.zeros(count, 2, dtype=torch.int64)
        if generator is None
        else torch.randint(-toy.offset, toy.offset + 1, (count, 2), generator=generator)
    )
    for (row, col), (down, right) in zip(toy.squares, offsets.tolist(), strict=True):
        label[..., row + down : row + down + toy.side, col + right : col + right + toy.side] = 1
    return label


def _judge(toy: Toy, mask: Tensor) -> Outcome:
    truth = _label(toy, None)[0, 0] > 0
    kept = [mask[row : row + toy.side, col : col + toy.side].float().mean() >= 0.5 for row, col in toy.squares]
    iou = (mask & truth).sum() / (mask | truth).sum()
    return Outcome(iou.item(), _edges(mask) / _edges(truth), sum(map(bool, kept)) / len(kept))


def _edges(mask: Tensor) -> float:
    return float((mask[1:] != mask[:-1]).sum() + (mask[:, 1:] != mask[:, :-1]).sum())


Maker = Callable[[int], nn.Module | None]
CONTENDERS: dict[str, tuple[str, Maker]] = {
    "none": ("no boundary term", lambda t: None),
    "paper": ("as published, even ties", lambda t: BoundaryLoss(variant="paper", theta=t)),
    "balanced": ("the default", lambda t: BoundaryLoss(theta=t)),
    "density": ("box means of the boundary, Σ∣A − B∣ / Σ(A + B)", lambda t: candidates.Density((t,))),
    "density, Huber 0.1": ("small differences count less", lambda t: candidates.Density((t,), "huber")),
    "density, excess": ("too much costs 1.5 times", lambda t: candidates.Density((t,), "excess")),
    "density, triangle": ("twice the width", lambda t: candidates.Density((2 * t - 1,), kernel="triangle")),
    "density, three θ": ("mean over 3, θ, 2θ − 1", lambda t: candidates.Density((3, t, 2 * t - 1))),
    "oriented": ("box means of the gradient, as vectors", lambda t: candidates.Oriented((t,))),
    "oriented, excess": ("and no more length than true", lambda t: candidates.Oriented((t,), amount="excess")),
    "net": ("the default without its second term", lambda t: candidates.Edges((t,), rough=0.0)),
    "three θ": ("the default, mean over 3, θ, 2θ − 1", lambda t: candidates.Edges((3, t, 2 * t - 1))),
}


def main() -> None:
    """Plays all toys with all contenders and writes both files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=2, help="for each candidate; paper and balanced get five")
    args = parser.parse_args()
    torch.set_num_threads(1)
    outcomes: dict[str, dict[str, list[Outcome]]] = {}
    for name, (_, make) in CONTENDERS.items():
        seeds = 5 if name in ("paper", "balanced") else args.seeds
        outcomes[name] = {key: [play(toy, make(toy.theta), seed) for seed in range(seeds)] for key, toy in TOYS.items()}
        print(name, {k: [tuple(round(x, 3) for x in o) for o in v] for k, v in outcomes[name].items()}, flush=True)
    plain = {name: {k: [o._asdict() for o in v] for k, v in by_toy.items()} for name, by_toy in outcomes.items()}
    command = "python benchmarks/boundary_toys.py"
    result = {"command": command, "toys": {k: t.title for k, t in TOYS.items()}, "outcomes": plain, **circumstances()}
    (RESULTS / "boundary-toys.json").write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    (RESULTS / "boundary-toys.md").write_text(_page(outcomes))


def _page(outcomes: dict[str, dict[str, list[Outcome]]]) -> str:
    lines = [
        "# Free logits under labels that move",
        "",
        "IoU, and perimeter / true perimeter, of the mask after 600 steps: the worst of the seeds of each (five for",
        "paper and balanced, two for the others). Made by `python benchmarks/boundary_toys.py`, which says how;",
        "numbers of every seed, versions and machine in [boundary-toys.json](boundary-toys.json).",
        "",
        "| boundary term | | " + " | ".join(toy.title for toy in TOYS.values()) + " |",
        "|---|---" + "|---" * len(TOYS) + "|",
    ]
    for name, by_toy in outcomes.items():
        cells = []
        for key in TOYS:
            iou, perimeter = min(o.iou for o in by_toy[key]), max(o.perimeter for o in by_toy[key])
            cells.append(f"{iou:.3f}, {perimeter:.2f}")
        lines.append(f"| {name} | {CONTENDERS[name][0]} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
