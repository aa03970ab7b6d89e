"""Distances between outlines against MONAI, scikit-image, SciPy and numpy's percentiles."""

import itertools
import math
import warnings

import numpy as np
import pytest
import torch
from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance
from scipy import ndimage
from skimage.metrics import hausdorff_distance as hausdorff_of_skimage

from crispmap.errors import SettingError
from crispmap.functional import SurfaceDistances, boundary_distances, hausdorff_distance, mean_surface_distance
from crispmap.functional.surface_score import Histogram, beyond_cap

CROSS = ndimage.generate_binary_structure(2, 1)
SHAPES = [(1, 1), (1, 12), (9, 4), (20, 27)]
SPACINGS = [None, (0.5, 0.5), (0.5, 0.3), (2.0, 7.0)]


def batch(*arrays):
    return torch.stack([torch.tensor(array, dtype=torch.bool) for array in arrays])


def distances(pred, truth, spacing=None, **settings):
    """Of two arrays (H, W), or pooled over several (N, H, W)."""
    pred, truth = (torch.tensor(mask[None] if mask.ndim == 2 else mask) for mask in (pred, truth))
    return SurfaceDistances.of(boundary_distances(pred, truth, spacing=spacing or (1.0, 1.0), **settings))


def single_distances(pred, truth, spacing=None):
    """From each boundary pixel of either side to the nearest of the other, by distance transforms."""
    edges = [mask & ~ndimage.binary_erosion(mask, CROSS) for mask in (pred, truth)]
    maps = [
        ndimage.distance_transform_edt(~edge, sampling=spacing) if edge.any() else np.full(edge.shape, math.inf)
        for edge in edges
    ]
    return maps[1][edges[0]], maps[0][edges[1]]


def of_monai(compute, pred, truth, spacing, **settings):
    pair = (torch.tensor(mask[None, None]) for mask in (pred, truth))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about empty masks, and about its own calls
        return compute(*pair, include_background=True, spacing=spacing, **settings).item()


def blobs(seed, images=3, height=70, width=51):
    """Smooth masks, and others that are near them."""
    generator = np.random.default_rng(seed)
    field, other = ndimage.gaussian_filter(generator.normal(size=(2, images, height, width)), (0, 0, 4, 4))
    return field > 0, field + 0.7 * other > 0


@pytest.fixture(scope="module")
def pairs(masks):
    """Awkward pairs of every shape, and smooth ones."""
    awkward = [*itertools.product(masks((9, 4)), masks((9, 4)))]
    for shape in SHAPES:
        awkward += zip(masks(shape), reversed([*masks(shape)]), strict=True)
    return [*awkward, *zip(*blobs(1), strict=True)]


@pytest.mark.parametrize("spacing", SPACINGS)
def test_equals_monai(pairs, spacing):
    for pred, truth in pairs:
        found = distances(pred, truth, spacing)
        # of ∞ alone MONAI's percentiles are NaN, while its Hausdorff distance is ∞
        for percentile in (100, 95, 50) if pred.any() == truth.any() else (100,):
            at = None if percentile == 100 else percentile
            expected = of_monai(compute_hausdorff_distance, pred, truth, spacing, percentile=at)
            assert hausdorff_distance(found, percentile).item() == pytest.approx(expected, rel=1e-5, nan_ok=True)
        expected = of_monai(compute_average_surface_distance, pred, truth, spacing, symmetric=True)
        assert mean_surface_distance(found).item() == pytest.approx(expected, rel=1e-5, nan_ok=True)


def test_equals_scikit_image(pairs):
    for pred, truth in pairs:
        if not pred.any() and not truth.any():
            continue  # 0 there, not defined here and with MONAI
        edges = [mask & ~ndimage.binary_erosion(mask, CROSS) for mask in (pred, truth)]
        assert hausdorff_distance(distances(pred, truth), 100).item() == hausdorff_of_skimage(*edges)


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("percentile", [0, 12.5, 50, 95, 99.9, 100])
def test_pooled_distances_are_those_of_all_images_in_one_row(spacing, percentile):
    pred, truth = blobs(2)
    single = [single_distances(p, t, spacing) for p, t in zip(pred, truth, strict=True)]
    sides = [np.concatenate(side) for side in zip(*single, strict=True)]
    expected = max(np.percentile(side, percentile) for side in sides)
    at_once = distances(pred, truth, spacing)
    apart = SurfaceDistances.joined([distances(p, t, spacing) for p, t in zip(pred, truth, strict=True)])
    for found in (at_once, apart):
        assert hausdorff_distance(found, percentile).item() == pytest.approx(expected, rel=1e-12)
        assert mean_surface_distance(found).item() == pytest.approx(np.concatenate(sides).mean(), rel=1e-12)


def test_one_image_of_several():
    pred, truth = blobs(3)
    found = boundary_distances(torch.tensor(pred), torch.tensor(truth))
    for image in range(3):
        expected = distances(pred[image], truth[image])
        for side, alone in zip(SurfaceDistances.of(found, image), expected, strict=True):
            assert torch.equal(side.squared, alone.squared)
            assert torch.equal(side.pixels, alone.pixels)


