"""The offset of one label: recovered where known, equal to literal searches, withheld where unsure."""

import math

import numpy as np
import pytest
import shapely
from numpy.random import default_rng
from rasterio.features import rasterize
from scipy import ndimage

from crispmap.data.synthetic import displace_labels, render_scene
from crispmap.misregistration import Building, EdgeField, connected_buildings, offset_from_edges, offset_from_overlap
from crispmap.misregistration.buildings import overlay

SHAPE = (72, 80)


def house(right=0.0, down=0.0, turn=20.0, length=30, width=18, wing=True):
    """An L-shaped house in the middle of the grid, displaced by parts of pixels."""
    plan = shapely.box(-length / 2, -width / 2, length / 2, width / 2)
    if wing:
        plan = plan.union(shapely.box(-length / 2, 0, -length / 2 + 10, width))
    plan = shapely.affinity.rotate(plan, turn, origin=(0, 0))
    return shapely.affinity.translate(plan, SHAPE[1] / 2 + right, SHAPE[0] / 2 + down)


def drawn(polygon, shape=SHAPE):
    """The pixels whose centres lie in a polygon."""
    rows, cols = np.mgrid[: shape[0], : shape[1]] + 0.5
    return shapely.contains_xy(polygon, cols, rows)


def building_of(mask):
    (building,) = connected_buildings(mask)
    return building


def photograph(polygon, roof=(150, 120, 110), ground=(90, 120, 80), noise=4.0, seed=0):
    """A house from above, its outline between pixels blended by area, on even ground."""
    fine = drawn(shapely.affinity.scale(polygon, 8, 8, origin=(0, 0)), (8 * SHAPE[0], 8 * SHAPE[1]))
    share = fine.reshape(SHAPE[0], 8, SHAPE[1], 8).mean(axis=(1, 3))
    image = np.array(ground)[:, None, None] + (np.array(roof) - ground)[:, None, None] * share
    return (image + default_rng(seed).normal(0, noise, image.shape)).astype(np.float32)


NOTHING = np.zeros(SHAPE, bool)


# Labels against labels


@pytest.mark.parametrize(("right", "down"), [(0, 0), (3, -2), (-6, 5), (1.4, 0.3), (-2.6, -4.5), (0.5, 0.5)])
@pytest.mark.parametrize("turn", [0, 20, 45])
def test_overlap_recovers_an_offset(right, down, turn):
    label, truth = (building_of(drawn(house(*move, turn))) for move in ((right, down), (0, 0)))
    found = offset_from_overlap(label, truth)
    # walls along the grid cannot show parts of a pixel
    assert math.hypot(found.right - right, found.down - down) < (0.15 if turn else 0.75)
    assert found.error == 0


def test_the_best_overlap_is_that_of_a_literal_search():
    rng = default_rng(3)
    for _ in range(5):
        one = drawn(house(*rng.uniform(-3, 3, 2), rng.uniform(0, 25), 30, rng.uniform(16, 22)))
        two = drawn(house(0, 0, rng.uniform(0, 20), wing=False))
        soft_one, soft_two = (ndimage.gaussian_filter(mask.astype(float), 1.0) for mask in (one, two))
        costs = {
            (right, down): ((np.roll(soft_one, (down, right), (0, 1)) - soft_two) ** 2).sum()
            for right in range(-7, 8)
            for down in range(-7, 8)
        }
        best = min(costs, key=costs.get)
        found = offset_from_overlap(building_of(one), building_of(two), 8)
        assert abs(-found.right - best[0]) <= 0.5
        assert abs(-found.down - best[1]) <= 0.5


def test_a_label_drawn_too_small_is_found_in_the_middle():
    label, truth = building_of(drawn(house(0, 0).buffer(-2, join_style="mitre"))), building_of(drawn(house(3, 1)))
    found = offset_from_overlap(label, truth)
    assert (found.right, found.down) == pytest.approx((-3, -1), abs=0.3)


def test_labels_that_hardly_show_one_building_are_not_compared():
    label = building_of(drawn(house(0, 0)))
    assert offset_from_overlap(label, building_of(drawn(house(10, 0))), 8) is None  # out of reach
    assert offset_from_overlap(label, building_of(drawn(house(10, 0))), 12) is not None
    small = building_of(drawn(house(0, 0, wing=False)))
    for length, width, share in ((44, 28, 0.44), (36, 22, 0.68)):
        hall = building_of(drawn(house(0, 0, length=length, width=width, wing=False)))
        assert (small.mask.sum() / hall.mask.sum()) == pytest.approx(share, abs=0.02)
        assert (offset_from_overlap(small, hall) is None) == (share < 0.5)


# Labels against imagery


@pytest.mark.parametrize(("right", "down"), [(0, 0), (3, -2), (-6, 5), (1.4, 0.3), (-2.6, -4.5)])
@pytest.mark.parametrize("turn", [0, 20, 45])
def test_edges_give_an_offset(right, down, turn):
    found = offset_from_edges(
        building_of(drawn(house(right, down, turn))), EdgeField.of(photograph(house(0, 0, turn))), NOTHING
    )
    assert math.hypot(found.right - right, found.down - down) < (0.3 if turn else 0.75)
    assert found.error < 0.5


