"""A prediction that was stopped, at whatever moment, and called again."""

import itertools
import logging
import operator
import os
import shutil
import threading
from dataclasses import replace

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import torch
from torch import nn

from crispmap.errors import OutputError
from crispmap.predict import rasters
from crispmap.predict.claim import claimed, lock_file
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


@pytest.fixture
def small_images(tmp_path, write_raster):
    """Two images of two windows each, where it does not matter what of."""
    for name in "ab":
        pixels = np.random.default_rng(0).integers(1, 255, (3, 60, 90)).astype("uint8")
        write_raster(tmp_path / "small" / f"{name}.tif", pixels)
    return tmp_path / "small"


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


def test_outputs_are_on_disk_before_the_journal_says_so(tmp_path, small_images, context_model, monkeypatch):
    """What a power cut leaves of a file that has not been waited for may be nothing but its name."""
    safe, vouched = set(), []
    fsync, write = os.fsync, Journal.write
    monkeypatch.setattr("os.fsync", lambda file: (fsync(file), safe.add(os.fstat(file).st_ino)))

    def noted(journal):
        if journal.stage == "moving":
            vouched.append({path.name for path in journal.folder.iterdir() if path.stat().st_ino in safe})
        write(journal)

    monkeypatch.setattr(Journal, "write", noted)
    [job] = plan([small_images / "b.tif"], tmp_path / "out")
    predict_rasters(context_model(Context()), [job], SETTINGS)
    [on_disk] = vouched
    assert {path.name for path in job.outputs} <= on_disk


def stop_after_the_first(job):
    os.replace(job.unfinished / job.probability.name, job.probability)
    raise MemoryError


def test_an_output_that_is_lost_while_they_move_is_made_again(
    tmp_path, small_images, context_model, predicted, monkeypatch
):
    out, model = tmp_path / "out", context_model(Context())
    jobs = plan([small_images / "b.tif"], out)
    with monkeypatch.context() as patch:
        patch.setattr(rasters, "_move", stop_after_the_first)
        with pytest.raises(MemoryError):
            predict_rasters(model, jobs, SETTINGS)
    assert Journal.read(out / ".b.partial").stage == "moving"
    made = maps(out)
    (out / "b_probability.tif").unlink()
    predict_rasters(model, plan([small_images / "b.tif"], out), SETTINGS)
    assert made.items() < maps(out).items()
    assert {path.name for path in out.iterdir()} == predicted("b")


def killed_in_the_clean_up(out, images, context_model, when="whole", folder=".b.partial"):
    """A whole run that ends right before a folder of what was unfinished goes, or once that is empty."""
    remove = Journal.remove

    def stopping(journal):
        if journal.folder.name == folder:
            if when == "emptied":
                for path in journal.folder.iterdir():
                    path.unlink()
            raise MemoryError
        remove(journal)

    jobs = plan([images], out)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Journal, "remove", stopping)
        with pytest.raises(MemoryError):
            predict_rasters(context_model(Context()), jobs, SETTINGS)


@pytest.mark.parametrize("when", ["whole", "emptied"])
def test_what_a_kill_in_the_clean_up_leaves_goes_away(tmp_path, small_images, context_model, predicted, when):
    out = tmp_path / "out"
    killed_in_the_clean_up(out, small_images, context_model, when)
    lock_file(out).touch()
    assert (out / ".b.partial").exists()
    with pytest.raises(OutputError, match="exists already"):
        plan([small_images], out)
    assert {path.name for path in out.iterdir()} == predicted("a", "b")


def test_killed_before_the_clean_up_it_only_clears_up(tmp_path, small_images, context_model, predicted):
    out, network = tmp_path / "out", Context()
    killed_in_the_clean_up(out, small_images, context_model, folder=".a.partial")
    predict_rasters(context_model(network), plan([small_images], out), SETTINGS)
    assert network.shown == 0
    assert {path.name for path in out.iterdir()} == predicted("a", "b")


def test_what_is_left_for_other_reasons_stays(tmp_path, small_images, context_model):
    out = tmp_path / "out"
    killed_in_the_clean_up(out, small_images, context_model)
    (out / "b_mask.tif").rename(tmp_path / "elsewhere.tif")
    assert plan([small_images / "b.tif"], out)  # lost, so that it is to be made again
    assert Journal.read(out / ".b.partial").stage == "done"
    (tmp_path / "elsewhere.tif").rename(out / "b_mask.tif")
    (out / ".a.partial").mkdir()
    (out / ".a.partial" / "rows.raw").touch()  # as of a process that has just begun
    plan([small_images], out, overwrite=True)
    journal = Journal.read(out / ".b.partial")
    assert journal.stage == "done"
    replace(journal, stage="moving").write()
    with pytest.raises(OutputError, match="exists already"):
        plan([small_images], out)
    assert Journal.read(out / ".b.partial").stage == "moving"
    journal.write()
    with pytest.raises(OutputError, match="exists already"):
        plan([small_images], out)
    assert [path.name for path in (out / ".a.partial").iterdir()] == ["rows.raw"]
    assert not (out / ".b.partial").exists()


def test_outputs_that_came_between_planning_and_predicting_stay(tmp_path, small_images, context_model):
    out = tmp_path / "out"
    late = plan([small_images / "b.tif"], out)
    predict_rasters(context_model(Context()), plan([small_images / "b.tif"], out), SETTINGS)
    before = maps(out)
    with pytest.raises(OutputError, match=r"b_probability\.tif exists already"):
        predict_rasters(context_model(Context(seed=1)), late, SETTINGS)
    assert maps(out) == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_two_at_once_are_refused(tmp_path, small_images, context_model, monkeypatch):
    """The second begins when the first has its rows and makes its outputs of them."""
    out, make, statuses = tmp_path / "out", rasters._make_outputs, []

    def meanwhile(*given):
        monkeypatch.setattr(rasters, "_make_outputs", make)
        child = os.fork()
        if not child:
            try:
                with claimed([out / ".b.partial"]):
                    os._exit(1)
            except OutputError:
                os._exit(0)
            finally:
                os._exit(2)  # whatever it is, it must not go on with the tests
        statuses.append(os.waitpid(child, 0)[1])
        return make(*given)

    monkeypatch.setattr(rasters, "_make_outputs", meanwhile)
    predict_rasters(context_model(Context()), plan([small_images / "b.tif"], out), SETTINGS)
    assert statuses == [0]


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
