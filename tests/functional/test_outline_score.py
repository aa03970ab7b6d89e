"""Perimeter and corners: counted pair by pair and disk by disk, and on what boundary F1 or IoU cannot see."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from scipy import ndimage

from crispmap.errors import SettingError
from crispmap.functional import (
    boundary_counts,
    boundary_f1,
    confusion_counts,
    corner_counts,
    corner_ratio,
    iou,
    perimeter_counts,
    perimeter_ratio,
)

SHAPES = [(1, 1), (1, 12), (9, 4), (12, 15), (17, 22)]
IN_DISK = [(down, right) for down in range(-4, 5) for right in range(-4, 5) if down**2 + right**2 <= 16]


def batch(*arrays):
    return torch.stack([torch.tensor(array, dtype=torch.bool) for array in arrays])


def pairs_by_definition(mask, valid):
    """Neighbours right and below with another label, both of them known."""
    height, width = mask.shape
    for row, column in itertools.product(range(height), range(width)):
        for y, x in ((row, column + 1), (row + 1, column)):
            if y < height and x < width and valid[row, column] and valid[y, x] and mask[row, column] != mask[y, x]:
                yield (row, column), (y, x)


def corners_by_definition(mask, valid):
    """How many pairs see, in the disks around both, a share of foreground that is not near one half."""
    height, width = mask.shape
    found = 0
    for pair in pairs_by_definition(mask, valid):
        around = [(row + down, column + right) for row, column in pair for down, right in IN_DISK]
        if all(0 <= y < height and 0 <= x < width and valid[y, x] for y, x in around):
            share = Fraction(sum(bool(mask[at]) for at in around), len(around))
            found += abs(share - Fraction(1, 2)) > Fraction(1, 8)
    return found


def blobs(seed, images=1, height=30, width=26, smooth=2.5):
    generator = np.random.default_rng(seed)
    return ndimage.gaussian_filter(generator.normal(size=(images, height, width)), (0, smooth, smooth)) > 0


def square(side=40, size=120, angle=0.0, radius=0.0):
    """A square in the middle of an image, turned by an angle in degrees, its corners rounded; (1, H, W).

    A pixel is foreground where more than half of its 4 × 4 parts are.
    """
    down, right = (np.mgrid[: 4 * size, : 4 * size] + 0.5) / 4 - size / 2
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    off = [np.maximum(abs(x) - (side / 2 - radius), 0) for x in (right * cos + down * sin, down * cos - right * sin)]
    inside = np.hypot(*off) <= radius
    return batch(inside.reshape(size, 4, size, 4).mean((1, 3)) > 0.5)


def comb(side=40, size=120):
    """The same square with teeth of 2 pixels, 2 pixels apart, on all sides."""
    mask, first, last = square(side, size), (size - side) // 2, (size + side) // 2
    teeth = torch.zeros(size, dtype=torch.bool)
    for start in range(first, last, 4):
        teeth[start : start + 2] = True
    for edge in (first - 2, last):
        mask[0, edge : edge + 2] |= teeth
        mask[0, :, edge : edge + 2] |= teeth[:, None]
    return mask


def f1_at(pred, truth, tolerance, convention="pixels"):
    return boundary_f1(boundary_counts(pred, truth, [tolerance], convention), convention).item()


def perimeter(pred, truth):
    return perimeter_ratio(perimeter_counts(pred, truth)).item()


def corners(pred, truth):
    return corner_ratio(corner_counts(pred, truth)).item()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("ignoring", [False, True])
def test_perimeter_is_the_number_of_unlike_neighbours(shape, ignoring, masks):
    generator = np.random.default_rng(1)
    for mask in masks(shape):
        valid = generator.random(shape) < 0.8 if ignoring else np.ones(shape, bool)
        counts = perimeter_counts(batch(mask), batch(~mask), batch(valid) if ignoring else None)
        expected = sum(1 for _ in pairs_by_definition(mask, valid))
        assert [count.tolist() for count in counts] == [[expected], [expected]]


@pytest.mark.parametrize("shape", SHAPES)
def test_corners_are_where_the_disk_is_not_half_full(shape, masks):
    for mask in masks(shape):
        expected = corners_by_definition(mask, np.ones(shape, bool))
        counts = corner_counts(batch(mask), batch(~mask))
        assert [count.tolist() for count in counts] == [[expected], [expected]]


@pytest.mark.parametrize("seed", range(3))
def test_corners_near_an_ignored_pixel_are_not_counted(seed):
    generator = np.random.default_rng(seed)
    pred, truth = blobs(seed, 2, smooth=1.5)
    valid = generator.random(pred.shape) < 0.996
    counts = corner_counts(batch(pred), batch(truth), batch(valid))
    expected = [corners_by_definition(mask, valid) for mask in (pred, truth)]
    assert [count.item() for count in counts] == expected
    assert all(
        0 < count < corners_by_definition(mask, valid | True)
        for count, mask in zip(expected, (pred, truth), strict=True)
    )
    for held in (True, False):
        assert (
            corner_counts(batch(np.where(valid, pred, held)), batch(truth), batch(valid)).predicted == counts.predicted
        )


def test_perimeter_of_a_square_and_of_single_teeth():
    plain = torch.zeros(1, 30, 30, dtype=torch.bool)
    plain[:, 2:18, 2:18] = True
    toothed = plain.clone()
    toothed[:, 1, 2:18:2] = True  # 8 teeth, one pixel wide and high, each two edges more
    counts = perimeter_counts(toothed, plain)
    assert (counts.predicted.item(), counts.true.item()) == (64 + 16, 64)
    assert perimeter_ratio(counts).item() == 1.25


def test_perimeter_does_not_count_the_image_border_or_ignored_pairs():
    mask = torch.zeros(1, 6, 8, dtype=torch.bool)
    mask[:, :, :4] = True
    valid = torch.ones_like(mask)
    assert perimeter_counts(mask, mask).true.item() == 6
    valid[:, 2, 4] = False
    assert perimeter_counts(mask, mask, valid).true.item() == 5
    valid[:, 3, 3] = False
    assert perimeter_counts(mask, mask, valid).true.item() == 4


@pytest.mark.parametrize(("count", "ratio"), [(perimeter_counts, perimeter_ratio), (corner_counts, corner_ratio)])
def test_ratios_are_pooled_and_undefined_without_true_outlines(count, ratio):
    empty, small, large = torch.zeros(1, 50, 50, dtype=torch.bool), square(20, 50), comb(20, 50)
    assert ratio(count(empty, empty)).isnan()
    assert ratio(count(small, empty)).isnan()
    assert ratio(count(empty, small)).item() == 0
    assert ratio(count(small, small)).item() == 1
    pooled = count(torch.cat([large, small, small]), torch.cat([small, large, empty]))
    lengths = [count(mask, mask).true.item() for mask in (large, small)]
    assert ratio(pooled).item() == pytest.approx((lengths[0] + 2 * lengths[1]) / sum(lengths), abs=1e-15)
    assert ratio(count(small[:0], small[:0])).isnan()


def cuts(length, generator):
    """All rows, or columns, in pieces of any length."""
    return list(itertools.pairwise([0, *sorted(set(generator.integers(1, length, 4).tolist())), length]))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("count", "before", "behind"), [(perimeter_counts, 0, 1), (corner_counts, 4, 5)])
def test_counts_of_tiles_add_up_to_those_of_the_whole(count, before, behind, seed):
    generator = np.random.default_rng(seed)
    pred, truth = (batch(*blobs(seed + k, 2, 60, 43)) for k in (0, 10))
    valid = batch(*(generator.random((2, 60, 43)) < 0.999))
    whole = torch.stack(count(pred, truth, valid))
    total = torch.zeros(2, 2, dtype=torch.int64)
    for (top, bottom), (left, after) in itertools.product(cuts(60, generator), cuts(43, generator)):
        low, first = max(0, top - before), max(0, left - before)
        window = (slice(None), slice(low, bottom + behind), slice(first, after + behind))
        counted = {"rows": slice(top - low, bottom - low), "cols": slice(left - first, after - first)}
        total += torch.stack(count(pred[window], truth[window], valid[window], **counted))
    assert torch.equal(total, whole)
    assert whole.all()


def test_very_wide_images_are_counted_like_narrow_ones():
    """Running totals of 70,000 pixels are more than int16 holds."""
    end = np.pad(blobs(4)[0], ((0, 0), (10, 0)), constant_values=True)
    wide = np.pad(end, ((0, 0), (70_000, 0)), constant_values=True)
    expected = corners_by_definition(end, np.ones(end.shape, bool))
    assert expected > 0
    assert corner_counts(batch(wide), batch(wide)).true.item() == expected
    assert corner_counts(batch(~wide), batch(wide)).predicted.item() == expected


def test_straight_outlines_have_no_corners_at_any_angle():
    down, right = np.mgrid[-20:21, -20:21]
    angles = np.radians(np.arange(0, 180, 2.5))
    offsets = np.random.default_rng(5).uniform(-1, 1, len(angles))
    halves = batch(*(right * math.cos(a) + down * math.sin(a) > off for a, off in zip(angles, offsets, strict=True)))
    counts = perimeter_counts(halves, halves)
    assert counts.true.min() >= 41
    assert not corner_counts(halves, halves).true.any()


@pytest.mark.parametrize("radius", [8, 9, 11.3, 16, 30])
def test_outlines_bent_with_a_radius_of_8_pixels_and_more_have_no_corners(radius):
    round_ones = square(2 * radius, 100, radius=radius)
    assert not corner_counts(round_ones, ~round_ones).true.any()


@pytest.mark.parametrize("angle", [0, 5, 10, 15, 20, 22.5, 26.565, 30, 37, 40, 45])
def test_corners_of_a_true_outline_at_any_angle(angle):
    turned = square(angle=angle)
    assert corners(turned, turned) == 1
    assert 0.5 <= corners(turned, square()) <= 1.5


def test_a_comb_is_boundary_f1_1_and_twice_as_long():
    """Teeth of 2 pixels at θ = 5, whose window reaches 2 pixels."""
    pred, truth = comb(), square()
    assert f1_at(pred, truth, 2) == 1
    assert perimeter(pred, truth) == 2
    assert corners(pred, truth) == pytest.approx(10, abs=1)


def test_rounded_corners_change_boundary_f1_little_perimeter_not_and_corners_wholly():
    pred, truth = square(100, 160, radius=12), square(100, 160)
    assert f1_at(pred, truth, 3, "csurka") == pytest.approx(0.965, abs=0.005)
    assert perimeter(pred, truth) == 1
    assert corners(pred, truth) <= 0.1


@pytest.mark.parametrize("gap", range(1, 7))
def test_a_filled_gap_between_neighbours_leaves_boundary_f1_high_and_takes_perimeter_and_corners(gap):
    pred = torch.zeros(1, 80, 140, dtype=torch.bool)
    pred[:, 20:60, 20 : 100 + gap] = True
    truth = pred.clone()
    truth[:, :, 60 : 60 + gap] = False
    assert f1_at(pred, truth, 2) == pytest.approx(0.88, abs=0.01)
    assert perimeter(pred, truth) == pytest.approx((80 + gap + 40) / 160, abs=1e-12)
    assert corners(pred, truth) < 0.6


def test_dots_leave_iou_high_and_are_most_of_the_perimeter_and_of_the_corners():
    truth = torch.zeros(1, 500, 500, dtype=torch.bool)
    truth[:, 20:220, 20:220] = True
    pred = truth.clone()
    pred[:, 240:480:8, 20:470:15] = True
    assert (pred & ~truth).sum() == 900
    assert iou(confusion_counts(pred, truth)).item() == pytest.approx(0.978, abs=5e-4)
    assert perimeter(pred, truth) == (800 + 4 * 900) / 800
    assert corners(pred, truth) > 100


def test_counts_are_whole_numbers():
    mask = torch.ones(3, 20, 9, dtype=torch.bool)
    for count in (perimeter_counts, corner_counts):
        assert [(part.dtype, tuple(part.shape)) for part in count(mask, mask)] == [(torch.int64, (3,))] * 2


@pytest.mark.parametrize("count", [perimeter_counts, corner_counts])
def test_mistakes_are_named(count):
    mask = torch.ones(1, 9, 9, dtype=torch.bool)
    with pytest.raises(SettingError, match=r"found pred torch.bool \(1, 9, 9\), truth torch.bool \(9, 9\)"):
        count(mask, mask[0])
    with pytest.raises(SettingError, match=r"valid torch.float32"):
        count(mask, mask, mask.float())
