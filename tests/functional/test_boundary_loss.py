"""The surrogate against the paper's equations written down once more."""

import pytest
import torch
import torch.nn.functional as F

from crispmap.errors import SettingError
from crispmap.functional import boundary_loss

EPS = 1e-7


def pool(x, k):
    return F.max_pool2d(x, k, stride=1, padding=k // 2)


def bf1_of_the_paper(pd, gt, theta0, theta):
    """The equations for one class of one image, (1, 1, H, W)."""
    gt_b = pool(1 - gt, theta0) - (1 - gt)
    pd_b = pool(1 - pd, theta0) - (1 - pd)
    gt_b_ext = pool(gt_b, theta)
    pd_b_ext = pool(pd_b, theta)
    precision = (pd_b * gt_b_ext).sum() / (pd_b.sum() + EPS)
    recall = (gt_b * pd_b_ext).sum() / (gt_b.sum() + EPS)
    return 2 * precision * recall / (precision + recall + EPS)


def loss_of_the_paper(pd, gt, theta0, theta):
    """Per class, per image, then averaged."""
    pairs = zip(pd.flatten(0, 1), gt.flatten(0, 1), strict=True)
    scores = [bf1_of_the_paper(p[None, None], g[None, None], theta0, theta) for p, g in pairs]
    return 1 - torch.stack(scores).mean()


def make(kind, shape):
    generator = torch.Generator().manual_seed(len(kind))
    noise = torch.rand(shape, generator=generator, dtype=torch.float64)
    makers = {
        "random": lambda: noise,
        "mask": lambda: (noise > 0.6).double(),
        "blob": lambda: (F.avg_pool2d(noise, 5, 1, 2) > F.avg_pool2d(noise, 5, 1, 2).median()).double(),
        "empty": lambda: torch.zeros_like(noise),
        "full": lambda: torch.ones_like(noise),
    }
    return makers[kind]()


@pytest.mark.parametrize("windows", [(3, 1), (3, 3), (3, 5), (5, 7), (7, 19), (3, 101)])
@pytest.mark.parametrize("shape", [(1, 1, 16, 16), (2, 1, 9, 31), (3, 2, 40, 13), (1, 1, 1, 1)])
@pytest.mark.parametrize("truth_kind", ["mask", "blob", "empty", "full", "random"])
def test_equals_the_paper(windows, shape, truth_kind):
    truth = make(truth_kind, shape)
    for kind in ("random", "blob", "empty", "full"):
        pred = make(kind, shape).requires_grad_()
        again = pred.detach().clone().requires_grad_()
        loss = boundary_loss(pred, truth, theta0=windows[0], theta=windows[1], variant="paper")
        expected = loss_of_the_paper(again, truth, *windows)
        assert abs(loss - expected) < 1e-12
        torch.testing.assert_close(*torch.autograd.grad(loss, pred), *torch.autograd.grad(expected, again))


def test_balanced_is_the_papers_form_until_a_better_one_is_established():
    pred, truth = make("random", (2, 1, 20, 20)), make("blob", (2, 1, 20, 20))
    assert torch.equal(boundary_loss(pred, truth), boundary_loss(pred, truth, variant="paper"))


def test_known_values():
    truth = make("blob", (2, 1, 32, 32))
    assert boundary_loss(truth, truth).item() == pytest.approx(0, abs=1e-6)
    empty, full = torch.zeros_like(truth), torch.ones_like(truth)
    for pred, other in ((empty, empty), (full, full), (empty, truth), (truth, empty)):
        assert boundary_loss(pred, other, variant="paper").item() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("reduction", ["image", "batch"])
@pytest.mark.parametrize("ignoring", [False, True])
def test_gradient_in_double_precision(reduction, ignoring):
    generator = torch.Generator().manual_seed(0)
    shape = (2, 2, 7, 9)
    pred = torch.rand(shape, generator=generator, dtype=torch.float64).requires_grad_()  # no maximum is tied
    truth = torch.rand(shape, generator=generator, dtype=torch.float64)
    valid = torch.rand((2, 1, 7, 9), generator=generator) < 0.97 if ignoring else None
    settings = {"theta": 3, "reduction": reduction, "valid": valid}
    assert torch.autograd.gradcheck(lambda y: boundary_loss(y, truth, **settings), pred, eps=1e-7)


def test_batch_pools_sums_and_none_keeps_them_apart():
    pred, truth = make("random", (3, 2, 20, 24)), make("blob", (3, 2, 20, 24))
    apart = boundary_loss(pred, truth, reduction="none")
    assert apart.shape == (3, 2)
    assert apart[1, 1].item() == pytest.approx(loss_of_the_paper(pred[1:2, 1:], truth[1:2, 1:], 3, 5).item(), abs=1e-12)
    assert boundary_loss(pred, truth).item() == pytest.approx(apart.mean().item(), abs=1e-15)

    def sums(y):
        return (pool(1 - y, 3) - (1 - y)).sum((0, 2, 3))

    pred_b, truth_b = (pool(1 - y, 3) - (1 - y) for y in (pred, truth))
    precision = (pred_b * pool(truth_b, 5)).sum((0, 2, 3)) / (sums(pred) + EPS)
    recall = (truth_b * pool(pred_b, 5)).sum((0, 2, 3)) / (sums(truth) + EPS)
    expected = (1 - 2 * precision * recall / (precision + recall + EPS)).mean()
    assert boundary_loss(pred, truth, reduction="batch").item() == pytest.approx(expected.item(), abs=1e-12)
    one = boundary_loss(pred[:1], truth[:1], reduction="batch")
    assert one.item() == pytest.approx(boundary_loss(pred[:1], truth[:1]).item(), abs=1e-15)


def test_class_weights_make_a_weighted_mean():
    pred, truth = make("random", (2, 3, 15, 15)), make("blob", (2, 3, 15, 15))
    weights = torch.tensor([1.0, 0.0, 3.0])
    apart = boundary_loss(pred, truth, reduction="none")
    expected = (apart[:, 0] + 3 * apart[:, 2]).mean() / 4
    assert boundary_loss(pred, truth, class_weights=weights).item() == pytest.approx(expected.item(), abs=1e-12)


@pytest.mark.parametrize(("theta0", "theta", "reach"), [(3, 5, 3), (5, 3, 3), (3, 1, 1), (5, 9, 6)])
def test_ignored_pixels_reach_as_far_as_the_windows_and_no_farther(theta0, theta, reach):
    pred, truth = make("random", (1, 1, 25, 25)), make("blob", (1, 1, 25, 25))
    valid = torch.ones(1, 1, 25, 25, dtype=torch.bool)
    valid[..., 12, 12] = False

    def loss(pred, truth):
        settings = {"theta0": theta0, "theta": theta, "valid": valid}
        return boundary_loss(pred, truth, **settings)

    assert torch.equal(loss(pred, truth), loss(pred.where(valid, 0.0), truth.where(valid, 1 - truth)))
    pred.requires_grad_()
    (gradient,) = torch.autograd.grad(loss(pred, truth), pred)
    assert gradient[..., 12, 12] == 0
    everything = boundary_loss(pred, truth, theta0=theta0, theta=theta, valid=torch.ones_like(valid))
    assert torch.equal(everything, boundary_loss(pred, truth, theta0=theta0, theta=theta))
    # What is left out is a square of that reach: by hand, from the equations.
    kept = torch.ones_like(truth)
    kept[..., 12 - reach : 13 + reach, 12 - reach : 13 + reach] = 0
    pred_b, truth_b = (pool(1 - y, theta0) - (1 - y) for y in (pred, truth))
    precision = (kept * pred_b * pool(truth_b, theta)).sum() / ((kept * pred_b).sum() + EPS)
    recall = (kept * truth_b * pool(pred_b, theta)).sum() / ((kept * truth_b).sum() + EPS)
    assert abs(loss(pred, truth) - (1 - 2 * precision * recall / (precision + recall + EPS))) < 1e-12


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_neither_overflows_nor_saturates(dtype):
    generator = torch.Generator().manual_seed(0)
    pred = torch.rand(2, 1, 512, 512, generator=generator).to(dtype).requires_grad_()  # Σ ≈ 260,000 > 65,504
    truth = (torch.rand(2, 1, 512, 512, generator=generator) > 0.5).to(dtype)
    loss = boundary_loss(pred, truth, reduction="batch")
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(
        boundary_loss(pred.double(), truth.double(), reduction="batch").item(), abs=1e-5
    )
    (gradient,) = torch.autograd.grad(loss * 2**16, pred)
    assert gradient.isfinite().all()
    assert gradient.any()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"theta0": 4}, "theta0 is 4; it must be an odd integer of at least 3"),
        ({"theta0": 1}, "theta0 is 1; it must be an odd integer of at least 3"),
        ({"theta": 0}, "theta is 0; it must be an odd integer of at least 1"),
        ({"theta": -3}, "theta is -3; it must"),
        ({"theta": 5.0}, "theta is 5.0; it must be an odd integer"),
        ({"variant": "best"}, "variant is 'best'; allowed are 'balanced', 'paper'"),
        ({"reduction": "mean"}, "reduction is 'mean'; allowed are 'image', 'batch', 'none'"),
    ],
)
def test_settings_out_of_range_are_named(settings, message):
    with pytest.raises(SettingError, match=message):
        boundary_loss(torch.rand(1, 1, 8, 8), torch.rand(1, 1, 8, 8), **settings)
