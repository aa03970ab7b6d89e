"""Overlaps, PoLiS and vertex counts of polygons against pixels, hand-made cases and slow loops."""

import math

import numpy as np
import pytest
import shapely
from rasterio.features import shapes
from scipy import ndimage
from shapely import MultiPolygon, Point, Polygon, affinity, box

from crispmap.errors import InputError, SettingError
from crispmap.evaluate.polygon_score import matched_polygons, polis, polis_distances, polygon_overlaps, vertex_ratio
from crispmap.functional.object_score import AP_THRESHOLDS, label_objects, match_objects, object_overlaps

SQUARE = box(0, 0, 10, 10)
COURT = Polygon([(0, 0), (30, 0), (30, 30), (0, 30)], [[(10, 10), (20, 10), (20, 20), (10, 20)]])


def traced(labels):
    """The outlines of labelled pixels in the order of their labels."""
    found = [
        (number, shapely.geometry.shape(outline)) for outline, number in shapes(labels, labels > 0, connectivity=4)
    ]
    return [outline for _, outline in sorted(found, key=lambda one: one[0])]


def masks(seed):
    generator = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(generator.random((2, 70, 90)), (0, 2, 2))
    smooth = (smooth - 0.5) / smooth.std()
    return smooth[0] > 0.3, smooth[0] + 0.4 * smooth[1] > 0.3


def stars(seed, n):
    """Polygons of 5 to 12 corners, every third one with a hole."""
    generator = np.random.default_rng(seed)
    found = []
    for i in range(n):
        corners = int(generator.integers(5, 13))
        angles = np.linspace(0, 2 * np.pi, corners, endpoint=False)
        radii = generator.uniform(4, 10, corners)
        centre = generator.uniform(0, 40, 2)
        ring = centre + np.stack([radii * np.cos(angles), radii * np.sin(angles)], 1)
        hole = [centre + 0.2 * (ring[::-1] - centre)] if i % 3 == 0 else []
        found.append(Polygon(ring, hole))
    return found


@pytest.mark.parametrize("seed", range(4))
def test_overlaps_of_outlines_equal_those_of_their_pixels(seed):
    pred, true = map(label_objects, masks(seed))
    found, expected = polygon_overlaps(traced(pred), traced(true)), object_overlaps(pred, true)
    assert len(expected.pairs) > 10
    for name, value in vars(expected).items():
        np.testing.assert_array_equal(getattr(found, name), value)
    assert {found.pred_areas.dtype, found.true_areas.dtype, found.areas.dtype} == {np.dtype(np.float64)}
    counts, of_pixels = match_objects(found, AP_THRESHOLDS), match_objects(expected, AP_THRESHOLDS)
    for name, value in vars(of_pixels).items():
        np.testing.assert_array_equal(getattr(counts, name), value)


def test_overlaps_equal_every_intersection():
    pred, true = stars(1, 25), stars(2, 30)
    found = polygon_overlaps(np.array(pred, object), true)
    expected = {(i, j): a.intersection(b).area for i, a in enumerate(pred) for j, b in enumerate(true)}
    expected = {pair: area for pair, area in expected.items() if area}
    assert list(map(tuple, found.pairs.tolist())) == sorted(expected)
    np.testing.assert_array_equal(found.areas, [expected[pair] for pair in sorted(expected)])
    np.testing.assert_array_equal(found.pred_areas, [polygon.area for polygon in pred])


def test_touching_is_no_overlap():
    found = polygon_overlaps([SQUARE, box(10, 10, 20, 20)], [box(10, 0, 20, 10), box(11, 11, 12, 12)])
    assert found.pairs.tolist() == [[1, 1]]
    assert found.areas.tolist() == [1.0]


def test_a_building_in_a_court_does_not_overlap_what_is_around_it():
    assert len(polygon_overlaps([box(12, 12, 18, 18)], [COURT]).pairs) == 0
    assert polygon_overlaps([COURT], [box(0, 0, 30, 30)]).areas.tolist() == [800.0]


@pytest.mark.parametrize(("pred", "true"), [([], []), ([SQUARE], []), ([], [SQUARE])])
def test_no_polygons(pred, true):
    found = polygon_overlaps(pred, true)
    assert (len(found.pred_areas), len(found.true_areas)) == (len(pred), len(true))
    assert found.pairs.shape == (0, 2)
    assert found.pairs.dtype == np.int64
    assert matched_polygons(found).shape == (0, 2)
    assert polis_distances(pred, true, found.pairs).shape == (0,)
    assert math.isnan(vertex_ratio(pred, true, found.pairs))


def test_matches_are_one_to_one_also_where_polygons_of_a_side_overlap_each_other():
    true = [SQUARE, box(100, 0, 110, 10)]
    pred = [box(0, 0, 10, 9), box(0, 0, 10, 9.5), box(100, 0, 110, 4)]
    overlaps = polygon_overlaps(pred, true)
    assert matched_polygons(overlaps).tolist() == [[1, 0]]
    assert matched_polygons(overlaps, 0.4).tolist() == [[1, 0], [2, 1]]
    with pytest.raises(SettingError, match="threshold of IoU is 0"):
        matched_polygons(overlaps, 0)