def test_the_best_alignment_is_that_of_a_literal_search():
    """E(d) in loops over pixels and bands, from the equation in the docstring."""
    image = photograph(house(0, 0), noise=12)
    label = drawn(house(2.2, -1.3))
    building, reach = building_of(label), 4
    gradient = [[ndimage.gaussian_filter(band, 0.7, order=order) for order in ((0, 1), (1, 0))] for band in image]
    length = np.sqrt(sum(part**2 for band in gradient for part in band))
    floor = 0.1 * np.median(length)
    across, along = (ndimage.gaussian_filter(label.astype(float), 1.0, order=order) for order in ((0, 1), (1, 0)))
    outline = [(r, c) for r, c in np.ndindex(*SHAPE) if math.hypot(across[r, c], along[r, c]) > 0.1]
    agreement = np.zeros((2 * reach + 1, 2 * reach + 1))
    for down, right in np.ndindex(agreement.shape):
        for r, c in outline:
            y, x = r + down - reach, c + right - reach
            norm = math.sqrt(sum((gx[y, x] * across[r, c] + gy[y, x] * along[r, c]) ** 2 for gx, gy in gradient))
            agreement[down, right] += norm / (length[y, x] + floor)  # |∇m| is the weight times the normal's length
    down, right = np.unravel_index(agreement.argmax(), agreement.shape)

    def summit(before, at, after):
        return (before - after) / (2 * (before - 2 * at + after))

    expected = (
        right - reach + summit(*agreement[down, right - 1 : right + 2]),
        down - reach + summit(*agreement[down - 1 : down + 2, right]),
    )
    found = offset_from_edges(building, EdgeField.of(image), NOTHING, reach)
    assert (-found.right, -found.down) == pytest.approx(expected, abs=2e-3)


def test_neither_contrast_nor_its_sign_nor_units_count():
    label, image = building_of(drawn(house(2, 1))), photograph(house())
    first = offset_from_edges(label, EdgeField.of(image), NOTHING)
    for other in (image * 300 + 1000, -image, image / 255, image * 1e28):
        assert offset_from_edges(label, EdgeField.of(other), NOTHING) == pytest.approx(first, abs=1e-3)


def test_a_roof_may_be_brighter_on_one_side_and_darker_on_another():
    label, image = building_of(drawn(house(2, 1))), photograph(house())
    ramp = np.linspace(-100, 100, SHAPE[1], dtype=np.float32)
    image[:, ~drawn(house())] += np.broadcast_to(ramp, SHAPE)[~drawn(house())]
    found = offset_from_edges(label, EdgeField.of(image), NOTHING)
    assert (found.right, found.down) == pytest.approx((2, 1), abs=0.4)


def test_flat_and_noisy_ground_give_no_offset():
    label = building_of(drawn(house()))
    assert offset_from_edges(label, EdgeField.of(np.full((3, *SHAPE), 80, np.float32)), NOTHING) is None
    for seed in range(150):
        noise = EdgeField.of(default_rng(seed).normal(0, 9, (3, *SHAPE)))
        assert offset_from_edges(label, noise, NOTHING) is None


def test_a_single_long_edge_leaves_the_way_along_it_open():
    image = np.zeros((1, *SHAPE), np.float32)
    image[:, :, 40:] = 100
    image += default_rng(0).normal(0, 3, image.shape)
    label = building_of(drawn(shapely.box(22, 20, 42, 52)))
    assert offset_from_edges(label, EdgeField.of(image), NOTHING) is None


