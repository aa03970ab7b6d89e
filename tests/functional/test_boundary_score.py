"""Boundary counts and scores against SciPy, scikit-image, brute force and cases counted by hand."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import ndimage
from skimage.morphology import dilation, disk

from crispmap.errors import SettingError
from crispmap.functional import (
    BoundaryCounts,
    area_under_curve,
    boundary_counts,
    boundary_distances,
    boundary_f1,
    boundary_f1_per_image,
    boundary_match,
    boundary_scores,
    boundary_scores_per_image,
)
from crispmap.functional.conventions import rules_of

CONVENTIONS = ("csurka", "davis", "pixels")
SHAPES = [(1, 1), (1, 12), (9, 4), (12, 15)]
TOLERANCES = (0.75, 1, 1.5, 3.0, 4.3, 1000.0)
NEIGHBOURS = ((-1, 0), (1, 0), (0, -1), (0, 1))


def batch(*arrays):
    return torch.stack([torch.tensor(array, dtype=torch.bool) for array in arrays])


def inner_by_definition(mask, valid, border):
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


def forward_by_definition(mask, valid):
    """Pixels unlike the one right, below or right below, as far as these are in the image, pixel by pixel.

    The last row looks to the right only and the last column down only, so the last pixel of all is never one.
    """
    height, width = mask.shape
    found = []
    for row, column in itertools.product(range(height), range(width)):
        later = [(row + down, column + right) for down, right in ((0, 1), (1, 0), (1, 1))]
        later = [(y, x) for y, x in later if y < height and x < width]
        if valid[row, column] and any(valid[at] and mask[at] != mask[row, column] for at in later):
            found.append((row, column))
    return found


def boundary_by_definition(mask, valid, convention):
    if convention == "davis":
        return forward_by_definition(mask, valid)
    return inner_by_definition(mask, valid, border=convention == "csurka")


def distances_by_brute_force(pred, truth, convention, valid, spacing=(1, 1)):
    """For each side its boundary pixels and how far each is from the nearest of the other side."""
    edges = [boundary_by_definition(mask, valid, convention) for mask in (pred, truth)]
    places = [[(row * spacing[0], column * spacing[1]) for row, column in edge] for edge in edges]
    return [
        [
            (tuple(map(int, at)), min((math.dist(place, other) for other in places[1 - side]), default=math.inf))
            for at, place in zip(edges[side], places[side], strict=True)
        ]
        for side in (0, 1)
    ]


def is_match(distance, tolerance, convention):
    return distance < tolerance if convention == "csurka" else distance <= tolerance


def counts_of(sides, tolerance, convention):
    return [count for side in sides for count in (sum(is_match(d, tolerance, convention) for _, d in side), len(side))]


def numbers(counts, image=0, place=0):
    """The four counts of an image at a tolerance."""
    return [int(count[image, place] if count.ndim == 2 else count[image]) for count in counts]


def blobs(seed, images=2, height=60, width=43):
    """Smooth masks, and others that are near them."""
    generator = np.random.default_rng(seed)
    field, other = ndimage.gaussian_filter(generator.normal(size=(2, images, height, width)), (0, 0, 3, 3))
    return field > 0, field + other > 0


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("ignoring", [False, True])
def test_counts_equal_brute_force(convention, shape, ignoring, masks):
    generator = np.random.default_rng(1)
    for pred, truth in itertools.product(masks(shape), masks(shape)):
        valid = generator.random(shape) < 0.8 if ignoring else np.ones(shape, bool)
        counts = boundary_counts(batch(pred), batch(truth), TOLERANCES, convention, batch(valid) if ignoring else None)
        sides = distances_by_brute_force(pred, truth, convention, valid)
        for i, tolerance in enumerate(TOLERANCES):
            assert numbers(counts, 0, i) == counts_of(sides, tolerance, convention)


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
        assert numbers(counts, image) == [x.sum() for x in (p_hit, p_edge, t_hit, t_edge)]
        precision, recall = p_hit.sum() / p_edge.sum(), t_hit.sum() / t_edge.sum()
        scores.append([precision, recall, 2 * precision * recall / (precision + recall)])
    found = torch.cat(boundary_scores(counts))
    assert found.tolist() == pytest.approx(np.mean(scores, 0).tolist(), abs=1e-14)
    assert torch.equal(found[2:], boundary_f1(counts))


def davis_scores(pred, truth, share):
    """The contour accuracy of the DAVIS benchmark, as it is published, on dilated boundary maps."""
    everywhere = np.ones(pred.shape, bool)
    edges = np.zeros((2, *pred.shape), bool)
    for edge, mask in zip(edges, (pred, truth), strict=True):
        for at in forward_by_definition(mask, everywhere):
            edge[at] = True
    near = disk(math.ceil(share * math.hypot(*pred.shape)))
    precision = recall = 1.0
    if edges[0].any() or edges[1].any():
        precision, recall = float(not edges[0].any()), float(not edges[1].any())
    if edges[0].any() and edges[1].any():
        precision = (edges[0] & dilation(edges[1], near)).sum() / edges[0].sum()
        recall = (edges[1] & dilation(edges[0], near)).sum() / edges[1].sum()
    return [precision, recall, 2 * precision * recall / (precision + recall) if precision + recall else 0.0]


@pytest.mark.parametrize("shape", [*SHAPES, (40, 61)])
def test_davis_equals_dilated_boundary_maps(shape, masks):
    pairs = list(zip(*blobs(8, 3, *shape), strict=True))
    pairs += (
        zip(masks(shape), masks(shape), strict=True)
        if shape == (40, 61)
        else itertools.product(masks(shape), masks(shape))
    )
    pred, truth = (batch(*side) for side in zip(*pairs, strict=True))
    for share, tolerance in ((0.008, None), (0.008, "0.8%"), (0.031, "3.1%"), (0.2, "20%")):
        given = rules_of("davis").tolerance if tolerance is None else tolerance
        counts = boundary_counts(pred, truth, [given], "davis")
        found = torch.cat(boundary_scores_per_image(counts, "davis"), 1)
        expected = np.array([davis_scores(*pair, share) for pair in pairs])
        np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=1e-14)
        of_all = torch.cat(boundary_scores(counts, "davis"))
        np.testing.assert_allclose(of_all.numpy(), expected.mean(0), rtol=0, atol=1e-14)


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.5, 0.5), (0.5, 0.3)])
def test_tolerances_in_metres_are_measured_on_the_ground(convention, spacing, masks):
    shape = (9, 12)
    everywhere = np.ones(shape, bool)
    for pred, truth in itertools.product(masks(shape), masks(shape)):
        sides = distances_by_brute_force(pred, truth, convention, everywhere, spacing)
        for metres in (0.55, 1.0, 1.31, 40.0):
            counts = boundary_counts(batch(pred), batch(truth), [f"{metres}m"], convention, pixel_size=spacing)
            assert numbers(counts) == counts_of(sides, metres, convention)


@pytest.mark.parametrize(("convention", "matched"), [("csurka", False), ("davis", True), ("pixels", True)])
@pytest.mark.parametrize("pixel_size", [(0.1, 0.1), (0.5, 0.1), (0.3, 0.3), (0.5, 0.3)])
def test_a_distance_of_whole_pixels_can_equal_a_tolerance_in_metres(convention, matched, pixel_size):
    """In doubles 3 pixels of 0.1 m are 0.30000000000000004 m, and 3 of 0.3 m are 0.8999999999999999 m."""
    pred, truth = torch.zeros(2, 1, 9, 9, dtype=torch.bool)
    pred[0, 4, 2] = truth[0, 4, 5] = True
    tolerances = [f"{steps * pixel_size[1]:.1f}m" for steps in (3, 4)]
    counts = boundary_counts(pred, truth, tolerances, convention, pixel_size=pixel_size)
    assert (counts.matched_true[0] == counts.true[0]).tolist() == [matched, True]


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("pixel_size", [(0.5, 0.5), (0.5, 0.3)])
def test_several_tolerances_at_once_equal_one_by_one(convention, pixel_size):
    pred, truth = (batch(*side) for side in blobs(3))
    valid = batch(*(np.random.default_rng(3).random((2, 60, 43)) < 0.97))
    tolerances = ["3m", 1.5, "0.75%", 4, "0.7m", "5%", 1000]
    together = boundary_counts(pred, truth, tolerances, convention, valid, pixel_size=pixel_size)
    for i, tolerance in enumerate(tolerances):
        alone = boundary_counts(pred, truth, [tolerance], convention, valid, pixel_size=pixel_size)
        for image in range(2):
            assert numbers(together, image, i) == numbers(alone, image)
    assert len(set(together.matched_predicted[0].tolist())) >= 4


def test_the_conventions_differ_where_the_distance_equals_the_tolerance():
    pred, truth = torch.zeros(2, 1, 9, 9, dtype=torch.bool)
    pred[0, 4, 2] = truth[0, 4, 5] = True
    scores = {name: boundary_f1(boundary_counts(pred, truth, [3.0], name), name).item() for name in CONVENTIONS}
    assert scores["csurka"] < 1
    assert scores["davis"] == scores["pixels"] == 1
    assert boundary_f1(boundary_counts(pred, truth, [3.0], "csurka"), "csurka").item() == 0


def test_an_object_cut_by_the_border_has_a_boundary_there_only_under_csurka():
    mask = torch.zeros(1, 6, 6, dtype=torch.bool)
    mask[:, :3] = True
    assert boundary_counts(mask, mask, [1.5], "pixels").true.item() == 6
    assert boundary_counts(mask, mask, [1.5], "davis").true.item() == 6
    assert boundary_counts(mask, mask, [1.5], "csurka").true.item() == 14


NAN = math.nan


@pytest.mark.parametrize(
    ("pred", "truth", "csurka", "others"),
    [
        (0, 0, (NAN, NAN, NAN), (1, 1, 1)),
        (0, 1, (NAN, NAN, NAN), (1, 0, 0)),
        (1, 0, (NAN, NAN, NAN), (0, 1, 0)),
        (1, 1, (1, 1, 1), (1, 1, 1)),
    ],
)
@pytest.mark.parametrize("reduction", [None, "image", "pooled"])
def test_empty_cases(pred, truth, csurka, others, reduction):
    one = torch.zeros(1, 5, 5, dtype=torch.bool)
    one[:, 2, 2] = True
    pred, truth = one & bool(pred), one & bool(truth)
    for convention, expected in (("csurka", csurka), ("davis", others), ("pixels", others)):
        counts = boundary_counts(pred, truth, [2.0], convention)
        found = [score.item() for score in boundary_scores(counts, convention, reduction)]
        assert found == pytest.approx(expected, nan_ok=True)


def test_full_masks_have_a_boundary_only_under_csurka():
    full = torch.ones(1, 7, 9, dtype=torch.bool)
    assert [boundary_counts(full, full, [1], name).true.item() for name in CONVENTIONS] == [28, 0, 0]


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


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_reduction_overrides_that_of_the_convention(convention):
    """Three images at two tolerances; the third has nothing on either side."""
    counts = BoundaryCounts(
        torch.tensor([[4, 8], [1, 2], [0, 0]]),
        torch.tensor([8, 2, 0]),
        torch.tensor([[5, 10], [3, 6], [0, 0]]),
        torch.tensor([10, 30, 0]),
    )
    both_empty = [] if convention == "csurka" else [1.0]
    by_image = np.array([[4 / 8, 8 / 8], [1 / 2, 2 / 2]]), np.array([[5 / 10, 10 / 10], [3 / 30, 6 / 30]])
    pooled = np.array([5 / 10, 10 / 10]), np.array([8 / 40, 16 / 40])

    def f1(precision, recall):
        return 2 * precision * recall / (precision + recall)

    def mean(scores):
        return np.vstack([scores, *(np.full((1, 2), score) for score in both_empty)]).mean(0)

    expected = {
        "image": [mean(by_image[0]), mean(by_image[1]), mean(f1(*by_image))],
        "pooled": [*pooled, f1(*pooled)],
    }
    expected[None] = expected["pooled" if convention == "pixels" else "image"]
    for reduction, scores in expected.items():
        found = torch.stack(boundary_scores(counts, convention, reduction))
        np.testing.assert_allclose(found.numpy(), np.stack(scores), rtol=0, atol=1e-15)
        assert torch.equal(found[2], boundary_f1(counts, convention, reduction))


def test_a_reduction_that_is_none_is_named():
    mask = torch.ones(1, 3, 3, dtype=torch.bool)
    with pytest.raises(SettingError, match="reduction is 'mean'; allowed are 'image', 'pooled'"):
        boundary_f1(boundary_counts(mask, mask, [1.0]), "csurka", "mean")


@pytest.mark.parametrize("convention", CONVENTIONS)
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


@pytest.mark.parametrize("convention", ["davis", "pixels"])
def test_an_ignored_rim_is_as_if_it_were_cut_off(convention):
    pred, truth = (batch(*side) for side in blobs(4))
    valid = torch.zeros_like(pred)
    here = (slice(None), slice(7, 50), slice(3, 31))
    valid[here] = True
    framed = boundary_counts(pred, truth, [1.0, 3.0], convention, valid)
    cut = boundary_counts(pred[here], truth[here], [1.0, 3.0], convention)
    assert all(torch.equal(*pair) for pair in zip(framed, cut, strict=True))
    assert cut.true.all()


def test_an_ignored_rim_makes_no_boundary_under_csurka_where_the_image_border_does():
    mask = torch.ones(1, 10, 10, dtype=torch.bool)
    valid = torch.zeros_like(mask)
    valid[:, 2:, 2:] = True
    assert boundary_counts(mask, mask, [1.0], "csurka", valid).true.item() == 15  # the last row and the last column


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_edge_picture_shows_what_is_counted(convention):
    generator = np.random.default_rng(4)
    pred, truth = (mask[0] for mask in blobs(5, 1, 25, 40))
    valid = generator.random(pred.shape) < 0.95
    ground = {"pixel_size": (0.5, 0.3)}
    of_diagonal = 0.03 * math.hypot(25, 40)
    cases = (
        (1.0, 1.0, (1, 1)),
        ("3%", math.ceil(of_diagonal) if convention == "davis" else of_diagonal, (1, 1)),
        ("0.7m", 0.7, (0.5, 0.3)),
    )
    for tolerance, length, spacing in cases:
        single = (torch.tensor(mask) for mask in (pred, truth))
        found = boundary_match(*single, tolerance, convention, torch.tensor(valid), **ground)
        sides = [
            [(at, is_match(d, length, convention)) for at, d in side]
            for side in distances_by_brute_force(pred, truth, convention, valid, spacing)
        ]
        expected = [
            {at for at, hit in sides[0] if hit},
            {at for at, hit in sides[0] if not hit},
            {at for at, hit in sides[1] if not hit},
        ]
        assert [set(map(tuple, part.nonzero().tolist())) for part in found] == expected
        assert all(expected)
        counts = boundary_counts(batch(pred), batch(truth), [tolerance], convention, batch(valid), **ground)
        hits, predicted, true_hits, true = numbers(counts)
        assert [int(part.sum()) for part in found] == [hits, predicted - hits, true - true_hits]
        assert {part.shape for part in found} == {(25, 40)}


def cuts(length, generator):
    """All rows, or columns, in pieces of any length."""
    inner = sorted(set(generator.integers(1, length, 4).tolist()))
    return itertools.pairwise([0, *inner, length])


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("seed", range(4))
def test_counts_of_rows_add_up_to_those_of_the_whole(convention, seed):
    generator = np.random.default_rng(seed)
    pred, truth = (batch(*side) for side in blobs(seed))
    valid = batch(*(generator.random((2, 60, 43)) < 0.98))
    for tolerance, reach in ((0.75, 0.75), (3, 3), (4.3, 4.3), ("1.5m", 3), (100, 100)):
        settings = {"convention": convention, "pixel_size": (0.5, 0.3)}
        whole = boundary_counts(pred, truth, [tolerance], valid=valid, **settings)
        parts = []
        for first, last in cuts(60, generator):
            low, high = max(0, first - int(reach) - 1), min(60, last + int(reach) + 1)
            window = [mask[:, low:high] for mask in (pred, truth, valid)]
            counted = slice(first - low, last - low)
            parts.append(boundary_counts(*window[:2], [tolerance], valid=window[2], rows=counted, **settings))
        for count, *of_parts in zip(whole, *parts, strict=True):
            assert torch.equal(count, sum(of_parts))
        assert whole.true.all()


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_distances_from_tiles_are_those_of_the_whole(convention):
    generator = np.random.default_rng(6)
    pred, truth = (batch(*side) for side in blobs(6))
    settings = {"cap": 2.0, "spacing": (0.5, 0.3)}
    down, right = 5, 7  # the first pixels beyond the cap

    def listed(distances, below=0, beside=0):
        for squared, at in ((distances.pred, distances.pred_at), (distances.true, distances.true_at)):
            places = [(image, row + below, col + beside) for image, row, col in at.tolist()]
            yield list(zip(places, squared.tolist(), strict=True))

    whole = list(listed(boundary_distances(pred, truth, convention, **settings)))
    found = [[], []]
    for (top, bottom), (left, after) in itertools.product(list(cuts(60, generator)), list(cuts(43, generator))):
        low, first = max(0, top - down), max(0, left - right)
        window = (slice(None), slice(low, bottom + down), slice(first, after + right))
        counted = {"rows": slice(top - low, bottom - low), "cols": slice(left - first, after - first)}
        part = boundary_distances(pred[window], truth[window], convention, **counted, **settings)
        for side, distances in zip(found, listed(part, low, first), strict=True):
            side += distances
    assert [sorted(side) for side in found] == whole
    assert all(any(math.isinf(d) for _, d in side) and not all(math.isinf(d) for _, d in side) for side in whole)


def test_area_under_a_curve_is_its_mean_height():
    assert area_under_curve([1, 2, 5], torch.tensor([0.0, 1.0, 1.0])).item() == pytest.approx((0.5 + 3) / 4, abs=1e-15)
    assert area_under_curve([0.5, 0.7, 3, 10], torch.full((4,), 0.3)).item() == pytest.approx(0.3, abs=1e-7)
    tolerances = np.array([0.75, 1.0, 2.5, 7.0, 7.5])
    scores = np.random.default_rng(7).random((3, 2, 5))
    found = area_under_curve(tolerances.tolist(), torch.tensor(scores))
    expected = np.trapezoid(scores, tolerances, axis=-1) / (7.5 - 0.75)
    np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=1e-15)
    assert found.dtype == torch.float64
    assert area_under_curve([1, 2], torch.tensor([math.nan, 1.0])).isnan()


@pytest.mark.parametrize("tolerances", [[1.0], [], [1.0, 1.0], [2.0, 1.0], [1.0, math.nan]])
def test_a_curve_needs_rising_tolerances(tolerances):
    with pytest.raises(SettingError, match=r"tolerances are .*; a curve needs at least two, rising"):
        area_under_curve(tolerances, torch.zeros(len(tolerances)))


def test_counts_are_whole_numbers():
    mask = torch.ones(1, 20, 8, dtype=torch.bool)
    counts = boundary_counts(mask, mask, [1.0, 2.0])
    assert {count.dtype for count in counts} == {torch.int64}
    assert [tuple(count.shape) for count in counts] == [(1, 2), (1,), (1, 2), (1,)]


def test_mistakes_are_named():
    mask = torch.ones(1, 9, 9, dtype=torch.bool)
    with pytest.raises(SettingError, match=r"tolerance is 0; give a length greater than 0"):
        boundary_counts(mask, mask, [2.0, 0])
    with pytest.raises(SettingError, match=r"convention is 'matlab'; allowed are 'csurka', 'davis', 'pixels'"):
        boundary_counts(mask, mask, [2.0], "matlab")
    with pytest.raises(SettingError, match=r"a length is 2 m, but the ground resolution is not known"):
        boundary_counts(mask, mask, ["2m"])
    with pytest.raises(SettingError, match=r"found pred torch.bool \(1, 9, 9\), truth torch.bool \(9, 9\)"):
        boundary_distances(mask, mask[0])
    with pytest.raises(SettingError, match=r"truth torch.float32"):
        boundary_counts(mask, mask.float(), [2.0])
    with pytest.raises(SettingError, match=r"valid torch.bool \(1, 9, 8\)"):
        boundary_match(mask[0], mask[0], 2.0, valid=mask[0, :, 1:])
