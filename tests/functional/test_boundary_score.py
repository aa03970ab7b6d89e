"""Boundary counts and scores against SciPy, brute force and cases counted by hand."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from crispmap.errors import SettingError
from crispmap.functional import (
    boundary_counts,
    boundary_f1,
    boundary_f1_per_image,
    boundary_iou,
    boundary_iou_counts,
    boundary_match,
    perimeter_counts,
    perimeter_ratio,
)
from crispmap.functional.band_score import band_width

SHAPES = [(1, 1), (1, 12), (9, 4), (12, 15)]
TOLERANCES = (0.75, 1, 1.5, 3.0, 4.3, 1000.0)
NEIGHBOURS = ((-1, 0), (1, 0), (0, -1), (0, 1))


def batch(*arrays):
    return torch.stack([torch.tensor(array, dtype=torch.bool) for array in arrays])


def boundary_by_definition(mask, valid, border):
    """Foreground pixels with a background neighbour, pixel by pixel."""
    height, width = mask.shape
    found = []
    for row, column in np.argwhere(mask & valid):
        for down, right in NEIGHBOURS:
            y, x = row + down, column + right
            inside = 0 <= y < height and 0 <= x < width
            if (inside and valid[y, x] and not mask[y, x]) or (not inside and border):
                found.append((row, column))
                break
    return found


def counts_by_brute_force(pred, truth, tolerance, convention, valid):
    border = convention == "csurka"
    edges = [boundary_by_definition(mask, valid, border) for mask in (pred, truth)]

    def near(a, b):
        distance = math.dist(a, b)
        return distance < tolerance if convention == "csurka" else distance <= tolerance

    return [
        sum(any(near(a, b) for b in edges[1]) for a in edges[0]),
        len(edges[0]),
        sum(any(near(a, b) for b in edges[0]) for a in edges[1]),
        len(edges[1]),
    ]


@pytest.mark.parametrize("convention", ["csurka", "pixels"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("ignoring", [False, True])
def test_counts_equal_brute_force(convention, shape, ignoring, masks):
    generator = np.random.default_rng(1)
    for pred, truth in itertools.product(masks(shape), masks(shape)):
        valid = generator.random(shape) < 0.8 if ignoring else np.ones(shape, bool)
        counts = boundary_counts(batch(pred), batch(truth), TOLERANCES, convention, batch(valid) if ignoring else None)
        for i, tolerance in enumerate(TOLERANCES):
            found = [int(counts[0][0, i]), int(counts[1][0]), int(counts[2][0, i]), int(counts[3][0])]
            assert found == counts_by_brute_force(pred, truth, tolerance, convention, valid)


@pytest.mark.parametrize("tolerance", [0.75, 2.0, 3.0, 7.5, 30.0])
def test_csurka_equals_scipys_distance_transform(tolerance):
    generator = np.random.default_rng(2)
    smooth = ndimage.gaussian_filter(generator.random((2, 3, 90, 61)), (0, 0, 3, 3))
    pred, truth = smooth > 0.5
    counts = boundary_counts(batch(*pred), batch(*truth), [tolerance])
    scores = []
    for p, t, image in zip(pred, truth, range(3), strict=True):
        p_edge, t_edge = (m & ~ndimage.binary_erosion(m, ndimage.generate_binary_structure(2, 1)) for m in (p, t))
        p_hit = p_edge & (ndimage.distance_transform_edt(~t_edge) < tolerance)
        t_hit = t_edge & (ndimage.distance_transform_edt(~p_edge) < tolerance)
        assert [int(count[image]) for count in counts] == [x.sum() for x in (p_hit, p_edge, t_hit, t_edge)]
        precision, recall = p_hit.sum() / p_edge.sum(), t_hit.sum() / t_edge.sum()
        scores.append(2 * precision * recall / (precision + recall))
    assert boundary_f1(counts).item() == pytest.approx(np.mean(scores), abs=1e-14)


def test_the_two_conventions_differ_where_the_distance_equals_the_tolerance():
    pred, truth = torch.zeros(2, 1, 9, 9, dtype=torch.bool)
    pred[0, 4, 2] = truth[0, 4, 5] = True
    assert boundary_f1(boundary_counts(pred, truth, [3.0]), "csurka").item() == 0
    assert boundary_f1(boundary_counts(pred, truth, [3.0], "pixels"), "pixels").item() == 1


def test_an_object_cut_by_the_border_has_a_boundary_there_only_under_csurka():
    mask = torch.zeros(1, 6, 6, dtype=torch.bool)
    mask[:, :3] = True
    assert boundary_counts(mask, mask, [1.5], "pixels").true.item() == 6
    assert boundary_counts(mask, mask, [1.5], "csurka").true.item() == 14


@pytest.mark.parametrize(
    ("pred", "truth", "csurka", "pixels"),
    [(0, 0, math.nan, 1.0), (0, 1, math.nan, 0.0), (1, 0, math.nan, 0.0), (1, 1, 1.0, 1.0)],
)
def test_empty_cases(pred, truth, csurka, pixels):
    one = torch.zeros(1, 5, 5, dtype=torch.bool)
    one[:, 2, 2] = True
    pred, truth = one & bool(pred), one & bool(truth)
    for convention, expected in (("csurka", csurka), ("pixels", pixels)):
        score = boundary_f1(boundary_counts(pred, truth, [2.0], convention), convention).item()
        assert score == pytest.approx(expected, nan_ok=True)


def test_csurka_leaves_images_without_a_score_out_of_the_mean_and_pixels_pools():
    near, far, nothing = torch.zeros(3, 12, 12, dtype=torch.bool)
    near[1, 1] = True
    far[6:9, 6:9] = True
    pred, truth = torch.stack([near, near, nothing]), torch.stack([near, far, near])
    counts = boundary_counts(pred, truth, [2.0])
    assert boundary_f1_per_image(counts)[:, 0].tolist() == pytest.approx([1.0, 0.0, math.nan], nan_ok=True)
    assert boundary_f1(counts).item() == 0.5
    pooled = boundary_f1(boundary_counts(pred, truth, [2.0], "pixels"), "pixels").item()
    precision, recall = 1 / 2, 1 / (1 + 8 + 1)
    assert pooled == pytest.approx(2 * precision * recall / (precision + recall), abs=1e-15)


@pytest.mark.parametrize("convention", ["csurka", "pixels"])
def test_ignored_pixels_do_not_change_a_score_whatever_they_hold(convention):
    generator = torch.Generator().manual_seed(3)
    pred, truth, other = torch.rand(3, 2, 20, 31, generator=generator) < 0.5
    valid = torch.rand(2, 20, 31, generator=generator) < 0.7
    found = boundary_counts(pred, truth, [1.0, 2.5], convention, valid)
    changed = boundary_counts(pred.where(valid, other), truth.where(valid, ~other), [1.0, 2.5], convention, valid)
    for count, other_count in zip(found, changed, strict=True):
        assert torch.equal(count, other_count)
    nothing = boundary_counts(pred, truth, [1.0], convention, torch.zeros_like(valid))
    assert not any(count.any() for count in nothing)


def test_edge_picture_shows_what_the_counts_count():
    generator = torch.Generator().manual_seed(4)
    pred, truth, valid = torch.rand(3, 25, 40, generator=generator) < torch.tensor([0.5, 0.4, 0.9])[:, None, None]
    counts = boundary_counts(pred[None], truth[None], [1.0], "pixels", valid[None])
    match = boundary_match(pred, truth, 1.0, "pixels", valid)
    assert match.matched.sum() == counts.matched_predicted
    assert match.matched.sum() + match.spurious.sum() == counts.predicted
    assert match.missed.sum() == counts.true - counts.matched_true
    assert not (match.matched & match.spurious).any()
    assert match.matched.shape == (25, 40)


def boundary_band(mask, width):
    """Cheng et al.'s mask_to_boundary in SciPy: pad by one, erode as often as the band is wide."""
    padded = np.pad(mask, 1)
    eroded = ndimage.binary_erosion(padded, np.ones((3, 3)), iterations=width, border_value=1)
    return mask & ~eroded[1:-1, 1:-1]


