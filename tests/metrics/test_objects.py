"""The object metrics: equal to their functional twins, batched anyhow, and apart from each other in collections."""

import copy
import math
import pickle

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torchmetrics import MetricCollection

from crispmap.errors import SettingError
from crispmap.functional.object_score import (
    AP_THRESHOLDS,
    ObjectCounts,
    average_precision,
    label_objects,
    match_objects,
    object_f1,
    object_overlaps,
)
from crispmap.metrics.objects import BinaryObjectAveragePrecision, BinaryObjectF1, MulticlassObjectF1


def images(n=6, height=50, width=70, seed=0):
    """Smooth probabilities, and truth that is near them; one truth and one prediction are empty."""
    generator = torch.Generator().manual_seed(seed)
    smooth, other = (F.avg_pool2d(torch.rand(n, 1, height, width, generator=generator), 9, 1, 4)[:, 0] for _ in "ab")
    probability = ((smooth - 0.51) * 8 + 0.5).clamp(0.01, 0.99)
    truth = (smooth + 0.3 * (other - 0.5) > 0.51).long()
    truth[1], probability[2] = 0, 0.01
    return probability, truth


def classes(seed=0):
    """Scores of 4 classes, the last of them nowhere, and true classes near them."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.rand(5, 4, 50, 70, generator=generator)
    scores = F.avg_pool2d(noise, 9, 1, 4) - torch.tensor([0, 0, 0, 1.0])[:, None, None]
    return scores, (scores + 0.3 * F.avg_pool2d(noise.flip(0), 9, 1, 4)).argmax(1)


def counts_of(pred, true, thresholds, min_area=0):
    """The counts of several images, bool (N, H, W)."""
    return ObjectCounts.summed(
        [
            match_objects(object_overlaps(label_objects(p), label_objects(t), min_area), thresholds)
            for p, t in zip(pred.numpy(), true.numpy(), strict=True)
        ]
    )


def f1_at_07(**settings):
    return BinaryObjectF1(iou=0.7, min_area=12, **settings)


def all_classes(**settings):
    return MulticlassObjectF1(2, average="none", **settings)


TWINS = {
    BinaryObjectF1: lambda p, t: object_f1(counts_of(p, t, [0.5]))[0],
    f1_at_07: lambda p, t: object_f1(counts_of(p, t, [0.7], 12))[0],
    BinaryObjectAveragePrecision: lambda p, t: average_precision(counts_of(p, t, AP_THRESHOLDS)),
}


@pytest.mark.parametrize("make", TWINS)
@pytest.mark.parametrize("ignoring", [False, True])
def test_equals_its_functional_twin_and_does_not_depend_on_batches(make, ignoring):
    probability, truth = images()
    pred, true = probability > 0.5, truth == 1
    if ignoring:
        truth[:, 20:24] = truth[:, :, 30] = 255
        pred, true = pred & (truth != 255), true & (truth != 255)
    expected = TWINS[make](pred, true)
    assert 0.05 < expected < 0.95
    for order, sizes in ((range(6), [6]), (range(6), [1] * 6), ([5, 2, 0, 1, 3, 4], [2, 3, 1])):
        metric = make(ignore_index=255 if ignoring else None)
        for chosen in torch.tensor(order).split(sizes):
            metric.update(probability[chosen], truth[chosen])
        value = metric.compute()
        assert value.item() == expected
        assert value.dtype == torch.float64
        assert value.shape == ()


def test_an_object_cut_by_ignored_pixels_is_two():
    pred = torch.zeros(1, 9, 20, dtype=torch.long)
    pred[:, 3:6, 2:18] = 1
    target = pred.clone()
    target[:, :, 9:11] = 255
    target[:, :, 11:][target[:, :, 11:] == 1] = 0  # the second half is not there
    assert BinaryObjectF1(ignore_index=255)(pred, target).item() == pytest.approx(2 / 3)


def test_objects_of_one_image_do_not_meet_those_of_the_next():
    mask = torch.zeros(2, 6, 6, dtype=torch.bool)
    mask[0, 4:], mask[1, :2] = True, True
    other = mask.clone()
    other[1] = False
    assert BinaryObjectF1()(mask, other).item() == pytest.approx(2 / 3)


def test_masks_probabilities_and_logits_mean_the_same():
    probability, truth = images()
    expected = BinaryObjectF1(threshold=0.6)(probability, truth)
    for preds in (probability.logit(), probability[:, None], probability > 0.6, (probability > 0.6).byte() * 255):
        assert torch.equal(BinaryObjectF1(threshold=0.6)(preds, truth), expected)
    assert not torch.equal(BinaryObjectF1()(probability, truth), expected)


@pytest.mark.parametrize("make", [*TWINS, all_classes])
def test_empty_masks(make):
    empty = torch.zeros(1, 9, 9, dtype=torch.long)
    some = F.pad(torch.ones(1, 5, 5, dtype=torch.long), (2, 2, 2, 2))
    for pred, truth, expected in ((empty, empty, math.nan), (empty, some, 0), (some, empty, 0), (some, some, 1)):
        assert make()(pred, truth).flatten()[-1].item() == pytest.approx(expected, nan_ok=True)
    assert make(ignore_index=255)(some, torch.full_like(some, 255)).isnan().all()
    assert make()(some[:0], some[:0]).isnan().all()


@pytest.mark.parametrize("make", [*TWINS, all_classes])
def test_states_are_summed_over_processes(make):
    probability, truth = images()
    preds = (probability > 0.5).long()
    whole, first, second = make(), make(), make()
    whole.update(preds, truth)
    first.update(preds[:2], truth[:2])
    second.update(preds[2:], truth[2:])
    for name, reduce in whole._reductions.items():  # as torchmetrics does when it gathers from all processes
        states = torch.stack([getattr(first, name), getattr(second, name)])
        assert states.dtype == torch.int64 or name == "settings"
        assert torch.equal(reduce(states), getattr(whole, name))


@pytest.mark.parametrize("make", [*TWINS, all_classes])
def test_copies_pickles_resets_and_forward(make):
    probability, truth = images()
    preds = (probability > 0.5).long()
    metric = make()
    of_batches = [metric(preds[i : i + 2], truth[i : i + 2]) for i in (0, 2, 4)]
    value = metric.compute()
    assert torch.equal(of_batches[2], make()(preds[4:], truth[4:]))
    assert torch.equal(value, make()(preds, truth))
    assert torch.equal(copy.deepcopy(metric).compute(), value)
    assert torch.equal(pickle.loads(pickle.dumps(metric)).compute(), value)
    metric.reset()
    assert torch.equal(metric(preds, truth), value)


def test_a_collection_keeps_apart_what_counts_alike_in_the_first_batch():
    probability, truth = images()
    preds = (probability > 0.5).long()
    metrics = {
        "medium": lambda: BinaryObjectF1(),
        "strict": lambda: BinaryObjectF1(iou=0.7),
        "large": lambda: BinaryObjectF1(min_area=30),
        "ignoring": lambda: BinaryObjectF1(ignore_index=255),
        "sure": lambda: BinaryObjectF1(threshold=0.8),
        "ap": lambda: BinaryObjectAveragePrecision(),
        "classes": lambda: MulticlassObjectF1(3, average="none"),
        "classes of 255": lambda: MulticlassObjectF1(3, average="none", ignore_index=255),
    }
    full = torch.ones_like(preds[:1])
    batches = [(full, full), *((preds[i : i + 1], truth[i : i + 1]) for i in range(6))]
    collection = MetricCollection({name: make() for name, make in metrics.items()})
    for batch in batches:
        collection.update(*batch)
    found = collection.compute()
    for name, make in metrics.items():
        alone = make()
        for batch in batches:
            alone.update(*batch)
        torch.testing.assert_close(found[name], alone.compute(), rtol=0, atol=0, equal_nan=True)
    assert len({round(found[name].item(), 9) for name in ("medium", "strict", "large")}) == 3


def test_a_collection_counts_once_for_what_is_the_same():
    probability, truth = images()
    collection = MetricCollection({"one": BinaryObjectF1(), "other": BinaryObjectF1()})
    collection.update(probability, truth)
    assert len(collection.compute_groups) == 1
    assert collection.compute()["one"] == collection.compute()["other"]


@pytest.mark.parametrize("ignore_index", [None, 255, -1, 1])
def test_multiclass_is_each_class_against_the_rest(ignore_index):
    scores, target = classes()
    if ignore_index is not None:
        target[:, 10:14] = ignore_index
    valid = torch.ones_like(target, dtype=torch.bool) if ignore_index is None else target != ignore_index
    pred = scores.argmax(1)
    expected = np.array(
        [object_f1(counts_of((pred == k) & valid, (target == k) & valid, [0.6], 5))[0] for k in range(4)]
    )
    if ignore_index == 1:
        assert expected[1] == 0  # it has predictions, but can have no truth
        expected[1] = math.nan
    settings = {"num_classes": 4, "iou": 0.6, "min_area": 5, "ignore_index": ignore_index}
    assert math.isnan(expected[3])
    for preds in (scores, pred, pred.byte()):
        each, mean = MulticlassObjectF1(average="none", **settings), MulticlassObjectF1(**settings)
        for i in range(0, 5, 2):
            each.update(preds[i : i + 2], target[i : i + 2])
            mean.update(preds[i : i + 2], target[i : i + 2])
        np.testing.assert_array_equal(each.compute().numpy(), expected)
        assert mean.compute().item() == pytest.approx(np.nanmean(expected), abs=1e-15)
        assert mean.compute().shape == ()


def test_foreground_of_two_classes_is_the_binary_score():
    probability, truth = images()
    multiclass = MulticlassObjectF1(2, average="none")((probability > 0.5).long(), truth)
    assert multiclass[1] == BinaryObjectF1()(probability, truth)


CLASSES = torch.zeros(2, 8, 8, dtype=torch.long)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BinaryObjectF1(threshold=1.2), "threshold is 1.2; give a probability from 0 to 1"),
        (lambda: BinaryObjectF1(iou=0), "threshold of IoU is 0; give a number greater than 0 and at most 1"),
        (lambda: BinaryObjectF1(min_area=-1), "min_area is -1; give a number of pixels of at least 0"),
        (lambda: BinaryObjectAveragePrecision(threshold=-1), "threshold is -1"),
        (lambda: BinaryObjectF1()(torch.rand(8, 8), CLASSES[0]), r"found \(8, 8\) and \(8, 8\)"),
        (lambda: MulticlassObjectF1(1), "num_classes is 1; give 2 or more"),
        (lambda: MulticlassObjectF1(3, average="micro"), "average is 'micro'; allowed are 'macro', 'none'"),
        (
            lambda: MulticlassObjectF1(3)(torch.rand(2, 4, 8, 8), CLASSES),
            r"preds must be \(N, 3, H, W\) or \(N, H, W\) .*; found \(2, 4, 8, 8\) and \(2, 8, 8\)",
        ),
        (lambda: MulticlassObjectF1(3)(CLASSES, CLASSES + 3), "target must be classes from 0 to 2; found 3 to 3"),
        (lambda: MulticlassObjectF1(3)(CLASSES - 1, CLASSES), "preds must be classes from 0 to 2; found -1 to -1"),
        (lambda: MulticlassObjectF1(3)(torch.rand(2, 8, 8), CLASSES), "preds must be classes, integers; found torch.f"),
    ],
)
def test_mistakes_are_named(make, message):
    with pytest.raises(SettingError, match=message):
        make()
