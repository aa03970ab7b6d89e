"""The metrics of distances: their functional twins, MONAI, batches, states, and what they say of empty images."""

import copy
import math
import pickle
import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance
from torchmetrics import MetricCollection

from crispmap.errors import SettingError
from crispmap.functional import SurfaceDistances, boundary_distances, hausdorff_distance, mean_surface_distance
from crispmap.metrics import BinaryHausdorffDistance, BinarySurfaceDistance

OBLONG = (0.5, 0.3)

SCORES = {
    BinaryHausdorffDistance: hausdorff_distance,
    BinarySurfaceDistance: mean_surface_distance,
}

metrics = pytest.mark.parametrize("make", SCORES)
reductions = pytest.mark.parametrize("reduction", ["image", "pooled"])


def images(n=7, height=31, width=44, seed=0):
    """Smooth probabilities, and truth that is near them; one truth is empty, and one prediction, and both of one."""
    generator = torch.Generator().manual_seed(seed)
    smooth, other = (F.avg_pool2d(torch.rand(n, 1, height, width, generator=generator), 7, 1, 3)[:, 0] for _ in "ab")
    probability = ((smooth - 0.5) * 8 + 0.5).clamp(0.01, 0.99)
    truth = (smooth + 0.7 * (other - 0.5) > 0.5).long()
    truth[1], truth[3], probability[2], probability[3] = 0, 0, 0.01, 0.01
    return probability, truth


def with_outlines(probability, truth):
    """The images with a boundary on both sides."""
    return [i for i in range(len(truth)) if (probability[i] > 0.5).any() and (truth[i] == 1).any()]


def equal(found, expected):
    torch.testing.assert_close(found, expected, rtol=0, atol=0, equal_nan=True)


@metrics
@reductions
@pytest.mark.parametrize("pixel_size", [None, OBLONG])
def test_equals_its_functional_twin_and_does_not_depend_on_batches(make, reduction, pixel_size):
    probability, truth = images()
    truth[:, 4:9, 5:20] = 255
    chosen = with_outlines(probability, truth)
    if reduction == "pooled":  # one empty side makes distances infinite, and the mean with them
        probability, truth = probability[chosen], truth[chosen]
        chosen = list(range(len(chosen)))
    pred, true, valid = probability > 0.5, truth == 1, truth != 255
    found = boundary_distances(pred, true, valid=valid, spacing=pixel_size or (1.0, 1.0))
    if reduction == "image":
        expected = torch.stack([SCORES[make](SurfaceDistances.of(found, i)) for i in chosen]).mean()
    else:
        expected = SCORES[make](SurfaceDistances.of(found))
    assert 0.1 < expected < 20
    values, n = [], len(truth)
    for order, sizes in ((range(n), n), (range(n), 1), (range(n - 1, -1, -1), 3)):
        metric = make(ignore_index=255, reduction=reduction, pixel_size=pixel_size)
        for batch in torch.tensor(order).split(sizes):
            metric.update(probability[batch], truth[batch])
        values.append(metric.compute())
    assert values[0].dtype == torch.float64
    assert values[0].shape == ()
    torch.testing.assert_close(values[0], expected, rtol=0, atol=1e-10)
    equal(values[1], values[0])
    equal(values[2], values[0])


@pytest.mark.parametrize("pixel_size", [None, OBLONG])
def test_means_over_images_equal_monai(pixel_size):
    probability, truth = images(seed=1)
    pred = probability > 0.5
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about empty masks, and about its own calls
        pair, settings = (pred[:, None], truth[:, None] == 1), {"include_background": True, "spacing": pixel_size}
        hausdorff = [compute_hausdorff_distance(*pair, percentile=p, **settings) for p in (None, 95)]
        surface = compute_average_surface_distance(*pair, symmetric=True, **settings)
    for metric, scores in (
        (BinaryHausdorffDistance(100, pixel_size=pixel_size), hausdorff[0]),
        (BinaryHausdorffDistance(pixel_size=pixel_size), hausdorff[1]),
        (BinarySurfaceDistance(pixel_size=pixel_size), surface),
    ):
        finite = scores[scores.isfinite()]
        assert len(finite) == 4
        assert metric(probability, truth).item() == pytest.approx(finite.mean().item(), rel=1e-5)


