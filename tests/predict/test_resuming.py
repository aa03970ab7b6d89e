"""A prediction that was stopped, at whatever moment, and called again."""

import itertools
import logging
import operator
import os
import shutil
import threading

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import torch
from torch import nn

from crispmap.errors import OutputError
from crispmap.predict import rasters
from crispmap.predict.plan import Settings, plan
from crispmap.predict.rasters import predict_rasters
from crispmap.predict.spool import Journal

SETTINGS = Settings(patch=64, batch_size=2)


class Context(nn.Module):
    """A network whose every pixel depends on its surroundings, and that says when it is called."""

    def __init__(self, on_batch=lambda: None, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.layers = nn.Sequential(nn.Conv2d(3, 4, 5, padding=2), nn.Tanh(), nn.Conv2d(4, 1, 5, padding=2))
        self.on_batch, self.shown = on_batch, 0

    def forward(self, x):
        self.on_batch()
        self.shown += len(x)
        return 9 * self.layers(x)


@pytest.fixture
def context_model(hand_model):
    return lambda network: hand_model(network, 3)


@pytest.fixture(autouse=True)
def _short_sections(monkeypatch):
    monkeypatch.setattr("crispmap.predict.stream._SECTION", 4)
    monkeypatch.setattr("crispmap.predict.spool._SECONDS_BETWEEN_COMMITS", 0)


@pytest.fixture
def images(tmp_path, write_raster):
    """Two images, the first of five rows of windows by three."""
    for name, height in (("a", 250), ("b", 90)):
        pixels = np.random.default_rng(height).integers(1, 255, (3, height, 140)).astype("uint8")
        pixels[:, 60:200, :50] = 0
        write_raster(tmp_path / "in" / f"{name}.tif", pixels, nodata=0)
    return tmp_path / "in"


def maps(out):
    return {path.name: path.read_bytes() for path in sorted(out.glob("*.tif"))}


@pytest.fixture
def undisturbed(tmp_path, images, context_model):
    network = Context()
    predict_rasters(context_model(network), plan([images], tmp_path / "undisturbed"), SETTINGS)
    return maps(tmp_path / "undisturbed"), network.shown


@pytest.fixture
def moments(tmp_path, images, context_model, monkeypatch):
    """What a kill would leave on disk at each batch, before each rename and before each output of a whole run."""
    out, count, lock = tmp_path / "out", itertools.count(), threading.RLock()

    def keep():
        with lock:
            shutil.copytree(out, tmp_path / "moments" / f"{next(count):03d}")

    def kept_before(name):
        original = operator.attrgetter(name)(rasters)

        def call(*arguments, **named):
            with lock:
                keep()
                return original(*arguments, **named)

        patch.setattr(f"crispmap.predict.rasters.{name}", call)

    out.mkdir()
    (out / "a_footprints.gpkg").write_text("of an older run")
    with monkeypatch.context() as patch:
        for name in ("os.replace", "write_probability", "write_mask"):
            kept_before(name)
        model = context_model(Context(keep))
        predict_rasters(model, plan([images], out, overwrite=True, footprints=False), SETTINGS)
    return sorted((tmp_path / "moments").iterdir())


def test_killed_at_any_moment_it_goes_on_to_the_same_bytes(
    tmp_path, images, context_model, undisturbed, moments, predicted
):
    expected, windows = undisturbed
    assert len(moments) > 30
    shown = []
    for out in moments:
        network = Context()
        jobs = plan([images], out, overwrite=True, footprints=False)
        predict_rasters(context_model(network), jobs, SETTINGS)
        assert maps(out) == expected
        assert {path.name for path in out.iterdir()} == predicted("a", "b", footprints=False)
        shown.append(network.shown)
    assert shown[0] == windows
    assert shown[-1] == 0
    assert shown == sorted(shown, reverse=True)


def stopped(out, images, context_model, settings=SETTINGS, error=MemoryError, when=None, **how):
    """A run that ends with an error at the sixth batch, or at the first where something is so."""
    batches = itertools.count(1)

    def stop():
        if when() if when else next(batches) == 6:
            raise error

    with pytest.raises(error):
        predict_rasters(context_model(Context(stop)), plan([images], out, **how), settings)


def test_without_overwriting_it_goes_on_too(tmp_path, images, context_model, undisturbed, predicted):
    """The outputs of the first image are there by then, and are its own."""
    out = tmp_path / "out"
    stopped(out, images, context_model, error=KeyboardInterrupt, when=(out / "a_mask.tif").exists)
    assert {path.name for path in out.iterdir()} == {".a.partial", ".b.partial"} | predicted("a")
    first, second = predict_rasters(context_model(network := Context()), plan([images], out), SETTINGS)
    assert maps(out) == undisturbed[0]
    assert network.shown < undisturbed[1] / 2
    assert (first.footprints, second.footprints) == tuple(
        len(gpd.read_file(out / f"{name}_footprints.gpkg")) for name in "ab"
    )
    with pytest.raises(OutputError, match="exists already"):
        plan([images], out)


def touched_image(images, settings, seed):
    os.utime(images / "a.tif", (0, 0))
    return settings, seed


def other_weights(images, settings, seed):
    return settings, 1


def other_settings(images, settings, seed):
    return Settings(patch=64, batch_size=2, overlap=0.5), seed


def other_threshold(images, settings, seed):
    return Settings(patch=64, batch_size=2, threshold=0.3), seed


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (touched_image, "its image"),
        (other_weights, "the model"),
        (other_settings, "a setting"),
        (other_threshold, "a setting"),
    ],
)
def test_what_follows_from_something_else_is_begun_anew(tmp_path, images, context_model, caplog, change, words):
    out = tmp_path / "out"
    stopped(out, images, context_model)
    assert Journal.read(out / ".a.partial").rows > 0
    settings, seed = change(images, SETTINGS, 0)
    with caplog.at_level(logging.INFO, "crispmap"):
        predict_rasters(context_model(Context(seed=seed)), plan([images], out), settings)
    assert f"a: starting over, because {words} has changed" in caplog.text
    predict_rasters(context_model(Context(seed=seed)), plan([images], tmp_path / "fresh"), settings)
    assert maps(out) == maps(tmp_path / "fresh")


