"""The mixture of losses and the schedules of its weight."""

import copy
import pickle

import pytest
import torch
from jsonargparse import ArgumentParser
from torch import nn

from crispmap import BCELoss, BoundaryLoss, ConstantWeight, DiceLoss, IoULoss, MixedLoss, RampWeight
from crispmap.errors import SettingError


def maps():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 1, 16, 20, generator=generator)
    return logits.requires_grad_(), (torch.rand(2, 16, 20, generator=generator) > 0.6).long()


@pytest.mark.parametrize("weight", [0, 0.3, 1.0])
def test_equals_its_equation_in_value_and_gradient(weight):
    logits, truth = maps()
    found = MixedLoss(weight=weight)(logits, truth)
    bce, boundary, iou = (loss(logits, truth) for loss in (BCELoss(), BoundaryLoss(), IoULoss()))
    expected = bce + weight * boundary + (1 - weight) * iou
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(*torch.autograd.grad(found, logits), *torch.autograd.grad(expected, logits))


def test_parts_are_reported_by_name_and_detached():
    logits, truth = maps()
    mixture = MixedLoss(BoundaryLoss(theta=9), DiceLoss(), BCELoss(), weight=0.25)
    assert mixture.parts == {}
    total = mixture(logits, truth)
    parts = mixture.parts
    assert list(parts) == ["pixel", "boundary", "region", "weight"]
    assert not any(part.requires_grad for part in parts.values())
    assert parts["boundary"] == BoundaryLoss(theta=9)(logits, truth)
    assert parts["region"] == DiceLoss()(logits, truth)
    torch.testing.assert_close(parts["pixel"] + 0.25 * parts["boundary"] + 0.75 * parts["region"], total)
    assert parts["weight"] == 0.25


class Watched(nn.Module):
    """A loss that notes whether a gradient was asked of it."""

    needed = None

    def forward(self, y_pred, y_true):
        value = y_pred.square().mean()
        self.needed = value.requires_grad
        return value


@pytest.mark.parametrize(("weight", "boundary", "region"), [(0.0, False, True), (0.5, True, True), (1, True, False)])
def test_a_part_of_no_weight_is_reported_without_a_gradient(weight, boundary, region):
    logits, truth = maps()
    mixture = MixedLoss(Watched(), Watched(), weight=weight)
    mixture(logits, truth).backward()
    assert (mixture.boundary.needed, mixture.region.needed) == (boundary, region)
    assert mixture.parts["boundary"] > 0
    with torch.no_grad():
        assert not mixture(logits, truth).requires_grad


def test_the_weight_follows_its_schedule():
    logits, truth = maps()
    mixture = MixedLoss(weight=RampWeight(to=0.6, start=0.2, end=0.7))
    weights = []
    for progress in (0.0, 0.2, 0.45, 0.7, 1.0):
        mixture.set_progress(progress)
        mixture(logits, truth)
        assert mixture.parts["weight"].item() == pytest.approx(mixture.weight)
        weights.append(mixture.weight)
    assert weights == pytest.approx([0, 0, 0.3, 0.6, 0.6])


class SquaredProgress:
    def __init__(self, factor):
        self.factor = factor

    def __call__(self, progress):
        return self.factor * progress**2


def test_any_function_of_progress_is_a_schedule():
    mixture = MixedLoss(weight=SquaredProgress(0.5))
    mixture.set_progress(0.5)
    assert mixture.weight == 0.125


@pytest.mark.parametrize("schedule", [0.9, RampWeight(to=0.9)])
def test_a_controller_can_fix_the_weight_whatever_the_schedule(schedule):
    logits, truth = maps()
    mixture = MixedLoss(weight=schedule)
    weights = []
    for progress, decided in ((0.0, 0.3), (0.5, 0), (0.9, 1.0)):
        mixture.set_progress(progress)
        mixture.weight = decided
        mixture.set_progress(1.0)  # the loop goes on telling, as it did before
        found = mixture(logits, truth)
        torch.testing.assert_close(found, MixedLoss(weight=decided)(logits, truth))
        weights.append(mixture.parts["weight"].item())
    assert weights == pytest.approx([0.3, 0, 1])
    assert "ConstantWeight(value=1.0)" in repr(mixture)


def test_a_fixed_weight_needs_no_progress_and_a_refused_one_changes_nothing():
    mixture = MixedLoss(weight=RampWeight())
    mixture.weight = 0.3
    with pytest.raises(SettingError, match=r"weight is 1\.5"):
        mixture.weight = 1.5
    assert mixture.weight == 0.3
    assert mixture.schedule == ConstantWeight(0.3)
    mixture(*maps()).backward()


def test_a_schedule_out_of_range_leaves_the_weight_as_it_was():
    mixture = MixedLoss(weight=SquaredProgress(4))
    mixture.set_progress(0.5)
    with pytest.raises(SettingError):
        mixture.set_progress(0.6)
    assert mixture.weight == 1


def test_a_schedule_must_be_told_the_progress():
    with pytest.raises(SettingError, match=r"RampWeight\(to=0.9, start=0.0, end=0.3\).*call set_progress"):
        MixedLoss(weight=RampWeight())(*maps())
    MixedLoss(weight=ConstantWeight(0.2))(*maps())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MixedLoss(weight=1.5), "weight is 1.5; give a number from 0 to 1"),
        (lambda: setattr(MixedLoss(), "weight", -0.1), "weight is -0.1; give a number from 0 to 1"),
        (lambda: MixedLoss().set_progress(1.01), "progress is 1.01"),
        (lambda: MixedLoss(weight=SquaredProgress(4)).set_progress(0.6), r"Squared.* gives the weight 1.44 at 0.6"),
    ],
)
def test_settings_out_of_range_are_named(make, message):
    with pytest.raises(SettingError, match=message):
        make()


def test_copies_and_pickles_keep_weight_and_progress():
    logits, truth = maps()
    mixture = MixedLoss(weight=RampWeight())
    mixture.set_progress(0.5)
    value = mixture(logits, truth)
    for other in (copy.deepcopy(mixture), pickle.loads(pickle.dumps(mixture))):
        assert other.weight == mixture.weight
        assert torch.equal(other(logits, truth), value)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # newer releases would rather it were called instantiate
def test_can_be_written_in_yaml():
    parser = ArgumentParser()
    parser.add_argument("--loss", type=nn.Module)
    config = parser.parse_string(
        """
        loss:
          class_path: crispmap.MixedLoss
          init_args:
            boundary: {class_path: crispmap.BoundaryLoss, init_args: {theta: 7, class_weights: [1.0]}}
            region: {class_path: crispmap.DiceLoss, init_args: {mode: binary, ignore_index: 255}}
            weight: {class_path: crispmap.RampWeight, init_args: {to: 0.4}}
        """
    )
    mixture = parser.instantiate_classes(config).loss
    assert mixture.boundary.theta == 7
    assert mixture.region.ignore_index == 255
    assert isinstance(mixture.pixel, BCELoss)
    assert mixture.schedule == RampWeight(to=0.4)
    assert "RampWeight(to=0.4, start=0.0, end=0.3)" in repr(mixture)
