"""Random crops of INRIA tiles: crops a second and memory, beside torchgeo's class and a window read by hand.

    .venv/bin/python benchmarks/inria_loading.py

writes docs/results/inria-loading.json and the page made of it, in a few minutes on a quiet machine. ``--quick --out
FOLDER`` shows in seconds that all of it runs; its numbers mean nothing.

The tiles are made here: 5000² pixels, three bands of 8 bits, uncompressed and in strips, as they come from the
archive. Each contender is a process of its own with one thread, and gives crops of 512² pixels with their labels;
contenders take turns, a round each, with crops of their own. torchgeo's class gives whole tiles, from which the crop is
taken. Files are in the page cache for all of them, so that what is measured is work and not the disk. crispmap keeps
files open and maps uncompressed ones into memory: pages of the page cache then count as its own, though they are
nobody's; they are told apart.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import result_file
from machine import circumstances
from rasterio.errors import NotGeoreferencedWarning
from rasterio.windows import Window

NAME = "inria-loading"
TARGET = 300  # times as many crops a second as torchgeo
Draw = Callable[[int], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    side: int = 5000
    tiles: int = 4
    crop: int = 512
    crops: int = 400
    whole_tiles: int = 8  # crops by way of whole tiles
    rounds: int = 5


QUICK = Plan(side=700, tiles=2, crop=128, crops=8, whole_tiles=2, rounds=1)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, and writes what came out."""
    parser = result_file.new_parser(__doc__, "small tiles")
    parser.add_argument("--contender", choices=CONTENDERS, help="measure this one here, on the tiles of this folder")
    parser.add_argument("--round", type=int, default=0, help="which crops a contender draws")
    asked, begin = result_file.parse(parser, __file__, arguments)
    plan = QUICK if asked.quick else Plan()
    if asked.contender:
        print(json.dumps(contend(asked.contender, plan, asked.round)))
        return
    result = {
        **begin,
        "side": plan.side,
        "tiles": plan.tiles,
        "crop": plan.crop,
        "target": TARGET,
        "contenders": measure(plan),
        **circumstances(),
    }
    result["versions"] |= {"torchgeo": version("torchgeo")}
    result_file.write(asked.out, NAME, result, page)


