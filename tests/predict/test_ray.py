"""Prediction by a real Ray cluster of this machine, against one process that predicts raster after raster."""

import logging
import os
import signal
import time
import zipfile
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import torch
from geopandas.testing import assert_geodataframe_equal

from crispmap.cli import main
from crispmap.errors import CrispmapError, InputError, OutputError, SettingError
from crispmap.models import ModelSpec, SegmentationModel
from crispmap.predict import cluster
from crispmap.predict.cluster import predict_on_cluster
from crispmap.predict.plan import Settings, plan
from crispmap.predict.rasters import predict_rasters
from crispmap.predict.spool import Journal

ray = pytest.importorskip("ray", reason="Ray is not installed; crispmap[ray] brings it")

SETTINGS = Settings(patch=64, batch_size=2, precision="32")
OF_LARGE = 72  # windows shown for its shards of one section: six times 6 and 4 of the one below, 6 and 3, and 3


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """A cluster whose workers add to a file for every window, and obey another once so many have been shown."""
    folder = tmp_path_factory.mktemp("watched")

    def prepare():
        from crispmap.predict import stream

        original = stream.probabilities

        def shown(model, images, shape, settings):
            with (folder / "shown").open("ab") as file:
                file.write(b"." * len(images))
                count = file.tell()
            for order in folder.glob("* at *"):
                if count >= int(order.name.split()[-1]):
                    order.unlink()
                    if order.name.startswith("kill"):
                        os.kill(os.getpid(), signal.SIGKILL)
                    raise ValueError("as the test wants it")
            return original(model, images, shape, settings)

        stream._SECTION, stream.probabilities = 4, shown

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        ray.init(
            address="local",
            num_cpus=2,
            object_store_memory=100_000_000,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            runtime_env={"worker_process_setup_hook": prepare},
        )
        yield folder
        ray.shutdown()


@pytest.fixture
def shown(watched):
    """How many windows the workers have shown since the test began."""
    file = watched / "shown"
    file.write_bytes(b"")
    return lambda: file.stat().st_size


@pytest.fixture
def model():
    torch.manual_seed(0)
    spec = ModelSpec(
        "Unet", "mobilenet_v2", 3, "uint8", (100.0,) * 3, (50.0,) * 3, 64, decoder_channels=(16, 8, 8, 8, 8)
    )
    model = SegmentationModel(spec).eval()
    for weight in model.network.segmentation_head.parameters():
        weight.data *= 30  # so that its probabilities are not all one half
    return model


@pytest.fixture(autouse=True)
def _short_sections(monkeypatch):
    monkeypatch.setattr("crispmap.predict.stream._SECTION", 4)


@pytest.fixture
def images(tmp_path, write_raster):
    """Three scenes, and one of fifteen rows of windows by three."""
    for name, height in (("a", 90), ("b", 150), ("c", 40), ("large", 700)):
        pixels = np.random.default_rng(height).integers(1, 255, (3, height, 140)).astype("uint8")
        if name == "b":
            pixels[:, 60:, :80] = 0
        write_raster(tmp_path / "in" / f"{name}.tif", pixels, nodata=0)
    return tmp_path / "in"


@pytest.fixture
def expected(tmp_path, images, model):
    predict_rasters(model, plan([images], tmp_path / "local"), SETTINGS)
    return maps(tmp_path / "local")


def maps(out):
    return {path.name: path.read_bytes() for path in sorted(out.glob("*.tif"))}


def all_idle():
    """Waits until no task runs any more, such as one that was cancelled."""
    until = time.monotonic() + 20
    while ray.available_resources().get("CPU") != 2:
        assert time.monotonic() < until
        time.sleep(0.1)


@pytest.mark.parametrize("shard_windows", [1, None])
def test_it_is_what_one_process_gives(tmp_path, watched, images, model, expected, shard_windows, predicted):
    out = tmp_path / "out"
    predictions = predict_on_cluster(model, plan([images], out), SETTINGS, shard_windows=shard_windows)
    assert maps(out) == expected
    with rasterio.open(out / "large_probability.tif") as file:
        assert file.read(1).std() > 10
    assert {path.name for path in out.iterdir()} == predicted("a", "b", "c", "large")
    for prediction in predictions:
        ours, theirs = (gpd.read_file(folder / prediction.job.footprints.name) for folder in (out, tmp_path / "local"))
        assert prediction.footprints == len(ours)
        assert_geodataframe_equal(ours, theirs)


def test_a_worker_that_dies_costs_time_and_nothing_else(tmp_path, watched, shown, images, model, expected):
    order = watched / "kill at 40"
    order.touch()
    predict_on_cluster(model, plan([images], tmp_path / "out"), SETTINGS, shard_windows=1)
    assert not order.exists()
    assert maps(tmp_path / "out") == expected


@pytest.mark.long
def test_workers_that_die_again_and_again(tmp_path, watched, shown, images, model, expected, monkeypatch):
    out = tmp_path / "out"
    (watched / "kill at 40").touch()
    with monkeypatch.context() as patch:
        patch.setattr(cluster, "_RETRIES", 0)
        with pytest.raises(CrispmapError, match=r"large\.tif: Ray has given up .* memory enough"):
            predict_on_cluster(model, plan([images / "large.tif"], out), SETTINGS, shard_windows=1)
    assert not maps(out)
    predict_on_cluster(model, plan([images / "large.tif"], out), SETTINGS, shard_windows=1)
    assert maps(out) == {name: content for name, content in expected.items() if name.startswith("large")}


