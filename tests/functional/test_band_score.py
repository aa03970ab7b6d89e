"""Boundary IoU against iterated erosion in SciPy, and its width in pixels, metres and of the diagonal."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from crispmap.errors import SettingError
from crispmap.functional import BandCounts, boundary_iou, boundary_iou_counts
from crispmap.functional.band_score import band_width

SHAPES = [(1, 1), (1, 12), (9, 4), (12, 15), (150, 60)]


def batch(*arrays):
    return torch.stack([torch.tensor(array, dtype=torch.bool) for array in arrays])


def boundary_band(mask, width):
    """Cheng et al.'s mask_to_boundary in SciPy: pad by one, erode as often as the band is wide."""
    padded = np.pad(mask, 1)
    eroded = ndimage.binary_erosion(padded, np.ones((3, 3)), iterations=width, border_value=1)
    return mask & ~eroded[1:-1, 1:-1]


@pytest.mark.parametrize("width", [1, 2, 5, 40, None])
@pytest.mark.parametrize("shape", SHAPES)
def test_boundary_iou_equals_iterated_erosion(width, shape, masks):
    pixels = max(1, round(0.02 * math.hypot(*shape))) if width is None else width
    for pred, truth in itertools.product(masks(shape), masks(shape)):
        counts = boundary_iou_counts(batch(pred), batch(truth), width)
        pred_band, truth_band = boundary_band(pred, pixels), boundary_band(truth, pixels)
        union = (pred_band | truth_band).sum()
        assert [int(count) for count in counts] == [(pred_band & truth_band).sum(), union]
        expected = (pred_band & truth_band).sum() / union if union else math.nan
        assert boundary_iou(counts).item() == pytest.approx(expected, nan_ok=True, abs=1e-15)


@pytest.mark.parametrize(("width", "down", "right"), [("0.6m", 1, 2), ("1.5m", 3, 5), ("40m", 80, 133)])
def test_a_width_in_metres_fits_oblong_pixels_in_each_direction(width, down, right, masks):
    """Erosion by a rectangle is that by a column, then by a row."""
    pixel_size, shape = (0.5, 0.3), (30, 23)

    def band(mask):
        eroded = np.pad(mask, 1)
        for window, times in ((np.ones((3, 1)), down), (np.ones((1, 3)), right)):
            eroded = ndimage.binary_erosion(eroded, window, iterations=times, border_value=1)
        return mask & ~eroded[1:-1, 1:-1]

    for pred, truth in itertools.product(masks(shape), masks(shape)):
        counts = boundary_iou_counts(batch(pred), batch(truth), width, pixel_size=pixel_size)
        bands = band(pred), band(truth)
        assert [int(count) for count in counts] == [(bands[0] & bands[1]).sum(), (bands[0] | bands[1]).sum()]


@pytest.mark.parametrize(
    ("width", "image_shape", "pixel_size", "expected"),
    [
        (None, (5000, 5000), None, (141, 141)),  # a tile of INRIA
        (None, (10, 10), None, (1, 1)),
        ("2%", (5000, 5000), None, (141, 141)),
        ("1%", (300, 400), None, (5, 5)),
        (7, (10, 10), None, (7, 7)),
        (2.5, (10, 10), None, (2, 2)),  # as Python rounds, and the paper's code with it
        (3.5, (10, 10), None, (4, 4)),
        ("0.9m", (10, 10), (0.3, 0.3), (3, 3)),
        ("0.1m", (10, 10), (0.3, 0.3), (1, 1)),
        ("1m", (10, 10), (0.5, 0.3), (2, 3)),
    ],
)
def test_band_width(width, image_shape, pixel_size, expected):
    assert band_width(width, image_shape, pixel_size) == expected


def test_ignored_pixels_make_no_band():
    mask = torch.ones(1, 9, 9, dtype=torch.bool)
    mask[:, 4, 4] = False
    valid = mask.clone()
    framed = boundary_iou_counts(mask, mask, 1, valid)
    assert framed.union.item() == 32  # the frame of 9 by 9, and nothing around the hole
    assert boundary_iou_counts(mask, mask, 1).union.item() == 40


