"""Objects and their matches against flood fill, sets of pixels, exact fractions and other people's counts."""

import itertools
import math
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
import torch
from scipy import ndimage
from scipy.optimize import linear_sum_assignment
from skimage.measure import label as skimage_label
from torchmetrics.detection import PanopticQuality

from crispmap.errors import SettingError
from crispmap.functional.object_score import (
    AP_THRESHOLDS,
    ObjectCounts,
    Overlaps,
    average_precision,
    label_objects,
    match_objects,
    matched_pairs,
    object_f1,
    object_overlaps,
    object_precision,
    object_recall,
)

MANY_THRESHOLDS = (0.05, 0.2, 0.3, 1 / 3, 0.4, *AP_THRESHOLDS, 1.0)


def flood_fill(mask):
    """Components by 4-connectivity, each a set of pixels, in the order of their first pixels."""
    left = dict.fromkeys(map(tuple, np.argwhere(mask).tolist()))
    found = []
    while left:
        todo, component = [next(iter(left))], set()
        while todo:
            pixel = todo.pop()
            if pixel in left:
                del left[pixel]
                component.add(pixel)
                todo += [(pixel[0] + y, pixel[1] + x) for y, x in ((-1, 0), (1, 0), (0, -1), (0, 1))]
        found.append(component)
    return found


def blobs(seed, shape=(60, 80), spread=2.0):
    """A smooth random mask and one that is near it."""
    generator = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(generator.random((2, *shape)), (0, spread, spread))
    smooth = (smooth - 0.5) / smooth.std()
    return smooth[0] > 0.3, smooth[0] + 0.5 * smooth[1] > 0.3


def table_by_sets(preds, trues):
    return {(i, j): len(a & b) for i, a in enumerate(preds) for j, b in enumerate(trues) if a & b}


def counts_by_definition(preds, trues, threshold):
    """(true positives, merged, split), and the matched pairs, from sets of pixels."""
    shared = table_by_sets(preds, trues)
    ious = {(i, j): Fraction(area, len(preds[i] | trues[j])) for (i, j), area in shared.items()}
    matches = []
    for iou, i, j in sorted((-iou, i, j) for (i, j), iou in ious.items()):
        taken = any(i == a or j == b for a, b in matches)
        if -iou >= Fraction(str(threshold)) and not taken:
            matches.append((i, j))

    def holders(objects, others):
        found = 0
        for one in objects:
            parts = [len(one & other) for other in others if len(one & other) > len(other) / 2]
            found += sum(10 * part >= max(parts) for part in parts) >= 2
        return found

    return len(matches), holders(preds, trues), holders(trues, preds), sorted(matches)


def test_labels_are_those_of_a_flood_fill_in_reading_order(masks):
    for shape in ((1, 1), (1, 12), (9, 4), (23, 31)):
        for mask in masks(shape):
            for same in (mask, np.asfortranarray(mask), np.flip(np.flip(mask).copy())):
                labels = label_objects(same)
                assert labels.dtype == np.int32
                expected = np.zeros(shape, int)
                for number, component in enumerate(flood_fill(mask), 1):
                    expected[tuple(np.transpose(list(component)))] = number
                np.testing.assert_array_equal(labels, expected)
                np.testing.assert_array_equal(labels, skimage_label(mask, connectivity=1))


@pytest.mark.parametrize("min_area", [0, 1, 4, 20, 10_000])
def test_overlaps_equal_sets_of_pixels(min_area, masks):
    for pred, true in itertools.chain(itertools.product(masks((12, 15)), repeat=2), map(blobs, range(4))):
        preds, trues = ([o for o in flood_fill(mask) if len(o) >= min_area] for mask in (pred, true))
        found = object_overlaps(label_objects(pred), label_objects(true), min_area)
        assert found.pred_areas.tolist() == [len(o) for o in preds]
        assert found.true_areas.tolist() == [len(o) for o in trues]
        pairs = list(map(tuple, found.pairs.tolist()))
        assert pairs == sorted(pairs)
        assert dict(zip(pairs, found.areas.tolist(), strict=True)) == table_by_sets(preds, trues)
        assert {array.dtype for array in vars(found).values()} == {np.dtype(np.int64)}


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.int64])
def test_labels_may_be_any_numbers_and_are_taken_in_rising_order(dtype):
    pred = np.array([[200, 200, 0, 7], [0, 200, 0, 7]], dtype)
    true = np.array([[9, 9, 9, 9], [0, 0, 120, 0]], dtype)
    found = object_overlaps(pred, true)
    assert found.pred_areas.tolist() == [2, 3]
    assert found.true_areas.tolist() == [4, 1]
    assert found.pairs.tolist() == [[0, 0], [1, 0]]
    assert found.areas.tolist() == [1, 2]


