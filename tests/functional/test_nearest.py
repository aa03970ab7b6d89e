"""Distances to the nearest point, in both forms, against brute force over all pairs and SciPy's distance transform."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from crispmap.functional import nearest
from crispmap.functional.morphology import squared_distance
from crispmap.functional.nearest import squared_distance_to

SHAPES = [(1, 1), (1, 12), (12, 1), (9, 4), (10, 13)]
CAPS = (0.0, 1.0, math.sqrt(2), 2.5, 4.0, 7.3, 1e6, math.inf)
SPACINGS = [(1.0, 1.0), (2.0, 1.0), (0.5, 0.3), (0.1, 0.7)]


@pytest.fixture(params=["numba", "torch"])
def form(request, monkeypatch):
    """Each of both forms, in use."""
    if request.param == "torch":
        monkeypatch.setattr(nearest, "_numba", lambda: None)
    else:
        pytest.importorskip("numba")
        assert nearest._numba() is not None
    return request.param


def by_brute_force(points, queries, spacing):
    """The least of all squared distances, for each query in the order of rows; ∞ without points."""
    found = []
    for row, col in np.argwhere(queries):
        offsets = np.argwhere(points) - (row, col)
        squared = (offsets[:, 0] * spacing[0]) ** 2 + (offsets[:, 1] * spacing[1]) ** 2
        found.append(squared.min(initial=math.inf))
    return np.array(found)


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("shape", SHAPES)
def test_equals_brute_force_up_to_the_cap(form, shape, spacing, masks):
    points, queries = (np.stack(side) for side in zip(*itertools.product(masks(shape), masks(shape)), strict=True))
    exact = np.concatenate([by_brute_force(*pair, spacing) for pair in zip(points, queries, strict=True)])
    for cap in CAPS:
        found = squared_distance_to(torch.tensor(points), torch.tensor(queries), cap, spacing)
        assert found.dtype == torch.float64
        expected = np.where(exact <= cap**2, exact, math.inf)
        assert np.array_equal(found.numpy(), expected)  # to the last bit, whatever the spacing


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("density", [0.0005, 0.01, 0.4])
def test_equals_scipys_distance_transform(form, spacing, density):
    generator = np.random.default_rng(5)
    points, queries = generator.random((2, 3, 70, 131)) < np.array([density, 0.2])[:, None, None, None]
    assert points.any((1, 2)).all()
    exact = np.concatenate(
        [ndimage.distance_transform_edt(~p, sampling=spacing)[q] for p, q in zip(points, queries, strict=True)]
    )
    for cap in (math.inf, 6.0):
        found = squared_distance_to(torch.tensor(points), torch.tensor(queries), cap, spacing).numpy()
        near = exact <= cap
        if spacing == (1.0, 1.0):
            assert np.array_equal(found[near], np.rint(exact[near] ** 2))
        assert found[near] == pytest.approx(exact[near] ** 2, rel=1e-12, abs=0)
        assert np.isinf(found[~near]).all()


def test_each_image_has_its_own_points(form):
    points, queries = torch.zeros(2, 3, 5, 40, dtype=torch.bool)
    points[0, 2, 3] = points[2, 0, 39] = True
    queries[:, 2, 5] = queries[1, 4, 0] = True
    assert squared_distance_to(points, queries).tolist() == [4, math.inf, math.inf, 4 + 34**2]


def test_nothing_asked_is_nothing_found(form):
    some, none = torch.ones(2, 4, 5, dtype=torch.bool), torch.zeros(2, 4, 5, dtype=torch.bool)
    for points, queries in ((some, none), (none, none), (some[:0], some[:0])):
        found = squared_distance_to(points, queries)
        assert found.shape == (0,)
        assert found.dtype == torch.float64


@pytest.mark.parametrize("shape", [(1, 1, 50_000), (1, 3000, 1)])
def test_far_away_is_still_exact(form, shape):
    points, queries = torch.zeros(2, *shape, dtype=torch.bool)
    points.view(-1)[0] = queries.view(-1)[1] = queries.view(-1)[-1] = True
    assert squared_distance_to(points, queries).tolist() == [1, (max(shape) - 1) ** 2]


def test_views_of_masks_are_read_as_they_stand(form):
    generator = torch.Generator().manual_seed(6)
    points, queries = torch.rand(2, 2, 30, 22, generator=generator) < torch.tensor([0.02, 0.3])[:, None, None, None]
    for view in (lambda x: x.transpose(1, 2), lambda x: x[:, ::2, 3:], lambda x: x[:1].expand(3, -1, -1)):
        expected = squared_distance_to(view(points).contiguous(), view(queries).contiguous())
        assert torch.equal(squared_distance_to(view(points), view(queries)), expected)


@pytest.mark.parametrize("spacing", SPACINGS[1:])
@pytest.mark.parametrize("shape", SHAPES)
def test_distance_maps_with_a_spacing_are_exact_up_to_their_cap(shape, spacing, masks):
    everywhere = np.ones(shape, bool)
    for mask, cap in itertools.product(masks(shape), (0, 1, 2, 5, 40)):
        found = squared_distance(torch.tensor(mask), cap, spacing)
        assert found.dtype == torch.float64
        exact = by_brute_force(mask, everywhere, spacing).reshape(shape)
        bound = ((cap + 1) * min(spacing)) ** 2
        near = exact < bound * (1 - 1e-12)
        assert np.array_equal(found.numpy()[near], exact[near])
        assert (found.numpy()[~near] >= bound * (1 - 1e-12)).all()
