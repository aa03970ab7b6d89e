"""What the metrics cost: beside SciPy and MONAI, over a raster of 20,000² pixels, and in a validation epoch.

    .venv/bin/python benchmarks/metric_speed.py

writes docs/results/metric-speed.json and the page made of it, in about a quarter of an hour on a quiet machine.
``--quick --out FOLDER`` shows in seconds that all of it runs; its numbers mean nothing.

One thread. Contenders take turns, a round each; each round has masks of its own. The peak memory of `crispmap evaluate`
is that of a process of its own.
"""

import math
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import result_file
import torch
from machine import circumstances
from rasterio.transform import from_origin
from scipy import ndimage

from crispmap.functional import boundary_counts, boundary_f1, boundary_iou, boundary_iou_counts, confusion_counts, iou

NAME = "metric-speed"
TOLERANCES = (1.0, 3.0, 10.0)
Scores = list[float]


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    side: int = 5000
    rounds: int = 3
    sides_on_disk: tuple[int, ...] = (5000, 10000, 20000)
    width_on_disk: int = 20000  # of rasters of 2,500 and 5,000 rows too: memory must not know the height
    heights_on_disk: tuple[int, ...] = (2500, 5000)
    crops: int = 64
    epoch_rounds: int = 5


QUICK = Plan(200, 1, (300,), 400, (), 4, 1)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, and writes what came out."""
    parser = result_file.new_parser(__doc__, "small maps")
    asked, begin = result_file.parse(parser, __file__, arguments)
    plan = QUICK if asked.quick else Plan()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        result = {
            **begin,
            "tolerances": TOLERANCES,
            "side": plan.side,
            "in_memory": in_memory(plan),
            "on_disk": on_disk(plan),
            "validation_epoch": validation_epoch(plan),
            **circumstances(),
        }
    finally:
        torch.set_num_threads(threads)
    result_file.write(asked.out, NAME, result, page)


def buildings(shape: tuple[int, int], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A map of buildings, some 6 % of the ground, and a prediction of it with ragged, displaced outlines and specks."""
    random = np.random.default_rng(seed)
    truth = np.zeros(shape, bool)
    for _ in range(round(truth.size / 12_000)):
        height, width = random.integers(12, 48, 2)
        row, col = random.integers(0, max(1, shape[0] - 48)), random.integers(0, max(1, shape[1] - 48))
        truth[row : row + height, col : col + width] = True
    noise = ndimage.uniform_filter(random.standard_normal(shape, dtype=np.float32), 5)
    shifted = ndimage.uniform_filter(np.roll(truth, (1, -1), (0, 1)).astype(np.float32), 5)
    return shifted + 0.9 * noise > 0.5, truth


# --- in memory


def in_memory(plan: Plan) -> dict[str, Any]:
    """Boundary F1 at three tolerances, Boundary IoU and IoU of a pair of masks, three ways."""
    contenders: dict[str, Callable[[np.ndarray, np.ndarray], Scores]] = {
        "crispmap": by_crispmap,
        "crispmap, torch only": by_torch,
        "SciPy": by_scipy,
    }
    for contender in (by_crispmap, by_monai):  # once for what is loaded and compiled
        contender(*buildings((100, 100), 0))
    times: dict[str, list[float]] = {name: [] for name in [*contenders, "MONAI, surface distance alone"]}
    for k in range(plan.rounds):
        pair = buildings((plan.side, plan.side), k)
        found = {}
        for name, contender in contenders.items():
            start = time.perf_counter()
            found[name] = contender(*pair)
            times[name].append(time.perf_counter() - start)
        for name, scores in found.items():
            assert np.allclose(scores, found["SciPy"], rtol=1e-12), f"{name} disagrees: {scores}, {found['SciPy']}"
        start = time.perf_counter()
        by_monai(*pair)
        times["MONAI, surface distance alone"].append(time.perf_counter() - start)
        print(f"round {k + 1} of {plan.rounds}", flush=True)
    own = np.array(times["crispmap"])
    return {
        name: {
            "seconds": [round(each, 3) for each in values],
            "median": round(statistics.median(values), 3),
            "times_as_long_as_crispmap": round(float(np.median(np.array(values) / own)), 2),
        }
        for name, values in times.items()
    }


