"""Boundaries, dilation and distance of masks against SciPy and brute force."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from crispmap.functional.morphology import dilate_square, inner_boundary, squared_distance

CROSS = ndimage.generate_binary_structure(2, 1)
SHAPES = [(1, 1), (1, 9), (7, 1), (5, 8), (23, 17)]


@pytest.mark.parametrize("shape", SHAPES)
def test_inner_boundary_with_border_is_mask_minus_erosion(shape, masks):
    for mask in masks(shape):
        expected = mask & ~ndimage.binary_erosion(mask, CROSS)
        assert np.array_equal(inner_boundary(torch.tensor(mask), border=True).numpy(), expected)


@pytest.mark.parametrize("shape", SHAPES)
def test_inner_boundary_without_border_is_mask_minus_erosion_into_more_of_the_same(shape, masks):
    for mask in masks(shape):
        expected = mask & ~ndimage.binary_erosion(mask, CROSS, border_value=1)
        assert np.array_equal(inner_boundary(torch.tensor(mask), border=False).numpy(), expected)


def test_ignored_pixels_neither_are_nor_make_a_boundary():
    mask = torch.tensor([[1, 1, 1, 0, 0]], dtype=torch.bool)
    valid = torch.tensor([[1, 1, 1, 0, 1]], dtype=torch.bool)
    assert inner_boundary(mask, border=False).tolist() == [[False, False, True, False, False]]
    assert not inner_boundary(mask, border=False, valid=valid).any()
    assert not inner_boundary(~mask, border=False, valid=valid).any()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("radius", [0, 1, 2, 3, 6, 7, 40])
@pytest.mark.parametrize("outside", [False, True])
def test_dilate_square_equals_scipy(shape, radius, outside, masks):
    square = np.ones((2 * radius + 1, 2 * radius + 1))
    for mask in masks(shape):
        expected = ndimage.binary_dilation(mask, square, border_value=int(outside))
        assert np.array_equal(dilate_square(torch.tensor(mask), radius, outside=outside).numpy(), expected)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("cap", [0, 1, 2, 5, 12, 200])
def test_squared_distance_is_exact_up_to_its_cap(shape, cap, masks):
    rows, columns = np.indices(shape)
    for mask in masks(shape):
        found = squared_distance(torch.tensor(mask), cap).numpy().astype(np.int64)
        exact = np.full(shape, 10**9)
        for row, column in np.argwhere(mask):  # brute force
            exact = np.minimum(exact, (rows - row) ** 2 + (columns - column) ** 2)
        near = exact < (cap + 1) ** 2
        assert np.array_equal(found[near], exact[near])
        assert (found[~near] >= (cap + 1) ** 2).all()


def test_squared_distance_holds_what_int16_cannot():
    points = torch.zeros(1, 2, 400, dtype=torch.bool)
    points[0, 0, 0] = True
    assert squared_distance(points, 399)[0, 1].tolist() == [x * x + 1 for x in range(400)]