def test_stripes_that_fit_at_several_places_give_no_offset():
    image = np.zeros((1, *SHAPE), np.float32)
    image[:, :, (np.arange(SHAPE[1]) // 5) % 2 == 0] = 100
    image += default_rng(0).normal(0, 3, image.shape)
    assert offset_from_edges(building_of(drawn(house(0, 0, 0))), EdgeField.of(image), NOTHING) is None


def test_only_known_ground_is_compared():
    label, image = building_of(drawn(house(2, 1))), photograph(house())
    clouded = image.copy()
    clouded[:, :, 58:] = np.nan
    found = offset_from_edges(label, EdgeField.of(clouded), NOTHING)
    assert (found.right, found.down) == pytest.approx((2, 1), abs=0.4)
    clouded[:, :, 38:] = np.nan
    assert offset_from_edges(label, EdgeField.of(clouded), NOTHING) is None
    ignored = NOTHING.copy()
    ignored[:, 38:] = True
    assert offset_from_edges(label, EdgeField.of(image, ignored), NOTHING) is None
    assert offset_from_edges(label, EdgeField.of(np.full((3, *SHAPE), np.nan)), NOTHING) is None


def test_a_building_at_the_border_is_measured_by_what_can_be_seen():
    image, mask = photograph(house()), drawn(house(2, 1))
    cut = EdgeField.of(image[:, :, :52])  # a part of the right-hand side is beyond the border
    found = offset_from_edges(building_of(mask[:, :52]), cut, NOTHING[:, :52])
    assert (found.right, found.down) == pytest.approx((2, 1), abs=0.4)
    rest = EdgeField.of(image[:, :, :28])
    assert offset_from_edges(building_of(mask[:, :28]), rest, NOTHING[:, :28]) is None


def test_party_walls_are_left_out():
    """Beside other labels an outline is not expected to show; the rest of it must do."""
    label = building_of(drawn(house(2, 1, 0, wing=False)))
    image = photograph(house(0, 0, 0, wing=False))
    beside = drawn(shapely.box(57, 20, 75, 52))
    assert offset_from_edges(label, EdgeField.of(image), beside).right == pytest.approx(2, abs=0.75)
    walls = shapely.box(10, 10, 70, 60)
    assert offset_from_edges(label, EdgeField.of(image), drawn(walls)) is None  # nothing of its outline is free


# Labels of synthetic scenes, whose offsets are known


@pytest.fixture(scope="module")
def displaced():
    """(image, buildings, truths, offsets in pixels) of scenes whose labels lie up to 5 px off, each by itself."""
    scenes = []
    for seed in range(6):
        scene = render_scene(seed, 0, 448)
        labels = displace_labels(scene, seed, 0, 1.5)
        drawings = [
            [_drawn_alone(f.polygon, scene) for f in footprints] for footprints in (labels.footprints, scene.footprints)
        ]
        offsets = np.array([f.offset for f in labels.footprints]) / 0.3 * (1, -1)  # north is up
        scenes.append((scene.image.astype(np.float32), *drawings, offsets))
    return scenes


def _drawn_alone(polygon, scene):
    mask = rasterize([polygon], scene.mask.shape, transform=scene.transform).astype(bool)
    rows, cols = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return Building(0, 0, np.zeros((1, 1), bool))
    box = np.s_[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1]
    return Building(int(rows[0]), int(cols[0]), mask[box])


def _is_whole(building, image):
    (top, left), (height, width) = building[:2], building.mask.shape
    return min(top, left) > 0 and top + height < image.shape[1] and left + width < image.shape[2]


def _errors(found, offsets):
    pairs = [(f.right - right, f.down - down) for f, (right, down) in zip(found, offsets, strict=True) if f is not None]
    return np.hypot(*np.array(pairs).T)


def test_labels_against_the_truth_recover_every_offset(displaced):
    errors, whole = [], 0
    for image, labels, truths, offsets in displaced:
        inside = [_is_whole(a, image) and _is_whole(b, image) for a, b in zip(labels, truths, strict=True)]
        whole += sum(inside)
        found = [offset_from_overlap(a, b) if ok else None for a, b, ok in zip(labels, truths, inside, strict=True)]
        errors.append(_errors(found, offsets))
    errors = np.concatenate(errors)
    assert len(errors) == whole > 50
    assert np.median(errors) < 0.1
    assert errors.max() < 0.6


@pytest.mark.parametrize("noise", [0, 12])
def test_labels_against_imagery_recover_most_offsets(displaced, noise):
    errors, labelled = [], 0
    for image, labels, _, offsets in displaced:
        edges = EdgeField.of(image + default_rng(0).normal(0, noise, image.shape))
        count = overlay(labels, image.shape[1:])
        found = []
        for label in labels:
            others = count > 0
            others[label.box] = count[label.box] > label.mask
            found.append(offset_from_edges(label, edges, others))
        assert max(f.error for f in found if f is not None) <= 0.75
        errors.append(_errors(found, offsets))
        labelled += len(labels)
    errors = np.concatenate(errors)
    assert len(errors) > 0.35 * labelled > 50
    assert np.median(errors) < 0.3
    assert (errors > 1).mean() < 0.06


def test_labels_at_random_places_are_rarely_believed(displaced):
    rng = default_rng(0)
    believed, thrown = 0, 0
    for image, labels, _, _ in displaced:
        edges, nothing = EdgeField.of(image), np.zeros(image.shape[1:], bool)
        for label in labels:
            row, col = (int(rng.integers(12, max(13, 436 - side))) for side in label.mask.shape)
            believed += offset_from_edges(Building(row, col, label.mask), edges, nothing) is not None
            thrown += 1
    assert believed < 0.08 * thrown


def test_the_error_says_how_far_off_a_measurement_is():
    """Over many draws of the noise, the stated error is about the spread of what was found, and not far below."""
    image = photograph(house(), noise=0)
    label, found = building_of(drawn(house(1.7, -0.6))), []
    for seed in range(30):
        noisy = image + default_rng(seed).normal(0, 20, image.shape)
        found.append(offset_from_edges(label, EdgeField.of(noisy), NOTHING))
    assert None not in found
    spread = np.hypot(*np.std([(f.right, f.down) for f in found], axis=0))
    stated = np.mean([f.error for f in found])
    assert 0.5 * spread < stated < 4 * spread
