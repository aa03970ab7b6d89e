"""Two processes with half of the images each give, to the last bit, what one gives with all of them."""

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from scipy import ndimage

from crispmap.metrics import (
    BinaryBoundaryF1,
    BinaryBoundaryIoU,
    BinaryBoundaryPrecision,
    BinaryBoundaryRecall,
    BinaryCornerRatio,
    BinaryHausdorffDistance,
    BinaryIoU,
    BinaryObjectAveragePrecision,
    BinaryObjectF1,
    BinaryPerimeterRatio,
    BinarySurfaceDistance,
    MulticlassBoundaryF1,
    MulticlassHausdorffDistance,
    MulticlassObjectF1,
)


def counted():
    """One of every kind of count."""
    return {
        "area": BinaryIoU(),
        "curve, mean over images": BinaryBoundaryF1("csurka", [1.5, 3.0]),
        "mean over images, empty ones too": BinaryBoundaryPrecision("davis", None),
        "pooled": BinaryBoundaryRecall("pixels", ["0.75%", "1m"], pixel_size=(0.5, 0.3)),
        "band": BinaryBoundaryIoU(),
        "perimeter": BinaryPerimeterRatio(),
        "corners, mean over images": BinaryCornerRatio(reduction="image"),
        "objects": BinaryObjectF1(),
        "average precision": BinaryObjectAveragePrecision(),
        "hausdorff, mean over images": BinaryHausdorffDistance(),
        "classes": MulticlassBoundaryF1(2, "pixels", average="none"),
        "objects of classes": MulticlassObjectF1(2, average="none"),
    }


def listed():
    """Those that keep distances, as many as there are."""
    return {
        "hausdorff": BinaryHausdorffDistance(90, reduction="pooled", pixel_size=(0.5, 0.3)),
        "surface": BinarySurfaceDistance(reduction="pooled"),
        "hausdorff of classes": MulticlassHausdorffDistance(2, average="none", reduction="pooled"),
    }


def images():
    """Smooth masks and others near them; one is empty on both sides."""
    field, other = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(2, 7, 50, 64)), (0, 0, 3, 3))
    preds, target = torch.tensor(np.stack([field > 0, field + 0.5 * other > 0])).long()
    preds[5] = target[5] = 0
    return preds, target


def scores(metrics, chosen):
    """Of every metric with some of the images, one by one."""
    preds, target = images()
    for metric in metrics.values():
        for i in chosen:
            metric.update(preds[i : i + 1], target[i : i + 1])
    return {name: metric.compute() for name, metric in metrics.items()}


def work(rank, folder):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    shares = (range(0, 7, 2), range(1, 7, 2))[rank]
    torch.save(scores(counted() | listed(), shares), f"{folder}/halves{rank}.pt")
    all_or_none = (range(7), ())[rank]
    torch.save(scores(counted(), all_or_none), f"{folder}/counted{rank}.pt")
    torch.save(scores(listed(), all_or_none), f"{folder}/listed{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def processes(tmp_path_factory):
    """The folder of what both processes have found, as far as they came, and how they ended."""
    folder = tmp_path_factory.mktemp("processes")
    try:
        mp.spawn(work, (str(folder),), nprocs=2)
    except (mp.ProcessExitedException, mp.ProcessRaisedException) as error:
        return folder, str(error)
    return folder, "well"


@pytest.mark.parametrize(
    ("file", "metrics"),
    [
        pytest.param("halves", lambda: counted() | listed(), id="half of the images each"),
        pytest.param("counted", counted, id="counts, one process without images"),
        pytest.param("listed", listed, id="distances, one process without images"),
    ],
)
def test_two_processes_equal_one(processes, file, metrics):
    folder, end = processes
    alone = scores(metrics(), range(7))
    assert all(value.isfinite().all() and (value > 0).all() for value in alone.values())
    for rank in range(2):
        found = folder / f"{file}{rank}.pt"
        assert found.exists(), f"process {rank} has found nothing; they ended: {end}"
        together = torch.load(found)
        assert together.keys() == alone.keys()
        for name, value in alone.items():
            assert torch.equal(together[name], value), name