def test_going_on_is_said(tmp_path, images, context_model, caplog):
    stopped(tmp_path / "out", images, context_model)
    rows = Journal.read(tmp_path / "out" / ".a.partial").rows
    with caplog.at_level(logging.INFO, "crispmap"):
        predict_rasters(context_model(Context()), plan([images], tmp_path / "out"), SETTINGS)
    assert caplog.messages == [f"a: going on from row {rows} of 250"]


def test_finished_maps_of_another_model_are_not_replaced_unasked(tmp_path, images, context_model):
    out = tmp_path / "out"
    stopped(out, images, context_model, when=(out / "a_mask.tif").exists)
    before = maps(out)
    with pytest.raises(OutputError, match=r"a_probability\.tif exists already, made before the model changed"):
        predict_rasters(context_model(Context(seed=1)), plan([images], out), SETTINGS)
    assert maps(out) == before
    predict_rasters(context_model(Context(seed=1)), plan([images], out, overwrite=True), SETTINGS)
    assert maps(out)["a_mask.tif"] != before["a_mask.tif"]


@pytest.mark.parametrize("damage", ["journal cut", "journal foreign", "rows lost"])
def test_a_damaged_journal_costs_time_and_nothing_else(tmp_path, images, context_model, undisturbed, damage):
    out = tmp_path / "out"
    stopped(out, images, context_model)
    journal = out / ".a.partial" / "journal.json"
    if damage == "rows lost":
        (out / ".a.partial" / "rows.raw").unlink()
    else:
        journal.write_text(journal.read_text()[:40] if damage == "journal cut" else '{"rows": 3}')
    predict_rasters(context_model(Context()), plan([images], out), SETTINGS)
    assert maps(out) == undisturbed[0]


def test_a_batch_size_found_once_is_kept(tmp_path, images, context_model, monkeypatch):
    out, settings = tmp_path / "out", Settings(patch=64)
    monkeypatch.setattr("crispmap.predict.inference._CPU_BATCH", 3)
    stopped(out, images, context_model, settings, when=(out / "a_mask.tif").exists)
    monkeypatch.setattr("crispmap.predict.inference._CPU_BATCH", 5)
    largest = []
    network = Context()
    network.register_forward_pre_hook(lambda _, batch: largest.append(len(batch[0])))
    predict_rasters(context_model(network), plan([images], out), settings)
    assert max(largest) == 3


def test_older_footprints_do_not_stand_beside_new_maps(tmp_path, images, context_model, predicted):
    out = tmp_path / "out"
    predict_rasters(context_model(Context()), plan([images / "a.tif"], out), SETTINGS)
    with pytest.raises(OutputError, match="exists already"):
        plan([images / "a.tif"], out, footprints=False)
    for name in predicted("a") - {"a_footprints.gpkg"}:
        (out / name).unlink()
    with pytest.raises(OutputError, match=r"a_footprints\.gpkg"):
        plan([images / "a.tif"], out, footprints=False)
    predict_rasters(context_model(Context()), plan([images / "a.tif"], out, footprints=False, overwrite=True), SETTINGS)
    assert {path.name for path in out.iterdir()} == predicted("a", footprints=False)


def test_older_footprints_stay_until_the_new_maps_are_there(tmp_path, images, context_model):
    out = tmp_path / "out"
    predict_rasters(context_model(Context()), plan([images / "a.tif"], out), SETTINGS)
    stopped(out, images / "a.tif", context_model, footprints=False, overwrite=True)
    assert len(gpd.read_file(out / "a_footprints.gpkg"))
    with rasterio.open(out / "a_mask.tif") as file:
        assert file.read(1).any()
