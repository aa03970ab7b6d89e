"""The active boundary loss against its equations, one pixel and one neighbour at a time."""

import math

import pytest
import torch
import torch.nn.functional as F

from crispmap.functional import active_boundary_loss

AROUND = [(-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1)]
BESIDE = [(0, 1), (1, 0)]


def divergence(p, q):
    """KL(P ‖ Q) of two distributions given as log-probabilities."""
    return (p.exp() * (p - q)).sum()


def literal(centre, neighbour, true, valid, share=0.01, theta=20.0, smoothing=0.2):
    """The published steps for a batch. The log-probabilities come twice: those of i, and those of its neighbours j."""
    total, count = 0.0, 0
    for log_i, log_j, ids, known in zip(centre, neighbour, true, valid, strict=True):
        height, width = ids.shape
        places = [(r, c) for r in range(height) for c in range(width) if known[r, c]]

        def near(place, steps, known=known, height=height, width=width):
            all_of_them = [(place[0] + r, place[1] + c) for r, c in steps]
            return [(r, c) for r, c in all_of_them if 0 <= r < height and 0 <= c < width and known[r, c]]

        true_boundary = [i for i in places if any(ids[i] != ids[j] for j in near(i, BESIDE))]
        if not true_boundary:
            continue
        distance = {i: min(math.dist(i, b) for b in true_boundary) for i in places}
        change = {
            i: max([divergence(log_i[:, *i], log_j[:, *j]).item() for j in near(i, BESIDE)], default=0.0)
            for i in places
        }
        limit = math.ceil(share * height * width)
        ordered = sorted([*change.values(), *[0.0] * (height * width - len(places))], reverse=True)
        threshold = max(ordered[min(limit, len(ordered) - 1)], 1e-5)
        sharp = [i for i in places if change[i] > threshold]
        boundary = [i for i in places if any(max(abs(i[0] - k[0]), abs(i[1] - k[1])) <= 1 for k in sharp)]
        count += len(boundary)
        for i in boundary:
            others = near(i, AROUND)
            least = min((distance[j] for j in others), default=math.inf)
            if least >= distance[i]:
                continue
            chosen = [distance[j] == least for j in others]
            ways = torch.stack([divergence(log_i[:, *i], log_j[:, *j]) for j in others]).log_softmax(0)
            if all(chosen):
                target = [1 / len(others)] * len(others)
            else:
                rest = smoothing / chosen.count(False)
                target = [(1 - smoothing) / chosen.count(True) if one else rest for one in chosen]
            cross_entropy = -(ways * torch.tensor(target, dtype=ways.dtype)).sum()
            total = total + min(distance[i], theta) / theta * cross_entropy
    return total / max(count, 1)


