"""Metrics of several classes against the binary ones of each class, whatever the batches and the ignored pixels."""

import copy
import math
import pickle

import pytest
import torch
import torch.nn.functional as F
from torchmetrics import MetricCollection

from crispmap.errors import SettingError
from crispmap.metrics import (
    BinaryBoundaryF1,
    BinaryBoundaryIoU,
    BinaryBoundaryPrecision,
    BinaryBoundaryRecall,
    BinaryCornerRatio,
    BinaryHausdorffDistance,
    BinaryPerimeterRatio,
    BinarySurfaceDistance,
    MulticlassBoundaryF1,
    MulticlassBoundaryIoU,
    MulticlassBoundaryPrecision,
    MulticlassBoundaryRecall,
    MulticlassCornerRatio,
    MulticlassHausdorffDistance,
    MulticlassPerimeterRatio,
    MulticlassSurfaceDistance,
)

OBLONG = {"pixel_size": (0.5, 0.3)}

KINDS = {
    "f1, mean over images": (MulticlassBoundaryF1, BinaryBoundaryF1, {"convention": "csurka", "tolerance": 2.5}),
    "f1, davis": (MulticlassBoundaryF1, BinaryBoundaryF1, {"convention": "davis", "tolerance": None}),
    "f1, pooled": (MulticlassBoundaryF1, BinaryBoundaryF1, {"convention": "pixels"}),
    "curve, mean over images": (MulticlassBoundaryF1, BinaryBoundaryF1, {"tolerance": [1.5, "5%", "2m"], **OBLONG}),
    "precision curve": (
        MulticlassBoundaryPrecision,
        BinaryBoundaryPrecision,
        {"convention": "pixels", "tolerance": [1, 2]},
    ),
    "recall": (MulticlassBoundaryRecall, BinaryBoundaryRecall, {"tolerance": 1.5, "reduction": "pooled"}),
    "band": (MulticlassBoundaryIoU, BinaryBoundaryIoU, {"width": "1.2m", **OBLONG}),
    "band, mean over images": (MulticlassBoundaryIoU, BinaryBoundaryIoU, {"width": 2, "reduction": "image"}),
    "perimeter": (MulticlassPerimeterRatio, BinaryPerimeterRatio, {}),
    "perimeter, mean over images": (MulticlassPerimeterRatio, BinaryPerimeterRatio, {"reduction": "image"}),
    "corners": (MulticlassCornerRatio, BinaryCornerRatio, {}),
    "corners, mean over images": (MulticlassCornerRatio, BinaryCornerRatio, {"reduction": "image"}),
    "hausdorff": (MulticlassHausdorffDistance, BinaryHausdorffDistance, {"percentile": 80.0, **OBLONG}),
    "hausdorff, pooled": (MulticlassHausdorffDistance, BinaryHausdorffDistance, {"reduction": "pooled"}),
    "surface": (MulticlassSurfaceDistance, BinarySurfaceDistance, {}),
    "surface, pooled": (MulticlassSurfaceDistance, BinarySurfaceDistance, {"reduction": "pooled", **OBLONG}),
}

kinds = pytest.mark.parametrize("kind", KINDS)


