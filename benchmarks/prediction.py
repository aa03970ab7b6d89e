"""What predicting large rasters costs: memory and time by size, beside the network alone, and beside MONAI.

    .venv/bin/python benchmarks/prediction.py

writes docs/results/prediction.json and the page made of it; it takes hours on two cores. ``--quick --out FOLDER`` shows
in a minute that all of it runs; its numbers mean nothing.

The scenes are VRTs that repeat one tile of 2048² pixels, three bands of 8 bits, so that a scene of any size takes no
disk and is read and decoded like any other. Every measurement is a process of its own, and its peak is the largest
resident set of that process once all is loaded (Linux only). The tiny network (two convolutions) leaves little but what
surrounds a network; the other is the one that `crispmap fit` trains if nothing is said. Contenders of one comparison
take turns, a round each.
"""

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import result_file
import torch
from machine import circumstances
from rasterio.transform import from_origin
from torch import nn

from crispmap.geo.raster import Raster
from crispmap.models import ModelSpec, SegmentationModel
from crispmap.predict.inference import probabilities, with_batch_size
from crispmap.predict.plan import Settings, plan
from crispmap.predict.rasters import predict_rasters
from crispmap.predict.stream import predict_bands, tiles_of
from crispmap.settings import ModelSettings

NAME = "prediction"
TARGET = 1.15  # times the seconds of the pure forward passes, on a CPU
BANDS = 3


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    tile: int = 2048
    sides: tuple[int, ...] = (4096, 8192, 16384, 32768)
    width: int = 4096  # of the scenes that grow in height alone
    ratio_side: int = 4096
    monai_sides: tuple[int, ...] = (2048, 4096, 8192)
    rounds: int = 3
    patch: int = 512