@pytest.mark.parametrize("threshold", MANY_THRESHOLDS)
def test_counts_equal_their_definition(threshold):
    for seed in range(6):
        pred, true = blobs(seed, (40, 50), 1.5)
        overlaps = object_overlaps(label_objects(pred), label_objects(true))
        preds, trues = flood_fill(pred), flood_fill(true)
        hits, merged, split, matches = counts_by_definition(preds, trues, threshold)
        counts = match_objects(overlaps, (0.9, threshold))
        assert counts.true_positive[1] == hits
        assert counts.false_positive[1] == len(preds) - hits
        assert counts.false_negative[1] == len(trues) - hits
        assert (counts.merged, counts.split) == (merged, split)
        assert (counts.predicted, counts.true) == (len(preds), len(trues))
        assert list(map(tuple, matched_pairs(overlaps, threshold).tolist())) == matches
        assert counts.true_positive.dtype == np.int64


def test_the_definition_is_put_to_the_test():
    """That the random masks above have mergers, splits, misses, and objects with more than one possible partner."""
    seen = Counter()
    for seed in range(6):
        overlaps = object_overlaps(*map(label_objects, blobs(seed, (40, 50), 1.5)))
        counts = match_objects(overlaps, [0.05])
        seen.update(merged=counts.merged, split=counts.split, missed=int(counts.false_negative[0]))
        near = overlaps.areas / overlaps.unions >= 0.05
        seen.update(rivals=int((np.unique(overlaps.pairs[near, 0], return_counts=True)[1] > 1).sum()))
    assert all(seen[name] > 3 for name in ("merged", "split", "missed", "rivals"))


@pytest.mark.parametrize("threshold", [0.5, 0.55, 0.75])
def test_from_half_on_no_assignment_finds_more_matches(threshold):
    total = 0
    noise = [np.random.default_rng(seed).random((2, 40, 50)) < 0.35 for seed in range(3)]  # small objects: many ties
    for masks_of_image in [*noise, *(blobs(seed, (100, 120), 3.0) for seed in range(8))]:
        overlaps = object_overlaps(*map(label_objects, masks_of_image))
        possible = np.zeros((len(overlaps.pred_areas), len(overlaps.true_areas)))
        possible[tuple(overlaps.pairs.T)] = overlaps.areas / overlaps.unions >= threshold
        best = possible[linear_sum_assignment(-possible)].sum()
        assert match_objects(overlaps, [threshold]).true_positive[0] == best
        total += best
    assert total > 20


def one_pair(intersection, union, dtype=np.int64):
    areas = np.array([[intersection], [union - 1], [intersection + 1]], dtype)
    return Overlaps(areas[1], areas[2], np.array([[0, 0]]), areas[0])


@pytest.mark.parametrize("threshold", [0.3, 1 / 3, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.999999])
@pytest.mark.parametrize("scale", [1, 7, 1000, 123_457])
def test_a_threshold_that_is_hit_exactly_counts_and_one_missed_by_a_pixel_does_not(threshold, scale):
    share = Fraction(1, 3) if threshold == 1 / 3 else Fraction(str(threshold))
    hit, union = share.numerator * scale * 2, share.denominator * scale * 2
    assert match_objects(one_pair(hit, union), [threshold]).true_positive.tolist() == [1]
    assert match_objects(one_pair(hit - 1, union), [threshold]).true_positive.tolist() == [0]
    assert match_objects(one_pair(hit, union, float), [np.float32(threshold)]).true_positive.tolist() == [1]


