"""Settings that cannot be are refused by the name of their flag."""

import pytest

from crispmap.errors import SettingError
from crispmap.settings import DataSettings, FitSettings, ModelSettings, OptimSettings
from crispmap.weight_search.plan import PolicySettings


@pytest.mark.parametrize(
    ("kind", "settings", "flag"),
    [
        (DataSettings, {"window": None}, "--data.window"),
        (DataSettings, {"window": 2**14 + 1}, "--data.window"),
        (DataSettings, {"workers": -1}, "--data.workers"),
        (DataSettings, {"class_share": float("nan")}, "--data.class_share"),
        (ModelSettings, {"encoder": None}, "--model.encoder"),
        (ModelSettings, {"decoder_channels": [64, 0]}, "--model.decoder_channels"),
        (OptimSettings, {"learning_rate": None}, "--optim.learning_rate"),
        (OptimSettings, {"learning_rate": float("nan")}, "--optim.learning_rate"),
        (FitSettings, {"out": None}, "--out"),
        (FitSettings, {"steps": None}, "--steps"),
        (FitSettings, {"steps": 10**400}, "--steps"),
        (FitSettings, {"seed": 2**32}, "--seed"),
        (FitSettings, {"scale": float("inf")}, "--scale"),
        (FitSettings, {"trainer": None}, "--trainer"),
        (PolicySettings, {"weights": None}, "--weights"),
    ],
)
def test_what_cannot_be(kind, settings, flag):
    given = {"images": "i", "labels": "l", "out": "o"} if kind is FitSettings else {}
    with pytest.raises(SettingError, match=rf"{flag} is "):
        kind(**given | settings)


def test_what_may_be_null():
    assert DataSettings(workers=None).workers is None
    assert ModelSettings(weights=None).weights is None
    assert FitSettings(images="i", labels="l", out="o", resolution=None, loss=None).loss is None
