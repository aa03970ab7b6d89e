"""The metric classes: what they read, how they accumulate, and that batching changes nothing."""

import copy
import math
import pickle

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import ndimage
from torchmetrics import MetricCollection
from torchmetrics.classification import BinaryF1Score, BinaryJaccardIndex

from crispmap import (
    BinaryBoundaryF1,
    BinaryBoundaryIoU,
    BinaryBoundaryPrecision,
    BinaryBoundaryRecall,
    BinaryCornerRatio,
    BinaryF1,
    BinaryIoU,
    BinaryPerimeterRatio,
)
from crispmap.errors import SettingError
from crispmap.functional import (
    boundary_counts,
    boundary_f1,
    boundary_iou,
    boundary_iou_counts,
    boundary_scores,
    confusion_counts,
    corner_counts,
    corner_ratio,
    f1,
    iou,
    perimeter_counts,
    perimeter_ratio,
)

OBLONG = (0.5, 0.3)


def csurka(**settings):
    return BinaryBoundaryF1("csurka", 2.5, **settings)


def davis(**settings):
    return BinaryBoundaryF1("davis", "1.9%", **settings)


def pixels(**settings):
    return BinaryBoundaryF1("pixels", 2.0, **settings)


def precision(**settings):
    return BinaryBoundaryPrecision("pixels", "0.7m", pixel_size=OBLONG, **settings)


def recall(**settings):
    return BinaryBoundaryRecall("csurka", 2.5, reduction="pooled", **settings)


def curve(**settings):
    return BinaryBoundaryF1("pixels", [1, "0.7m", "5%"], pixel_size=OBLONG, reduction="image", **settings)


def band(**settings):
    return BinaryBoundaryIoU(3, **settings)


def band_by_image(**settings):
    return BinaryBoundaryIoU("1.5m", pixel_size=OBLONG, reduction="image", **settings)


def perimeter_by_image(**settings):
    return BinaryPerimeterRatio(reduction="image", **settings)


def corners_by_image(**settings):
    return BinaryCornerRatio(reduction="image", **settings)


def by_image(score, pred, truth, valid):
    """The mean of the scores of single images, those without one left out."""
    triples = zip(pred.split(1), truth.split(1), valid.split(1), strict=True)
    return torch.stack([score(*image) for image in triples]).nanmean(0)


def boundary_twin(which, tolerances, convention, reduction=None, pixel_size=None):
    def score(pred, truth, valid):
        counts = boundary_counts(pred, truth, tolerances, convention, valid, pixel_size=pixel_size)
        return getattr(boundary_scores(counts, convention, reduction), which)

    return score


TWINS = {
    BinaryIoU: lambda p, t, v: iou(confusion_counts(p, t, v)),
    BinaryF1: lambda p, t, v: f1(confusion_counts(p, t, v)),
    csurka: lambda p, t, v: boundary_f1(boundary_counts(p, t, [2.5], "csurka", v), "csurka")[0],
    davis: lambda p, t, v: boundary_f1(boundary_counts(p, t, [2.0], "davis", v), "davis")[0],  # 1.02, rounded up
    pixels: lambda p, t, v: boundary_f1(boundary_counts(p, t, [2.0], "pixels", v), "pixels")[0],
    precision: lambda *masks: boundary_twin("precision", ["0.7m"], "pixels", None, OBLONG)(*masks)[0],
    recall: lambda *masks: boundary_twin("recall", [2.5], "csurka", "pooled")(*masks)[0],
    curve: boundary_twin("f1", [1, "0.7m", "5%"], "pixels", "image", OBLONG),
    band: lambda p, t, v: boundary_iou(boundary_iou_counts(p, t, 3, v)),
    band_by_image: lambda p, t, v: boundary_iou(boundary_iou_counts(p, t, "1.5m", v, pixel_size=OBLONG), "image"),
    BinaryPerimeterRatio: lambda p, t, v: perimeter_ratio(perimeter_counts(p, t, v)),
    perimeter_by_image: lambda *masks: by_image(lambda *m: perimeter_ratio(perimeter_counts(*m)), *masks),
    BinaryCornerRatio: lambda p, t, v: corner_ratio(corner_counts(p, t, v)),
    corners_by_image: lambda *masks: by_image(lambda *m: corner_ratio(corner_counts(*m)), *masks),
}


