"""Conventions: the tolerance that each takes where none is given, and what it makes of one that is given."""

import math

import pytest
import torch

from crispmap.errors import SettingError
from crispmap.functional.conventions import rules_of
from crispmap.functional.lengths import Length


@pytest.mark.parametrize(
    ("convention", "image_shape", "expected"),
    [
        ("csurka", (300, 400), 3.75),
        ("csurka", (5000, 5000), 0.0075 * math.hypot(5000, 5000)),  # a tile of INRIA: 15.9 m
        ("davis", (300, 400), 4.0),  # whole already, so not rounded up
        ("davis", (480, 854), 8.0),  # of DAVIS, 7.84
        ("davis", (3, 4), 1.0),
        ("pixels", (300, 400), 3.0),
        ("pixels", (5000, 5000), 3.0),
    ],
)
def test_tolerance_where_none_is_given(convention, image_shape, expected):
    assert rules_of(convention).resolve(None, image_shape) == Length(expected)


@pytest.mark.parametrize(
    ("convention", "expected"), [("csurka", 500 * 0.0101), ("davis", 6.0), ("pixels", 500 * 0.0101)]
)
def test_only_davis_rounds_a_share_of_the_diagonal_up(convention, expected):
    found = rules_of(convention).resolve("1.01%", (300, 400))
    assert found.unit == "px"
    assert found.value == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("convention", ["csurka", "davis", "pixels"])
def test_pixels_and_metres_are_taken_as_they_are(convention):
    assert rules_of(convention).resolve(2.3, (300, 400)) == Length(2.3)
    assert rules_of(convention).resolve("2.3m", (300, 400)) == Length(2.3, "m")


@pytest.mark.parametrize(("convention", "at_the_tolerance"), [("csurka", False), ("davis", True), ("pixels", True)])
def test_a_distance_equal_to_the_tolerance(convention, at_the_tolerance):
    squared = torch.tensor([0.0, 8.0, 9.0, 10.0, math.inf], dtype=torch.float64)
    assert rules_of(convention).matches(squared, 3.0).tolist() == [True, True, at_the_tolerance, False, False]


def test_a_convention_that_is_none_is_named():
    with pytest.raises(SettingError, match="convention is 'cityscapes'; allowed are 'csurka', 'davis', 'pixels'"):
        rules_of("cityscapes")
    with pytest.raises(SettingError, match=r"tolerance is -1; give a length greater than 0"):
        rules_of("pixels").resolve(-1, (3, 4))