@pytest.mark.parametrize("width", [1, 2, 5, 40, None])
@pytest.mark.parametrize("shape", [*SHAPES, (150, 60)])
def test_boundary_iou_equals_iterated_erosion(width, shape, masks):
    pixels = max(1, round(0.02 * math.hypot(*shape))) if width is None else width
    for pred, truth in itertools.product(masks(shape), masks(shape)):
        counts = boundary_iou_counts(batch(pred), batch(truth), width)
        pred_band, truth_band = boundary_band(pred, pixels), boundary_band(truth, pixels)
        union = (pred_band | truth_band).sum()
        assert [int(count) for count in counts] == [(pred_band & truth_band).sum(), union]
        expected = (pred_band & truth_band).sum() / union if union else math.nan
        assert boundary_iou(counts).item() == pytest.approx(expected, nan_ok=True, abs=1e-15)


def test_band_width_of_an_inria_tile_is_141_pixels():
    assert band_width(None, (5000, 5000)) == (141, 141)
    assert band_width(None, (10, 10)) == (1, 1)
    assert band_width(7, (10, 10)) == (7, 7)


def test_ignored_pixels_make_no_band():
    mask = torch.ones(1, 9, 9, dtype=torch.bool)
    mask[:, 4, 4] = False
    valid = mask.clone()
    framed = boundary_iou_counts(mask, mask, 1, valid)
    assert framed.union.item() == 32  # the frame of 9 by 9, and nothing around the hole
    assert boundary_iou_counts(mask, mask, 1).union.item() == 40


