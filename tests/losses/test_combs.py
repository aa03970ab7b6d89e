"""Labels that move about must not make teeth: the toys of benchmarks/boundary_toys.py, held to limits."""

import sys
from pathlib import Path

import pytest

from crispmap.losses import BoundaryLoss

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import boundary_toys

LIMITS = {  # least IoU, largest perimeter ratio, least share of objects kept
    "square ±4": (0.95, 1.15, 1.0),
    "square ±2": (0.0, 1.3, 1.0),
    "forty ±1": (0.98, float("inf"), 1.0),
}


def passes(name: str, variant: str, seed: int) -> tuple[bool, boundary_toys.Outcome]:
    toy = boundary_toys.TOYS[name]
    outcome = boundary_toys.play(toy, BoundaryLoss(variant=variant, theta=toy.theta), seed)
    iou, perimeter, kept = LIMITS[name]
    return outcome.iou >= iou and outcome.perimeter <= perimeter and outcome.kept >= kept, outcome


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", LIMITS)
def test_balanced_makes_none(name, seed):
    passed, outcome = passes(name, "balanced", seed)
    assert passed, outcome


@pytest.mark.parametrize("name", LIMITS)
def test_the_published_form_fails_each_of_them(name):
    passed, outcome = passes(name, "paper", 0)
    assert not passed, outcome
