"""The boundary loss against its equations, and what its description promises, with each form of its sums."""

import literal
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from soft_maps import KINDS, soft_map

from crispmap.errors import SettingError
from crispmap.functional import boundary_loss, boundary_sums

VARIANTS = ["balanced", "paper"]
UNEVEN = (0.0, 0.1, 0.37, 0.9)  # levels whose sums depend on their order if they are taken in floats
EPS = 1e-7

each_variant = pytest.mark.parametrize("variant", VARIANTS)
quickly = settings(derandomize=True, deadline=None, max_examples=30)


@pytest.fixture(scope="module", params=["numba", "torch"], autouse=True)
def form(request):
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "numba":
            pytest.importorskip("numba")
        else:
            patch.setattr(boundary_sums, "_numba", lambda: None)
        yield


def with_gradient(pred, truth, **settings):
    leaf = pred.detach().clone().requires_grad_()
    loss = boundary_loss(leaf, truth, **settings)
    (gradient,) = torch.autograd.grad(loss.sum(), leaf)
    return loss.detach(), gradient


def square(size, first, last):
    """One object, rows and columns from first to before last, (1, 1, size, size)."""
    y = torch.zeros(1, 1, size, size, dtype=torch.float64)
    y[..., first:last, first:last] = 1
    return y


def half(size, column):
    """Object left of a straight edge, (1, 1, size, size)."""
    return (torch.arange(size) < column).double().expand(1, 1, size, size)


# The equations


def loss_of_literal_sums(pred, truth, valid, theta0, theta, variant, reduction):
    maps = [y.flatten(0, 1) for y in (pred, truth, valid.expand_as(pred))]
    if variant == "balanced":
        sums = literal.balanced_sums(*maps, theta0 // 2, theta)
    else:
        sums = literal.paper_sums(*maps, theta0, theta)
    sums = [s.view(pred.shape[:2]) for s in sums]
    if reduction == "batch":
        sums = [s.sum(0) for s in sums]
    if variant == "balanced":
        error, amount = sums
        matched = (amount - error) / 2
        return 1 - (2 * matched + 1) / (2 * matched + error + 1)  # an F1; the 1 is θ², which the sums are divided by
    pred_b, true_b, matched_pred, matched_true = sums
    precision, recall = matched_pred / (pred_b + EPS), matched_true / (true_b + EPS)
    return 1 - 2 * precision * recall / (precision + recall + EPS)


@each_variant
@pytest.mark.parametrize("reduction", ["image", "batch", "none"])
@pytest.mark.parametrize("windows", [(3, 5), (5, 3), (3, 31)])
def test_equals_its_equation_in_every_reduction(variant, reduction, windows):
    pred = torch.stack([soft_map(kind, (2, 7, 9), seed=1) for kind in ("random", "blob", "levels")])
    truth = torch.stack([soft_map(kind, (2, 7, 9), seed=2) for kind in ("blob", "smooth", "empty")])
    valid = torch.rand(3, 1, 7, 9, generator=torch.Generator().manual_seed(3)) < 0.97
    pred.requires_grad_()
    theta0, theta = windows
    expected = loss_of_literal_sums(pred, truth, valid, theta0, theta, variant, reduction)
    loss = boundary_loss(
        pred, truth, theta0=theta0, theta=theta, variant=variant, reduction=reduction, valid=valid, eps=EPS
    )
    assert loss.shape == ((3, 2) if reduction == "none" else ())
    torch.testing.assert_close(loss, expected if reduction == "none" else expected.mean(), rtol=0, atol=1e-12)
    gradients = [torch.autograd.grad(x.mean(), pred)[0] for x in (loss, expected)]
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-12)


