"""BoundaryLoss, the module: what it makes of modes and shapes, and how it lives in torch's machinery."""

import copy
import pickle

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from crispmap import BoundaryLoss
from crispmap.errors import SettingError
from crispmap.functional import boundary_loss

VARIANTS = ["balanced", "paper"]
MODES = ["binary", "multiclass", "multilabel"]
each_variant = pytest.mark.parametrize("variant", VARIANTS)
each_mode = pytest.mark.parametrize("mode", MODES)


def example(mode="binary", n=2, height=14, width=19, seed=0):
    """Logits and truth with a few pixels ignored (255)."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(n, 1 if mode == "binary" else 3, height, width, generator=generator)
    smooth = F.avg_pool2d(torch.randn(logits.shape, generator=generator), 5, 1, 2)
    truth = {"binary": smooth[:, 0] > 0, "multiclass": smooth.argmax(1), "multilabel": smooth > 0}[mode].long()
    truth[..., :2, :4] = 255
    return logits, truth


def maps_of(mode, logits, truth):
    """What the functional form is given: probabilities, a map of each class, and which pixels count."""
    valid = truth != 255
    if mode == "multiclass":
        known = truth.where(valid, 0)
        return logits.softmax(1), F.one_hot(known, 3).movedim(-1, 1).to(logits) * valid[:, None], valid[:, None]
    if mode == "binary":
        truth, valid = truth[:, None], valid[:, None]
    return logits.sigmoid(), (truth * valid).to(logits), valid


def with_gradient(criterion, logits, truth):
    leaf = logits.detach().clone().requires_grad_()
    loss = criterion(leaf, truth)
    (gradient,) = torch.autograd.grad(loss.sum(), leaf)
    return loss.detach(), gradient


def assert_same(found, expected, **tolerance):
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, **tolerance)


@each_variant
@each_mode
@pytest.mark.parametrize("reduction", ["image", "batch", "none"])
def test_is_the_functional_form_on_a_map_of_each_class(variant, mode, reduction):
    logits, truth = example(mode)
    options = {"theta0": 5, "theta": 3, "variant": variant, "reduction": reduction}
    criterion = BoundaryLoss(mode, ignore_index=255, **options)

    def functional(logits, truth):
        pred, maps, valid = maps_of(mode, logits, truth)
        return boundary_loss(pred, maps, valid=valid, **options)

    assert_same(with_gradient(criterion, logits, truth), with_gradient(functional, logits, truth))
    probabilities = logits.softmax(1) if mode == "multiclass" else logits.sigmoid()
    of_probabilities = BoundaryLoss(mode, ignore_index=255, from_logits=False, **options)
    torch.testing.assert_close(of_probabilities(probabilities, truth), criterion(logits, truth))


@each_variant
def test_binary_shapes_mean_the_same(variant):
    logits, truth = example()
    criterion = BoundaryLoss(variant=variant, ignore_index=255)
    expected = with_gradient(criterion, logits, truth)
    assert_same(with_gradient(criterion, logits, truth[:, None]), expected)
    for y_true in (truth, truth[:, None]):
        loss, gradient = with_gradient(criterion, logits[:, 0], y_true)
        assert_same((loss, gradient[:, None]), expected)


@each_variant
@each_mode
def test_pixels_are_ignored_by_value_or_by_mask(variant, mode):
    logits, truth = example(mode)
    expected = with_gradient(BoundaryLoss(mode, variant=variant, ignore_index=255), logits, truth)
    plain, valid = BoundaryLoss(mode, variant=variant), truth != 255
    for mask in (valid, valid[:, :1], valid.expand(logits.shape)) if mode == "multilabel" else (valid, valid[:, None]):
        found = with_gradient(lambda x, y, mask=mask: plain(x, y, valid=mask), logits, truth)
        assert_same(found, expected)
    other = logits.masked_fill(~(valid if mode == "multilabel" else valid[:, None]), 9.0)
    assert torch.equal(plain(other, truth, valid=valid), expected[0])


@each_variant
def test_class_weights_weigh(variant):
    logits, truth = example("multiclass")
    weights = [0.5, 0.0, 1.5]
    apart = BoundaryLoss("multiclass", variant=variant, reduction="none")(logits, truth)
    assert apart.shape == (2, 3)
    expected = (apart[:, 0] + 3 * apart[:, 2]).mean() / 4
    weighted = BoundaryLoss("multiclass", variant=variant, class_weights=weights)
    torch.testing.assert_close(weighted(logits, truth), expected)
    assert weighted.class_weights.dtype == torch.float32
    unreduced = BoundaryLoss("multiclass", variant=variant, class_weights=weights, reduction="none")
    assert torch.equal(unreduced(logits, truth), apart)
    with pytest.raises(SettingError, match="there are 3 class_weights for 1 classes"):
        BoundaryLoss(variant=variant, class_weights=weights)(*example())


@pytest.mark.parametrize(("variant", "value"), [("balanced", 0), ("paper", 1)])
@each_mode
def test_all_ignored(variant, value, mode):
    logits, truth = example(mode)
    criterion = BoundaryLoss(mode, variant=variant, ignore_index=255)
    loss, gradient = with_gradient(criterion, logits, torch.full_like(truth, 255))
    assert loss == value
    assert not gradient.any()


def test_a_class_that_is_absent_and_not_predicted_adds_nothing():
    """Two classes told apart by logits of ±20, and a third that neither side knows."""
    _, truth = example("multiclass", n=1)
    truth = (truth > 0).long()
    logits = torch.full((1, 3, *truth.shape[1:]), -40.0)
    logits[:, :2] = 40.0 * F.one_hot(truth, 2).movedim(-1, 1)
    losses = BoundaryLoss("multiclass", reduction="none")(logits, truth)
    assert losses.abs().max() < 1e-6
    papers = BoundaryLoss("multiclass", variant="paper", reduction="none")(logits, truth)
    assert (papers > 1 - 1e-6).tolist() == [[False, False, True]]


# Precision and memory formats


@each_variant
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_autocast_computes_in_float32(variant, dtype):
    logits, truth = example(height=40, width=50)
    criterion = BoundaryLoss(variant=variant, ignore_index=255)
    weight = torch.tensor(1.5, requires_grad=True)
    low = logits.to(dtype)
    with torch.autocast("cpu", dtype=dtype):
        loss = criterion(low * weight, truth)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, criterion((low * weight.detach()).float(), truth))
    (gradient,) = torch.autograd.grad(loss, weight)
    assert gradient.isfinite()
    assert gradient != 0


@each_variant
def test_float64_stays_float64(variant):
    logits, truth = example("multiclass")
    criterion = BoundaryLoss("multiclass", variant=variant, class_weights=[1, 2, 3]).to(torch.float64)
    assert criterion.class_weights.dtype == torch.float64
    loss, gradient = with_gradient(criterion, logits.double(), truth)
    assert loss.dtype == gradient.dtype == torch.float64
    single = BoundaryLoss("multiclass", variant=variant, class_weights=[1, 2, 3])(logits, truth)
    torch.testing.assert_close(single.double(), loss, rtol=1e-5, atol=0)


@each_variant
@each_mode
def test_channels_last_is_the_same(variant, mode):
    logits, truth = example(mode)
    criterion = BoundaryLoss(mode, variant=variant, ignore_index=255)
    network = nn.Conv2d(2, logits.shape[1], 3, padding=1)
    images = torch.randn(2, 2, *logits.shape[2:], generator=torch.Generator().manual_seed(1))
    results = []
    for layout in (torch.contiguous_format, torch.channels_last):
        network.zero_grad()
        scores = network.to(memory_format=layout)(images.to(memory_format=layout))
        scores.retain_grad()
        loss = criterion(scores, truth)
        loss.backward()
        assert scores.grad.shape == scores.shape
        results.append((loss.detach(), scores.grad.clone(), network.weight.grad.clone()))
    assert scores.is_contiguous(memory_format=torch.channels_last)
    assert_same(*results)


# torch.compile and torch.export


@pytest.fixture
def fresh_compiler():
    """Without it what other tests compiled counts against the limit of recompilations."""
    torch.compiler.reset()
    yield
    torch.compiler.reset()


class Trained(nn.Module):
    """A network with its loss, as one compiles a training step."""

    def __init__(self, criterion, classes):
        super().__init__()
        torch.manual_seed(0)
        self.network = nn.Conv2d(3, classes, 3, padding=1)
        self.criterion = criterion

    def forward(self, images, truth):
        return self.criterion(self.network(images), truth)


def training_example(mode, n=2, height=14, width=19):
    logits, truth = example(mode, n, height, width)
    images = torch.randn(n, 3, height, width, generator=torch.Generator().manual_seed(1))
    return logits.shape[1], images, truth


def step(module, trained, images, truth):
    trained.zero_grad()
    loss = module(images, truth)
    loss.backward()
    return loss.detach(), trained.network.weight.grad.clone()


@each_variant
@each_mode
def test_compiles_without_a_graph_break(variant, mode, fresh_compiler):
    classes, images, truth = training_example(mode)
    trained = Trained(BoundaryLoss(mode, variant=variant, ignore_index=255), classes)
    expected = step(trained, trained, images, truth)
    compiled = torch.compile(trained, fullgraph=True, backend="aot_eager")
    assert_same(step(compiled, trained, images, truth), expected)


@each_variant
def test_compiled_code_takes_images_of_other_sizes(variant, fresh_compiler):
    classes, *_ = training_example("binary")
    trained = Trained(BoundaryLoss(variant=variant), classes)
    compiled = torch.compile(trained, fullgraph=True, backend="aot_eager", dynamic=True)
    for n, height, width in ((2, 14, 19), (1, 20, 11), (3, 8, 8)):
        _, images, truth = training_example("binary", n, height, width)
        assert_same(step(compiled, trained, images, truth), step(trained, trained, images, truth))


@each_variant
@pytest.mark.parametrize("strict", [False, True])
def test_exports(variant, strict):
    classes, images, truth = training_example("multiclass")
    trained = Trained(BoundaryLoss("multiclass", variant=variant, ignore_index=255), classes)
    exported = torch.export.export(trained, (images, truth), strict=strict)
    operators = {str(node.target) for node in exported.graph.nodes}
    assert f"crispmap.{variant}_sums.default" in operators
    _, others, their_truth = training_example("multiclass")
    torch.testing.assert_close(exported.module()(others + 1, their_truth), trained(others + 1, truth))


# The module as an object


@each_variant
def test_copies_and_pickles_compute_the_same(variant):
    logits, truth = example("multilabel")
    criterion = BoundaryLoss("multilabel", variant=variant, theta=7, ignore_index=255, class_weights=[1, 2, 3])
    expected = with_gradient(criterion, logits, truth)
    for twin in (copy.deepcopy(criterion), pickle.loads(pickle.dumps(criterion))):
        assert_same(with_gradient(twin, logits, truth), expected, rtol=0, atol=0)
        assert repr(twin) == repr(criterion)
    assert not criterion.state_dict()


def test_print_shows_every_setting():
    shown = repr(BoundaryLoss("multilabel", theta0=5, theta=7, variant="paper", reduction="batch", ignore_index=9))
    for setting in (
        "mode='multilabel'",
        "theta0=5",
        "theta=7",
        "variant='paper'",
        "reduction='batch'",
        "from_logits=True",
        "ignore_index=9",
    ):
        assert setting in shown


@each_variant
def test_truth_takes_no_gradient(variant):
    logits, truth = example("multilabel")
    soft = torch.rand(truth.shape, generator=torch.Generator().manual_seed(2)).requires_grad_()
    loss = BoundaryLoss("multilabel", variant=variant)(logits.requires_grad_(), soft)
    assert torch.autograd.grad(loss, [logits, soft], allow_unused=True)[1] is None
    assert not BoundaryLoss("multilabel", variant=variant)(logits.detach(), soft).requires_grad


@each_variant
def test_serves_twice_in_one_graph_and_without_one(variant):
    logits, truth = example()
    criterion = BoundaryLoss(variant=variant, ignore_index=255)
    loss, gradient = with_gradient(criterion, logits, truth)

    def twice(logits, truth):
        return criterion(logits, truth) + 2 * criterion(logits.flip(-1), truth.flip(-1))

    both, its_gradient = with_gradient(twice, logits, truth)
    torch.testing.assert_close(both, 3 * loss)
    torch.testing.assert_close(its_gradient, 3 * gradient)
    logits.requires_grad_()
    for quiet in (torch.no_grad(), torch.inference_mode()):
        with quiet:
            value = criterion(logits, truth)
        assert torch.equal(value, loss)
        assert not value.requires_grad


@each_variant
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_cuda_is_the_same(variant):
    for mode in MODES:
        logits, truth = example(mode)
        criterion = BoundaryLoss(mode, variant=variant, ignore_index=255, class_weights=[1.0] * logits.shape[1])
        expected = with_gradient(criterion, logits, truth)
        found = with_gradient(criterion.cuda(), logits.cuda(), truth.cuda())
        assert found[0].is_cuda
        assert_same([x.cpu() for x in found], expected, rtol=1e-5, atol=1e-6)
        with torch.autocast("cuda", dtype=torch.float16):
            assert criterion(logits.cuda().half(), truth.cuda()).dtype == torch.float32
