"""Pixel counts, IoU and F1 against counting with sets of pixels."""

import itertools
import math

import numpy as np
import pytest
import torch

from crispmap.errors import SettingError
from crispmap.functional import confusion_counts, f1, iou


@pytest.mark.parametrize("ignoring", [False, True])
def test_counts_and_scores_equal_set_arithmetic(ignoring, masks):
    valid = np.random.default_rng(0).random((6, 11)) < 0.7 if ignoring else np.ones((6, 11), bool)
    for pred, truth in itertools.product(masks((6, 11)), masks((6, 11))):
        pixels = {tuple(pixel) for pixel in np.argwhere(valid)}
        p, t = ({tuple(pixel) for pixel in np.argwhere(mask)} & pixels for mask in (pred, truth))
        batch = [torch.tensor(mask)[None] for mask in (pred, truth, valid)]
        counts = confusion_counts(*batch[:2], batch[2] if ignoring else None)
        assert [int(count) for count in counts] == [len(p & t), len(p - t), len(t - p), len(pixels - p - t)]
        expected_iou = len(p & t) / len(p | t) if p | t else math.nan
        expected_f1 = 2 * len(p & t) / (len(p) + len(t)) if p | t else math.nan
        assert iou(counts).item() == pytest.approx(expected_iou, nan_ok=True, abs=1e-15)
        assert f1(counts).item() == pytest.approx(expected_f1, nan_ok=True, abs=1e-15)


def test_images_are_pooled():
    pred = torch.tensor([[[1, 1, 0, 0]], [[1, 0, 0, 0]]], dtype=torch.bool)
    truth = torch.tensor([[[1, 0, 0, 0]], [[1, 1, 1, 0]]], dtype=torch.bool)
    counts = confusion_counts(pred, truth)
    assert counts.true_positive.tolist() == [1, 1]
    assert iou(counts).item() == 2 / 5
    assert f1(counts).item() == 4 / 7


def test_no_images_make_no_counts():
    none = torch.zeros(0, 4, 5, dtype=torch.bool)
    assert [count.shape for count in confusion_counts(none, none)] == [(0,)] * 4


def test_masks_must_be_bool_and_of_one_shape():
    mask = torch.ones(1, 3, 4, dtype=torch.bool)
    with pytest.raises(SettingError, match=r"pred torch.uint8 \(1, 3, 4\)"):
        confusion_counts(mask.byte(), mask)
    with pytest.raises(SettingError, match=r"valid torch.bool \(1, 4, 3\)"):
        confusion_counts(mask, mask, mask.mT)
