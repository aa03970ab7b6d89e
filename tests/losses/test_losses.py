"""What all losses share: shapes, modes, ignored pixels, precision, pickling; and the settings of each."""

import copy
import pickle

import pytest
import torch
import torch.nn.functional as F

from crispmap import BCELoss, BoundaryLoss, DiceLoss, IoULoss, MixedLoss, SensitivitySpecificityLoss
from crispmap.errors import SettingError
from crispmap.functional import boundary_loss, dice_loss, iou_loss, sensitivity_specificity_loss
from crispmap.losses._base import class_maps

LOSSES = [BCELoss, BoundaryLoss, DiceLoss, IoULoss, SensitivitySpecificityLoss]
OF_PROBABILITIES = {
    BoundaryLoss: boundary_loss,
    DiceLoss: dice_loss,
    IoULoss: iou_loss,
    SensitivitySpecificityLoss: sensitivity_specificity_loss,
}


def binary(n=2, height=14, width=19, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(n, 1, height, width, generator=generator)
    smooth = F.avg_pool2d(torch.randn(n, 1, height, width, generator=generator), 5, 1, 2)
    return logits, (smooth[:, 0] > 0).long()


@pytest.mark.parametrize("loss", LOSSES)
def test_binary_shapes_and_truth_types_mean_the_same(loss):
    logits, truth = binary()
    value = loss()(logits, truth)
    assert value.shape == ()
    for y_true in (truth[:, None], truth.float(), truth.bool(), truth.byte()[:, None]):
        assert torch.equal(loss()(logits, y_true), value)
    assert torch.equal(loss()(logits[:, 0], truth), value)
    assert torch.equal(loss()(logits.contiguous(memory_format=torch.channels_last), truth), value)
    torch.testing.assert_close(loss(from_logits=False)(logits.sigmoid(), truth), value)


@pytest.mark.parametrize("loss", OF_PROBABILITIES)
def test_multiclass_is_softmax_against_one_map_a_class(loss):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 12, 9, generator=generator, dtype=torch.float64)
    truth = torch.randint(0, 3, (2, 12, 9), generator=generator)
    maps = F.one_hot(truth, 3).movedim(-1, 1).double()
    expected = OF_PROBABILITIES[loss](logits.softmax(1), maps)
    torch.testing.assert_close(loss("multiclass")(logits, truth), expected)
    truth[:, 3:5, 2] = 255
    valid = (truth != 255)[:, None]
    expected = OF_PROBABILITIES[loss](logits.softmax(1), maps, valid=valid)
    torch.testing.assert_close(loss("multiclass", ignore_index=255)(logits, truth), expected)


@pytest.mark.parametrize("loss", OF_PROBABILITIES)
def test_multilabel_is_a_sigmoid_a_class(loss):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 12, 9, generator=generator, dtype=torch.float64)
    truth = torch.randint(0, 2, (2, 3, 12, 9), generator=generator)
    expected = OF_PROBABILITIES[loss](logits.sigmoid(), truth.double())
    torch.testing.assert_close(loss("multilabel")(logits, truth), expected)
    truth[:, 1, 4, 4] = -1  # ignored in one class only
    expected = OF_PROBABILITIES[loss](logits.sigmoid(), truth.clamp(min=0).double(), valid=truth >= 0)
    torch.testing.assert_close(loss("multilabel", ignore_index=-1)(logits, truth), expected)


def test_bce_is_torchs_on_the_pixels_that_count():
    logits, truth = binary()
    expected = F.binary_cross_entropy_with_logits(logits[:, 0], truth.float())
    torch.testing.assert_close(BCELoss()(logits, truth), expected)
    truth[:, :5] = 255
    expected = F.binary_cross_entropy_with_logits(logits[:, 0, 5:], truth[:, 5:].float())
    torch.testing.assert_close(BCELoss(ignore_index=255)(logits, truth), expected)


@pytest.mark.parametrize("mode", ["binary", "multiclass", "multilabel"])
def test_maps_hold_nothing_but_classes(mode):
    truth = torch.tensor([[0, 1], [2 if mode == "multiclass" else 1, 255]]).view(1, 2, 2)
    scores = torch.zeros(1, 3 if mode == "multiclass" else 1, 2, 2)
    maps = class_maps(scores, truth[:, None] if mode == "multilabel" else truth, mode, 255)
    expected = [[[1, 0], [0, 0]], [[0, 1], [0, 0]], [[0, 0], [1, 0]]] if mode == "multiclass" else [[[0, 1], [1, 0]]]
    assert maps.truth[0].tolist() == expected
    assert maps.valid.tolist() == [[[[True, True], [True, False]]]]


def test_bce_refuses_classes_that_exclude_each_other():
    with pytest.raises(SettingError, match=r"for 'multiclass' use torch\.nn\.CrossEntropyLoss"):
        BCELoss("multiclass")


@pytest.mark.parametrize("loss", LOSSES)
def test_what_lies_at_ignored_pixels_does_not_matter(loss):
    logits, truth = binary()
    ignored = torch.zeros_like(truth, dtype=torch.bool)
    ignored[:, 4:6, 7:9] = True
    truth[ignored] = 255
    criterion = loss(ignore_index=255)
    leaf = logits.clone().requires_grad_()
    value = criterion(leaf, truth)
    (gradient,) = torch.autograd.grad(value, leaf)
    assert not gradient[ignored[:, None]].any()
    assert torch.equal(criterion(logits.masked_fill(ignored[:, None], 9.0), truth), value)
    assert torch.equal(criterion(logits.masked_fill(ignored[:, None], -9.0), truth), value)
    assert not torch.equal(loss()(logits, truth.where(~ignored, 0)), value)


