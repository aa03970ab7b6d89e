"""Surface, Hausdorff and boundary-weighted losses against their equations over distances measured pair by pair."""

import math

import pytest
import torch

from crispmap.errors import SettingError
from crispmap.functional import boundary_weighted_bce_loss, hausdorff_dt_loss, signed_distance, surface_loss

LOSSES = [surface_loss, hausdorff_dt_loss, boundary_weighted_bce_loss]


def of_probabilities(loss):
    if loss is boundary_weighted_bce_loss:
        return lambda *args, **kwargs: loss(*args, from_logits=False, **kwargs)
    return loss


def maps(n=2, c=2, height=7, width=9, seed=0):
    generator = torch.Generator().manual_seed(seed)
    pred = torch.rand(n, c, height, width, generator=generator, dtype=torch.float64)
    return pred, (torch.rand(n, c, height, width, generator=generator) > 0.7).double()


def to_boundary(image, valid, row, col):
    """How far from a pixel the edge is between it and the nearest valid pixel of the other side; 0 if there is none."""
    others = [
        math.hypot(r - row, c - col)
        for r, line in enumerate(image)
        for c, value in enumerate(line)
        if valid[r][c] and (value >= 0.5) != (image[row][col] >= 0.5)
    ]
    return min(others) - 0.5 if others else 0.0


def values(pred, true, valid):
    """For each valid pixel of one image: p, t, signed distance of the truth, distance of the prediction."""
    pred, true, valid = (x.tolist() for x in (pred, true, valid))
    for row, line in enumerate(true):
        for col, t in enumerate(line):
            if valid[row][col]:
                distance = to_boundary(true, valid, row, col)
                yield pred[row][col], t, -distance if t >= 0.5 else distance, to_boundary(pred, valid, row, col)


def literal_surface(pred, true, valid):
    terms = [p * phi for p, _, phi, _ in values(pred, true, valid)]
    return sum(terms) / len(terms)


def literal_hausdorff(pred, true, valid, alpha):
    terms = [(p - t) ** 2 * (own**alpha + abs(phi) ** alpha) for p, t, phi, own in values(pred, true, valid)]
    return sum(terms) / len(terms)


@pytest.mark.parametrize("ignoring", [False, True])
def test_surface_and_hausdorff_are_their_equations(ignoring):
    pred, true = maps()
    valid = torch.rand(pred.shape, generator=torch.Generator().manual_seed(1)) < (0.8 if ignoring else 1.1)
    given = {"valid": valid} if ignoring else {}
    images = list(zip(*(x.flatten(0, 1) for x in (pred, true, valid)), strict=True))
    surface = torch.tensor([literal_surface(*image) for image in images], dtype=torch.float64).view(2, 2)
    torch.testing.assert_close(surface_loss(pred, true, reduction="none", **given), surface)
    torch.testing.assert_close(surface_loss(pred, true, reduction="image", **given), surface.mean())
    for alpha in (1.0, 2.0):
        apart = torch.tensor([literal_hausdorff(*image, alpha) for image in images], dtype=torch.float64).view(2, 2)
        found = hausdorff_dt_loss(pred, true, alpha=alpha, reduction="none", **given)
        torch.testing.assert_close(found, apart)
    # Pooled over the batch, each image weighs as much as it has pixels that count.
    share = valid.sum((2, 3)) / valid.sum((0, 2, 3))
    torch.testing.assert_close(surface_loss(pred, true, **given), (surface * share).sum(0).mean())
    torch.testing.assert_close(hausdorff_dt_loss(pred, true, **given), (apart * share).sum(0).mean())


def test_surface_is_the_authors_program_but_for_half_a_pixel():
    from scipy.ndimage import distance_transform_edt as edt

    pred, true = maps(3, 1, 20, 26)
    mask = true.bool().numpy()
    theirs = [p * torch.from_numpy(edt(~m) * ~m - (edt(m) - 1) * m) for p, m in zip(pred, mask, strict=True)]
    expected = torch.stack(theirs).mean() - pred.mean() / 2
    torch.testing.assert_close(surface_loss(pred, true), expected)


@pytest.mark.parametrize("from_logits", [False, True])
@pytest.mark.parametrize("ignoring", [False, True])
def test_boundary_weighted_bce_is_its_equation(from_logits, ignoring):
    pred, true = maps()
    valid = torch.rand(pred.shape, generator=torch.Generator().manual_seed(1)) < (0.8 if ignoring else 1.1)
    total = weights = 0.0
    for image in zip(*(x.flatten(0, 1) for x in (pred, true, valid)), strict=True):
        for p, t, phi, _ in values(*image):
            weight = 1 + 7 * math.exp(-(phi**2) / (2 * 1.5**2))
            total -= weight * (t * math.log(p) + (1 - t) * math.log(1 - p))
            weights += weight
    y_pred = pred.logit() if from_logits else pred
    settings = {"w0": 7.0, "sigma": 1.5, "from_logits": from_logits, "valid": valid if ignoring else None}
    assert boundary_weighted_bce_loss(y_pred, true, **settings).item() == pytest.approx(total / weights, rel=1e-6)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("ignoring", [False, True])
