import math
import time
from dataclasses import replace

import pytest

from crispmap.model_spec import ModelSpec, check_spec

SPEC = ModelSpec("Unet", "resnet18", 2, "uint16", (100.0, 200.0), (10.0, 20.0), 64)
RECORD = {
    "settings": {"steps": 9, "init": None, "loss": {"class_path": "crispmap.DiceLoss"}, "data": {"window": 64}},
    "metrics": {"step": 9.0, "iou": 0.5, "perimeter_ratio": math.nan},
    "versions": {"torch": "2.9.0"},
    "search": {"policy": {"policy": "search"}, "path": [{"name": "0", "weight": 0.5, "stop": 9}]},
}


@pytest.mark.parametrize("training", [{}, RECORD])
def test_what_training_records_passes(training):
    check_spec(replace(SPEC, training=training, scale=0.01, resolution=1000.0, decoder_channels=(2048,) * 5))


def _deep(levels):
    value = "end"
    for _ in range(levels):
        value = [value]
    return value


def _doubling(levels):
    """Lists of which each holds the next one twice, as a pickle may."""
    value = ["end"]
    for _ in range(levels):
        value = [value, value]
    return value


def _endless():
    value = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    "change",
    [
        {"scale": 0.0099},
        {"scale": 4.1},
        {"scale": None},
        {"scale": "1"},
        {"resolution": 1e-300},
        {"resolution": 1001.0},
        {"trained_resolution": 1e-4},
        {"decoder_channels": (2049, 8, 8, 8, 8)},
        {"window": 2**14 + 1},
        {"mean": (10**400, 0.0)},
        {"classes": ("building",) * 1025},
        {"classes": ("two\nlines",)},
        {"classes": ("\x1b[2J",)},
        {"classes": ("\ud800",)},
        {"classes": ("x" * 201,)},
        {"encoder": ["resnet18"]},
        {"dtype": None},
    ],
    ids=str,
)
def test_what_no_network_is(change):
    with pytest.raises((TypeError, ValueError, OverflowError)):
        check_spec(replace(SPEC, **change))


@pytest.mark.parametrize(
    "training",
    [
        None,
        {"settings": {"init": ["a"]}},
        {"settings": {"data": None}},
        {"settings": {"model": None}},
        {"settings": {"trainer": [1]}},
        {"settings": {("a", 1): 2}},
        {"settings": {"steps": b"9"}},
        {"settings": {"steps": 10**400}},
        {"settings": {"loss": "\udfff"}},
        {"metrics": {"iou": 1.0}},
        {"metrics": {"step": math.inf, "iou": 1.0}},
        {"metrics": {"step": "last"}},
        {"versions": ["2.9"]},
        {"search": {"policy": "search"}},
        {"search": {"policy": {"policy": "search"}, "path": 5}},
        {"other": _deep(60)},
        {"other": [0] * 100_001},
    ],
    ids=lambda training: str(training)[:60],
)
def test_what_no_training_records(training):
    with pytest.raises((TypeError, ValueError, OverflowError)):
        check_spec(replace(SPEC, training=training))


@pytest.mark.parametrize("value", [_doubling(40), _endless()], ids=["doubling", "endless"])
def test_values_in_many_places_are_counted_as_often_and_no_longer(value):
    began = time.perf_counter()
    with pytest.raises(ValueError, match="more than 100,000 values, or 50 in each other"):
        check_spec(replace(SPEC, training={"other": value}))
    assert time.perf_counter() - began < 5  # all of the former would take years