def by_crispmap(pred: np.ndarray, truth: np.ndarray) -> Scores:
    """This project's."""
    p, t = torch.from_numpy(pred)[None], torch.from_numpy(truth)[None]
    return [
        *boundary_f1(boundary_counts(p, t, TOLERANCES)).tolist(),
        boundary_iou(boundary_iou_counts(p, t)).item(),
        iou(confusion_counts(p, t)).item(),
    ]


def by_torch(pred: np.ndarray, truth: np.ndarray) -> Scores:
    """The same where numba is not installed."""
    from crispmap.functional import nearest

    compiled, nearest._numba = nearest._numba, lambda: None
    try:
        return by_crispmap(pred, truth)
    finally:
        nearest._numba = compiled


def by_scipy(pred: np.ndarray, truth: np.ndarray) -> Scores:
    """As one writes it down with SciPy: two Euclidean distance transforms and iterated binary erosion."""
    cross, square = ndimage.generate_binary_structure(2, 1), np.ones((3, 3), bool)
    edges = [mask & ~ndimage.binary_erosion(mask, cross) for mask in (pred, truth)]
    to_pred, to_truth = (ndimage.distance_transform_edt(~edge) for edge in edges)
    scores = []
    for tolerance in TOLERANCES:
        precision, recall = (to_truth[edges[0]] < tolerance).mean(), (to_pred[edges[1]] < tolerance).mean()
        scores.append(float(2 * precision * recall / (precision + recall)))
    width = max(1, round(0.02 * math.hypot(*pred.shape)))
    bands = [mask & ~ndimage.binary_erosion(mask, square, width) for mask in (pred, truth)]
    scores.append(float((bands[0] & bands[1]).sum() / (bands[0] | bands[1]).sum()))
    return [*scores, float((pred & truth).sum() / (pred | truth).sum())]


def by_monai(pred: np.ndarray, truth: np.ndarray) -> float:
    """MONAI's mean surface distance, both directions: no boundary F1, no Boundary IoU."""
    from monai.metrics import compute_average_surface_distance

    p, t = (torch.from_numpy(mask)[None, None] for mask in (pred, truth))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of MONAI at itself
        return float(compute_average_surface_distance(p, t, include_background=True, symmetric=True))


# --- on disk


def on_disk(plan: Plan) -> list[dict[str, Any]]:
    """`crispmap evaluate` over pairs of rasters: time and the peak memory of its process."""
    found = []
    shapes = [(side, side) for side in plan.sides_on_disk]
    shapes += [(height, plan.width_on_disk) for height in plan.heights_on_disk]
    with tempfile.TemporaryDirectory() as folder:
        for height, width in shapes:
            files = [Path(folder) / f"{name}.tif" for name in ("pred", "truth")]
            write_pair(files, height, width)
            code = (  # the peak as the kernel has it: getrusage would begin with that of the process that started it
                "import sys; from crispmap.cli import main; status = main(sys.argv[1:]);"
                "lines = open('/proc/self/status').read().splitlines();"
                "print(next(line.split()[1] for line in lines if line.startswith('VmHWM')), file=sys.stderr);"
                "sys.exit(status)"
            )
            options = ["--tolerance=1px", "--tolerance=3px", "--tolerance=10px"]
            start = time.perf_counter()
            done = subprocess.run(
                [sys.executable, "-c", code, "evaluate", *map(str, files), *options],
                capture_output=True,
                text=True,
                check=True,
            )
            seconds = time.perf_counter() - start
            peak = int(done.stderr.strip().splitlines()[-1]) / 2**20
            found.append({"height": height, "width": width, "seconds": round(seconds, 1), "peak_gib": round(peak, 3)})
            print(found[-1], flush=True)
    return found


def write_pair(files: Sequence[Path], height: int, width: int) -> None:
    """Writes a pair of masks as tiled GeoTIFFs, a band of rows at a time."""
    profile = {"driver": "GTiff", "count": 1, "dtype": "uint8", "crs": "EPSG:32633", "compress": "deflate"}
    profile |= {"tiled": True, "transform": from_origin(500_000, 6_400_000, 0.3, 0.3)}
    with (
        rasterio.open(files[0], "w", height=height, width=width, **profile) as pred,
        rasterio.open(files[1], "w", height=height, width=width, **profile) as truth,
    ):
        for row in range(0, height, 1024):
            rows = min(1024, height - row)
            window = rasterio.windows.Window(0, row, width, rows)
            for file, mask in zip((pred, truth), buildings((rows, width), row), strict=True):
                file.write(mask.astype("uint8") * 255, 1, window=window)


