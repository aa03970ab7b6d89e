"""Soft IoU, Dice and sensitivity–specificity against counts on masks and their equations on maps."""

import pytest
import torch

from crispmap.errors import SettingError
from crispmap.functional import dice_loss, iou_loss, sensitivity_specificity_loss

LOSSES = [iou_loss, dice_loss, sensitivity_specificity_loss]


def maps(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    pred = torch.rand(shape, generator=generator, dtype=torch.float64)
    return pred, (torch.rand(shape, generator=generator) > 0.5).double()


def test_on_masks_they_are_counts():
    pred = torch.tensor([1.0, 1, 1, 0, 0, 0, 0, 0, 0, 0]).view(1, 1, 2, 5)
    truth = torch.tensor([1.0, 0, 0, 1, 1, 1, 0, 0, 0, 0]).view(1, 1, 2, 5)
    assert iou_loss(pred, truth, smooth=0).item() == pytest.approx(1 - 1 / 6)
    assert iou_loss(pred, truth).item() == pytest.approx(1 - 2 / 7)
    assert dice_loss(pred, truth, smooth=0).item() == pytest.approx(1 - 2 / 7)
    assert dice_loss(pred, truth).item() == pytest.approx(1 - 3 / 8)
    mixed = sensitivity_specificity_loss(pred, truth, sensitivity_weight=0.25)
    assert mixed.item() == pytest.approx(0.25 * 3 / 4 + 0.75 * 2 / 6)


@pytest.mark.parametrize("reduction", ["image", "batch", "none"])
def test_on_maps_they_are_their_equations(reduction):
    pred, truth = maps(3, 2, 5, 8)
    dims = (0, 2, 3) if reduction == "batch" else (2, 3)
    overlap, p, t = (x.sum(dims) for x in (pred * truth, pred, truth))
    error = (pred - truth) ** 2
    sides = [(error * side).sum(dims) / (side.sum(dims) + 1e-7) for side in (truth, 1 - truth)]
    expected = {
        iou_loss: 1 - (overlap + 1) / (p + t - overlap + 1),
        dice_loss: 1 - (2 * overlap + 1) / (p + t + 1),
        sensitivity_specificity_loss: 0.5 * sides[0] + 0.5 * sides[1],
    }
    for loss, values in expected.items():
        found = loss(pred, truth, reduction=reduction)
        torch.testing.assert_close(found, values if reduction == "none" else values.mean())


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("reduction", ["image", "batch"])
def test_gradient_in_double_precision(loss, reduction):
    pred, truth = maps(2, 2, 4, 5)
    valid = torch.rand(2, 1, 4, 5, generator=torch.Generator().manual_seed(1)) < 0.8
    assert torch.autograd.gradcheck(lambda y: loss(y, truth, reduction=reduction, valid=valid), pred.requires_grad_())


@pytest.mark.parametrize("loss", LOSSES)
def test_empty_truth_is_no_free_ride(loss):
    pred, _ = maps(2, 1, 20, 30)
    empty, full = torch.zeros_like(pred), torch.ones_like(pred)
    assert loss(empty, empty).item() == 0
    assert loss(full, empty).item() > 0.4
    pred.requires_grad_()
    (gradient,) = torch.autograd.grad(loss(pred, empty), pred)
    assert (gradient > 0).all()  # a step down the gradient removes what is predicted
    zero = torch.zeros_like(pred, requires_grad=True)
    (gradient,) = torch.autograd.grad(loss(zero, full), zero)
    assert (gradient < 0).all()  # and an empty prediction of a present object grows


@pytest.mark.parametrize("loss", LOSSES)
def test_ignored_pixels_take_no_part(loss):
    pred, truth = maps(2, 2, 6, 7)
    valid = torch.rand(2, 1, 6, 7, generator=torch.Generator().manual_seed(2)) < 0.6
    assert torch.equal(
        loss(pred, truth, valid=valid),
        loss(pred.where(valid, 0.9), (1 - truth).where(~valid, truth), valid=valid),
    )
    flat = valid[0, 0]
    chosen = loss(pred[:1, :1][..., flat][..., None], truth[:1, :1][..., flat][..., None])
    torch.testing.assert_close(loss(pred[:1, :1], truth[:1, :1], valid=valid[:1]), chosen)
    assert loss(pred, truth, valid=torch.zeros_like(valid)).item() == 0


@pytest.mark.parametrize("loss", LOSSES)
def test_half_precision_does_not_overflow(loss):
    pred, truth = (x.half() for x in maps(4, 1, 512, 512))
    assert loss(pred, truth).item() == pytest.approx(loss(pred.double(), truth.double()).item(), abs=1e-4)


@pytest.mark.parametrize("loss", LOSSES)
def test_an_unknown_reduction_is_named(loss):
    with pytest.raises(SettingError, match="reduction is 'sum'; allowed are 'image', 'batch', 'none'"):
        loss(*maps(1, 1, 3, 3), reduction="sum")
