"""What the measured offsets say, in numbers and in sentences."""

import math

import numpy as np
import pytest

from crispmap.misregistration import Misregistration


def measured(offsets, errors=0.0, gaps=(), unclear=0, partial=0, resolution=None):
    offsets = np.array(offsets, float)
    errors = np.full(len(offsets), errors)
    return Misregistration(offsets, errors, np.array(gaps, float), unclear, partial, "the imagery", resolution)


def around(distance, count=40):
    """Offsets of one length in all directions."""
    turns = 2 * np.pi * np.arange(count) / count
    return distance * np.column_stack([np.cos(turns), np.sin(turns)])


@pytest.mark.parametrize(
    ("distance", "theta"), [(0, 3), (0.4, 3), (1.4, 3), (1.6, 5), (2.4, 5), (2.6, 7), (4, 9), (4.6, 11)]
)
def test_theta_covers_the_offsets_to_the_nearest_pixel(distance, theta):
    assert measured(around(distance)).theta == theta


def test_theta_covers_nine_in_ten():
    offsets = np.concatenate([around(1, 46), around(7, 4)])  # 92 and 8 per cent
    assert measured(offsets).theta == 3
    offsets = np.concatenate([around(1, 44), around(7, 6)])
    assert measured(offsets).theta == 15


def test_a_common_shift_is_told_from_the_scatter():
    result = measured(np.add(around(1), (3, -2)), resolution=0.5)
    assert result.shift == pytest.approx((3, -2))
    assert result.scatter == pytest.approx(1)
    assert 4.5 < result.ninth_decile < np.hypot(3, 2) + 1  # the farthest of all
    assert result.theta == 11
    assert result.findings()[1] == (
        "all together they lie 3.0 px (1.50 m) right and 2.0 px (1.00 m) up of it; moved back, 9 in 10 would lie "
        "within 1.0 px (0.50 m) (θ = 3)"
    )
    assert len(measured(around(1)).findings()) == 2  # nothing in common


@pytest.mark.parametrize(("shift", "way"), [((-3, 0), "3.0 px left of it"), ((0, 2), "2.0 px down of it")])
def test_ways(shift, way):
    assert f"they lie {way}; " in measured(np.zeros((40, 2)) + shift).findings()[1]


def test_the_sentences_of_a_good_set():
    assert str(measured(around(0.5), errors=0.25, unclear=3, partial=4, resolution=0.4)) == (
        "θ = 3: 9 labels in 10 lie within 0.5 px (0.20 m) of the imagery; median 0.5 px (0.20 m)\n"
        "40 buildings measured, each to ±0.2 px (0.10 m); 7 left out (3 without clear evidence, 4 cut by a border)"
    )


def test_lengths_without_a_place_are_in_pixels_alone():
    result = measured(around(1.6))
    assert result.metres(2) is None
    assert str(result) == "θ = 5: 9 labels in 10 lie within 1.6 px of the imagery; median 1.6 px\n40 buildings measured"
    assert measured(around(1), resolution=0.3).metres(2) == pytest.approx(0.6)


def test_few_buildings_are_said_to_be_few():
    assert "1 building measured; so few that θ is a guess" in str(measured([(1, 1)]))


def test_narrow_gaps_conflict_with_a_wide_theta():
    gaps = [2] * 10 + [4] * 10 + [20] * 70 + [math.inf] * 10
    result = measured(around(3), gaps=gaps)
    assert result.gap == 2
    assert result.findings()[-1].startswith(
        "20% of the buildings stand closer than θ to a neighbour, 5 % within 2.0 px;"
    )
    assert "conflict" not in str(measured(around(1), gaps=gaps))  # θ cannot be less than 3
    assert "conflict" not in str(measured(around(3), gaps=[7] * 40))
    assert measured(around(3)).gap == math.inf


def test_counts():
    result = measured(around(1), unclear=3, partial=4)
    assert (result.measured, result.left_out) == (40, 7)
    assert result.distances == pytest.approx(np.ones(40))