def images(n=7, height=31, width=44, seed=0):
    """Smooth probabilities, and truth that is near them; one truth and one prediction are empty."""
    generator = torch.Generator().manual_seed(seed)
    smooth = F.avg_pool2d(torch.rand(n, 1, height, width, generator=generator), 7, 1, 3)[:, 0]
    probability = ((smooth - 0.5) * 8 + 0.5).clamp(0.01, 0.99)
    truth = (smooth + 0.02 * torch.rand(smooth.shape, generator=generator) > 0.51).long()
    truth[1], probability[2] = 0, 0.01
    return probability, truth


@pytest.mark.parametrize("make", TWINS)
def test_equals_its_functional_twin_and_does_not_depend_on_batches(make):
    probability, truth = images()
    truth[:, 4:9, 5:20] = 255
    expected = TWINS[make](probability > 0.5, truth == 1, truth != 255)
    values = []
    for order, sizes in ((range(7), [7]), (range(7), [1] * 7), ([6, 2, 0, 5, 1, 3, 4], [2, 4, 1])):
        metric = make(ignore_index=255)
        for chosen in torch.tensor(order).split(sizes):
            metric.update(probability[chosen], truth[chosen])
        values.append(metric.compute())
    assert ((expected > 0) & (expected < 1.5) & (expected != 1)).all()
    assert values[0].dtype == torch.float64
    torch.testing.assert_close(values[0], expected, rtol=0, atol=1e-11)
    assert torch.equal(values[0], values[1])
    assert torch.equal(values[0], values[2])


@pytest.mark.parametrize("make", TWINS)
def test_a_batch_of_no_images_adds_nothing(make):
    probability, truth = images()
    metric = make()
    metric.update(probability, truth)
    metric.update(probability[:0], truth[:0])
    assert torch.equal(metric.compute(), make()(probability, truth))


@pytest.mark.parametrize("make", TWINS)
def test_masks_probabilities_and_logits_mean_the_same(make):
    probability, truth = images()
    metric = make()
    expected = metric(probability, truth)
    for preds in (
        probability > 0.5,
        (probability > 0.5).byte(),
        (probability > 0.5).byte() * 255,
        probability.logit(),
        probability[:, None],
        probability.double(),
    ):
        for target in (truth, truth[:, None], truth.bool(), truth.byte() * 255):
            assert torch.equal(make()(preds, target), expected)


def test_threshold_holds_for_probabilities_and_logits():
    probability, truth = images()
    expected = iou(confusion_counts(probability > 0.7, truth == 1))
    assert torch.equal(BinaryIoU(threshold=0.7)(probability, truth), expected)
    assert torch.equal(BinaryIoU(threshold=0.7)(probability.logit(), truth), expected)


def test_an_image_of_logits_does_not_change_how_its_neighbours_are_read():
    probability, truth = images()
    mixed = torch.cat([probability[:4], probability[4:].logit()])
    assert torch.equal(BinaryIoU()(mixed, truth), BinaryIoU()(probability, truth))


def test_area_scores_equal_torchmetrics():
    probability, truth = images()
    truth[:, :3] = -1
    for ours, theirs in ((BinaryIoU, BinaryJaccardIndex), (BinaryF1, BinaryF1Score)):
        found = ours(ignore_index=-1)(probability, truth)
        assert found.item() == pytest.approx(theirs(ignore_index=-1)(probability, truth).item(), abs=1e-6)