def test_equal_polygons_match_at_every_threshold_on_any_ground():
    for east, north in ((0, 0), (500_000.3, 5_000_000.7), (-1e-3, 1e-5)):
        there = [affinity.translate(affinity.rotate(polygon, 33), east, north) for polygon in stars(3, 8)[::2]]
        turned = [shapely.reverse(polygon) for polygon in there]
        assert matched_polygons(polygon_overlaps(there, turned), 1.0).tolist() == [[i, i] for i in range(4)]


def segments(polygon):
    for ring in (polygon.exterior, *polygon.interiors):
        yield from zip(ring.coords[:-1], ring.coords[1:], strict=True)


def to_segment(p, segment):
    (ax, ay), (bx, by) = segment
    along = ((p[0] - ax) * (bx - ax) + (p[1] - ay) * (by - ay)) / ((bx - ax) ** 2 + (by - ay) ** 2)
    along = min(1.0, max(0.0, along))
    return math.dist(p, (ax + along * (bx - ax), ay + along * (by - ay)))


def polis_by_definition(a, b):
    def half(one, other):
        corners = [start for start, _ in segments(one)]
        return sum(min(to_segment(p, s) for s in segments(other)) for p in corners) / (2 * len(corners))

    return half(a, b) + half(b, a)


def test_polis_equals_its_definition():
    pred, true = stars(4, 12), stars(5, 15)
    pairs = np.argwhere(np.random.default_rng(0).random((12, 15)) < 0.4)
    found = polis_distances(pred, np.array(true, object), pairs)
    assert len(found) > 40
    np.testing.assert_allclose(found, [polis_by_definition(pred[i], true[j]) for i, j in pairs], rtol=1e-12)
    swapped = polis_distances(true, pred, pairs[:, ::-1])
    np.testing.assert_array_equal(found, swapped)


@pytest.mark.parametrize(
    ("a", "b", "distance"),
    [
        pytest.param(SQUARE, SQUARE, 0, id="itself"),
        pytest.param(SQUARE, box(0, 0, 10, 10, ccw=False), 0, id="turned round"),
        pytest.param(SQUARE, Polygon([(0, 0), (5, 0), (10, 0), (10, 10), (0, 10)]), 0, id="one more vertex"),
        pytest.param(SQUARE, box(3, 0, 13, 10), 1.5, id="moved along x"),  # two corners of four lie on the other
        pytest.param(SQUARE, box(3, 4, 13, 14), (5 + 3 + 4 + 3) / 4, id="moved along both"),
        pytest.param(SQUARE, box(1, 1, 9, 9), (math.sqrt(2) + 1) / 2, id="shrunk"),
        pytest.param(box(0, 0, 30, 30), COURT, (4 * 10 / 8) / 2, id="a court missed"),
    ],
)
def test_polis_by_hand(a, b, distance):
    assert polis(a, b) == polis(b, a) == pytest.approx(distance, abs=1e-12)


def test_vertices_are_pooled_over_the_pairs_and_closing_ones_count_once():
    triangle, pentagon = Polygon([(0, 0), (9, 0), (0, 9)]), Polygon([(0, 0), (9, 0), (9, 5), (5, 9), (0, 9)])
    assert vertex_ratio([triangle], [SQUARE], np.array([[0, 0]])) == 3 / 4
    pairs = np.array([[0, 1], [2, 0]])
    assert vertex_ratio([triangle, SQUARE, COURT], [SQUARE, pentagon], pairs) == (3 + 8) / (5 + 4)


def test_height_is_left_aside():
    high = Polygon([(0, 0, 3), (10, 0, 3), (10, 10, 9), (0, 10, 9)])
    assert polis(high, SQUARE) == 0
    assert vertex_ratio([high], [SQUARE], np.array([[0, 0]])) == 1


@pytest.mark.parametrize(
    ("polygon", "message"),
    [
        (None, "true polygon 1 is missing; give valid polygons"),
        (Point(0, 0), "true polygon 1 is a Point"),
        (MultiPolygon([SQUARE, box(20, 20, 30, 30)]), "true polygon 1 is a MultiPolygon; .*, parts of several one by"),
        (Polygon(), "true polygon 1 is empty"),
        (Polygon([(0, 0), (9, 9), (9, 0), (0, 9)]), r"true polygon 1 is invalid \(Self-intersection"),
    ],
)
def test_mistakes_are_named(polygon, message):
    for call in (polygon_overlaps, lambda a, b: polis_distances(a, b, np.array([[0, 0]]))):
        with pytest.raises(InputError, match=message):
            call([SQUARE], [SQUARE, polygon])