@pytest.mark.parametrize("width", [1, 3])
def test_ignored_pixels_are_on_neither_side(width, masks):
    """The band by its definition, pixel by pixel: what has valid background, or the outside, within the width."""
    shape = (11, 14)
    generator = np.random.default_rng(1)
    for pred, truth in itertools.product(masks(shape), masks(shape)):
        valid = generator.random(shape) < 0.9
        bands = []
        for mask in (pred, truth):
            background = np.pad(valid & ~mask, width, constant_values=True)
            windows = np.lib.stride_tricks.sliding_window_view(background, (2 * width + 1, 2 * width + 1))
            bands.append(mask & valid & windows.any((2, 3)))
        counts = boundary_iou_counts(batch(pred), batch(truth), width, batch(valid))
        assert [int(count) for count in counts] == [(bands[0] & bands[1]).sum(), (bands[0] | bands[1]).sum()]


def cuts(length, generator):
    """All rows, or columns, in pieces of any length."""
    return list(itertools.pairwise([0, *sorted(set(generator.integers(1, length, 3).tolist())), length]))


@pytest.mark.parametrize("seed", range(3))
def test_counts_of_tiles_add_up_to_those_of_the_whole(seed):
    generator = np.random.default_rng(seed)
    pred, truth = torch.tensor(ndimage.gaussian_filter(generator.normal(size=(2, 2, 60, 43)), (0, 0, 3, 3)) > 0)
    valid = torch.tensor(generator.random((2, 60, 43)) < 0.99)
    for width, down, right in ((1, 1, 1), (4, 4, 4), ("1.5m", 3, 5), (70, 70, 70)):
        whole = boundary_iou_counts(pred, truth, width, valid, pixel_size=(0.5, 0.3))
        total = torch.zeros(2, 2, dtype=torch.int64)
        for (top, bottom), (left, after) in itertools.product(cuts(60, generator), cuts(43, generator)):
            low, first = max(0, top - down), max(0, left - right)
            window = (slice(None), slice(low, bottom + down), slice(first, after + right))
            counted = {"rows": slice(top - low, bottom - low), "cols": slice(left - first, after - first)}
            part = boundary_iou_counts(
                pred[window], truth[window], width, valid[window], pixel_size=(0.5, 0.3), **counted
            )
            total += torch.stack(part)
        assert torch.equal(total, torch.stack(whole))


def test_images_are_pooled_or_averaged():
    counts = BandCounts(torch.tensor([1, 6, 0, 0]), torch.tensor([4, 8, 0, 5]))
    assert boundary_iou(counts).item() == boundary_iou(counts, "pooled").item() == 7 / 17
    assert boundary_iou(counts, "image").item() == pytest.approx((1 / 4 + 6 / 8 + 0) / 3, abs=1e-15)
    for reduction in ("image", "pooled"):
        assert boundary_iou(BandCounts(*(count[2:3] for count in counts)), reduction).isnan()


def test_counts_are_whole_numbers():
    mask = torch.ones(3, 20, 9, dtype=torch.bool)
    counts = boundary_iou_counts(mask, mask)
    assert [(count.dtype, tuple(count.shape)) for count in counts] == [(torch.int64, (3,))] * 2


def test_mistakes_are_named():
    mask = torch.ones(1, 9, 9, dtype=torch.bool)
    with pytest.raises(SettingError, match=r"width is 0; give a length"):
        boundary_iou_counts(mask, mask, 0)
    with pytest.raises(SettingError, match=r"width is 0.9 px; a band is at least 1 pixel wide"):
        boundary_iou_counts(mask, mask, 0.9)
    with pytest.raises(SettingError, match=r"a length is 2 m, but the ground resolution is not known"):
        boundary_iou_counts(mask, mask, "2m")
    with pytest.raises(SettingError, match=r"valid torch.uint8"):
        boundary_iou_counts(mask, mask, 2, mask.byte())


def test_a_reduction_that_is_none_is_named():
    mask = torch.ones(1, 9, 9, dtype=torch.bool)
    with pytest.raises(SettingError, match="reduction is 'macro'; allowed are 'image', 'pooled'"):
        boundary_iou(boundary_iou_counts(mask, mask), "macro")
