"""Distance maps against all pairs of pixels measured one by one."""

import numpy as np
import pytest
import torch

from crispmap.functional import euclidean_distance, signed_distance
from crispmap.functional.distance import _by_growing_windows, _by_scipy

SHAPES = [(1, 1), (1, 9), (7, 12), (23, 5), (40, 3)]


def nearest(points):
    """For each pixel the distance to each of the points, and the least of them."""
    rows, cols = np.indices(points.shape)
    at = np.argwhere(points)
    if not len(at):
        return np.full(points.shape, np.inf)
    return np.sqrt((rows[..., None] - at[:, 0]) ** 2 + (cols[..., None] - at[:, 1]) ** 2).min(-1)


def signed(mask, valid):
    """By the definition, pixel by pixel."""
    sides = {True: nearest(~mask & valid), False: nearest(mask & valid)}
    found = np.zeros(mask.shape)
    for place in np.argwhere(valid):
        inside = bool(mask[tuple(place)])
        distance = sides[inside][tuple(place)] - 0.5
        found[tuple(place)] = 0 if np.isinf(distance) else -distance if inside else distance
    return found


@pytest.mark.parametrize("form", [_by_scipy, _by_growing_windows, euclidean_distance])
@pytest.mark.parametrize("shape", SHAPES)
def test_every_form_finds_the_nearest_point(form, shape, masks):
    images = list(masks(shape))
    expected = np.stack([nearest(mask) for mask in images])
    found = form(torch.from_numpy(np.stack(images)))
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found.numpy(), expected, rtol=2e-7)  # torch's square root may be a bit off


def test_images_do_not_see_each_other(masks):
    images = torch.from_numpy(np.stack(list(masks((9, 14)))))
    stacked = images.view(2, 4, 9, 14)
    for form in (_by_scipy, _by_growing_windows):
        together = form(stacked)
        assert torch.equal(together.flatten(0, 1), torch.stack([form(image) for image in images]))
    assert torch.equal(euclidean_distance(images[5].T), euclidean_distance(images[5]).T)  # not contiguous


@pytest.mark.parametrize("ignored", [0.0, 0.2, 1.0])
def test_signed_distance_is_its_definition(ignored, masks):
    generator = np.random.default_rng(0)
    for mask in masks((11, 16)):
        valid = generator.random(mask.shape) >= ignored
        found = signed_distance(torch.from_numpy(mask), torch.from_numpy(valid))
        np.testing.assert_allclose(found.numpy(), signed(mask, valid), rtol=1e-6)
        assert torch.equal(signed_distance(torch.from_numpy(~mask), torch.from_numpy(valid)), -found)


def test_known_values():
    mask = torch.zeros(3, 6, dtype=torch.bool)
    mask[:, :2] = True  # cut by three borders of the image, which are no boundary
    assert signed_distance(mask)[1].tolist() == [-1.5, -0.5, 0.5, 1.5, 2.5, 3.5]
    valid = torch.ones(3, 6, dtype=torch.bool)
    valid[:, 2] = False  # unknown: the boundary is beyond it, as far as is known
    assert signed_distance(mask, valid)[1].tolist() == [-2.5, -1.5, 0, 1.5, 2.5, 3.5]
    assert not signed_distance(torch.zeros_like(mask)).any()
    assert not signed_distance(torch.ones_like(mask)).any()


def test_a_valid_mask_for_all_classes_broadcasts():
    generator = torch.Generator().manual_seed(0)
    mask = torch.rand(2, 3, 8, 9, generator=generator) > 0.7
    valid = torch.rand(2, 1, 8, 9, generator=generator) > 0.2
    assert torch.equal(signed_distance(mask, valid), signed_distance(mask, valid.expand_as(mask)))