def pool(x, width):
    return F.max_pool2d(x, width, stride=1, padding=width // 2)


def published(pred, truth, theta0, theta):
    """The paper's equation as one writes it in torch, (N, C); ties go to the first pixel."""
    pred_b, truth_b = (pool(1 - y, theta0) - (1 - y) for y in (pred, truth))
    precision = (pred_b * pool(truth_b, theta)).sum((2, 3)) / (pred_b.sum((2, 3)) + EPS)
    recall = (truth_b * pool(pred_b, theta)).sum((2, 3)) / (truth_b.sum((2, 3)) + EPS)
    return 1 - 2 * precision * recall / (precision + recall + EPS)


@pytest.mark.parametrize("windows", [(3, 1), (3, 3), (3, 5), (5, 7), (7, 19), (3, 101)])
@pytest.mark.parametrize("shape", [(16, 16), (9, 31), (40, 13), (1, 12), (1, 1)])
def test_paper_is_the_published_equation(windows, shape):
    theta0, theta = windows
    truth = torch.stack([soft_map(kind, (1, *shape), seed=1) for kind in KINDS])
    for kind in KINDS:
        pred = soft_map(kind, (1, *shape), seed=2).expand_as(truth).clone().requires_grad_()
        expected = published(pred, truth, theta0, theta)
        loss = boundary_loss(pred, truth, theta0=theta0, theta=theta, variant="paper", reduction="none")
        torch.testing.assert_close(loss, expected, rtol=0, atol=1e-12)
        if kind == "random":  # without ties gradients must agree too
            gradients = [torch.autograd.grad(x.sum(), pred)[0] for x in (loss, expected)]
            torch.testing.assert_close(*gradients, rtol=0, atol=1e-12)


@each_variant
@pytest.mark.parametrize("reduction", ["image", "batch", "none"])
@pytest.mark.parametrize("ignoring", [False, True])
def test_gradient_in_double_precision(variant, reduction, ignoring):
    """On noise, which has no kinks: against soft truth, against none, and wholly ignored."""
    pred = soft_map("random", (3, 1, 5, 6), seed=1).requires_grad_()
    truth = soft_map("random", (3, 1, 5, 6), seed=2)
    truth[1] = 0
    valid = None
    if ignoring:
        valid = torch.ones(3, 1, 5, 6, dtype=torch.bool)
        valid[0, 0, 4, 5] = valid[1, 0, 0, 0] = valid[2] = False
    options = {"theta": 3, "variant": variant, "reduction": reduction, "valid": valid}
    assert with_gradient(pred, truth, **options)[1][0].any()
    assert torch.autograd.gradcheck(lambda y: boundary_loss(y, truth, **options), pred)


def test_balanced_is_the_default():
    pred, truth = soft_map("random", (1, 1, 12, 12)), soft_map("blob", (1, 1, 12, 12))
    assert torch.equal(boundary_loss(pred, truth), boundary_loss(pred, truth, variant="balanced"))
    assert not torch.isclose(boundary_loss(pred, truth), boundary_loss(pred, truth, variant="paper"))


def test_class_weights_make_a_weighted_mean():
    pred, truth = soft_map("random", (2, 3, 15, 15)), soft_map("blob", (2, 3, 15, 15))
    apart = boundary_loss(pred, truth, reduction="none")
    weights = torch.tensor([1.0, 0.0, 3.0])
    expected = (apart[:, 0] + 3 * apart[:, 2]).mean() / 4
    torch.testing.assert_close(boundary_loss(pred, truth, class_weights=weights), expected)
    pooled = boundary_loss(pred, truth, reduction="batch", class_weights=weights)
    first, _, third = (boundary_loss(pred[:, [k]], truth[:, [k]], reduction="batch") for k in range(3))
    torch.testing.assert_close(pooled, (first + 3 * third) / 4)


# Properties, whatever the maps


@st.composite
def cases(draw):
    """Prediction, truth, and the settings of the loss."""
    shape = tuple(draw(st.integers(1, most)) for most in (3, 2, 13, 13))
    dtype = draw(st.sampled_from([torch.float64, torch.float32]))
    pred, truth = (
        soft_map(draw(st.sampled_from(KINDS)), shape, draw(st.integers(0, 99)), UNEVEN).to(dtype) for _ in range(2)
    )
    windows = {"theta0": draw(st.sampled_from([3, 5])), "theta": draw(st.sampled_from([1, 3, 5, 9, 31]))}
    return pred, truth, windows | {"variant": draw(st.sampled_from(VARIANTS))}


def assert_close(found, expected):
    """Equal to the rounding of sums over small maps."""
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-6 if found.dtype == torch.float32 else 1e-12)


@quickly
@given(cases())
def test_lies_between_0_and_1(case):
    pred, truth, options = case
    losses, gradient = with_gradient(pred, truth, reduction="none", **options)
    assert (losses >= -1e-6).all()
    assert ((losses < 1) if options["variant"] == "balanced" else (losses <= 1)).all()
    assert gradient.isfinite().all()