def test_what_is_there_is_not_predicted_again(tmp_path, watched, shown, images, model, expected, caplog):
    out = tmp_path / "out"
    (watched / "fail at 40").touch()
    with pytest.raises(ValueError, match="as the test wants it"):
        predict_on_cluster(model, plan([images / "large.tif"], out), SETTINGS, shard_windows=1)
    all_idle()
    there = len(list((out / ".large.partial").glob("rows-*.raw")))
    assert 1 <= there <= 7
    before = shown()
    with caplog.at_level(logging.INFO, "crispmap"):
        predict_on_cluster(model, plan([images / "large.tif"], out), SETTINGS, shard_windows=1)
    assert caplog.messages == [f"large: {there} of 8 shards are there already"]
    assert shown() - before == OF_LARGE - 10 * there
    assert maps(out) == {name: content for name, content in expected.items() if name.startswith("large")}


def test_a_damaged_image_does_not_keep_the_others(tmp_path, watched, shown, images, model, expected, predicted):
    out, whole = tmp_path / "out", (images / "b.tif").read_bytes()
    (images / "b.tif").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"b\.tif cannot be read as a raster") as raised:
        predict_on_cluster(model, plan([images], out), SETTINGS)
    assert type(raised.value) is InputError
    assert maps(out) == {name: content for name, content in expected.items() if not name.startswith("b")}
    all_idle()
    before = shown()
    (images / "b.tif").write_bytes(whole)
    predict_on_cluster(model, plan([images], out), SETTINGS)
    assert 0 < shown() - before <= 9  # those of b that hold data
    assert maps(out) == expected
    assert {path.name for path in out.iterdir()} == predicted("a", "b", "c", "large")


def test_it_goes_on_where_one_process_was_stopped(tmp_path, watched, shown, images, model, expected, monkeypatch):
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr("crispmap.predict.spool._SECONDS_BETWEEN_COMMITS", 0)
        left = [None] * 12
        hook = model.register_forward_pre_hook(lambda *_: left.pop())
        with pytest.raises(IndexError):
            predict_rasters(model, plan([images / "large.tif"], out), SETTINGS)
        hook.remove()
    rows = Journal.read(out / ".large.partial").rows
    assert rows > 200
    predict_on_cluster(model, plan([images / "large.tif"], out), SETTINGS, shard_windows=1)
    assert shown() <= OF_LARGE - 20
    assert maps(out) == {name: content for name, content in expected.items() if name.startswith("large")}


def test_on_the_command_line(tmp_path, watched, images, model, capsys):
    """A list of an image on disk, under a path from here, and of one in an archive."""
    model.save(tmp_path / "model.pt")
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.write(images / "b.tif", "b.tif")
    listed = tmp_path / "scenes.txt"
    listed.write_text(f"{os.path.relpath(images / 'a.tif')}\n\n/vsizip/{tmp_path}/b.zip/b.tif\n")
    found = []
    for engine in ("local", "ray"):
        out = tmp_path / engine
        given = [
            tmp_path / "model.pt",
            listed,
            "-o",
            os.path.relpath(out),
            "--patch",
            64,
            "--precision",
            32,
            "--engine",
            engine,
        ]
        assert main(["predict", *map(str, given)]) == 0
        found.append(maps(out))
        assert {path.suffix for path in out.iterdir()} == {".tif", ".gpkg", ".qml", ".json"}
    assert len(found[0]) == 4
    assert found[0] == found[1]
    assert capsys.readouterr().err == ""


def test_without_ray(tmp_path, images, model, monkeypatch, capsys):
    model.save(tmp_path / "model.pt")
    monkeypatch.setattr("crispmap.cli.predict.find_spec", lambda name: None)
    assert main(["predict", *map(str, [tmp_path / "model.pt", images, "-o", tmp_path, "--engine", "ray"])]) == 2
    assert 'pip install "crispmap[ray]"' in capsys.readouterr().err


@pytest.mark.parametrize("device", ["cuda", "cuda:1", "mps"])
def test_devices_that_a_cluster_has_not(tmp_path, watched, images, model, device):
    with pytest.raises(SettingError, match="take --device"):
        predict_on_cluster(model, plan([images], tmp_path / "out"), Settings(device=device))
    assert not (tmp_path / "out").exists()


def test_workers_of_other_versions(tmp_path, watched, images, model, monkeypatch):
    monkeypatch.setattr(cluster, "_VERSIONS", "crispmap 0 with torch 0")
    with pytest.raises(SettingError, match=r"has crispmap .*, but the command was given by crispmap 0 with torch 0"):
        predict_on_cluster(model, plan([images], tmp_path / "out"), SETTINGS)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_not_shared(tmp_path, images):
    (job, *_) = plan([images], Path(tmp_path / "elsewhere"))
    with pytest.raises(OutputError, match="machines of a cluster must share OUT"):
        cluster._finish(job, SETTINGS, {}, [])
