"""The losses of segmentation_models_pytorch against their published equations, written out pixel by pixel."""

import math

import pytest
import torch

from crispmap import FocalLoss, LovaszLoss, TverskyLoss


def maps(mode, n=2, c=3, height=5, width=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    c = 1 if mode == "binary" else c
    logits = 2 * torch.randn(n, c, height, width, generator=generator, dtype=torch.float64)
    if mode == "multiclass":
        return logits, torch.randint(0, c, (n, height, width), generator=generator)
    return logits, (torch.rand(n, c, height, width, generator=generator) > 0.6).long()


def with_ignored(truth, share=0.25):
    ignored = torch.rand(truth.shape, generator=torch.Generator().manual_seed(1)) < share
    return truth.masked_fill(ignored, 255)


def lovasz_steps(errors, truth):
    """The factor of each pixel's error: how much the Jaccard loss rises if it is wrong beside all those worse."""
    order = sorted(range(len(errors)), key=lambda i: -errors[i])
    positives = {i for i, t in enumerate(truth) if t}

    def jaccard(wrong):
        union = positives | wrong
        return len(wrong) / len(union) if wrong else 0.0

    return {i: jaccard(set(order[: k + 1])) - jaccard(set(order[:k])) for k, i in enumerate(order)}


def lovasz(errors, truth):
    """The Lovász extension of the Jaccard loss."""
    return sum(errors[i] * step for i, step in lovasz_steps(errors, truth).items())


def lovasz_hinge(logits, truth):
    pairs = [(z, t) for z, t in zip(logits.flatten().tolist(), truth.flatten().tolist(), strict=True) if t != 255]
    return lovasz([max(1 - z * (2 * t - 1), 0) for z, t in pairs], [t for _, t in pairs]) if pairs else 0.0


def lovasz_softmax(logits, truth):
    rows = logits.softmax(1).movedim(1, -1).flatten(0, -2).tolist()
    pairs = [(p, t) for p, t in zip(rows, truth.flatten().tolist(), strict=True) if t != 255]
    present = sorted({t for _, t in pairs})
    losses = [lovasz([abs((t == c) - p[c]) for p, t in pairs], [t == c for _, t in pairs]) for c in present]
    return sum(losses) / len(losses) if losses else 0.0


@pytest.mark.parametrize("ignoring", [False, True])
@pytest.mark.parametrize("per_image", [False, True])
@pytest.mark.parametrize("mode", ["binary", "multilabel", "multiclass"])
def test_lovasz_is_the_extension_of_the_jaccard_loss(mode, per_image, ignoring):
    logits, truth = maps(mode, n=3)
    if ignoring:
        truth = with_ignored(truth)
        truth[2] = 255  # a whole image
    pools = [slice(n, n + 1) for n in range(3)] if per_image else [slice(None)]
    if mode == "multiclass":
        truth[truth == 1] = 2  # a class that is absent
        losses = [lovasz_softmax(logits[pool], truth[pool]) for pool in pools]
    else:
        losses = [
            sum(lovasz_hinge(logits[pool, c], truth[pool, c]) for c in range(logits.shape[1])) / logits.shape[1]
            for pool in pools
        ]
    found = LovaszLoss(mode, per_image=per_image, ignore_index=255 if ignoring else None)(logits, truth)
    assert found.item() == pytest.approx(sum(losses) / len(losses), rel=1e-5)


def test_lovasz_has_the_gradient_of_its_steps():
    logits, truth = maps("binary")
    z, t = logits.flatten().tolist(), truth.flatten().tolist()
    errors = [max(1 - z * (2 * t - 1), 0) for z, t in zip(z, t, strict=True)]
    steps = lovasz_steps(errors, t)
    expected = [steps[i] * (1 - 2 * t[i]) * (errors[i] > 0) for i in range(len(t))]
    (found,) = torch.autograd.grad(LovaszLoss()(logits.requires_grad_(), truth), logits)
    torch.testing.assert_close(found.flatten(), torch.tensor(expected, dtype=torch.float64), rtol=1e-5, atol=1e-6)


def test_lovasz_of_an_empty_truth_is_the_largest_error():
    logits, truth = maps("binary")
    logits.requires_grad_()
    value = LovaszLoss()(logits, torch.zeros_like(truth))
    assert value.item() == pytest.approx(1 + logits.max().item())
    (gradient,) = torch.autograd.grad(value, logits)
    assert (gradient != 0).sum() == 1
    assert LovaszLoss()(logits.detach() - 100, torch.zeros_like(truth)).item() == 0
    nothing = LovaszLoss("multiclass")(logits.expand(-1, 3, -1, -1), torch.full_like(truth[:, 0], 9))
    assert nothing.item() == 0


def tversky(p, t, alpha, beta):
    pairs = [(p, t) for p, t in zip(p.flatten().tolist(), t.flatten().tolist(), strict=True) if t != 255]
    hits = sum(p * t for p, t in pairs)
    invented = sum(p * (1 - t) for p, t in pairs)
    missed = sum((1 - p) * t for p, t in pairs)
    return 1 - (hits + 1) / (hits + alpha * invented + beta * missed + 1)


@pytest.mark.parametrize("ignoring", [False, True])
@pytest.mark.parametrize("weights", [(0.3, 0.7), (0.5, 0.5), (1.0, 0.0)])
def test_tversky_is_its_equation(weights, ignoring):
    logits, truth = maps("multilabel")
    truth = with_ignored(truth) if ignoring else truth
    p = logits.sigmoid()
    settings = {"alpha": weights[0], "beta": weights[1], "ignore_index": 255 if ignoring else None}
    batch = [tversky(p[:, c], truth[:, c], *weights) for c in range(3)]
    image = [[tversky(p[n, c], truth[n, c], *weights) for c in range(3)] for n in range(2)]
    assert TverskyLoss("multilabel", **settings)(logits, truth).item() == pytest.approx(sum(batch) / 3)
    apart = TverskyLoss("multilabel", reduction="none", **settings)(logits, truth)
    torch.testing.assert_close(apart, torch.tensor(image, dtype=torch.float64))


def test_tversky_in_multiclass_mode_is_of_the_softmax():
    logits, truth = maps("multiclass")
    truth = with_ignored(truth)
    p = logits.softmax(1)
    expected = [tversky(p[:, c], (truth == c).long().where(truth != 255, 255), 0.3, 0.7) for c in range(3)]
    found = TverskyLoss("multiclass", ignore_index=255)(logits, truth)
    assert found.item() == pytest.approx(sum(expected) / 3)


def test_tversky_of_an_empty_truth_has_a_price_and_a_gradient():
    logits, truth = maps("binary", height=20)
    logits.requires_grad_()
    empty = torch.zeros_like(truth)
    value = TverskyLoss()(logits, empty)
    invented = 0.3 * logits.sigmoid().sum().item()
    assert value.item() == pytest.approx(invented / (invented + 1))
    assert (torch.autograd.grad(value, logits)[0] > 0).all()
    assert TverskyLoss()(logits.detach() - 100, empty).item() == pytest.approx(0, abs=1e-6)


def focal(p_t, gamma, weight=1.0):
    return -weight * (1 - p_t) ** gamma * math.log(p_t)


@pytest.mark.parametrize("ignoring", [False, True])
@pytest.mark.parametrize(("gamma", "alpha"), [(2.0, None), (0.0, None), (1.5, 0.25)])
@pytest.mark.parametrize("mode", ["binary", "multilabel"])
def test_focal_is_its_equation(mode, gamma, alpha, ignoring):
    logits, truth = maps(mode)
    truth = with_ignored(truth) if ignoring else truth
    terms = []
    for p, t in zip(logits.sigmoid().flatten().tolist(), truth.flatten().tolist(), strict=True):
        if t != 255:
            weight = 1.0 if alpha is None else alpha if t else 1 - alpha
            terms.append(focal(p if t else 1 - p, gamma, weight))
    found = FocalLoss(mode, gamma=gamma, alpha=alpha, ignore_index=255 if ignoring else None)(logits, truth)
    assert found.item() == pytest.approx(sum(terms) / len(terms))


@pytest.mark.parametrize("ignoring", [False, True])
@pytest.mark.parametrize("gamma", [2.0, 0.0])
def test_focal_in_multiclass_mode_is_of_the_softmax(gamma, ignoring):
    logits, truth = maps("multiclass")
    truth = with_ignored(truth) if ignoring else truth
    rows = logits.softmax(1).movedim(1, -1).flatten(0, -2).tolist()
    terms = [focal(p[t], gamma) for p, t in zip(rows, truth.flatten().tolist(), strict=True) if t != 255]
    criterion = FocalLoss("multiclass", gamma=gamma, ignore_index=255 if ignoring else None)
    assert criterion(logits, truth).item() == pytest.approx(sum(terms) / len(terms))
    if gamma == 0:
        expected = torch.nn.functional.cross_entropy(logits, truth, ignore_index=255)
        torch.testing.assert_close(criterion(logits, truth), expected)


@pytest.mark.parametrize("loss", [FocalLoss, TverskyLoss])
@pytest.mark.parametrize("mode", ["binary", "multilabel", "multiclass"])
@pytest.mark.parametrize("ignoring", [False, True])
def test_gradient_in_double_precision(loss, mode, ignoring):
    logits, truth = maps(mode, height=3, width=4)
    truth = with_ignored(truth) if ignoring else truth
    criterion = loss(mode, ignore_index=255 if ignoring else None)
    assert torch.autograd.gradcheck(lambda y: criterion(y, truth), logits.requires_grad_())


@pytest.mark.parametrize("loss", [FocalLoss, LovaszLoss, TverskyLoss])
def test_saturated_logits_stay_finite(loss):
    for mode in ("binary", "multiclass"):
        logits, truth = maps(mode)
        logits = (1e3 * logits).float().requires_grad_()
        value = loss(mode)(logits, truth)
        assert value.isfinite()
        assert torch.autograd.grad(value, logits)[0].isfinite().all()