def test_gradient_in_double_precision(loss, ignoring):
    pred, true = maps(2, 2, 5, 6)
    valid = torch.rand(2, 1, 5, 6, generator=torch.Generator().manual_seed(1)) < 0.8 if ignoring else None
    pred = (0.05 + 0.9 * pred).requires_grad_()
    assert torch.autograd.gradcheck(lambda y: of_probabilities(loss)(y, true, valid=valid), pred)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("ignoring", [False, True])
def test_a_given_distance_is_that_computed_on_the_fly(loss, ignoring):
    pred, true = maps(2, 2, 20, 17)
    valid = torch.rand(2, 1, 20, 17, generator=torch.Generator().manual_seed(1)) < 0.8 if ignoring else None
    given = signed_distance(true >= 0.5, valid)
    loss = of_probabilities(loss)
    value = loss(pred, true, valid=valid)
    assert torch.equal(loss(pred, true, distance=given, valid=valid), value)
    assert not torch.isclose(loss(pred, true, distance=9 * given, valid=valid), value, rtol=1e-3)  # it is used


@pytest.mark.parametrize("loss", LOSSES)
def test_ignored_pixels_make_no_boundary_and_take_no_part(loss):
    pred, true = maps(2, 2, 12, 13)
    valid = torch.rand(2, 1, 12, 13, generator=torch.Generator().manual_seed(1)) < 0.8
    loss = of_probabilities(loss)
    value = loss(pred, true, valid=valid)
    assert torch.equal(loss(pred.where(valid, 1 - pred), true.where(valid, 1 - true), valid=valid), value)
    assert loss(pred, true, valid=torch.zeros_like(valid)).item() == 0
    # A hole that is ignored is no edge: nothing but one side is left, so no distance.
    hole = torch.ones(1, 1, 12, 13, dtype=torch.bool)
    hole[..., 4:6, 4:8] = False
    assert not signed_distance(hole, hole).any()


def test_empties_have_stated_values():
    pred, true = maps(2, 1, 10, 11)
    empty, full = torch.zeros_like(true), torch.ones_like(true)
    for truth in (empty, full):
        leaf = pred.clone().requires_grad_()
        value = surface_loss(leaf, truth)
        assert value.item() == 0
        assert not torch.autograd.grad(value, leaf)[0].any()
        expected = torch.nn.functional.binary_cross_entropy(pred, truth)
        torch.testing.assert_close(boundary_weighted_bce_loss(pred, truth, from_logits=False), expected)
    assert surface_loss(empty, true).item() == 0
    assert surface_loss(true, true) < surface_loss(full, true)
    for other in (empty, 0.4 * pred):
        assert hausdorff_dt_loss(other, empty).item() == 0
    assert hausdorff_dt_loss(true, true).item() == 0
    # One of them empty: only the other's distances are left.
    for pair in ((true, empty), (empty, true)):
        error = (true - empty) ** 2 * signed_distance(true.bool()).double() ** 2
        torch.testing.assert_close(hausdorff_dt_loss(*pair), error.mean())
    leaf = (0.6 * true).requires_grad_()
    (gradient,) = torch.autograd.grad(hausdorff_dt_loss(leaf, empty), leaf)
    assert (gradient[true.bool()] > 0).all()  # what is predicted of nothing is removed


def test_an_image_without_a_boundary_weighs_one_a_pixel_beside_others():
    pred, true = maps(2, 1, 6, 7)
    true[1] = 0
    errors = torch.nn.functional.binary_cross_entropy(pred, true, reduction="none")
    phi = torch.tensor([v[2] for v in values(pred[0, 0], true[0, 0], torch.ones(6, 7))], dtype=torch.float64)
    weight = 1 + 10 * torch.exp(-(phi.view(6, 7) ** 2) / 50)
    expected = ((weight * errors[0, 0]).sum() + errors[1].sum()) / (weight.sum() + 42)
    torch.testing.assert_close(boundary_weighted_bce_loss(pred, true, from_logits=False), expected)


@pytest.mark.parametrize("loss", LOSSES)
def test_half_precision_does_not_overflow(loss):
    pred, true = (x.half() for x in maps(4, 1, 128, 256))
    pred = pred.clamp(0.01, 0.99)
    loss = of_probabilities(loss)
    value = loss(pred, true)
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(loss(pred.double(), true.double()).item(), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("loss", [surface_loss, hausdorff_dt_loss])
def test_an_unknown_reduction_is_named(loss):
    with pytest.raises(SettingError, match="reduction is 'sum'; allowed are 'image', 'batch', 'none'"):
        loss(*maps(), reduction="sum")