def test_objects_as_large_as_the_largest_rasters_are_compared_exactly():
    union = 2 * 10**12
    assert match_objects(one_pair(union * 999_999 // 10**6, union), [0.999999]).true_positive[0] == 1
    assert match_objects(one_pair(union * 999_999 // 10**6 - 1, union), [0.999999]).true_positive[0] == 0


def test_areas_of_polygons_may_fall_short_by_rounding():
    assert match_objects(one_pair(1.0 - 1e-12, 2.0, float), [0.5]).true_positive[0] == 1
    assert match_objects(one_pair(1.0 - 1e-6, 2.0, float), [0.5]).true_positive[0] == 0


def test_each_object_has_one_partner_the_best_one_and_of_equals_the_first():
    true = np.array([[1, 1, 2, 2]])
    counts = match_objects(object_overlaps(np.ones((1, 4), int), true), [0.5, 0.2])
    assert counts.true_positive.tolist() == [1, 1]
    assert counts.false_negative.tolist() == [1, 1]
    assert matched_pairs(object_overlaps(np.ones((1, 4), int), true)).tolist() == [[0, 0]]
    better_second = np.array([[1, 2, 2, 2]])
    assert matched_pairs(object_overlaps(np.ones((1, 4), int), better_second), 0.2).tolist() == [[0, 1]]


def scene(*boxes):
    """Labels 1, 2, … in boxes (row, column, height, width); later ones lie on top."""
    labels = np.zeros((40, 400), int)
    for number, (row, col, height, width) in enumerate(boxes, 1):
        labels[row : row + height, col : col + width] = number
    return labels


HOUSE = (5, 5, 20, 20)
TERRACE = [(5, 5 + 12 * i, 10, 10) for i in range(30)]


@pytest.mark.parametrize(
    ("pred", "true", "merged"),
    [
        pytest.param([HOUSE], [HOUSE], 0, id="one"),
        pytest.param([(5, 5, 20, 20)], [(5, 5, 20, 10), (5, 15, 20, 10)], 1, id="two halves"),
        pytest.param([(5, 5, 20, 20)], [(5, 5, 20, 9), (5, 15, 20, 10)], 1, id="a gap filled"),
        pytest.param([(5, 5, 20, 20)], [(5, 5, 20, 12), (5, 17, 20, 8)], 1, id="one of them matched"),
        pytest.param([(5, 5, 10, 358)], TERRACE, 1, id="thirty terraced houses"),
        pytest.param([(5, 5, 10, 118), (5, 125, 10, 118)], TERRACE, 2, id="two terraces"),
        pytest.param([(0, 0, 40, 400)], TERRACE, 1, id="everything"),
        pytest.param([(5, 5, 20, 20)], [HOUSE, (7, 7, 2, 2)], 0, id="a speck on a house"),
        pytest.param([(5, 5, 20, 24)], [HOUSE, (5, 26, 5, 3)], 0, id="a shed beside a house"),
        pytest.param([(5, 5, 20, 24)], [HOUSE, (5, 26, 20, 3)], 1, id="an annexe of more than a tenth"),
        pytest.param([(5, 5, 20, 24)], [HOUSE, (5, 26, 20, 2)], 1, id="an annexe of a tenth"),
        pytest.param([(5, 5, 20, 24)], [HOUSE, (5, 26, 13, 3)], 0, id="an annexe of just less"),
        pytest.param([(5, 5, 20, 25)], [HOUSE, (5, 25, 20, 10)], 0, id="half of the neighbour"),
        pytest.param([(5, 5, 20, 26)], [HOUSE, (5, 25, 20, 10)], 1, id="more than half of the neighbour"),
        pytest.param([(5, 5, 20, 10), (5, 15, 20, 10)], [HOUSE], 0, id="a split is no merger"),
        pytest.param([], [HOUSE, (5, 30, 5, 5)], 0, id="nothing"),
    ],
)
def test_mergers_and_their_mirror_images_splits(pred, true, merged):
    counts = match_objects(object_overlaps(scene(*pred), scene(*true)))
    mirrored = match_objects(object_overlaps(scene(*true), scene(*pred)))
    assert counts.merged == mirrored.split == merged
    if len(pred) == 1:
        assert counts.split == mirrored.merged == 0


def test_scores_by_hand():
    pred = scene(HOUSE, (5, 40, 10, 10), (30, 60, 3, 3))  # right; IoU 2/3; spurious
    true = scene(HOUSE, (5, 40, 10, 15), (5, 80, 9, 9), (30, 90, 9, 9))
    counts = match_objects(object_overlaps(pred, true), [0.5, 0.75])
    np.testing.assert_allclose(object_precision(counts), [2 / 3, 1 / 3])
    np.testing.assert_allclose(object_recall(counts), [2 / 4, 1 / 4])
    np.testing.assert_allclose(object_f1(counts), [4 / 7, 2 / 7])
    assert average_precision(counts) == pytest.approx((2 / 5 + 1 / 6) / 2)
    assert average_precision(match_objects(object_overlaps(pred, true), AP_THRESHOLDS)) == pytest.approx(
        (4 * 2 / 5 + 6 * 1 / 6) / 10
    )


@pytest.mark.parametrize(("pred", "true", "score"), [(0, 0, math.nan), (0, 1, 0.0), (1, 0, 0.0), (1, 1, 1.0)])
def test_empty_cases(pred, true, score):
    counts = match_objects(object_overlaps(scene(HOUSE) * pred, scene(HOUSE) * true), AP_THRESHOLDS)
    for rate in (object_precision, object_recall, object_f1):
        np.testing.assert_array_equal(rate(counts), np.full(10, score))
    assert average_precision(counts) == pytest.approx(score, nan_ok=True)


def bowl_score(pred, true):
    """The Data Science Bowl's score of an image: intersections in a histogram of two dimensions."""
    bins = pred.max() + 1, true.max() + 1
    shared = np.histogram2d(pred.ravel(), true.ravel(), bins=bins)[0]
    union = shared.sum(1, keepdims=True) + shared.sum(0, keepdims=True) - shared
    iou = shared[1:, 1:] / union[1:, 1:]
    precisions = []
    for threshold in np.arange(0.5, 1.0, 0.05):
        matched = iou > threshold
        hits = (matched.sum(1) == 1).sum()
        precisions.append(hits / (hits + (matched.sum(0) == 0).sum() + (matched.sum(1) == 0).sum()))
    return np.mean(precisions)


def without_ties(overlaps):
    ious = overlaps.areas / overlaps.unions
    return not np.isclose(ious[:, None], AP_THRESHOLDS, atol=1e-9).any()


def test_average_precision_is_that_of_the_data_science_bowl():
    compared = 0
    for seed in range(12):
        pred, true = map(label_objects, blobs(seed, (100, 120), 3.0))
        overlaps = object_overlaps(pred, true)
        if without_ties(overlaps):
            found = average_precision(match_objects(overlaps, AP_THRESHOLDS))
            assert found == pytest.approx(bowl_score(pred, true), abs=1e-12)
            compared += 1
    assert compared > 3


def test_f1_at_half_is_the_recognition_quality_of_panoptic_segmentation():
    compared = 0
    for seed in range(12):
        pred, true = map(label_objects, blobs(seed, (100, 120), 3.0))
        overlaps = object_overlaps(pred, true)
        if without_ties(overlaps):
            metric = PanopticQuality(things={1}, stuffs={0}, return_sq_and_rq=True, return_per_class=True)
            shown = [torch.tensor(np.stack([labels > 0, labels], -1))[None] for labels in (pred, true)]
            expected = metric(*shown)[0, 2].item()
            assert object_f1(match_objects(overlaps))[0] == pytest.approx(expected, abs=1e-6)
            compared += 1
    assert compared > 3


def test_images_joined_count_like_the_sum_of_their_counts():
    nothing = np.zeros((4, 4), bool)
    images = [*map(blobs, range(3)), (nothing, nothing), (np.ones((4, 4), bool), nothing), blobs(5)]
    tables = [object_overlaps(label_objects(pred), label_objects(true)) for pred, true in images]
    joined = match_objects(Overlaps.joined(tables), MANY_THRESHOLDS)
    summed = ObjectCounts.summed([match_objects(table, MANY_THRESHOLDS) for table in tables])
    for name, value in vars(joined).items():
        np.testing.assert_array_equal(value, getattr(summed, name))
    assert joined.predicted == sum(len(table.pred_areas) for table in tables) > 20


def test_images_joined_are_the_images_side_by_side():
    images = [blobs(seed) for seed in range(3)]
    gap = np.zeros((3, 80), bool)
    pred, true = (np.concatenate([part for image in images for part in (image[side], gap)]) for side in (0, 1))
    whole = object_overlaps(label_objects(pred), label_objects(true))
    joined = Overlaps.joined([object_overlaps(label_objects(p), label_objects(t)) for p, t in images])
    for name, value in vars(whole).items():
        np.testing.assert_array_equal(value, getattr(joined, name))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: label_objects(np.zeros((3, 3))), r"mask must be bool and \(H, W\); found float64 \(3, 3\)"),
        (lambda: label_objects(np.zeros((1, 3, 3), bool)), r"found bool \(1, 3, 3\)"),
        (
            lambda: object_overlaps(np.zeros((3, 3), int), np.zeros((3, 4), int)),
            r"of one shape; found \(3, 3\) and \(3, 4\)",
        ),
        (lambda: object_overlaps(np.zeros((3, 3), bool), np.zeros((3, 3), int)), "integers of at least 0; found bool"),
        (lambda: object_overlaps(np.zeros((3, 3), int), np.full((3, 3), -1)), "found int64 from -1; label_objects"),
        (lambda: match_objects(one_pair(1, 2), []), "no threshold of IoU; give at least one"),
        (lambda: match_objects(one_pair(1, 2), [0.5, 0]), "threshold of IoU is 0; give a number greater than 0"),
        (lambda: matched_pairs(one_pair(1, 2), math.nan), "threshold of IoU is nan"),
        (lambda: matched_pairs(one_pair(1, 2), 50), "threshold of IoU is 50"),
    ],
)
def test_mistakes_are_named(call, message):
    with pytest.raises(SettingError, match=message):
        call()