@pytest.mark.parametrize("loss", LOSSES)
def test_all_ignored_is_finite_with_no_gradient(loss):
    logits, truth = binary()
    logits.requires_grad_()
    value = loss(ignore_index=255)(logits, torch.full_like(truth, 255))
    (gradient,) = torch.autograd.grad(value, logits)
    assert value.item() == 0
    assert not gradient.any()


@pytest.mark.parametrize("loss", [*LOSSES, MixedLoss])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_and_autocast_are_computed_in_float32(loss, dtype):
    logits, truth = binary(4, 256, 256)
    logits = (logits + 4).to(dtype).requires_grad_()  # sums above 65,504, the largest float16
    value = loss()(logits, truth)
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(loss()(logits.double(), truth).item(), rel=1e-4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(loss()(logits, truth), value)
    (gradient,) = torch.autograd.grad(value * 2**14, logits)
    assert gradient.isfinite().all()
    assert gradient.any()


@pytest.mark.parametrize("loss", [*LOSSES, lambda: BoundaryLoss("multilabel", class_weights=[2.0])])
def test_copies_and_pickles_compute_the_same(loss):
    logits, truth = binary()
    y_true = truth[:, None]
    criterion = loss()
    value = criterion(logits, y_true)
    assert torch.equal(copy.deepcopy(criterion)(logits, y_true), value)
    assert torch.equal(pickle.loads(pickle.dumps(criterion))(logits, y_true), value)
    assert not criterion.state_dict()


@pytest.mark.parametrize("loss", LOSSES)
def test_compiles_without_a_graph_break(loss):
    logits, truth = binary()
    compiled = torch.compile(loss(ignore_index=255), fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(logits, truth), loss(ignore_index=255)(logits, truth))


@pytest.mark.parametrize("loss", [BoundaryLoss, IoULoss, DiceLoss, SensitivitySpecificityLoss])
def test_reductions(loss):
    logits, truth = binary(3)
    apart = loss(reduction="none")(logits, truth)
    assert apart.shape == (3, 1)
    torch.testing.assert_close(loss(reduction="image")(logits, truth), apart.mean())
    assert not torch.isclose(loss(reduction="batch")(logits, truth), apart.mean(), rtol=1e-6)


@pytest.mark.parametrize("loss", OF_PROBABILITIES)
@pytest.mark.parametrize(
    ("mode", "y_pred", "y_true"),
    [
        ("binary", (2, 3, 8, 8), (2, 8, 8)),
        ("binary", (2, 1, 8, 8), (2, 8, 9)),
        ("binary", (1, 8, 8), (8, 8)),
        ("multiclass", (2, 3, 8, 8), (2, 1, 8, 8)),
        ("multilabel", (2, 3, 8, 8), (2, 8, 8)),
    ],
)
def test_wrong_shapes_are_named(loss, mode, y_pred, y_true):
    with pytest.raises(SettingError) as caught:
        loss(mode)(torch.zeros(y_pred), torch.zeros(y_true))
    assert str(caught.value).startswith(f"{mode} mode takes y_pred (N, ")
    assert str(caught.value).endswith(f"found {y_pred} and {y_true}")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BoundaryLoss("multi"), "mode is 'multi'; allowed are 'binary', 'multiclass', 'multilabel'"),
        (lambda: BoundaryLoss(theta=6), "theta is 6; it must be an odd integer of at least 1"),
        (lambda: BoundaryLoss(theta0=1), "theta0 is 1"),
        (lambda: BoundaryLoss(variant="x"), "variant is 'x'; allowed are 'balanced', 'paper'"),
        (lambda: BoundaryLoss(reduction="sum"), "reduction is 'sum'; allowed are"),
        (lambda: BoundaryLoss(class_weights=[-1.0, 1.0]), r"class_weights are \[-1.0, 1.0\]; give numbers"),
        (lambda: BoundaryLoss(class_weights=[]), r"class_weights are \[\]; give numbers"),
        (lambda: DiceLoss(reduction="sum"), "reduction is 'sum'; allowed are"),
        (lambda: SensitivitySpecificityLoss(sensitivity_weight=2), "sensitivity_weight is 2; give a number"),
    ],
)
def test_settings_out_of_range_are_named(make, message):
    with pytest.raises(SettingError, match=message):
        make()


def test_class_weights_must_be_as_many_as_classes():
    logits, truth = binary()
    with pytest.raises(SettingError, match="there are 2 class_weights for 1 classes"):
        BoundaryLoss(class_weights=[1.0, 2.0])(logits, truth)


def test_class_weights_weigh():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 12, 9, generator=generator)
    truth = torch.randint(0, 3, (2, 12, 9), generator=generator)
    apart = BoundaryLoss("multiclass", reduction="none")(logits, truth).mean(0)
    weighted = BoundaryLoss("multiclass", class_weights=[0.5, 0, 1.5])(logits, truth)
    torch.testing.assert_close(weighted, 0.25 * apart[0] + 0.75 * apart[2])


def test_print_shows_the_settings():
    assert "theta=7" in repr(BoundaryLoss(theta=7))
    assert "ignore_index=255" in repr(IoULoss(ignore_index=255))
