"""Pixels to leave out, whatever the type of the labels, against the same labels in int64."""

import pytest
import torch

from crispmap import BinaryIoU, BoundaryLoss
from crispmap.functional._ignored import not_ignored
from crispmap.metrics._binary import class_masks

INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


@pytest.mark.parametrize("dtype", [*INTEGERS, torch.bool, torch.float32])
@pytest.mark.parametrize("ignore_index", [-100, -1, 0, 1, 127, 156, 255, 256, 65_536])
def test_no_index_ignores_what_it_is_not(dtype, ignore_index):
    values = torch.arange(256).to(dtype)
    exact = values.long()
    found = not_ignored(values, ignore_index)
    expected = [value != ignore_index for value in exact.tolist()]
    assert (torch.ones(256, dtype=torch.bool) if found is None else found).tolist() == expected


def test_without_an_index_nothing_is_ignored():
    assert not_ignored(torch.zeros(3, dtype=torch.uint8), None) is None


@pytest.mark.parametrize(("ignore_index", "high"), [(-1, 255), (-100, 156), (256, 0)])
def test_losses_and_metrics_read_bytes_like_any_integers(ignore_index, high):
    target = torch.full((1, 8, 9), 1, dtype=torch.uint8)
    target[:, 2:6, 3:7] = high
    scores = torch.randn(1, 2, 8, 9, generator=torch.Generator().manual_seed(0))
    iou = [BinaryIoU(ignore_index=ignore_index)(scores[:, 0], labels) for labels in (target, target.long())]
    assert iou[0] == iou[1]
    preds = torch.ones_like(target)
    masks = [next(class_masks(preds, labels, 256, ignore_index)) for labels in (target, target.long())]
    assert (masks[0].valid, masks[1].valid.all()) == (None, True)
    loss = BoundaryLoss("multiclass", ignore_index=ignore_index)
    assert loss(scores, target) == loss(scores, target.long())
