"""Distance maps on their way to the losses that use them: given, computed, handed on by the mixture, in training."""

import pytest
import torch

from crispmap import (
    BCELoss,
    BoundaryLoss,
    BoundaryWeightedBCELoss,
    DiceLoss,
    HausdorffDTLoss,
    IoULoss,
    MixedLoss,
    SurfaceLoss,
)
from crispmap.errors import SettingError
from crispmap.functional import signed_distance
from crispmap.losses.distance import uses_distance

LOSSES = [BoundaryWeightedBCELoss, HausdorffDTLoss, SurfaceLoss]


def maps(seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, 1, 16, 20, generator=generator)
    truth = (torch.rand(2, 16, 20, generator=generator) > 0.7).long()
    truth[:, 3:6, 4:9] = 255
    return logits, truth, signed_distance(truth == 1, truth != 255)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_given_map_gives_the_same_loss(loss):
    logits, truth, distance = maps()
    criterion = loss(ignore_index=255)
    value = criterion(logits, truth)
    for given in (distance, distance[:, None]):
        assert torch.equal(criterion(logits, truth, given), value)
    assert not torch.isclose(criterion(logits, truth, 9 * distance), value)


@pytest.mark.parametrize("loss", [HausdorffDTLoss, SurfaceLoss])
def test_in_multiclass_mode_it_is_a_map_a_class(loss):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 12, 13, generator=generator)
    truth = torch.randint(0, 3, (2, 12, 13), generator=generator)
    distance = torch.stack([signed_distance(truth == c) for c in range(3)], 1)
    criterion = loss("multiclass")
    assert torch.equal(criterion(logits, truth, distance), criterion(logits, truth))
    with pytest.raises(SettingError, match=r"distance must hold a map .* \(2, 3, 12, 13\); found \(2, 12, 13\)"):
        criterion(logits, truth, distance[:, 0])


def test_who_takes_a_map_says_so():
    assert all(uses_distance(loss()) for loss in LOSSES)
    assert not any(uses_distance(loss()) for loss in (BCELoss, BoundaryLoss, IoULoss, MixedLoss))
    assert uses_distance(MixedLoss(SurfaceLoss()))
    assert uses_distance(MixedLoss(pixel=BoundaryWeightedBCELoss()))
    assert uses_distance(MixedLoss(boundary=MixedLoss(region=HausdorffDTLoss())))
    assert not uses_distance(torch.nn.Sequential(SurfaceLoss()))  # it could not hand the map on


def test_the_mixture_hands_it_on_to_the_parts_that_use_it():
    logits, truth, distance = maps()
    settings = {"ignore_index": 255}
    parts = SurfaceLoss(**settings), DiceLoss(**settings), BoundaryWeightedBCELoss(**settings)
    mixture = MixedLoss(*parts, weight=0.4)
    value = mixture(logits, truth)
    assert torch.equal(mixture(logits, truth, distance), value)
    other = mixture(logits, truth, 9 * distance)
    expected = parts[2](logits, truth, 9 * distance) + 0.4 * parts[0](logits, truth, 9 * distance)
    torch.testing.assert_close(other, expected + 0.6 * parts[1](logits, truth))
    nested = MixedLoss(boundary=mixture, region=IoULoss(**settings), pixel=BCELoss(**settings))
    assert torch.equal(nested(logits, truth, distance), nested(logits, truth))
    plain = MixedLoss(*(loss(**settings) for loss in (BoundaryLoss, IoULoss, BCELoss)))
    assert torch.equal(plain(logits, truth, distance), plain(logits, truth))