@metrics
@reductions
def test_masks_probabilities_and_logits_mean_the_same(make, reduction):
    probability, truth = (x[4:] for x in images())
    expected = make(reduction=reduction)(probability, truth)
    for preds in (probability > 0.5, (probability > 0.5).byte(), probability.logit(), probability[:, None]):
        for target in (truth[:, None], truth.bool(), truth.byte() * 255):
            equal(make(reduction=reduction)(preds, target), expected)
    assert make(threshold=0.6, reduction=reduction)(probability, truth) != expected


@metrics
def test_empty_images(make):
    empty = torch.zeros(1, 25, 25).long()
    some, other = empty.clone(), empty.clone()
    some[:, 5:16, 5:16] = 1
    other[:, 5:16, 8:19] = 1
    for pred, truth, pooled in ((empty, empty, math.nan), (empty, some, math.inf), (some, empty, math.inf)):
        assert make()(pred, truth).isnan()
        assert make(reduction="pooled")(pred, truth).item() == pytest.approx(pooled, nan_ok=True)
    mean, alone = make(), make()
    mean.update(torch.cat([some, empty, some]), torch.cat([other, some, empty]))
    mean.update(empty, empty)
    equal(mean.compute(), alone(some, other))
    pooled = make(reduction="pooled")
    pooled.update(empty, empty)
    assert pooled.compute().isnan()
    pooled.update(some, other)
    torch.testing.assert_close(pooled.compute(), alone(some, other), rtol=0, atol=1e-10)
    ignored = torch.full_like(some, 255)
    for reduction in ("image", "pooled"):
        assert make(ignore_index=255, reduction=reduction)(some, ignored).isnan()


def test_one_empty_image_pooled_is_as_many_distances_of_infinity():
    """40 pixels of boundary at 0 on both sides and 40 predicted ones at ∞: the 50th percentile is the last at 0."""
    empty = torch.zeros(1, 25, 25).long()
    some = empty.clone()
    some[:, 5:16, 5:16] = 1
    for percentile, expected in ((49, 0), (51, math.inf), (100, math.inf)):
        metric = BinaryHausdorffDistance(percentile, reduction="pooled")
        assert metric(torch.cat([some, some]), torch.cat([some, empty])).item() == expected


@metrics
@reductions
def test_nothing_added_has_no_score(make, reduction):
    metric = make(reduction=reduction)
    with pytest.warns(UserWarning, match="was called before the ``update`` method"):
        assert metric.compute().isnan()


@metrics
@reductions
def test_a_batch_of_no_images_adds_nothing(make, reduction):
    probability, truth = (x[4:] for x in images())
    metric = make(reduction=reduction)
    metric.update(probability, truth)
    metric.update(probability[:0], truth[:0])
    equal(metric.compute(), make(reduction=reduction)(probability, truth))


@metrics
@reductions
def test_copies_pickles_resets_forward_and_states(make, reduction):
    probability, truth = (x[4:] for x in images())
    metric = make(reduction=reduction)
    of_batches = [metric(probability[i : i + 2], truth[i : i + 2]) for i in (0, 2)]
    value = metric.compute()
    equal(of_batches[1], make(reduction=reduction)(probability[2:], truth[2:]))
    equal(value, make(reduction=reduction)(probability, truth))
    equal(copy.deepcopy(metric).compute(), value)
    equal(pickle.loads(pickle.dumps(metric)).compute(), value)
    assert not metric.state_dict()
    other = make(reduction=reduction)
    for each in (metric, other):
        each.persistent(True)
    other.load_state_dict(metric.state_dict())
    other._update_count = 1
    equal(other.compute(), value)
    metric.reset()
    equal(metric(probability, truth), value)