def test_boundary_f1_equals_scipy_image_by_image():
    probability, truth = images()
    cross = ndimage.generate_binary_structure(2, 1)
    scores = []
    for pred, true in zip((probability > 0.5).numpy(), (truth == 1).numpy(), strict=True):
        edges = [mask & ~ndimage.binary_erosion(mask, cross) for mask in (pred, true)]
        if not edges[0].any() or not edges[1].any():
            continue
        distances = [ndimage.distance_transform_edt(~edge) for edge in edges]
        precision, recall = (distances[1][edges[0]] < 2.5).mean(), (distances[0][edges[1]] < 2.5).mean()
        scores.append(2 * precision * recall / (precision + recall))
    assert len(scores) == 5
    metric = csurka()
    for i in range(7):
        metric.update(probability[i : i + 1], truth[i : i + 1])
    assert metric.compute().item() == pytest.approx(np.mean(scores), abs=1e-11)


@pytest.mark.parametrize(
    ("make", "both", "only_truth", "only_pred"),
    [
        (BinaryIoU, math.nan, 0, 0),
        (BinaryF1, math.nan, 0, 0),
        (csurka, math.nan, math.nan, math.nan),
        (davis, 1, 0, 0),
        (pixels, 1, 0, 0),
        (precision, 1, 1, 0),
        (recall, math.nan, math.nan, math.nan),
        (band, math.nan, 0, 0),
        (band_by_image, math.nan, 0, 0),
        (BinaryPerimeterRatio, math.nan, 0, math.nan),
        (perimeter_by_image, math.nan, 0, math.nan),
        (BinaryCornerRatio, math.nan, 0, math.nan),
        (corners_by_image, math.nan, 0, math.nan),
    ],
)
def test_empty_masks(make, both, only_truth, only_pred):
    empty = torch.zeros(1, 25, 25, dtype=torch.bool)
    some = F.pad(torch.ones(1, 11, 11, dtype=torch.bool), (7, 7, 7, 7))
    for pred, truth, expected in ((empty, empty, both), (empty, some, only_truth), (some, empty, only_pred)):
        assert make()(pred, truth).item() == pytest.approx(expected, nan_ok=True)
    assert make()(some, some).item() == 1
    ignored = torch.full((1, 25, 25), 255, dtype=torch.uint8)
    assert make(ignore_index=255)(some, ignored).item() == pytest.approx(both, nan_ok=True)


@pytest.mark.parametrize("make", TWINS)
def test_states_are_summed_over_processes_and_are_whole_numbers(make):
    probability, truth = images()
    whole, first, second = make(), make(), make()
    whole.update(probability, truth)
    first.update(probability[:3], truth[:3])
    second.update(probability[3:], truth[3:])
    for name, reduce in whole._reductions.items():  # as torchmetrics does when it gathers from all processes
        states = torch.stack([getattr(first, name), getattr(second, name)])
        assert states.dtype == torch.int64
        assert torch.equal(reduce(states), getattr(whole, name))


@pytest.mark.parametrize("make", TWINS)
def test_copies_pickles_resets_and_collections(make):
    probability, truth = images()
    metric = make()
    value = metric(probability, truth)
    assert torch.equal(copy.deepcopy(metric).compute(), value)
    assert torch.equal(pickle.loads(pickle.dumps(metric)).compute(), value)
    metric.reset()
    assert torch.equal(metric(probability, truth), value)
    collection = MetricCollection({"one": make(), "other": make()})
    collection.update(probability, truth)
    assert torch.equal(collection.compute()["one"], value)