@quickly
@given(cases())
def test_a_perfect_prediction_costs_nothing(case):
    _, truth, options = case
    if options["variant"] == "paper":
        truth = (truth > 0.5).to(truth)
        edged = truth.flatten(2).amin(2) < truth.flatten(2).amax(2)
        losses = boundary_loss(truth, truth, reduction="none", **options)
        assert (losses[edged].abs() <= 1e-6).all()
        assert (losses[~edged] == 1).all()
    else:
        loss, gradient = with_gradient(truth, truth, **options)
        assert loss == 0
        assert not gradient.any()


def turned(y, way):
    """One of the eight ways to lay down a square sheet."""
    y = y.flip(-1) if way >= 4 else y
    return y.rot90(way % 4, (-2, -1))


@settings(quickly, max_examples=100)
@given(cases(), st.integers(1, 7))
def test_turns_and_flips_with_the_image(case, way):
    pred, truth, options = case
    loss, gradient = with_gradient(pred, truth, **options)
    turned_loss, turned_gradient = with_gradient(turned(pred, way), turned(truth, way), **options)
    assert_close(turned_loss, loss)
    assert_close(turned_gradient, turned(gradient, way))


@each_variant
@pytest.mark.parametrize("truth_kind", ["levels", "mask"])
def test_flat_patches_turn_with_the_image(variant, truth_kind):
    """Where a map rises and falls alike: levels whose sums round differently in another order."""
    for seed in range(8):
        pred = soft_map("levels", (1, 1, 12, 15), seed, UNEVEN)
        truth = soft_map(truth_kind, (1, 1, 12, 15), seed + 100, UNEVEN)
        _, gradient = with_gradient(pred, truth, variant=variant)
        for way in range(1, 8):
            _, turned_gradient = with_gradient(turned(pred, way), turned(truth, way), variant=variant)
            assert_close(turned_gradient, turned(gradient, way))


@quickly
@given(cases(), st.randoms(use_true_random=False))
def test_order_of_images_and_classes_does_not_matter(case, random):
    pred, truth, options = case
    images, classes = (random.sample(range(n), n) for n in pred.shape[:2])
    weights = torch.arange(1.0, 1 + pred.shape[1])
    for reduction in ("image", "batch"):
        loss, gradient = with_gradient(pred, truth, reduction=reduction, class_weights=weights, **options)
        shuffled = [y[images][:, classes] for y in (pred, truth)]
        again, its_gradient = with_gradient(*shuffled, reduction=reduction, class_weights=weights[classes], **options)
        assert_close(again, loss)
        assert_close(its_gradient, gradient[images][:, classes])


@quickly
@given(cases())
def test_a_batch_of_many_is_many_of_one(case):
    pred, truth, options = case
    loss, gradient = with_gradient(pred, truth, **options)
    apart = [with_gradient(p[None], t[None], **options) for p, t in zip(pred, truth, strict=True)]
    assert_close(loss, torch.stack([one for one, _ in apart]).mean())
    assert_close(gradient, torch.cat([its for _, its in apart]) / len(pred))


# Nothing there, or nothing predicted


def test_paper_gives_1_without_a_gradient_where_one_side_has_no_boundary():
    noise, empty, full = (soft_map(kind, (1, 1, 12, 14)) for kind in ("random", "empty", "full"))
    for pred, truth in ((noise, empty), (noise, full), (empty, noise), (full, noise), (empty, empty), (full, full)):
        loss, gradient = with_gradient(pred, truth, variant="paper")
        assert loss == 1
        assert not gradient.any()


@pytest.mark.parametrize(("side", "value"), [(1, 1.0), (1, 0.25), (6, 1.0), (6, 0.5)])
def test_balanced_penalty_on_empty_truth_is_the_length_predicted(side, value):
    """Each of 4·side edges is seen by θ² windows: A = 4·side·value·θ²."""
    pred = value * square(24, 9, 9 + side)
    length = 4 * side * value
    assert boundary_loss(pred, torch.zeros_like(pred)).item() == pytest.approx(length / (length + 1), abs=1e-12)
    assert boundary_loss(pred, torch.ones_like(pred)).item() == pytest.approx(length / (length + 1), abs=1e-12)


