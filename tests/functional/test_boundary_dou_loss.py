"""Boundary DoU against its equation on sets, and counted pixel by pixel on maps."""

import pytest
import torch

from crispmap.errors import SettingError
from crispmap.functional import boundary_dou_loss


def maps(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    pred = torch.rand(shape, generator=generator, dtype=torch.float64)
    return pred, (torch.rand(shape, generator=generator) > 0.5).double()


def literal(images):
    """The equation over all pixels of some images together, given as (prediction, truth, valid)."""
    length = area = shared = squares = 0.0
    for pred, true, valid in images:
        height, width = true.shape
        for r in range(height):
            for c in range(width):
                if not valid[r, c]:
                    continue
                p, t = pred[r, c].item(), true[r, c].item()
                shared += p * t
                squares += p * p + t * t
                if t:
                    beside = [(r - 1, c), (r + 1, c), (r, c - 1), (r, c + 1)]
                    inside = [(y, x) for y, x in beside if 0 <= y < height and 0 <= x < width and valid[y, x]]
                    area += 1
                    length += any(not true[place] for place in inside)
    alpha = min(max(1 - 2 * length / area, 0), 0.8) if area else 0.0
    union = squares - shared
    return (union - shared) / (union - alpha * shared + 1), alpha


@pytest.mark.parametrize("ignoring", [False, True])
def test_equals_its_equation(ignoring):
    pred, true = maps(3, 2, 8, 11)
    true[0, 0, 1:7, 2:] = 1  # something with an inside
    valid = torch.rand(3, 1, 8, 11, generator=torch.Generator().manual_seed(1)) < (0.9 if ignoring else 1.1)
    given = {"valid": valid} if ignoring else {}
    image = torch.zeros(3, 2, dtype=torch.float64)
    batch = torch.zeros(2, dtype=torch.float64)
    for c in range(2):
        triples = [(pred[n, c], true[n, c], valid[n, 0]) for n in range(3)]
        batch[c] = literal(triples)[0]
        image[:, c] = torch.tensor([literal([triple])[0] for triple in triples])
    torch.testing.assert_close(boundary_dou_loss(pred, true, **given), batch.mean())
    torch.testing.assert_close(boundary_dou_loss(pred, true, reduction="image", **given), image.mean())
    torch.testing.assert_close(boundary_dou_loss(pred, true, reduction="none", **given), image)


@pytest.mark.parametrize(
    ("side", "alpha"),
    [(3, 0.0), (10, 1 - 2 * 36 / 100), (30, 1 - 2 * 116 / 900), (60, 0.8)],  # a thin one is all boundary, a big one cut
)
def test_on_masks_it_is_the_published_ratio_of_sets(side, alpha):
    true = torch.zeros(1, 1, 70, 70, dtype=torch.float64)
    true[..., 5 : 5 + side, 5 : 5 + side] = 1
    pred = true.roll((1, 1), (2, 3))
    shared = (side - 1) ** 2
    union = 2 * side**2 - shared
    expected = (union - shared) / (union - alpha * shared)
    assert boundary_dou_loss(pred, true, smooth=0.0).item() == pytest.approx(expected, rel=1e-12)


def test_the_image_border_and_ignored_pixels_are_no_boundary():
    true = torch.zeros(1, 1, 20, 30, dtype=torch.float64)
    true[..., :20] = 1  # 20 × 20, of which one side of 20 lies in the image
    pred = torch.full_like(true, 0.5)
    union = 600 * 0.25 + 400 - 200
    expected = (union - 200) / (union - min(1 - 2 * 20 / 400, 0.8) * 200)
    assert boundary_dou_loss(pred, true, smooth=0.0).item() == pytest.approx(expected)
    small = true.clone()
    small[..., 6:] = 0  # 20 × 6 with a side of 20, then with that side unknown
    valid = torch.ones_like(true, dtype=torch.bool)
    unknown = valid.clone()
    unknown[..., 6:8] = False
    for mask, alpha, counted in ((valid, 1 - 2 * 20 / 120, 600), (unknown, 0.8, 560)):
        union = counted * 0.25 + 120 - 60
        found = boundary_dou_loss(pred, small, smooth=0.0, valid=mask).item()
        assert found == pytest.approx((union - 60) / (union - alpha * 60))


@pytest.mark.parametrize("reduction", ["image", "batch"])
@pytest.mark.parametrize("ignoring", [False, True])
def test_gradient_in_double_precision(reduction, ignoring):
    pred, true = maps(2, 2, 4, 5)
    valid = torch.rand(2, 1, 4, 5, generator=torch.Generator().manual_seed(1)) < 0.8 if ignoring else None
    settings = {"reduction": reduction, "valid": valid}
    assert torch.autograd.gradcheck(lambda y: boundary_dou_loss(y, true, **settings), pred.requires_grad_())


def test_empties_have_stated_values_and_live_gradients():
    pred, true = maps(2, 1, 12, 14)
    empty, full = torch.zeros_like(pred), torch.ones_like(pred)
    for perfect in (true, empty, full):
        assert boundary_dou_loss(perfect, perfect).item() == 0
    pred.requires_grad_()
    value = boundary_dou_loss(pred, empty)
    squares = pred.square().sum()
    torch.testing.assert_close(value, squares / (squares + 1))
    assert (torch.autograd.grad(value, pred)[0] > 0).all()  # a step down the gradient removes what is predicted
    zero = torch.zeros_like(pred, requires_grad=True)
    (gradient,) = torch.autograd.grad(boundary_dou_loss(zero, true), zero)
    assert (gradient[true.bool()] < 0).all()  # and an empty prediction of a present object grows


def test_ignored_pixels_take_no_part():
    pred, true = maps(2, 2, 12, 13)
    valid = torch.rand(2, 1, 12, 13, generator=torch.Generator().manual_seed(2)) < 0.8
    value = boundary_dou_loss(pred, true, valid=valid)
    assert torch.equal(boundary_dou_loss(pred.where(valid, 0.9), (1 - true).where(~valid, true), valid=valid), value)
    assert boundary_dou_loss(pred, true, valid=torch.zeros_like(valid)).item() == 0


def test_half_precision_does_not_overflow():
    pred, true = (x.half() for x in maps(4, 1, 512, 512))
    value = boundary_dou_loss(pred, true)
    assert value.item() == pytest.approx(boundary_dou_loss(pred.double(), true.double()).item(), abs=1e-4)


def test_an_unknown_reduction_is_named():
    with pytest.raises(SettingError, match="reduction is 'sum'; allowed are 'image', 'batch', 'none'"):
        boundary_dou_loss(*maps(1, 1, 3, 3), reduction="sum")
