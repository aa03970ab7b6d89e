"""What the losses of others share with ours: shapes, modes, ignored pixels, precision, copies, class paths."""

import copy
import pickle

import pytest
import torch
import torch.nn.functional as F

from crispmap import (
    ActiveBoundaryLoss,
    BCELoss,
    BoundaryDoULoss,
    BoundaryWeightedBCELoss,
    FocalLoss,
    HausdorffDTLoss,
    LovaszLoss,
    SurfaceLoss,
    TverskyLoss,
)
from crispmap.errors import SettingError
from crispmap.fit import build_loss

OURS = [ActiveBoundaryLoss, BoundaryDoULoss, BoundaryWeightedBCELoss, HausdorffDTLoss, SurfaceLoss]
LOSSES = [*OURS, FocalLoss, LovaszLoss, TverskyLoss]
OF_CLASSES = [loss for loss in LOSSES if loss is not BoundaryWeightedBCELoss]


def binary(n=2, height=24, width=29, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(n, 1, height, width, generator=generator)
    smooth = F.avg_pool2d(torch.randn(n, 1, height, width, generator=generator), 5, 1, 2)
    return logits, (smooth[:, 0] > 0).long()


def classes(n=2, c=3, height=24, width=21, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(n, c, height, width, generator=generator)
    smooth = F.avg_pool2d(torch.randn(n, c, height, width, generator=generator), 5, 1, 2)
    return logits, smooth.argmax(1)


def given(mode, seed=0):
    """Logits and truth in the shapes of a mode."""
    if mode == "binary":
        return binary(seed=seed)
    logits, truth = classes(seed=seed)
    return (logits, truth) if mode == "multiclass" else (logits, F.one_hot(truth, 3).movedim(-1, 1))


@pytest.mark.parametrize("loss", LOSSES)
def test_binary_shapes_and_truth_types_mean_the_same(loss):
    logits, truth = binary()
    value = loss()(logits, truth)
    assert value.shape == ()
    assert value != 0
    for y_true in (truth[:, None], truth.float(), truth.bool(), truth.byte()[:, None]):
        assert torch.equal(loss()(logits, y_true), value)
    assert torch.equal(loss()(logits[:, 0], truth), value)
    assert torch.equal(loss()(logits.contiguous(memory_format=torch.channels_last), truth), value)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("mode", ["binary", "multiclass", "multilabel"])
def test_probabilities_and_logits_mean_the_same(loss, mode):
    if loss is BoundaryWeightedBCELoss and mode == "multiclass":
        return
    logits, truth = given(mode)
    if loss is LovaszLoss and mode != "multiclass":
        with pytest.raises(SettingError, match=f"LovaszLoss in {mode} mode is a hinge on logits; leave from_logits"):
            loss(mode, from_logits=False)
        return
    probabilities = logits.softmax(1) if mode == "multiclass" else logits.sigmoid()
    torch.testing.assert_close(loss(mode, from_logits=False)(probabilities, truth), loss(mode)(logits, truth))


@pytest.mark.parametrize("loss", [BoundaryDoULoss, FocalLoss, HausdorffDTLoss, LovaszLoss, SurfaceLoss, TverskyLoss])
def test_multilabel_is_the_mean_of_the_classes(loss):
    logits, truth = given("multilabel")
    apart = [loss()(logits[:, [c]], truth[:, c]) for c in range(3)]
    torch.testing.assert_close(loss("multilabel")(logits, truth), torch.stack(apart).mean())


@pytest.mark.parametrize("loss", [ActiveBoundaryLoss, BoundaryWeightedBCELoss])
def test_multilabel_pools_the_pixels_of_the_classes(loss):
    logits, truth = given("multilabel")
    pooled = loss()(logits.flatten(0, 1), truth.flatten(0, 1))
    torch.testing.assert_close(loss("multilabel")(logits, truth), pooled)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("mode", ["binary", "multiclass", "multilabel"])
def test_what_lies_at_ignored_pixels_does_not_matter(loss, mode):
    if loss is BoundaryWeightedBCELoss and mode == "multiclass":
        return
    logits, truth = given(mode)
    ignored = torch.zeros(truth.shape, dtype=torch.bool)
    ignored[..., 4:9, 7:12] = True
    if mode == "multilabel":
        ignored[:, 1:] = False  # unknown in one class only
    hidden = ignored if truth.ndim == 4 else ignored[:, None].expand_as(logits)
    criterion = loss(mode, ignore_index=255)
    leaf = logits.clone().requires_grad_()
    value = criterion(leaf, truth.masked_fill(ignored, 255))
    (gradient,) = torch.autograd.grad(value, leaf)
    assert gradient.any()
    assert not gradient[hidden].any()
    for other in (9.0, -9.0):
        assert torch.equal(criterion(logits.masked_fill(hidden, other), truth.masked_fill(ignored, 255)), value)
    assert not torch.equal(loss(mode)(logits, truth), value)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("mode", ["binary", "multiclass", "multilabel"])
def test_all_ignored_is_nothing_with_no_gradient(loss, mode):
    if loss is BoundaryWeightedBCELoss and mode == "multiclass":
        return
    logits, truth = given(mode)
    logits.requires_grad_()
    value = loss(mode, ignore_index=255)(logits, torch.full_like(truth, 255))
    assert value.item() == 0
    assert value.shape == ()
    assert not torch.autograd.grad(value, logits)[0].any()


@pytest.mark.parametrize("loss", LOSSES)
def test_an_image_of_ignored_pixels_leaves_the_others_finite(loss):
    logits, truth = given("multilabel")
    truth[1] = 255
    criterion = loss("multilabel", ignore_index=255)
    torch.testing.assert_close(criterion(logits, truth), criterion(logits[:1], truth[:1]))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_and_autocast_are_computed_in_float32(loss, dtype):
    logits, truth = binary(2, 128, 128)
    logits = (logits + 2).to(dtype).requires_grad_()
    value = loss()(logits, truth)
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(loss()(logits.double(), truth).item(), rel=1e-3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(loss()(logits, truth), value)
    (gradient,) = torch.autograd.grad(value * 2**10, logits)
    assert gradient.isfinite().all()
    assert gradient.any()


@pytest.mark.parametrize("loss", LOSSES)
def test_copies_and_pickles_compute_the_same(loss):
    logits, truth = binary()
    criterion = loss(ignore_index=255)
    value = criterion(logits, truth)
    assert torch.equal(copy.deepcopy(criterion)(logits, truth), value)
    assert torch.equal(pickle.loads(pickle.dumps(criterion))(logits, truth), value)
    assert not criterion.state_dict()
    assert list(criterion.modules()) == [criterion]  # nothing inside that could be told of an ignore_index
    assert "ignore_index=255" in repr(criterion)


@pytest.mark.parametrize("loss", OURS)
def test_compiles_without_a_graph_break(loss):
    logits, truth = binary()
    truth[:, :3] = 255
    compiled = torch.compile(loss(ignore_index=255), fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(logits, truth), loss(ignore_index=255)(logits, truth))


@pytest.mark.parametrize("loss", [BoundaryDoULoss, HausdorffDTLoss, SurfaceLoss, TverskyLoss])
def test_reductions(loss):
    logits, truth = binary(3)
    truth[0, :10] = 255
    settings = {"ignore_index": 255}
    apart = loss(reduction="none", **settings)(logits, truth)
    assert apart.shape == (3, 1)
    torch.testing.assert_close(loss(reduction="image", **settings)(logits, truth), apart.mean())
    assert not torch.isclose(loss(reduction="batch", **settings)(logits, truth), apart.mean(), rtol=1e-6)
    for n in range(3):
        alone = loss(reduction="image", **settings)(logits[n : n + 1], truth[n : n + 1])
        torch.testing.assert_close(alone, apart[n, 0])


@pytest.mark.parametrize("loss", LOSSES)
def test_wrong_shapes_are_named(loss):
    with pytest.raises(SettingError, match=r"binary mode takes y_pred .* found \(2, 3, 8, 8\) and \(2, 8, 8\)"):
        loss()(torch.zeros(2, 3, 8, 8), torch.zeros(2, 8, 8))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("given", ["crispmap.{}", {"class_path": "crispmap.{}", "init_args": {"mode": "multilabel"}}])
def test_class_paths_work_in_settings(loss, given):
    name = loss.__name__
    made = build_loss(given.format(name) if isinstance(given, str) else given | {"class_path": f"crispmap.{name}"})
    assert type(made) is loss
    assert made.mode == ("binary" if isinstance(given, str) else "multilabel")


@pytest.mark.parametrize("loss", LOSSES)
def test_an_unknown_mode_is_named(loss):
    with pytest.raises(SettingError, match="mode is 'multi'; allowed are 'binary', 'multiclass', 'multilabel'"):
        loss("multi")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SurfaceLoss(reduction="sum"), "reduction is 'sum'; allowed are"),
        (lambda: HausdorffDTLoss(alpha=0), "alpha is 0; give a number above 0"),
        (lambda: BoundaryWeightedBCELoss("multiclass"), "BoundaryWeightedBCELoss takes mode 'binary' or 'multilabel'"),
        (lambda: BoundaryWeightedBCELoss(w0=-1), "w0 is -1; give a number of at least 0"),
        (lambda: BoundaryWeightedBCELoss(sigma=0), "sigma is 0; give a number above 0"),
        (lambda: BoundaryDoULoss(reduction="sum"), "reduction is 'sum'; allowed are"),
        (lambda: ActiveBoundaryLoss(boundary_share=0), "boundary_share is 0; give a number above 0 and at most 1"),
        (lambda: ActiveBoundaryLoss(max_distance=-1), "max_distance is -1; give a number of pixels above 0"),
        (lambda: ActiveBoundaryLoss(label_smoothing=1), "label_smoothing is 1; give a number from 0 to below 1"),
        (lambda: TverskyLoss(alpha=-1), "alpha and beta are -1 and 0.7; give numbers of at least 0"),
        (lambda: TverskyLoss(reduction="sum"), "reduction is 'sum'; allowed are"),
        (lambda: FocalLoss(gamma=-1), "gamma is -1; give a number of at least 0"),
        (lambda: FocalLoss(alpha=2), "alpha is 2; give a number from 0 to 1"),
        (lambda: FocalLoss("multiclass", alpha=0.5), "alpha weighs a class against the rest; leave it out"),
    ],
)
def test_settings_out_of_range_are_named(make, message):
    with pytest.raises(SettingError, match=message):
        make()


@pytest.mark.parametrize("loss", OF_CLASSES)
def test_multiclass_of_ids_that_are_no_class_is_finite(loss):
    logits, truth = classes()
    truth[:, 5:8] = 7
    assert loss("multiclass")(logits, truth).isfinite()


def test_boundary_weighted_bce_without_weights_is_bce():
    logits, truth = binary()
    truth[:, :5] = 255
    expected = BCELoss(ignore_index=255)(logits, truth)
    torch.testing.assert_close(BoundaryWeightedBCELoss(w0=0, ignore_index=255)(logits, truth), expected)
