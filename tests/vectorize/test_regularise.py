"""Regular outlines: right angles where the outline supports them, everything else in its place."""

from itertools import pairwise

import numpy as np
import pytest
import shapely
from rasterio.features import rasterize
from scipy import ndimage
from shapely import Polygon, affinity, box
from skimage import measure

from crispmap.vectorize.regularise import regularised
from crispmap.vectorize.rings import trace
from crispmap.vectorize.runs import runs_of
from crispmap.vectorize.simplify import points_to_keep
from crispmap.vectorize.topology import network_of

SIZE = (150, 160)
TOLERANCE = 2.0


def networks(labels, scale=(1.0, 1.0), tolerance=TOLERANCE):
    """The outlines of labels as traced, faithful and regular, in pixels times the scale."""
    runs = runs_of(labels, labels, labels.astype("uint8"), row=0)
    traced = network_of(trace(runs, runs.label - 1, labels.shape[1]), labels.shape[1])
    keep = points_to_keep(traced, tolerance, scale)
    found = (traced, traced.reduced(keep), regularised(traced, keep, tolerance, scale))
    return [shapely.transform(each.shapes()[0], lambda xy: xy * scale) for each in found]


def drawn(polygons, size=SIZE, scale=(1.0, 1.0)):
    """A label image of polygons in units of the scale."""
    inside = [(affinity.scale(polygon, 1 / scale[0], 1 / scale[1], origin=(0, 0))) for polygon in polygons]
    return rasterize([(polygon, i + 1) for i, polygon in enumerate(inside)], size, dtype="int32")


def turns(polygon):
    """The turn at each corner of the shell in degrees, from 0 (straight on) to 180."""
    points = np.array(polygon.exterior.coords)[:-1]
    ahead = np.roll(points, -1, axis=0) - points
    angle = np.degrees(np.arctan2(*ahead.T[::-1]))
    return np.abs((angle - np.roll(angle, 1) + 180) % 360 - 180)


def iou(one, other):
    return one.intersection(other).area / one.union(other).area


L_SHAPE = Polygon([(40, 40), (110, 40), (110, 75), (75, 75), (75, 105), (40, 105)])


@pytest.mark.parametrize("angle", [0, 5, 14, 30, 45, 61, 88])
@pytest.mark.parametrize("shape", [box(40, 50, 110, 90), L_SHAPE], ids=["rectangle", "L"])
def test_corners_are_right_again(shape, angle):
    truth = affinity.rotate(shape, angle, origin=(75, 75))
    _, _, (regular,) = networks(drawn([truth]))
    np.testing.assert_allclose(turns(regular), 90, atol=1e-6)
    assert len(regular.exterior.coords) == len(truth.exterior.coords)
    assert regular.exterior.hausdorff_distance(truth.exterior) < 0.8
    assert iou(regular, truth) > 0.985


@pytest.mark.parametrize("scale", [(0.2, 0.5), (0.6, 0.3)])
def test_angles_are_those_on_the_ground_where_pixels_are_oblong(scale):
    size = (round(150 / scale[1] / 2), round(160 / scale[0] / 2))
    truth = affinity.rotate(box(20, 20, 55, 45), 25)
    _, _, (regular,) = networks(drawn([truth], size, scale), scale, tolerance=0.8)
    np.testing.assert_allclose(turns(regular), 90, atol=1e-6)
    assert regular.exterior.hausdorff_distance(truth.exterior) < 0.5


def test_a_diagonal_wall_stays_diagonal():
    cut = affinity.rotate(Polygon([(40, 40), (110, 40), (110, 70), (85, 95), (40, 95)]), 10)
    _, _, (regular,) = networks(drawn([cut]))
    assert sorted(turns(regular).round()) == pytest.approx([45, 45, 90, 90, 90], abs=3.5)
    assert regular.exterior.hausdorff_distance(cut.exterior) < TOLERANCE


def test_what_is_round_stays_round():
    disc = shapely.Point(75, 75).buffer(40)
    _, faithful, (regular,) = networks(drawn([disc]))
    assert len(regular.exterior.coords) > 8
    assert iou(regular, disc) > iou(faithful[0], disc) - 0.02
    assert iou(regular, disc) > 0.95


def test_holes_become_regular_too():
    court = affinity.rotate(box(30, 30, 120, 110).difference(box(55, 55, 95, 85)), 20)
    _, _, (regular,) = networks(drawn([court]))
    assert len(regular.interiors) == 1
    np.testing.assert_allclose(turns(Polygon(regular.interiors[0])), 90, atol=1e-6)