@metrics
@reductions
def test_half_precision_of_a_model_around_it_leaves_it_exact(make, reduction):
    """Squared distances of 300 pixels and more are beyond what float16 holds."""
    pred, truth = torch.zeros(2, 1, 8, 400).long()
    pred[:, 3:6, 10:13] = truth[:, 3:6, 350:353] = 1
    metric = make(reduction=reduction)
    value = metric(pred, truth)
    model = torch.nn.ModuleDict({"metric": metric})
    for cast in (model.half(), model.to(torch.float16), model.to("cpu")):
        cast["metric"]._computed = None
        equal(cast["metric"].compute().double(), value)
    metric.reset()
    assert metric(pred, truth).dtype == torch.float64


@reductions
def test_a_collection_keeps_apart_what_is_set_differently_even_if_the_first_batch_is_empty(reduction):
    probability, truth = (x[4:] for x in images())
    truth[:, :12] = 255
    makers = {
        "hd95": lambda: BinaryHausdorffDistance(reduction=reduction),
        "hd": lambda: BinaryHausdorffDistance(100, reduction=reduction),
        "metres": lambda: BinaryHausdorffDistance(pixel_size=OBLONG, reduction=reduction),
        "other metres": lambda: BinaryHausdorffDistance(pixel_size=OBLONG[::-1], reduction=reduction),
        "sure": lambda: BinaryHausdorffDistance(threshold=0.8, reduction=reduction),
        "ignoring": lambda: BinaryHausdorffDistance(ignore_index=255, reduction=reduction),
        "mean": lambda: BinarySurfaceDistance(reduction=reduction),
        "otherwise": lambda: BinarySurfaceDistance(reduction="pooled" if reduction == "image" else "image"),
    }
    collection = MetricCollection({name: make() for name, make in makers.items()})
    alone = {name: make() for name, make in makers.items()}
    nothing = torch.zeros(2, 31, 44)
    for batch in ((nothing, nothing.long()), (probability, truth)):
        collection.update(*batch)
        for metric in alone.values():
            metric.update(*batch)
    found = collection.compute()
    for name, metric in alone.items():
        equal(found[name], metric.compute())
    assert len({value.item() for value in found.values()}) == len(makers)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@metrics
@reductions
def test_a_metric_moves_between_devices(make, reduction):
    probability, truth = (x[4:] for x in images())
    metric = make(reduction=reduction).cuda()
    metric.update(probability[:1].cuda(), truth[:1].cuda())
    metric.cpu().update(probability[1:2], truth[1:2])
    metric.cuda().update(probability[2:].cuda(), truth[2:].cuda())
    value = metric.compute()
    assert value.is_cuda
    torch.testing.assert_close(value.cpu(), make(reduction=reduction)(probability, truth), rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BinaryHausdorffDistance(101), "percentile is 101; give a number from 0 to 100"),
        (lambda: BinaryHausdorffDistance(threshold=2), "threshold is 2; give a probability from 0 to 1"),
        (lambda: BinaryHausdorffDistance(reduction="mean"), "reduction is 'mean'; allowed are 'image', 'pooled'"),
        (lambda: BinarySurfaceDistance(reduction=None), "reduction is None; allowed are 'image', 'pooled'"),
        (lambda: BinarySurfaceDistance(pixel_size=(0.3, 0)), r"pixel_size is \(0.3, 0\); give metres down and to the"),
        (lambda: BinarySurfaceDistance(pixel_size=(np.nan, 1)), r"pixel_size is \(nan, 1\); give metres down and to"),
        (lambda: BinarySurfaceDistance()(torch.rand(8, 8), torch.ones(8, 8).long()), r"found \(8, 8\) and \(8, 8\)"),
    ],
)
def test_mistakes_are_named(make, message):
    with pytest.raises(SettingError, match=message):
        make()