def square(size, side):
    mask = torch.zeros(1, size, size, dtype=torch.bool)
    mask[:, 2 : 2 + side, 2 : 2 + side] = True
    return mask


def test_perimeter_of_a_square_and_of_a_comb():
    plain, comb = square(30, 16), square(30, 16)
    comb[:, 1, 2:18:2] = True  # 8 teeth, one pixel wide and high, each two edges more
    counts = perimeter_counts(comb, plain)
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


def test_perimeter_ratio_is_undefined_without_true_outlines():
    empty, plain = torch.zeros(1, 30, 30, dtype=torch.bool), square(30, 5)
    assert math.isnan(perimeter_ratio(perimeter_counts(empty, empty)))
    assert math.isnan(perimeter_ratio(perimeter_counts(plain, empty)))
    assert perimeter_ratio(perimeter_counts(empty, plain)).item() == 0


def test_counts_are_whole_numbers():
    mask = square(20, 8)
    counts = [
        *boundary_counts(mask, mask, [1.0, 2.0]),
        *boundary_iou_counts(mask, mask),
        *perimeter_counts(mask, mask),
    ]
    assert {count.dtype for count in counts} == {torch.int64}
    assert [tuple(count.shape) for count in counts[:4]] == [(1, 2), (1,), (1, 2), (1,)]


def test_mistakes_are_named():
    mask = square(9, 3)
    with pytest.raises(SettingError, match=r"tolerance is 0; give a length greater than 0"):
        boundary_counts(mask, mask, [2.0, 0])
    with pytest.raises(SettingError, match=r"convention is 'matlab'; allowed are 'csurka', 'davis', 'pixels'"):
        boundary_counts(mask, mask, [2.0], "matlab")
    with pytest.raises(SettingError, match=r"width is 0"):
        boundary_iou_counts(mask, mask, 0)
    with pytest.raises(SettingError, match=r"found pred torch.bool \(1, 9, 9\), truth torch.bool \(9, 9\)"):
        perimeter_counts(mask, mask[0])
    with pytest.raises(SettingError, match=r"truth torch.float32"):
        boundary_counts(mask, mask.float(), [2.0])