def row_of_houses(angle, setbacks):
    houses = [box(20 + 28 * i, 50 + back, 48 + 28 * i, 90 + back) for i, back in enumerate(setbacks)]
    return [affinity.rotate(house, angle, origin=(75, 75)) for house in houses]


@pytest.mark.parametrize("angle", [0, 12, 37])
def test_neighbours_keep_their_wall_and_move_together(angle):
    houses = row_of_houses(angle, [0, 6, 0, 6])
    _, _, regular = networks(drawn(houses))
    assert shapely.area(regular).sum() == pytest.approx(shapely.union_all(regular).area, abs=1e-6)
    for one, other in pairwise(regular):
        assert one.intersection(other).length == pytest.approx(34, abs=1.5)
    for house, found in zip(houses, regular, strict=True):
        assert iou(house, found) > 0.95
        # straight on where a corner of the neighbour lies on the wall
        np.testing.assert_allclose((turns(found) + 45) % 90, 45, atol=1e-6)


def noisy(seed):
    """Objects of a scene of turned rectangles, many of which touch, with noise on their outlines."""
    rng = np.random.default_rng(seed)
    shapes = [
        affinity.rotate(box(x, y, x + rng.uniform(8, 40), y + rng.uniform(8, 30)), rng.uniform(0, 90))
        for x, y in rng.uniform(0, 130, (25, 2))
    ]
    labels = drawn(shapes)
    noise = ndimage.gaussian_filter(rng.normal(size=SIZE), 1.2)
    mask = ndimage.gaussian_filter((labels > 0).astype(float), 1) + noise > 0.5
    nearest = ndimage.distance_transform_edt(labels == 0, return_distances=False, return_indices=True)
    labels = labels[tuple(nearest)] * mask
    apart = np.zeros_like(labels)
    for label in np.unique(labels)[1:]:
        parts, _ = ndimage.label(labels == label)
        apart[parts > 0] = parts[parts > 0] + apart.max()
    return apart


@pytest.mark.parametrize("tolerance", [0.8, 2.0, 6.0])
@pytest.mark.parametrize("seed", range(6))
def test_whatever_comes_is_valid_apart_and_within_the_tolerance(seed, tolerance):
    traced, faithful, regular = networks(noisy(seed), tolerance=tolerance)
    assert shapely.is_valid(regular).all()
    assert shapely.area(regular).sum() == pytest.approx(shapely.union_all(regular).area, abs=1e-6)
    for truth, one, other in zip(traced, faithful, regular, strict=True):
        assert shapely.hausdorff_distance(other.boundary, truth.boundary, densify=0.02) <= 2 * tolerance
        assert iou(other, truth) >= iou(one, truth) - 0.02 - 1e-9
    changed = [not one.equals(other) for one, other in zip(faithful, regular, strict=True)]
    assert any(changed)


@pytest.mark.parametrize("seed", [19, 74, 133])
def test_polygons_are_sound_in_the_coordinates_that_are_written(seed):
    """Rounded to them, corners that touch a wall come to lie beyond it: towns in which pixels alone do not tell."""
    rng = np.random.default_rng(seed)
    places, sizes = rng.uniform(5, 120, 14), (rng.uniform(5, 110, 14), rng.uniform(8, 40, 14), rng.uniform(8, 40, 14))
    houses = zip(places, *sizes, rng.choice([0, 0, 17, 17, 33], 14), strict=True)
    town = [affinity.rotate(box(x, y, x + w, y + h), angle) for x, y, w, h, angle in houses]
    labels = measure.label(drawn(town), connectivity=1).astype("int32")
    runs = runs_of(labels, labels, labels.astype("uint8"), row=0)
    traced = network_of(trace(runs, runs.label - 1, labels.shape[1]), labels.shape[1])
    keep = points_to_keep(traced, TOLERANCE)
    assert shapely.is_valid(regularised(traced, keep, TOLERANCE).shapes()[0]).all()

    def to_map(xy):
        return xy * (0.3, -0.3) + (500_000.1, 5_000_000.7)

    regular = regularised(traced, keep, TOLERANCE, to_map=to_map)
    written = shapely.transform(regular.shapes()[0], to_map)
    assert shapely.is_valid(written).all()
    one, other = shapely.STRtree(written).query(written, predicate="intersects")
    pairs = one < other
    assert not shapely.relate_pattern(written[one[pairs]], written[other[pairs]], "T********").any()