def test_a_histogram_holds_each_distance_once_and_rises():
    joined = Histogram.joined(
        [Histogram.of(torch.tensor(values, dtype=torch.float64)) for values in ([4.0, 1.0, 4.0], [], [math.inf, 1.0])]
    )
    assert joined.squared.tolist() == [1, 4, math.inf]
    assert joined.pixels.tolist() == [2, 2, 1]
    assert joined.pixels.dtype == torch.int64


@pytest.mark.parametrize("seed", range(4))
def test_percentiles_are_those_of_numpy(seed):
    generator = np.random.default_rng(seed)
    sides = [generator.integers(0, 40, size) / generator.integers(1, 9) for size in generator.integers(1, 30, 2)]
    found = SurfaceDistances(*(Histogram.of(torch.tensor(side**2)) for side in sides))
    for percentile in (0, 1, 33.3, 50, 75, 95, 100, *generator.uniform(0, 100, 5)):
        expected = max(np.percentile(side, percentile) for side in sides)
        assert hausdorff_distance(found, percentile).item() == pytest.approx(expected, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("reverse", [False, True])
def test_empty_sides(reverse):
    empty, some = np.zeros((2, 9, 12), bool)
    some[3:6, 4:7] = True
    for pred, truth, expected in ((empty, empty, math.nan), (empty, some, math.inf), (some, some, 0.0)):
        found = distances(truth, pred) if reverse else distances(pred, truth)
        for score in (hausdorff_distance(found), hausdorff_distance(found, 0), mean_surface_distance(found)):
            assert score.dtype == torch.float64
            assert score.shape == ()
            assert score.item() == pytest.approx(expected, nan_ok=True)
    pooled = distances(np.stack([some, some]), np.stack([some, empty]))  # 8 pixels at 0, 8 at ∞
    assert hausdorff_distance(pooled, 40).item() == 0
    assert hausdorff_distance(pooled, 50).item() == math.inf
    assert mean_surface_distance(pooled).item() == math.inf
    assert mean_surface_distance(pooled, 10).item() == pytest.approx(80 / 24, abs=1e-14)


def test_ignored_pixels_make_no_outline():
    pred, truth = blobs(4)
    valid = torch.zeros(pred.shape, dtype=torch.bool)
    valid[:, 10:60, 10:40] = True
    found = distances(pred, truth, valid=valid)
    other = distances(pred | ~valid.numpy(), truth & valid.numpy(), valid=valid)
    for side, alike in zip(found, other, strict=True):
        assert torch.equal(side.squared, alike.squared)
        assert torch.equal(side.pixels, alike.pixels)
    assert hausdorff_distance(distances(pred, truth, valid=torch.zeros_like(valid))).isnan()


@pytest.mark.parametrize("spacing", [None, (0.5, 0.3)])
@pytest.mark.parametrize("cap", [0.9, 2.0, 3.1])
def test_what_is_beyond_the_cap(cap, spacing):
    pred, truth = blobs(5)
    single = [single_distances(p, t, spacing) for p, t in zip(pred, truth, strict=True)]
    sides = [np.concatenate(side) for side in zip(*single, strict=True)]
    found = distances(pred, truth, spacing, cap=cap)
    everything = np.concatenate(sides)
    assert beyond_cap(found).item() == pytest.approx((everything > cap).mean(), abs=1e-6)
    assert 0 < beyond_cap(found) < 1
    lower = mean_surface_distance(found, cap).item()
    assert lower == pytest.approx(np.minimum(everything, cap).mean(), rel=1e-12)
    assert lower < everything.mean()
    assert mean_surface_distance(found).item() == math.inf
    for percentile in range(0, 101, 5):
        of_each = [np.percentile(side, percentile, method="higher") for side in sides]
        if max(of_each) > cap:
            assert hausdorff_distance(found, percentile).item() == math.inf
        else:
            expected = max(np.percentile(side, percentile) for side in sides)
            assert hausdorff_distance(found, percentile).item() == pytest.approx(expected, rel=1e-12)


def test_the_share_beyond_the_cap_is_as_exact_as_float64():
    found = SurfaceDistances(
        Histogram.of(torch.tensor([math.inf], dtype=torch.float64)), Histogram.of(torch.zeros(2, dtype=torch.float64))
    )
    assert beyond_cap(found).item() == 1 / 3


def test_a_cap_that_nothing_is_beyond_changes_nothing():
    pred, truth = blobs(6)
    free, capped = distances(pred, truth), distances(pred, truth, cap=200.0)
    assert torch.equal(free.pred.squared, capped.pred.squared)
    assert mean_surface_distance(free) == mean_surface_distance(capped, 200.0)
    assert beyond_cap(capped) == 0
    nothing = np.zeros((4, 5), bool)
    assert beyond_cap(distances(nothing, nothing)).isnan()


@pytest.mark.parametrize("percentile", [-1, 100.1, math.nan])
def test_mistakes_are_named(percentile):
    some = np.ones((4, 5), bool)
    with pytest.raises(SettingError, match=r"percentile is .*; give a number from 0 to 100"):
        hausdorff_distance(distances(some, some), percentile)