# --- in training


def validation_epoch(plan: Plan) -> dict[str, Any]:
    """The share of a validation epoch that the metrics of `crispmap fit` take: its network, crops of 256² pixels."""
    import segmentation_models_pytorch as smp

    from crispmap.metrics import BinaryBoundaryF1, BinaryIoU, BinaryPerimeterRatio
    from crispmap.settings import ModelSettings

    settings = ModelSettings()
    network = smp.create_model(
        settings.architecture,
        settings.encoder,
        encoder_weights=None,
        decoder_channels=settings.decoder_channels or (256, 128, 64, 32, 16),
    ).eval()
    images = torch.rand(plan.crops, 3, 256, 256)
    pairs = [buildings((256, 256), seed) for seed in range(plan.crops)]
    logits = torch.stack([torch.from_numpy(pred) for pred, _ in pairs])[:, None].float() * 8 - 4
    target = torch.stack([torch.from_numpy(truth) for _, truth in pairs]).long()
    metrics = [
        BinaryIoU(ignore_index=255),
        BinaryBoundaryF1(convention="pixels", tolerance=2.0, ignore_index=255),
        BinaryPerimeterRatio(ignore_index=255),
    ]
    shares, forward, measuring = [], [], []
    for _ in range(plan.epoch_rounds):
        start = time.perf_counter()
        with torch.inference_mode():
            for k in range(0, plan.crops, 8):
                network(images[k : k + 8])
        middle = time.perf_counter()
        for k in range(0, plan.crops, 8):
            for metric in metrics:
                metric.update(logits[k : k + 8], target[k : k + 8])
        for metric in metrics:
            metric.compute()
        end = time.perf_counter()
        forward.append(middle - start)
        measuring.append(end - middle)
        shares.append((end - middle) / (end - start))
    return {
        "crops": plan.crops,
        "network": "the default of `crispmap fit`, forward passes alone",
        "forward_seconds": round(statistics.median(forward), 3),
        "metric_seconds": round(statistics.median(measuring), 3),
        "share": round(statistics.median(shares), 4),
    }


# --- the page


def page(result: dict[str, Any]) -> str:
    """The result as text."""
    lines = [
        "# What the metrics cost",
        "",
        *result_file.origin(result, NAME, ", one thread."),
        f"## A pair of {result['side']}² pixels in memory",
        "",
        "Boundary F1 (csurka) at 1, 3 and 10 pixels, Boundary IoU and IoU; all agree to twelve digits. SciPy: two "
        "Euclidean distance transforms and iterated binary erosion. MONAI: `compute_average_surface_distance`, both "
        "directions, and nothing else. Medians; ratios are medians of those within a round.",
        "",
        "| | seconds | times as long as crispmap |",
        "| --- | --- | --- |",
    ]
    lines += [
        f"| {name} | {row['median']} | {row['times_as_long_as_crispmap']} |"
        for name, row in result["in_memory"].items()
    ]
    lines += [
        "",
        "## `crispmap evaluate` on disk",
        "",
        "All scores that it has: regions, boundary F1 at three tolerances, bands of 2 % of the diagonal, perimeter, "
        "corners, surface distances up to 100 pixels, and objects. The process's time from start to end and its peak "
        "resident memory. GeoTIFFs, deflated, read from a warm disk.",
        "",
        "| rows × columns | seconds | peak memory, GiB |",
        "| --- | --- | --- |",
    ]
    lines += [
        f"| {row['height']:,} × {row['width']:,} | {row['seconds']} | {row['peak_gib']} |" for row in result["on_disk"]
    ]
    epoch = result["validation_epoch"]
    lines += [
        "",
        "## In a validation epoch",
        "",
        f"IoU, boundary F1 and perimeter ratio of {epoch['crops']} crops of 256² in batches of 8 take "
        f"{epoch['metric_seconds']} s beside {epoch['forward_seconds']} s of forward passes ({epoch['network']}): "
        f"{epoch['share']:.1%} of both together.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
