"""A Ray cluster of two machines, as Ray itself plays them for its tests, one of which vanishes during a prediction."""

import logging
import threading
import time

import numpy as np
import pytest
import torch

from crispmap.models import ModelSpec, SegmentationModel
from crispmap.predict.cluster import predict_on_cluster
from crispmap.predict.plan import Settings, plan
from crispmap.predict.rasters import predict_rasters

ray = pytest.importorskip("ray", reason="Ray is not installed; crispmap[ray] brings it")

SETTINGS = Settings(patch=64, batch_size=2, precision="32", device="cpu")
NODE = {"num_cpus": 1, "object_store_memory": 100_000_000}


@pytest.fixture
def machines(tmp_path, monkeypatch):
    """The second machine of a cluster that this process is connected to, and a file that grows with every batch.

    Each batch adds the name of the machine that has predicted it, and takes a while.
    """
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    shown = tmp_path / "shown"
    shown.touch()

    def prepare():
        from crispmap.predict import stream

        original = stream.probabilities

        def slowly(*arguments):
            time.sleep(0.05)
            with shown.open("a") as file:
                file.write(f"{ray.get_runtime_context().get_node_id()}\n")
            return original(*arguments)

        stream._SECTION, stream.probabilities = 4, slowly

    monkeypatch.setattr("crispmap.predict.stream._SECTION", 4)
    cluster = Cluster(initialize_head=True, head_node_args={**NODE, "include_dashboard": False})
    second = cluster.add_node(**NODE)
    ray.init(
        address=cluster.address,
        log_to_driver=False,
        logging_level=logging.ERROR,
        runtime_env={"worker_process_setup_hook": prepare},
    )
    yield cluster, second, shown
    ray.shutdown()
    cluster.shutdown()


@pytest.mark.long
def test_a_machine_that_vanishes_costs_time_and_nothing_else(tmp_path, machines, write_raster):
    cluster, second, shown = machines
    for name, height in (("a", 150), ("large", 1400)):
        pixels = np.random.default_rng(height).integers(1, 255, (3, height, 140)).astype("uint8")
        write_raster(tmp_path / "in" / f"{name}.tif", pixels)
    torch.manual_seed(0)
    spec = ModelSpec(
        "Unet", "mobilenet_v2", 3, "uint8", (100.0,) * 3, (50.0,) * 3, 64, decoder_channels=(16, 8, 8, 8, 8)
    )
    model = SegmentationModel(spec).eval()
    node_id = second.node_id

    def take_away():
        while not any(line == node_id for line in shown.read_text().split()):
            time.sleep(0.02)
        cluster.remove_node(second, allow_graceful=False)
        gone.set()

    gone = threading.Event()
    threading.Thread(target=take_away, daemon=True).start()
    predict_on_cluster(model, plan([tmp_path / "in"], tmp_path / "out"), SETTINGS, shard_windows=12)
    assert gone.is_set()
    assert len(set(shown.read_text().split())) == 2  # both had their share
    predict_rasters(model, plan([tmp_path / "in"], tmp_path / "here"), SETTINGS)
    for path in (tmp_path / "here").glob("*.tif"):
        assert (tmp_path / "out" / path.name).read_bytes() == path.read_bytes()