def maps(n=2, k=3, height=10, width=13, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(n, k, height, width, generator=generator, dtype=torch.float64)
    smooth = F.avg_pool2d(torch.randn(n, k, height, width, generator=generator), 5, 1, 2)
    return logits, smooth.argmax(1)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("ignored", [0.0, 0.2])
@pytest.mark.parametrize("settings", [{}, {"share": 0.3, "theta": 2.0, "smoothing": 0.0}, {"share": 1.0}])
def test_equals_its_equations_in_value_and_gradient(classes, ignored, settings):
    logits, true = maps(k=classes)
    valid = torch.rand(true.shape, generator=torch.Generator().manual_seed(1)) >= ignored
    logits.requires_grad_()
    names = {"share": "boundary_share", "theta": "max_distance", "smoothing": "label_smoothing"}
    given = {names[name]: value for name, value in settings.items()} | ({"valid": valid} if ignored else {})
    found = active_boundary_loss(logits.log_softmax(1), true, **given)
    log_p = logits.log_softmax(1)
    expected = literal(log_p, log_p.detach(), true, valid, **settings)
    assert found.item() > 0
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(*torch.autograd.grad(found, logits), *torch.autograd.grad(expected, logits))


def test_the_gradient_is_that_of_the_centres_with_their_neighbours_held():
    logits, true = maps(1, 2, 4, 5)
    valid = torch.ones_like(true, dtype=torch.bool)
    held = logits.log_softmax(1)

    def of_centres(x):
        return literal(x.log_softmax(1), held, true, valid, share=0.2)

    leaf = logits.clone().requires_grad_()
    assert torch.autograd.gradcheck(of_centres, leaf)
    (expected,) = torch.autograd.grad(of_centres(leaf), leaf)
    (found,) = torch.autograd.grad(active_boundary_loss(leaf.log_softmax(1), true, boundary_share=0.2), leaf)
    assert expected.any()
    torch.testing.assert_close(found, expected)


def bar(edge, height=8, width=40, slope=1.0):
    """Logits of two classes that meet in a soft vertical edge."""
    across = slope * (edge - torch.arange(width, dtype=torch.float64))
    return torch.stack([-across / 2, across / 2])[:, None].expand(2, height, width)[None]


def test_it_moves_an_edge_towards_the_true_one():
    true = (torch.arange(40) < 20).long().expand(1, 8, 40)
    logits = bar(14.5).clone().requires_grad_()
    optimiser = torch.optim.Adam([logits], lr=0.05)
    wrong = []
    for _ in range(81):
        optimiser.zero_grad()
        active_boundary_loss(logits.log_softmax(1), true, boundary_share=0.05).backward()
        optimiser.step()
        wrong.append(int(((logits[0, 1] > logits[0, 0]) != true[0]).sum()))
    assert wrong[0] == 40  # five columns
    assert wrong[-1] <= 8  # one: the true boundary is marked on one side of the edge only


def test_the_loss_follows_the_distance_between_the_boundaries():
    true = (torch.arange(40) < 20).long().expand(1, 8, 40)
    values = [active_boundary_loss(bar(edge).log_softmax(1), true, boundary_share=0.05) for edge in (19.5, 17.5, 12.5)]
    assert values[0] < values[1] < values[2]


def test_without_boundaries_it_is_nothing():
    logits, true = maps()
    logits.requires_grad_()
    valid = torch.zeros_like(true, dtype=torch.bool)
    for value in (
        active_boundary_loss(logits.log_softmax(1), torch.zeros_like(true)),
        active_boundary_loss(logits.log_softmax(1), torch.ones_like(true)),
        active_boundary_loss((0 * logits).log_softmax(1), true),
        active_boundary_loss(logits.log_softmax(1), true, valid=valid),
    ):
        assert value.item() == 0
        assert not torch.autograd.grad(value, logits)[0].any()
    # An image without a true boundary does not thin out the others.
    alone = active_boundary_loss(logits[:1].log_softmax(1), true[:1])
    empty = torch.stack([true[0], torch.zeros_like(true[0])])
    torch.testing.assert_close(active_boundary_loss(logits.log_softmax(1), empty), alone)


def test_ignored_pixels_take_no_part():
    logits, true = maps()
    valid = torch.rand(true.shape, generator=torch.Generator().manual_seed(1)) < 0.8
    value = active_boundary_loss(logits.log_softmax(1), true, valid=valid, boundary_share=0.3)
    other = logits.where(valid[:, None], 9 * logits.flip(1)).log_softmax(1)
    ids = true.where(valid, (true + 1) % 3)
    torch.testing.assert_close(active_boundary_loss(other, ids, valid=valid, boundary_share=0.3), value, rtol=0, atol=0)
    # A band of unknown pixels between two classes is no boundary.
    apart = torch.zeros(1, 9, 9, dtype=torch.long)
    apart[..., 5:] = 1
    known = torch.ones_like(apart, dtype=torch.bool)
    known[..., 4] = False
    assert active_boundary_loss(maps(1, 2, 9, 9)[0].log_softmax(1), apart, valid=known).item() == 0


def test_saturated_predictions_stay_finite():
    logits, true = maps()
    logits = (1e4 * logits).float().requires_grad_()
    value = active_boundary_loss(logits.log_softmax(1), true)
    assert value.isfinite()
    assert torch.autograd.grad(value, logits)[0].isfinite().all()


def test_half_precision_is_computed_in_float32():
    logits, true = maps(2, 2, 64, 64)
    log_p = logits.log_softmax(1).bfloat16()
    value = active_boundary_loss(log_p, true)
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(active_boundary_loss(log_p.double(), true).item(), rel=1e-4)
