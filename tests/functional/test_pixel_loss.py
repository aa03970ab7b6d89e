"""Binary cross entropy over the pixels that count."""

import pytest
import torch

from crispmap.functional import bce_loss


def maps(*shape):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(shape, generator=generator, dtype=torch.float64)
    return logits, (torch.rand(shape, generator=generator) > 0.5).double()


def test_is_the_mean_over_the_pixels_that_count():
    logits, truth = maps(2, 3, 5, 6)
    p = logits.sigmoid()
    each = -(truth * p.log() + (1 - truth) * (1 - p).log())
    assert bce_loss(logits, truth).item() == pytest.approx(each.mean().item(), abs=1e-12)
    assert bce_loss(p, truth, from_logits=False).item() == pytest.approx(each.mean().item(), abs=1e-12)
    valid = torch.rand(2, 1, 5, 6, generator=torch.Generator().manual_seed(1)) < 0.3
    expected = each[valid.expand_as(each)].mean().item()
    assert bce_loss(logits, truth, valid=valid).item() == pytest.approx(expected, abs=1e-12)


def test_all_ignored_is_zero_with_a_zero_gradient():
    logits, truth = maps(1, 1, 4, 4)
    logits.requires_grad_()
    loss = bce_loss(logits, truth, valid=torch.zeros(1, 1, 4, 4, dtype=torch.bool))
    (gradient,) = torch.autograd.grad(loss, logits)
    assert loss.item() == 0
    assert not gradient.any()


def test_extreme_logits_stay_finite():
    logits = torch.tensor([1e4, -1e4, 1e4, -1e4], dtype=torch.float16).view(1, 1, 2, 2)
    truth = torch.tensor([1.0, 0, 0, 1]).view(1, 1, 2, 2)
    assert bce_loss(logits, truth).item() == pytest.approx(5e3, rel=1e-3)
    assert bce_loss((logits > 0).float(), truth, from_logits=False).isfinite()


@pytest.mark.parametrize("from_logits", [True, False])
def test_works_under_autocast(from_logits):
    logits, truth = maps(1, 1, 8, 8)
    given = (logits if from_logits else logits.sigmoid()).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = bce_loss(given, truth.float(), from_logits=from_logits)
    assert found.item() == pytest.approx(bce_loss(logits, truth).item(), abs=1e-6)
