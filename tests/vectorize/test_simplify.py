"""Faithful outlines of touching objects: valid, without overlaps, within the tolerance, walls shared."""

import numpy as np
import pytest
import shapely
from scipy import ndimage

from crispmap.vectorize.rings import trace
from crispmap.vectorize.runs import runs_of
from crispmap.vectorize.simplify import points_to_keep
from crispmap.vectorize.topology import network_of


def network(labels):
    runs = runs_of(labels, labels, labels.astype("uint8"), row=0)
    return network_of(trace(runs, runs.label - 1, labels.shape[1]), labels.shape[1])


def pieces(mask, seed):
    """A mask cut into touching pieces, each connected: along a grid, or at random."""
    rows, cols = np.indices(mask.shape)
    cut = (rows // 9 + cols // 7) % 2 if seed % 2 else np.random.default_rng(seed).integers(0, 2, mask.shape)
    even, count = ndimage.label(mask & (cut == 0))
    odd, _ = ndimage.label(mask & (cut == 1))
    return np.where(odd > 0, odd + count, even)


@pytest.mark.parametrize("seed", range(60))
def test_touching_pieces_keep_their_outlines(blobs, outlines, seed):
    labels = pieces(blobs(seed), seed)
    if not labels.any():
        pytest.skip("an empty mask has no pieces")
    truth = outlines(labels)
    shapes, collapsed = network(labels).shapes()
    assert not collapsed.any()
    assert shapely.is_valid(shapes).all()
    assert all(shapes[label - 1].equals(polygon) for label, polygon in truth.items())
    assert len(truth) == len(shapes)


@pytest.mark.parametrize("scale", [(1.0, 1.0), (0.3, 0.7)])
@pytest.mark.parametrize("tolerance", [0.0, 0.6, 1.25, 4.0, 30.0])
@pytest.mark.parametrize("seed", range(12))
def test_outlines_stay_within_the_tolerance_and_apart(blobs, seed, tolerance, scale):
    labels = pieces(blobs(seed, 40), seed)
    traced = network(labels)
    simple = traced.reduced(points_to_keep(traced, tolerance, scale))
    before, (after, collapsed) = traced.shapes()[0], simple.shapes()
    assert not collapsed.any()
    assert shapely.is_valid(after).all()
    assert shapely.area(after).sum() == pytest.approx(shapely.union_all(after).area, abs=1e-6)
    assert len(simple.points) <= len(traced.points)
    for one, other in zip(before, after, strict=True):
        lines = [shapely.transform(each, lambda xy: xy * scale).boundary for each in (one, other)]
        assert shapely.hausdorff_distance(*lines, densify=0.02) <= tolerance + 1e-9
        assert len(one.interiors) == len(other.interiors)


def test_a_tolerance_takes_the_steps_off_a_slanted_wall():
    rows, cols = np.indices((60, 80))
    labels = np.where(rows > 10 + cols / 7, 1, 0)
    labels[50:] = 0
    traced = network(labels)
    assert len(traced.points) > 20
    simple = traced.reduced(points_to_keep(traced, 1.25))
    assert len(simple.points) <= 7  # four corners, the start of the ring again, and ends of the first and last step


def test_a_wall_between_two_is_simplified_once():
    rows, cols = np.indices((40, 60))
    labels = np.where(cols < 25 + rows / 3, 1, 2)
    traced = network(labels)
    left, right = traced.reduced(points_to_keep(traced, 1.25)).shapes()[0]
    wall = left.intersection(right)
    assert wall.length == pytest.approx(np.hypot(40, 40 / 3), rel=0.02)
    assert shapely.get_num_coordinates(shapely.line_merge(wall)) <= 4
    assert left.union(right).equals(shapely.box(0, 0, 60, 40))


def test_an_island_that_fills_a_hole_has_its_outline():
    labels = np.ones((20, 20), int)
    rows, cols = np.indices((20, 20))
    labels[(rows - 10) ** 2 + (cols - 9) ** 2 < 30] = 2
    traced = network(labels)
    around, island = traced.reduced(points_to_keep(traced, 1.25)).shapes()[0]
    assert shapely.Polygon(around.interiors[0]).equals(island)
    assert len(island.exterior.coords) < 14


def test_very_many_holes_take_no_very_long_time():
    labels = np.ones((400, 400), int)
    labels[1:-1:3, 1:-1:3] = 0
    traced = network(labels)
    (polygon,) = traced.reduced(points_to_keep(traced, 1.25)).shapes()[0]
    assert polygon.is_valid
    assert len(polygon.interiors) == (labels == 0).sum()