APART = [
    (lambda: BinaryIoU(), lambda: BinaryIoU(threshold=0.7)),
    (lambda: BinaryIoU(), lambda: BinaryF1()),
    (lambda: BinaryIoU(), lambda: BinaryIoU(ignore_index=1)),
    (lambda: BinaryBoundaryF1("pixels", 1.0), lambda: BinaryBoundaryF1("pixels", 3.0)),
    (lambda: BinaryBoundaryF1("csurka", 2.0), lambda: BinaryBoundaryF1("davis", 2.0)),
    (lambda: BinaryBoundaryF1("csurka", 2.0), lambda: BinaryBoundaryF1("csurka", 2.0, reduction="pooled")),
    (lambda: BinaryBoundaryF1("csurka", 2.0), lambda: BinaryBoundaryPrecision("csurka", 2.0)),
    (lambda: BinaryBoundaryPrecision("pixels"), lambda: BinaryBoundaryRecall("pixels")),
    (lambda: BinaryBoundaryF1("pixels", [1, 3]), lambda: BinaryBoundaryF1("pixels", [1, 2])),
    (
        lambda: BinaryBoundaryF1("pixels", "0.6m", pixel_size=(0.5, 0.3)),
        lambda: BinaryBoundaryF1("pixels", "0.6m", pixel_size=(0.3, 0.5)),
    ),
    (lambda: BinaryBoundaryIoU(2), lambda: BinaryBoundaryIoU(4)),
    (lambda: BinaryBoundaryIoU(2), lambda: BinaryBoundaryIoU(2, reduction="image")),
    (lambda: BinaryPerimeterRatio(), lambda: BinaryCornerRatio()),
    (lambda: BinaryPerimeterRatio(reduction="image"), lambda: BinaryBoundaryIoU(2, reduction="image")),
]


@pytest.mark.parametrize(("one", "other"), APART)
def test_a_collection_keeps_apart_what_is_set_differently_even_if_the_first_batch_is_empty(one, other):
    probability, truth = images()
    collection = MetricCollection({"one": one(), "other": other()})
    alone = {"one": one(), "other": other()}
    batches = [(torch.zeros(2, 31, 44), torch.zeros(2, 31, 44).long()), (probability, truth)]
    for batch in batches:
        collection.update(*batch)
        for metric in alone.values():
            metric.update(*batch)
    found = collection.compute()
    for name, metric in alone.items():
        torch.testing.assert_close(found[name], metric.compute(), rtol=0, atol=0, equal_nan=True)
    assert not torch.equal(found["one"], found["other"])


def test_a_collection_keeps_apart_each_of_very_many():
    empty = torch.zeros(1, 8, 8).long()
    collection = MetricCollection({f"at {t}": BinaryBoundaryF1("pixels", t / 10) for t in range(1, 200)})
    collection.update(empty, empty)
    together = [names for names in collection.compute_groups.values() if len(names) > 1]
    assert not together


def test_a_collection_counts_once_for_what_is_the_same():
    probability, truth = images()
    collection = MetricCollection({"one": csurka(), "other": csurka(), "third": davis()})
    collection.update(probability, truth)
    assert sorted(sorted(group) for group in collection.compute_groups.values()) == [["one", "other"], ["third"]]
    found = collection.compute()
    assert found["one"] == found["other"] == csurka()(probability, truth)


@pytest.mark.parametrize("make", TWINS)
def test_each_batch_has_its_score_and_all_together_theirs(make):
    probability, truth = images()
    metric = make()
    for i in (0, 3, 5):
        of_batch = metric(probability[i : i + 2], truth[i : i + 2])
        torch.testing.assert_close(
            of_batch, make()(probability[i : i + 2], truth[i : i + 2]), rtol=0, atol=0, equal_nan=True
        )
    chosen = [0, 1, 3, 4, 5, 6]
    assert torch.equal(metric.compute(), make()(probability[chosen], truth[chosen]))


@pytest.mark.parametrize("make", TWINS)
def test_states_are_saved_and_stay_whole_numbers(make):
    probability, truth = images()
    metric, other = make(), make()
    assert not metric.state_dict()  # unless asked for, no file of weights holds counts
    for each in (metric, other):
        each.persistent(True)
    value = metric(probability, truth)
    other.load_state_dict(metric.state_dict())
    other._update_count = 1
    assert torch.equal(other.compute(), value)
    for cast in (metric.half(), metric.double(), metric.to(torch.bfloat16), metric.to("cpu")):
        assert {state.dtype for state in cast.state_dict().values()} == {torch.int64}
        assert torch.equal(cast.compute(), value)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@pytest.mark.parametrize("make", TWINS)