def test_balanced_asks_nothing_of_nothing():
    for kind in ("empty", "full"):
        for truth_kind in ("empty", "full"):
            loss, gradient = with_gradient(soft_map(kind, (2, 1, 9, 9)), soft_map(truth_kind, (2, 1, 9, 9)))
            assert loss == 0
            assert not gradient.any()


def test_on_empty_truth_every_edge_is_to_be_lowered():
    """Along one row rises are independent: the derivative by one is the sum of those by the pixels that follow."""
    for pred in (soft_map("random", (1, 1, 1, 40)), soft_map("mask", (1, 1, 1, 40))):
        _, gradient = with_gradient(pred, torch.zeros_like(pred))
        by_rise = gradient.flip(-1).cumsum(-1).flip(-1)[..., 1:]
        rises = pred.diff()
        assert (by_rise * rises)[rises != 0].min() > 0
    pred = soft_map("smooth", (1, 1, 25, 25))
    loss, gradient = with_gradient(pred, torch.zeros_like(pred))
    assert boundary_loss(pred - gradient, torch.zeros_like(pred)) < loss - 0.9 * gradient.square().sum()


def descend(logits, truth, steps):
    logits.requires_grad_()
    optimiser = torch.optim.Adam([logits], lr=0.2)
    for _ in range(steps):
        optimiser.zero_grad()
        boundary_loss(logits.sigmoid(), truth).backward()
        optimiser.step()
    return logits.detach().sigmoid()


def test_descent_on_empty_truth_removes_what_is_predicted():
    truth = torch.zeros(1, 1, 20, 20, dtype=torch.float64)
    pred = descend(5 * square(20, 6, 12) - 4, truth, 80)
    assert pred.max() < 0.3
    assert pred.diff().abs().max() < 0.05


def test_a_prediction_of_nothing_is_drawn_to_the_truth():
    truth = half(20, 8)
    _, gradient = with_gradient(torch.zeros_like(truth), truth)
    inside, outside = gradient[..., 4:8], gradient[..., 8:12]  # what windows of 5 columns at the edge see
    assert (inside[..., 1:] < 0).all()
    assert (outside[..., :-1] > 0).all()
    truth = square(20, 6, 14)
    _, gradient = with_gradient(torch.zeros_like(truth), truth)
    assert (gradient * truth).sum() < 0 < (gradient * (1 - truth)).sum()
    logits = torch.full_like(truth, -4.0)
    assert torch.equal((descend(logits, truth, 150) > 0.5).double(), truth)


def test_an_absent_class_adds_its_penalty_and_nothing_else():
    pred, truth = soft_map("random", (1, 3, 14, 11)), soft_map("blob", (1, 3, 14, 11))
    truth[:, 2] = 0
    present = boundary_loss(pred[:, :2], truth[:, :2])
    penalty = boundary_loss(pred[:, 2:], truth[:, 2:])
    torch.testing.assert_close(boundary_loss(pred, truth), (2 * present + penalty) / 3)
    pred[:, 2] = 0
    loss, gradient = with_gradient(pred, truth)
    torch.testing.assert_close(loss, 2 * present / 3)
    assert not gradient[:, 2].any()


# Ignored pixels


def pixels_windows_see(valid, step, theta):
    """Pixels of a window, around some edge, all of whose pixels are valid."""
    seen = torch.zeros_like(valid)
    reach = theta // 2
    for v, s in ((valid, seen), (valid.T, seen.T)):
        edges = v.shape[1] - step
        for row in range(len(v)):
            for edge in range(edges):
                rows = slice(max(row - reach, 0), row + reach + 1)
                first, last = max(edge - reach, 0), min(edge + reach, edges - 1) + 1
                sides = [(rows, slice(first + shift, last + shift)) for shift in (0, step)]
                if all(v[side].all() for side in sides):
                    for side in sides:
                        s[side] = True
    return seen


def pixels_near_counted_ones(valid, theta0, theta):
    """Boundary pixels near an ignored one do not count; those that do look as far as the windows that make them."""
    reach = (theta0 + theta) // 2 - 1
    rows, cols = torch.meshgrid(*map(torch.arange, valid.shape), indexing="ij")

    def near(pixels):
        found = torch.zeros_like(valid)
        for row, col in pixels.nonzero():
            found |= torch.maximum((rows - row).abs(), (cols - col).abs()) <= reach
        return found

    return near(~near(~valid))