def classes(seed=0):
    """Scores of 4 classes, and true ones near them; the last class is nowhere, and one image has one class only."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.rand(5, 4, 50, 70, generator=generator)
    scores = F.avg_pool2d(noise, 9, 1, 4) - torch.tensor([0, 0, 0, 1.0])[:, None, None]
    target = (scores + 0.3 * F.avg_pool2d(noise.flip(0), 9, 1, 4)).argmax(1)
    scores[1, 0] = 2.0
    target[1] = 0
    return scores, target


def in_batches(metric, preds, target, sizes=(2, 3)):
    for batch in zip(preds.split(sizes), target.split(sizes), strict=True):
        metric.update(*batch)
    return metric.compute()


def equal(found, expected):
    torch.testing.assert_close(found, expected, rtol=0, atol=0, equal_nan=True)


@kinds
@pytest.mark.parametrize("ignore_index", [None, 255, -1, 1])
def test_each_class_is_scored_against_the_rest(kind, ignore_index):
    several, binary, settings = KINDS[kind]
    scores, target = classes()
    if ignore_index is not None:
        target[:, 10:14] = ignore_index
    valid = torch.ones_like(target, dtype=torch.bool) if ignore_index is None else target != ignore_index
    expected = torch.stack(
        [
            in_batches(binary(ignore_index=9, **settings), scores.argmax(1) == k, (target == k).long().where(valid, 9))
            for k in range(4)
        ]
    )
    assert not expected[0].isnan().any()
    if ignore_index == 1:  # it may be predicted, but cannot be true
        expected[1] = math.nan
    for preds in (scores, scores.argmax(1), scores.argmax(1).byte()):
        each = several(4, average="none", ignore_index=ignore_index, **settings)
        equal(in_batches(each, preds, target, (3, 1, 1)), expected)
        mean = several(4, ignore_index=ignore_index, **settings)
        equal(in_batches(mean, preds, target[:, None], 5), expected.nanmean(0))


@kinds
def test_two_classes(kind):
    several, binary, settings = KINDS[kind]
    scores, target = classes()
    preds, target = scores.argmax(1) == 2, target == 2
    found = in_batches(several(2, average="none", **settings), preds.long(), target.long())
    equal(found[1], in_batches(binary(**settings), preds, target))
    equal(found[0], in_batches(binary(**settings), ~preds, ~target))
    equal(in_batches(several(2, average="none", **settings), torch.stack([~preds, preds], 1).float(), target), found)


@kinds
def test_copies_pickles_resets_and_forward(kind):
    several, _, settings = KINDS[kind]
    scores, target = classes()
    metric = several(4, average="none", **settings)
    of_batches = [metric(scores[i : i + 2], target[i : i + 2]) for i in (0, 2, 4)]
    value = metric.compute()
    equal(of_batches[1], several(4, average="none", **settings)(scores[2:4], target[2:4]))
    equal(value, several(4, average="none", **settings)(scores, target))
    equal(copy.deepcopy(metric).compute(), value)
    equal(pickle.loads(pickle.dumps(metric)).compute(), value)
    metric.reset()
    equal(metric(scores, target), value)


@kinds
def test_a_collection_keeps_apart_what_looks_alike_in_the_first_batch(kind):
    """One class alone makes no outline but the image's own, with however many classes and whatever is ignored."""
    several, _, settings = KINDS[kind]
    scores, target = classes()
    preds = scores.argmax(1)
    target[:, 10:14] = 2
    first = torch.zeros(1, 50, 70).long()
    settings_of = {
        "four": {"num_classes": 4},
        "five": {"num_classes": 5},
        "ignoring": {"num_classes": 4, "ignore_index": 2},
        "mean": {"num_classes": 4, "average": "macro"},
    }
    metrics = {name: several(**{"average": "none", **own, **settings}) for name, own in settings_of.items()}
    alone = {name: metric.clone() for name, metric in metrics.items()}
    collection = MetricCollection(metrics)
    for batch in ((first, first), (preds, target)):
        collection.update(*batch)
        for metric in alone.values():
            metric.update(*batch)
    found = collection.compute()
    for name, metric in alone.items():
        equal(found[name], metric.compute())
    assert found["five"].shape[0] == 5
    equal(found["mean"], found["four"].nanmean(0))


@kinds
def test_nothing_of_any_class_has_no_score(kind):
    several, _, settings = KINDS[kind]
    scores, target = classes()
    ignored = torch.full_like(target, 255)
    found = several(4, average="none", ignore_index=255, **settings)(scores, ignored)
    nothing = 1.0 if settings.get("convention") in ("davis", "pixels") else math.nan
    equal(found, torch.full_like(found, nothing))


CLASSES = torch.zeros(2, 8, 8, dtype=torch.long)


@pytest.mark.parametrize(
    "several",
    [
        MulticlassBoundaryF1,
        MulticlassBoundaryPrecision,
        MulticlassBoundaryRecall,
        MulticlassBoundaryIoU,
        MulticlassPerimeterRatio,
        MulticlassCornerRatio,
        MulticlassHausdorffDistance,
        MulticlassSurfaceDistance,
    ],
)
def test_mistakes_are_named(several):
    for make, message in (
        (lambda: several(1), "num_classes is 1; give 2 or more, or take the binary metric"),
        (lambda: several(3, average="micro"), "average is 'micro'; allowed are 'macro', 'none'"),
        (lambda: several(3, reduction="batch"), "reduction is 'batch'; allowed are 'image', 'pooled'"),
        (lambda: several(3)(torch.rand(2, 4, 8, 8), CLASSES), r"found \(2, 4, 8, 8\) and \(2, 8, 8\)"),
        (lambda: several(3)(CLASSES, CLASSES[:, :7]), r"found \(2, 8, 8\) and \(2, 7, 8\)"),
        (lambda: several(3)(torch.rand(2, 8, 8), CLASSES), "preds must be classes, integers; found torch.float32"),
        (lambda: several(3)(CLASSES, CLASSES.float()), "target must be classes, integers; found torch.float32"),
        (lambda: several(3)(CLASSES, CLASSES + 3), "target must be classes from 0 to 2; found 3 to 3"),
        (lambda: several(3)(CLASSES - 1, CLASSES), "preds must be classes from 0 to 2; found -1 to -1"),
        (lambda: several(3, ignore_index=9)(CLASSES, CLASSES + 4), "target must be classes from 0 to 2; found 4 to 4"),
    ):
        with pytest.raises(SettingError, match=message):
            make()
    several(3, ignore_index=9)(CLASSES, CLASSES + 9)