def test_a_metric_moves_between_devices(make):
    probability, truth = images()
    metric = make().cuda()
    metric.update(probability[:3].cuda(), truth[:3].cuda())
    metric.cpu().update(probability[3:5], truth[3:5])
    metric.cuda().update(probability[5:].cuda(), truth[5:].cuda())
    value = metric.compute()
    assert value.is_cuda
    assert torch.equal(value.cpu(), make()(probability, truth))


def test_boundary_iou_takes_chengs_width_by_default():
    probability, truth = images(3, 200, 150)
    assert torch.equal(BinaryBoundaryIoU()(probability, truth), BinaryBoundaryIoU(5)(probability, truth))
    assert not torch.equal(BinaryBoundaryIoU()(probability, truth), BinaryBoundaryIoU(4)(probability, truth))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BinaryIoU(threshold=1.2), "threshold is 1.2; give a probability from 0 to 1"),
        (lambda: BinaryBoundaryF1("bfscore"), "convention is 'bfscore'; allowed are 'csurka', 'davis', 'pixels'"),
        (lambda: BinaryBoundaryF1(tolerance=0), "tolerance is 0; give a length greater than 0"),
        (lambda: BinaryBoundaryF1(tolerance=math.nan), "tolerance is nan"),
        (lambda: BinaryBoundaryF1(tolerance=[]), "tolerance is an empty sequence; give at least one"),
        (lambda: BinaryBoundaryF1(tolerance=[2, -1]), "tolerance is -1; give a length greater than 0"),
        (lambda: BinaryBoundaryF1(tolerance="2m"), "a length is 2 m, but the ground resolution is not known"),
        (lambda: BinaryBoundaryRecall(reduction="sum"), "reduction is 'sum'; allowed are 'image', 'pooled'"),
        (lambda: BinaryBoundaryIoU(0), "width is 0; give a length greater than 0"),
        (lambda: BinaryBoundaryIoU("2m"), "a length is 2 m, but the ground resolution is not known"),
        (lambda: BinaryBoundaryIoU(reduction="sum"), "reduction is 'sum'; allowed are 'image', 'pooled'"),
        (lambda: BinaryCornerRatio(reduction="sum"), "reduction is 'sum'; allowed are 'image', 'pooled'"),
        (lambda: BinaryBoundaryIoU(reduction=None), "reduction is None; allowed are 'image', 'pooled'"),
        (lambda: BinaryPerimeterRatio(reduction=None), "reduction is None; allowed are 'image', 'pooled'"),
        (lambda: BinaryBoundaryF1(tolerance="1m", pixel_size=(0, 0.3)), r"pixel_size is \(0, 0.3\); give metres"),
        (lambda: BinaryBoundaryIoU("1m", pixel_size=(-0.3, -0.3)), r"pixel_size is \(-0.3, -0.3\); give metres"),
        (lambda: BinaryPerimeterRatio(-0.1), "threshold is -0.1; give a probability from 0 to 1"),
        (
            lambda: BinaryIoU()(torch.rand(2, 3, 8, 8), torch.ones(2, 8, 8).long()),
            r"must both be .*; found \(2, 3, 8, 8\) and \(2, 8, 8\)",
        ),
        (lambda: BinaryIoU()(torch.rand(2, 8, 8), torch.ones(2, 8, 9).long()), r"found \(2, 8, 8\) and \(2, 8, 9\)"),
        (lambda: BinaryIoU()(torch.rand(8, 8), torch.ones(8, 8).long()), r"found \(8, 8\) and \(8, 8\)"),
        (
            lambda: BinaryIoU()(torch.rand(2, 8, 8), torch.ones(2, 8, 8)),
            "target must be of bool or integers; found torch.float32",
        ),
    ],
)
def test_mistakes_are_named(make, message):
    with pytest.raises(SettingError, match=message):
        make()