@each_variant
@pytest.mark.parametrize(("theta0", "theta"), [(3, 1), (3, 3), (3, 5), (5, 3), (5, 7)])
def test_ignored_pixels_reach_as_far_as_windows_and_no_farther(variant, theta0, theta):
    """One pixel after the other made to stand out, in the prediction and in the truth."""
    height, width = 15, 17
    valid = torch.ones(height, width, dtype=torch.bool)
    valid[7, 8] = valid[1, 15] = valid[12, 2:5] = False
    if variant == "balanced":
        seen = pixels_windows_see(valid, theta0 // 2, theta)
    else:
        seen = pixels_near_counted_ones(valid, theta0, theta)
    assert seen.any()
    assert not seen[~valid].any()
    pred, truth = (0.5 + 0.2 * soft_map("random", (1, 1, height, width), seed) for seed in (1, 2))
    options = {"theta0": theta0, "theta": theta, "variant": variant}

    def losses(pred, truth):
        return boundary_loss(pred, truth, reduction="none", valid=valid.expand_as(pred), **options).view(-1)

    dotted = [y.repeat(height * width, 1, 1, 1) for y in (pred, truth)]
    for maps in dotted:
        maps.view(height * width, -1).fill_diagonal_(0)
    as_it_was = losses(pred, truth)
    assert torch.equal(losses(dotted[0], truth.expand_as(dotted[0])) != as_it_was, seen.flatten())
    assert torch.equal(losses(pred.expand_as(dotted[1]), dotted[1]) != as_it_was, seen.flatten())
    _, gradient = with_gradient(pred, truth, valid=valid[None, None], **options)
    assert not gradient[0, 0, ~seen].any()
    assert gradient.any()


@each_variant
def test_the_rim_of_what_is_ignored_makes_no_boundary(variant):
    """A truth that ends at a band of ignored pixels, which hold 0, and a prediction that goes on through it."""
    pred = torch.zeros(1, 1, 30, 40, dtype=torch.float64)
    pred[..., 8:20, :] = 1
    valid = torch.ones_like(pred, dtype=torch.bool)
    valid[..., 15:19] = False
    truth = pred.masked_fill(~valid, 0)
    loss, gradient = with_gradient(pred, truth, variant=variant, valid=valid)
    assert loss.item() == pytest.approx(0, abs=0 if variant == "balanced" else 1e-6)
    assert variant == "paper" or not gradient.any()
    assert boundary_loss(pred, truth, variant=variant) > 0.05


@each_variant
def test_valid_is_for_each_class_or_for_all(variant):
    pred, truth = soft_map("random", (2, 3, 14, 15)), soft_map("blob", (2, 3, 14, 15))
    valid = torch.rand(2, 1, 14, 15, generator=torch.Generator().manual_seed(0)) < 0.99
    assert not valid.all()
    for ours, theirs in zip(
        with_gradient(pred, truth, variant=variant, valid=valid),
        with_gradient(pred, truth, variant=variant, valid=valid.repeat(1, 3, 1, 1)),
        strict=True,
    ):
        assert torch.equal(ours, theirs)
    everything = boundary_loss(pred, truth, variant=variant, valid=torch.ones_like(valid))
    torch.testing.assert_close(everything, boundary_loss(pred, truth, variant=variant))
    one_class = torch.ones(2, 3, 14, 15, dtype=torch.bool)
    one_class[:, 1] = False
    apart = boundary_loss(pred, truth, variant=variant, valid=one_class, reduction="none")
    plain = boundary_loss(pred, truth, variant=variant, reduction="none")
    torch.testing.assert_close(apart[:, ::2], plain[:, ::2])
    assert (apart[:, 1] == (0 if variant == "balanced" else 1)).all()


@pytest.mark.parametrize(("variant", "value"), [("balanced", 0), ("paper", 1)])
@pytest.mark.parametrize("reduction", ["image", "batch"])
def test_nothing_but_ignored_pixels(variant, value, reduction):
    pred, truth = soft_map("random", (2, 1, 9, 9)), soft_map("blob", (2, 1, 9, 9))
    valid = torch.zeros_like(pred, dtype=torch.bool)
    loss, gradient = with_gradient(pred, truth, variant=variant, valid=valid, reduction=reduction)
    assert loss == value
    assert not gradient.any()


# Where the variants agree, and where they must not


@pytest.mark.parametrize(("theta", "offset"), [(3, 1), (5, 0), (5, 1), (5, 3), (9, 2), (9, 8)])
def test_a_straight_edge_some_pixels_off_costs_that_many_of_theta(theta, offset):
    size, reach = 64, theta // 2
    loss = boundary_loss(half(size, 30 + offset), half(size, 30), theta=theta).item()
    rows_seen = theta * size - reach * (reach + 1)  # summed over the windows of a column, those at the border cut off
    amount = 2 * theta * rows_seen
    assert loss == pytest.approx(2 * offset * rows_seen / (amount + theta**2), abs=1e-12)
    assert loss == pytest.approx(offset / theta, rel=0.01)  # the rest is the θ² below, θ/2 of 64 edges


@each_variant
@pytest.mark.parametrize("theta", [3, 5, 9])
def test_boundaries_far_apart_and_none_at_all_cost_nearly_1(variant, theta):
    truth = half(64, 20)
    for pred in (half(64, 20 + theta), half(64, 50), torch.zeros_like(truth), torch.ones_like(truth)):
        assert boundary_loss(pred, truth, theta=theta, variant=variant).item() == pytest.approx(1, abs=0.02)
    apart = square(64, 10, 20), square(64, 30, 45)
    assert boundary_loss(*apart, theta=theta, variant=variant).item() == pytest.approx(1, abs=0.02)


def combed(size, first, last):
    """A square with teeth, 2 pixels long and 2 wide, on every side."""
    y = square(size, first, last)
    teeth = (torch.arange(size) % 4 < 2) & (torch.arange(size) >= first) & (torch.arange(size) < last)
    for side in (y, y.mT):
        side[..., first - 2 : first, teeth] = 1
        side[..., last : last + 2, teeth] = 1
    return y


def perimeter(y):
    return sum(y.diff(dim=axis).abs().sum().item() for axis in (-1, -2))


def test_balanced_sees_teeth_that_paper_is_blind_to():
    truth, teeth, larger = square(48, 8, 40), combed(48, 8, 40), square(48, 7, 41)
    assert perimeter(teeth) == 2 * perimeter(truth)
    assert boundary_loss(teeth, truth, variant="paper") < 1e-6
    cost = boundary_loss(teeth, truth)
    assert cost > 0.4
    assert cost > 1.5 * boundary_loss(larger, truth)  # as much area as the teeth add, but one smooth edge


def test_balanced_sees_dots_that_paper_takes_for_a_boundary():
    """Not the object, but a dot on every second pixel along its boundary."""
    truth = square(48, 8, 41)
    even = torch.arange(48) % 2 == 0
    dots = (truth - square(48, 9, 40)) * even * even[:, None]
    assert dots.sum() == 64
    assert boundary_loss(dots, truth, variant="paper") < 1e-6
    assert boundary_loss(dots, truth) > 0.8


# Numbers


@each_variant
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_neither_overflows_nor_saturates(variant, dtype):
    pred = soft_map("random", (2, 1, 512, 512)).to(dtype).requires_grad_()  # Σ ≈ 260,000 > 65,504
    truth = soft_map("mask", (2, 1, 512, 512)).to(dtype)
    loss = boundary_loss(pred, truth, reduction="batch", variant=variant)
    assert loss.dtype == torch.float32
    exact = boundary_loss(pred.double(), truth.double(), reduction="batch", variant=variant)
    assert loss.item() == pytest.approx(exact.item(), abs=1e-5)
    (gradient,) = torch.autograd.grad(loss * 2**16, pred)
    assert gradient.dtype == dtype
    assert gradient.isfinite().all()
    assert gradient.any()


@each_variant
def test_what_is_not_a_number_does_not_pass_for_one(variant):
    pred, truth = soft_map("random", (2, 1, 12, 12)), soft_map("blob", (2, 1, 12, 12))
    pred[1, 0, 5, 5] = float("nan")
    losses = boundary_loss(pred, truth, variant=variant, reduction="none")
    assert losses.isnan().flatten().tolist() == [False, True]


@pytest.mark.parametrize(
    ("options", "message"),
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
def test_settings_out_of_range_are_named(options, message):
    with pytest.raises(SettingError, match=message):
        boundary_loss(torch.rand(1, 1, 8, 8), torch.rand(1, 1, 8, 8), **options)