QUICK = Plan(tile=256, sides=(256, 512), width=256, ratio_side=256, monai_sides=(256,), rounds=1, patch=128)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, and writes what came out."""
    parser = result_file.new_parser(__doc__, "small scenes")
    parser.add_argument("--contender", choices=CONTENDERS, help="measure this one here")
    parser.add_argument("--network", choices=("tiny", "default"), default="tiny")
    parser.add_argument("--scene", type=Path, help="what a contender predicts")
    asked, begin = result_file.parse(parser, __file__, arguments)
    plan = QUICK if asked.quick else Plan()
    if asked.contender:
        print(json.dumps(contend(asked.contender, asked.network, asked.scene, plan)))
        return
    with tempfile.TemporaryDirectory() as folder:
        result = {
            **begin,
            "threads": torch.get_num_threads(),
            "target": TARGET,
            **measure(Path(folder), plan),
            **circumstances(),
        }
    result["versions"] |= {"monai": version("monai")}
    result_file.write(asked.out, NAME, result, page)


def measure(folder: Path, plan: Plan) -> dict[str, Any]:
    """Everything, comparison by comparison."""
    write_tile(folder / "tile.tif", plan.tile)
    scenes = {
        shape: write_scene(folder, *shape, plan.tile)
        for shape in [
            *((side, side) for side in {*plan.sides, *plan.monai_sides, plan.ratio_side}),
            *((side, plan.width) for side in plan.sides),
        ]
    }
    shapes = {"squares": [(side, side) for side in plan.sides], "heights": [(side, plan.width) for side in plan.sides]}
    found: dict[str, Any] = {}
    for name, these in shapes.items():
        found[name] = []
        for shape in these:
            found[name].append(row(shape, run("files", "tiny", scenes[shape], plan)))
            print(name, found[name][-1], flush=True)
    rounds = [
        {name: run(name, "default", scenes[plan.ratio_side, plan.ratio_side], plan) for name in ("forward", "files")}
        for _ in range(plan.rounds)
    ]
    ratios = [each["files"]["seconds"] / each["forward"]["seconds"] for each in rounds]
    found["ratio"] = {
        "side": plan.ratio_side,
        "windows": rounds[0]["forward"]["windows"],
        "forward_seconds": [each["forward"]["seconds"] for each in rounds],
        "files_seconds": [each["files"]["seconds"] for each in rounds],
        "ratios": [round(each, 3) for each in ratios],
        "median": round(statistics.median(ratios), 3),
    }
    print("ratio", found["ratio"], flush=True)
    found["monai"] = []
    for network in ("tiny", "default"):
        for side in plan.monai_sides if network == "tiny" else (plan.ratio_side,):
            for name in ("stream", "monai"):
                numbers = row((side, side), run(name, network, scenes[side, side], plan))
                found["monai"].append({"network": network, "contender": name, **numbers})
                print("monai", found["monai"][-1], flush=True)
    return found


def row(shape: tuple[int, int], numbers: dict[str, float]) -> dict[str, float]:
    """The numbers of one scene."""
    megapixels = shape[0] * shape[1] / 1e6
    return {"rows": shape[0], "columns": shape[1], **numbers, "megapixels_a_second": megapixels / numbers["seconds"]}


def run(contender: str, network: str, scene: Path, plan: Plan) -> dict[str, float]:
    """One measurement in a process of its own."""
    command = [sys.executable, str(Path(__file__).resolve()), "--contender", contender, "--network", network]
    command += ["--scene", str(scene), *(["--quick"] if plan == QUICK else [])]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    numbers: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return numbers


def contend(contender: str, network: str, scene: Path, plan: Plan) -> dict[str, float]:
    """Predicts a scene: seconds without loading, and the peak of the process in MiB, also above what it began with."""
    model, raster = model_of(network, plan.patch), Raster.of(scene)
    settings = with_batch_size(model, Settings(patch=plan.patch, device="cpu"))
    warm = np.zeros((settings.batch_size or 1, BANDS, plan.patch, plan.patch), np.float32)
    probabilities(model, warm, (plan.patch, plan.patch), settings)
    if contender == "monai":
        import_module("monai.inferers")
    Path("/proc/self/clear_refs").write_text("5")  # loading took more for a while: the peak counts from here
    before, start = peak_mib(), time.perf_counter()
    windows = CONTENDERS[contender](model, raster, settings)
    seconds = time.perf_counter() - start
    peak = peak_mib()
    return {
        "seconds": round(seconds, 3),
        "peak_mib": round(peak, 1),
        "grown_mib": round(peak - before, 1),
        "windows": windows,
    }


def forward(model: SegmentationModel, raster: Raster, settings: Settings) -> int:
    """As many passes over as many windows, of pixels that are in memory, and nothing else."""
    left = windows = len(tiles_of(raster, model.spec, settings))
    size = settings.batch_size or 1
    images = np.random.default_rng(0).integers(0, 255, (size, BANDS, settings.patch, settings.patch))
    batch = images.astype(np.float32)
    while left > 0:
        probabilities(model, batch[:left], (settings.patch, settings.patch), settings)
        left -= size
    return windows


def stream(model: SegmentationModel, raster: Raster, settings: Settings) -> int:
    """Prediction as `crispmap predict` does it, its rows made into levels and dropped."""
    for band in predict_bands(model, raster, settings):
        assert band.levels.shape[1] == raster.width
    return len(tiles_of(raster, model.spec, settings))


def files(model: SegmentationModel, raster: Raster, settings: Settings) -> int:
    """The whole of it, to the two GeoTIFFs; without footprints."""
    with tempfile.TemporaryDirectory() as folder:
        predict_rasters(model, plan([raster.path], folder, footprints=False), settings)
    return len(tiles_of(raster, model.spec, settings))


def monai(model: SegmentationModel, raster: Raster, settings: Settings) -> int:
    """The raster in memory through MONAI's sliding window, same windows' size, overlap and batch."""
    from monai.inferers import sliding_window_inference

    pixels, _ = raster.read(raster.window)
    image = torch.from_numpy(pixels[None].astype(np.float32))
    batches = [0]

    def predictor(batch: torch.Tensor) -> torch.Tensor:
        batches[0] += len(batch)
        found = probabilities(model, batch.numpy(), (settings.patch, settings.patch), settings)
        return torch.from_numpy(found[:, None])

    with torch.inference_mode():
        found = sliding_window_inference(image, settings.patch, settings.batch_size, predictor, settings.overlap)
    levels = np.rint(found[0, 0].numpy() * 255).astype(np.uint8)
    assert levels.shape == (raster.height, raster.width)
    return batches[0]


CONTENDERS = {"files": files, "stream": stream, "forward": forward, "monai": monai}


def peak_mib() -> float:
    """The largest resident set of this process since it was last reset."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def model_of(network: str, patch: int) -> SegmentationModel:
    """A network with the weights that it is born with: costs do not depend on them."""
    torch.manual_seed(0)
    default = ModelSettings()
    given = {"bands": BANDS, "dtype": "uint8", "mean": (110.0,) * BANDS, "std": (50.0,) * BANDS, "window": patch}
    channels = tuple(default.decoder_channels)
    model = SegmentationModel(ModelSpec(default.architecture, default.encoder, decoder_channels=channels, **given))
    if network == "tiny":
        model.network = nn.Sequential(nn.Conv2d(BANDS, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 1, 1))
    return model.eval()


