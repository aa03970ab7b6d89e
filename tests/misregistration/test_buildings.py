"""Single buildings and the gaps between them, against floods and distances worked out pixel by pixel."""

import math

import numpy as np
import pytest
from numpy.random import default_rng

from crispmap.misregistration.buildings import Building, connected_buildings, neighbour_gaps, overlay


def blobs(seed, shape=(40, 55), count=6):
    """Rectangles at random, some of which touch."""
    rng = default_rng(seed)
    mask = np.zeros(shape, bool)
    for _ in range(count):
        row, col, height, width = *rng.integers(0, np.array(shape) - 10), *rng.integers(1, 10, 2)
        mask[row : row + height, col : col + width] = True
    return mask


def flooded(mask):
    """Components as sets of pixels, by a literal flood over sides."""
    left = set(zip(*(axis.tolist() for axis in np.nonzero(mask)), strict=True))
    components = []
    while left:
        edge, component = [left.pop()], set()
        while edge:
            row, col = edge.pop()
            component.add((row, col))
            for neighbour in ((row + 1, col), (row - 1, col), (row, col + 1), (row, col - 1)):
                if neighbour in left:
                    left.remove(neighbour)
                    edge.append(neighbour)
        components.append(component)
    return components


def pixels(building):
    rows, cols = np.nonzero(building.mask)
    return set(zip((rows + building.row).tolist(), (cols + building.col).tolist(), strict=True))


@pytest.mark.parametrize("seed", range(5))
def test_components_are_those_of_a_flood(seed):
    mask = blobs(seed)
    found = [pixels(building) for building in connected_buildings(mask)]
    assert sorted(map(sorted, found)) == sorted(map(sorted, flooded(mask)))


def test_no_buildings():
    assert connected_buildings(np.zeros((5, 6), bool)) == []
    assert neighbour_gaps(np.zeros((5, 6), bool)).shape == (0,)


@pytest.mark.parametrize("seed", range(3))
def test_frames_and_shared_pixels(seed):
    rng = default_rng(seed)
    one, other = (
        Building(*rng.integers(-3, 15, 2).tolist(), rng.random(tuple(rng.integers(2, 12, 2))) < 0.6) for _ in range(2)
    )
    assert one.shared(other) == other.shared(one) == len(pixels(one) & pixels(other))
    frame = one.within(2, -1, (7, 9))
    rows, cols = np.nonzero(frame)
    seen = set(zip((rows + 2).tolist(), (cols - 1).tolist(), strict=True))
    assert seen == {(r, c) for r, c in pixels(one) if 2 <= r < 9 and -1 <= c < 8}


def test_overlay_counts_buildings():
    square = np.ones((3, 3), bool)
    count = overlay([Building(0, 0, square), Building(1, 2, square)], (5, 6))
    assert count.sum() == 18
    assert count[1, 2] == count[2, 2] == 2
    assert (count == 2).sum() == 2


@pytest.mark.parametrize("gap", [1, 2, 3, 8])
def test_gaps_count_the_background_between_walls(gap):
    mask = np.zeros((20, 40), bool)
    mask[5:12, 4:10] = True
    mask[7:15, 10 + gap : 18 + gap] = True
    assert neighbour_gaps(mask).tolist() == [gap, gap]
    assert neighbour_gaps(mask.T).tolist() == [gap, gap]


@pytest.mark.parametrize("seed", range(6))
def test_gaps_are_the_shortest_ways_between_pixels(seed):
    """On slanting ways, pixels have no sharp count: the way between centres, less one, to within a pixel."""
    mask = blobs(seed)
    components = [np.array(sorted(pixels(building))) for building in connected_buildings(mask)]
    assert len(components) > 2
    for number, gap in enumerate(neighbour_gaps(mask)):
        others = np.concatenate([c for i, c in enumerate(components) if i != number])
        ways = np.hypot(*(components[number][:, None] - others).transpose(2, 0, 1))
        assert abs(gap - (ways.min() - 1)) < 1


def test_a_building_alone_has_no_neighbour():
    mask = np.zeros((9, 9), bool)
    mask[2:4, 2:4] = True
    assert neighbour_gaps(mask).tolist() == [math.inf]