def measure(plan: Plan) -> dict[str, Any]:
    """All rounds of all contenders, each in a process of its own, started in the folder of the tiles."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in CONTENDERS}
    quick = ["--quick"] if plan == QUICK else []
    with tempfile.TemporaryDirectory() as folder:
        write_tiles(Path(folder), plan)
        for k in range(plan.rounds):
            for name in CONTENDERS:
                command = [
                    sys.executable,
                    str(Path(__file__).resolve()),
                    "--contender",
                    name,
                    "--round",
                    str(k),
                    *quick,
                ]
                threads = os.environ | {"OMP_NUM_THREADS": "1"}
                done = subprocess.run(command, cwd=folder, env=threads, capture_output=True, text=True, check=True)
                found[name].append(json.loads(done.stdout.splitlines()[-1]))
            print(f"round {k + 1} of {plan.rounds}", flush=True)
    rates = {name: np.array([each["crops_a_second"] for each in rounds]) for name, rounds in found.items()}
    return {
        name: {
            "crops_a_second": [round(float(each), 3) for each in rates[name]],
            "median": round(float(np.median(rates[name])), 3),
            "times_torchgeo": round(float(np.median(rates[name] / rates["torchgeo"])), 1),
            "open_seconds": round(statistics.median(each["open_seconds"] for each in rounds), 3),
            "peak_mib": round(statistics.median(each["peak_mib"] for each in rounds), 1),
            "grown_mib": round(statistics.median(each["grown_mib"] for each in rounds), 1),
            "mapped_mib": round(statistics.median(each["mapped_mib"] for each in rounds), 1),
        }
        for name, rounds in found.items()
    }


def write_tiles(folder: Path, plan: Plan) -> None:
    """Writes tiles that both readers take for training; their pixels are noise, their labels rectangles."""
    random = np.random.default_rng(0)
    for k in range(plan.tiles):
        label = np.zeros((1, plan.side, plan.side), np.uint8)
        for _ in range(round(label.size / 12_000)):
            row, col = random.integers(0, plan.side - 48, 2)
            label[0, row : row + random.integers(12, 48), col : col + random.integers(12, 48)] = 255
        image = random.integers(0, 256, (3, plan.side, plan.side), dtype=np.uint8)
        for kind, pixels in (("images", image), ("gt", label)):
            path = folder / "AerialImageDataset" / "train" / kind / f"austin{6 + k}.tif"
            path.parent.mkdir(parents=True, exist_ok=True)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", NotGeoreferencedWarning)
                with rasterio.open(
                    path, "w", driver="GTiff", height=plan.side, width=plan.side, count=len(pixels), dtype="uint8",
                    interleave="pixel",
                ) as file:  # fmt: skip
                    file.write(pixels)


# --- contenders: each opens the tiles below the working folder, whose name would confuse torchgeo's pattern


def by_crispmap(plan: Plan, seed: int) -> Draw:
    """Training windows, three of four placed on a building, flipped and turned at random."""
    from crispmap.data.published import open_dataset
    from crispmap.data.scene import Region
    from crispmap.data.windows import TrainingWindows

    tiles = open_dataset("inria", Path()).train
    windows = TrainingWindows([Region(tile, tile.image.window) for tile in tiles], plan.crop, seed)

    def draw(index: int) -> tuple[np.ndarray, np.ndarray]:
        sample = windows[index]
        return sample["image"].numpy(), sample["label"].numpy()

    return draw


def by_hand(plan: Plan, seed: int) -> Draw:
    """As little as it can be: rasterio opens both files and reads the window."""
    images = sorted(Path("AerialImageDataset/train/images").iterdir())
    random = np.random.default_rng(seed)

    def draw(index: int) -> tuple[np.ndarray, np.ndarray]:
        image = images[index % len(images)]
        row, col = random.integers(0, plan.side - plan.crop, 2).tolist()
        with rasterio.open(image) as pixels, rasterio.open(image.parents[1] / "gt" / image.name) as label:
            window = Window(col, row, plan.crop, plan.crop)
            return pixels.read(window=window).astype(np.float32), label.read(1, window=window)

    return draw


def by_torchgeo(plan: Plan, seed: int) -> Draw:
    """The dataset of torchgeo, and the crop from what it gives."""
    from torchgeo.datasets import InriaAerialImageLabeling

    dataset = InriaAerialImageLabeling(".", "train")
    random = np.random.default_rng(seed)

    def draw(index: int) -> tuple[np.ndarray, np.ndarray]:
        sample = dataset[index % len(dataset)]
        row, col = random.integers(0, plan.side - plan.crop, 2).tolist()
        place = np.s_[..., row : row + plan.crop, col : col + plan.crop]
        return sample["image"][place].clone().numpy(), sample["mask"][place].clone().numpy()

    return draw


CONTENDERS: dict[str, Callable[[Plan, int], Draw]] = {
    "crispmap": by_crispmap,
    "rasterio by hand": by_hand,
    "torchgeo": by_torchgeo,
}


def contend(name: str, plan: Plan, seed: int) -> dict[str, float]:
    """Crops a second of one contender, and the memory of this process."""
    warnings.simplefilter("ignore")
    import torch  # so that all of them hold it when memory is first looked at

    torch.set_num_threads(1)
    if name == "torchgeo":
        import torchgeo.datasets  # noqa: F401
    before, mapped_before = memory("VmRSS"), memory("RssFile")
    start = time.perf_counter()
    draw = CONTENDERS[name](plan, seed)
    opened = time.perf_counter() - start
    image, label = draw(0)
    assert image.shape == (3, plan.crop, plan.crop), image.shape
    assert label.shape == (plan.crop, plan.crop), label.shape
    count = plan.whole_tiles if name == "torchgeo" else plan.crops
    start = time.perf_counter()
    for index in range(1, count + 1):
        draw(index)
    seconds = time.perf_counter() - start
    peak = memory("VmHWM")
    return {
        "crops_a_second": count / seconds,
        "open_seconds": opened,
        "peak_mib": peak,
        "grown_mib": max(0.0, peak - before),
        "mapped_mib": max(0.0, memory("RssFile") - mapped_before),
    }


def memory(what: str) -> float:
    """A line of the kernel's word on this process, in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(what))) / 1024


# --- the page


def page(result: dict[str, Any]) -> str:
    """The result as text."""
    side, crop = result["side"], result["crop"]
    ratio = result["contenders"]["crispmap"]["times_torchgeo"]
    verdict = "met" if ratio >= result["target"] else "**not met**"
    lines = [
        "# Random crops of INRIA tiles",
        "",
        *result_file.origin(result, NAME, ", one thread."),
        f"Crops of {crop}² pixels with their labels, from {result['tiles']} tiles of {side}² pixels, three bands of 8 "
        "bits, uncompressed, from a warm page cache. crispmap: training windows as `crispmap fit` draws them, without "
        "changes of light, from files that stay open. rasterio by hand: for every crop both files opened, the window "
        "read, nothing else. torchgeo: its "
        "`InriaAerialImageLabeling`, which reads whole tiles, and the crop from them. Each in a process of its own; "
        "medians of the rounds, ratios within a round.",
        "",
        "| | crops a second | times torchgeo | to open, s | peak memory, MiB | of which for crops "
        "| of which mapped files and code |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {name} | {row['median']} | {row['times_torchgeo']} | {row['open_seconds']} | {row['peak_mib']} "
        f"| {row['grown_mib']} | {row['mapped_mib']} |"
        for name, row in result["contenders"].items()
    ]
    lines += [
        "",
        f"Target: {result['target']} times as many crops a second as torchgeo: {verdict} ({ratio}). Opening includes "
        "what is imported for it and, for crispmap, looking through the labels once for places to put windows.",
    ]
    if result["smoke_run"]:
        lines += ["", "A smoke run: these numbers mean nothing."]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