def write_tile(path: Path, side: int) -> None:
    """Noise over gentle waves, compressed and in blocks as imagery comes."""
    y, x = np.mgrid[:side, :side]
    ground = 110 + 60 * np.sin(x / 37) * np.cos(y / 53)
    pixels = np.clip(ground + np.random.default_rng(0).normal(0, 9, (BANDS, side, side)), 0, 255).astype(np.uint8)
    profile = {"crs": "EPSG:32633", "transform": from_origin(500_000, 5_000_000, 0.3, 0.3), "compress": "deflate"}
    with rasterio.open(
        path, "w", count=BANDS, height=side, width=side, dtype="uint8", tiled=True, blockxsize=256, blockysize=256,
        interleave="pixel", **profile,
    ) as file:  # fmt: skip
        file.write(pixels)


def write_scene(folder: Path, height: int, width: int, tile: int) -> Path:
    """The tile, again and again."""
    places = [(row, col) for row in range(0, height, tile) for col in range(0, width, tile)]
    lines = [f'<VRTDataset rasterXSize="{width}" rasterYSize="{height}"><SRS>EPSG:32633</SRS>']
    lines.append("<GeoTransform>500000,0.3,0,5000000,0,-0.3</GeoTransform>")
    for band in range(1, BANDS + 1):
        lines.append(f'<VRTRasterBand dataType="Byte" band="{band}">')
        lines += [
            f'<SimpleSource><SourceFilename relativeToVRT="1">tile.tif</SourceFilename><SourceBand>{band}</SourceBand>'
            f'<SrcRect xOff="0" yOff="0" xSize="{tile}" ySize="{tile}"/>'
            f'<DstRect xOff="{col}" yOff="{row}" xSize="{tile}" ySize="{tile}"/></SimpleSource>'
            for row, col in places
        ]
        lines.append("</VRTRasterBand>")
    path = folder / f"scene_{height}_{width}.vrt"
    path.write_text("".join([*lines, "</VRTDataset>"]))
    return path


def page(result: dict[str, Any]) -> str:
    """The tables for people."""
    ratio = result["ratio"]
    reached = "reached" if ratio["median"] <= result["target"] else "missed"
    origin = "\n".join(result_file.origin(result, NAME, f", {result['threads']} threads."))
    return f"""# What predicting large rasters costs

{origin}
{"**A smoke run: no results.** " if result["smoke_run"] else ""}What is measured how, benchmarks/prediction.py says.

## Memory and time by size

`crispmap predict --no-footprints` with a tiny network, scene to both GeoTIFFs. *Grown* is the peak above what the
process held before: Python, torch and the model.

{scene_table(result["squares"])}

A scene of one width and growing height:

{scene_table(result["heights"])}

## Beside the network alone

The default network over {ratio["windows"]} windows of a scene of {ratio["side"]}² pixels: the prediction took
**{ratio["median"]:.2f} times** as long, to the two GeoTIFFs, as the pure passes over as many windows (rounds:
{", ".join(f"{each:.2f}" for each in ratio["ratios"])}). The aim was {result["target"]:g}: {reached}.

## Beside MONAI's sliding_window_inference

Same network, window, overlap and batch, rounded to levels; MONAI has the scene in memory.

{
        table(
            ("network", "scene", "", "seconds", "peak MiB", "grown MiB"),
            (
                (
                    each["network"],
                    f"{each['rows']}²",
                    each["contender"].replace("stream", "crispmap").replace("monai", "MONAI"),
                    f"{each['seconds']:.1f}",
                    f"{each['peak_mib']:,.0f}",
                    f"{each['grown_mib']:,.0f}",
                )
                for each in result["monai"]
            ),
        )
    }
"""


def scene_table(rows: Iterable[dict[str, float]]) -> str:
    """Memory and time of scenes."""
    head = ("rows", "columns", "seconds", "megapixels a second", "peak MiB", "grown MiB")
    return table(
        head,
        (
            (
                f"{each['rows']:,}",
                f"{each['columns']:,}",
                f"{each['seconds']:.1f}",
                f"{each['megapixels_a_second']:.1f}",
                f"{each['peak_mib']:,.0f}",
                f"{each['grown_mib']:,.0f}",
            )
            for each in rows
        ),
    )


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    main()
