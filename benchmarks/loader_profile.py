"""What training waits for: the share of its time in which the small network stands still for want of a batch.

    GOMP_SPINCOUNT=2000 .venv/bin/python benchmarks/loader_profile.py

writes docs/results/loader-profile.json and the page made of it, in about six minutes on a quiet machine of two cores;
the variable is what the command line sets, so that waiting threads sleep.
``--quick --out FOLDER`` shows in a minute that all of it runs; its numbers mean nothing.

The imagery is made here, in the forms in which it comes. Each source is trained on as `crispmap fit` trains, by its own
code and with its defaults but for the network: one process that loads, one that trains. A watch between the two notes
when a batch was asked for and when it was there. The same run with a single batch handed out again and again shows what
the network takes by itself; the loader alone is asked for batches that nobody looks at. Files are in the page cache.
"""

import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import rasterio
import result_file
from machine import circumstances
from rasterio.errors import NotGeoreferencedWarning
from rasterio.transform import from_origin
from shapely import box
from torch import Tensor

from crispmap.data.module import WindowDataModule
from crispmap.data.regions import find_regions
from crispmap.fit import fit_regions
from crispmap.settings import DataSettings, FitSettings, network
from crispmap.vectorize import formats

NAME = "loader-profile"
TARGET = 0.02  # of the time after the first step
CRS = "EPSG:32633"
Batch = Mapping[str, Tensor]


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    steps: int = 20
    rounds: int = 2
    window: int = 256
    batch_size: int = 8
    png_tiles: int = 60
    png_side: int = 512
    mosaic_side: int = 10_240
    inria_tiles: int = 4
    inria_side: int = 5000


QUICK = Plan(
    steps=10, rounds=1, window=64, batch_size=2, png_tiles=6, png_side=128, mosaic_side=768, inria_tiles=2,
    inria_side=500,
)  # fmt: skip


@dataclass(frozen=True)
class Source:
    """Imagery and labels on disk.

    Attributes:
        what: The form in which they are.
        images: Folder or file, seen from the folder of all sources.
        labels: The same of the labels.
        scale: As ``--scale``.
    """

    what: str
    images: str
    labels: str
    scale: float = 1.0


@dataclass
class Watch:
    """Notes when batches are asked for and when they are there; with a held batch, hands out nothing else."""

    loader: Iterable[Batch]
    length: int
    held: Batch | None = None
    asked: list[float] = field(default_factory=list)
    there: list[float] = field(default_factory=list)

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[Batch]:
        """The batches of one pass."""
        batches = iter(self.loader) if self.held is None else iter([self.held] * self.length)
        for _ in range(self.length):
            self.asked.append(time.perf_counter())
            batch = next(batches)
            self.there.append(time.perf_counter())
            yield batch

    @property
    def waits(self) -> list[float]:
        """Seconds for each batch but the first, for which a loader has to start."""
        return [there - asked for asked, there in zip(self.asked[1:], self.there[1:], strict=True)]

    @property
    def steps(self) -> list[float]:
        """Seconds from each batch to the question for the next, without the first step, which warms up."""
        return [asked - there for there, asked in zip(self.there[1:], self.asked[2:], strict=False)]

    @property
    def waiting_share(self) -> float:
        """The share of the time after the first step that passed in waiting."""
        return sum(self.waits) / (self.there[-1] - self.asked[1])


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, and writes what came out."""
    parser = result_file.new_parser(__doc__, "small imagery")
    asked, begin = result_file.parse(parser, __file__, arguments)
    plan = QUICK if asked.quick else Plan()
    variables = [f"{name}={os.environ[name]}" for name in ("GOMP_SPINCOUNT", "OMP_NUM_THREADS") if name in os.environ]
    result = {
        **begin,
        "command": " ".join([*variables, begin["command"]]),
        "network": "small",
        "target": TARGET,
        "steps": plan.steps,
        "rounds": plan.rounds,
        "window": plan.window,
        "batch_size": plan.batch_size,
        "sources": measure(plan),
        **circumstances(),
    }
    result_file.write(asked.out, NAME, result, page)


def measure(plan: Plan) -> list[dict[str, Any]]:
    """All rounds of all sources, which take turns."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sources = write_sources(folder, plan)
        found: list[list[dict[str, float]]] = [[] for _ in sources]
        for k in range(plan.rounds):
            for source, rounds in zip(sources, found, strict=True):
                rounds.append(profile(source, folder, plan, k))
            print(f"round {k + 1} of {plan.rounds}", flush=True)
    return [
        {"what": source.what, "scale": source.scale}
        | {key: [round(each[key], 5) for each in rounds] for key in rounds[0]}
        for source, rounds in zip(sources, found, strict=True)
    ]


def profile(source: Source, folder: Path, plan: Plan, seed: int) -> dict[str, float]:
    """One training run of a source, the loader by itself, and the network by itself."""
    settings = FitSettings(
        images=folder / source.images,
        labels=folder / source.labels,
        out=folder / "run",
        scale=source.scale,
        steps=plan.steps,
        steps_per_epoch=plan.steps,
        seed=seed,
        data=DataSettings(window=plan.window, batch_size=plan.batch_size, val_windows=1, workers=1),
        model=network("small"),
    )
    regions = find_regions(settings)

    def trained(held: Batch | None = None) -> Watch:
        with watched(held) as watches:
            fit_regions(settings, *regions)
        return watches[0]

    training = trained()
    alone, batch = loader_alone(training.loader, plan.steps)
    fed = trained(batch)
    return {
        "waiting_share": training.waiting_share,
        "longest_wait": max(training.waits),
        "step_seconds": statistics.median(training.steps),
        "loader_seconds": statistics.median(alone.waits),
        "network_seconds": statistics.median(fed.steps),
    }


@contextmanager
def watched(held: Batch | None) -> Iterator[list[Watch]]:
    """Within it, what `crispmap.fit` trains on goes through a watch; gives the watches."""
    watches: list[Watch] = []

    class Watched(WindowDataModule):
        def train_dataloader(self) -> Any:
            loader = super().train_dataloader()
            watches.append(Watch(loader, len(loader), held))
            return watches[-1]

    with mock.patch("crispmap.fit.WindowDataModule", Watched):
        yield watches


def loader_alone(loader: Iterable[Batch], steps: int) -> tuple[Watch, Batch]:
    """Takes batches as fast as they come, and keeps the last."""
    watch = Watch(loader, steps)
    *_, batch = watch
    return watch, batch


# --- the imagery: blocks of colour and a little noise, with rectangles for buildings


def write_sources(folder: Path, plan: Plan) -> list[Source]:
    """Writes all imagery."""
    random = np.random.default_rng(0)
    for k in range(plan.png_tiles):
        image, label, _ = scene(random, plan.png_side)
        write_raster(folder / "png" / "images" / f"tile_{k}.png", image, driver="PNG")
        write_raster(folder / "png" / "labels" / f"tile_{k}.png", label, driver="PNG")
    image, _, boxes = scene(random, plan.mosaic_side)
    ground = 0.3
    place = from_origin(500_000, 5_000_000, ground, ground)
    write_raster(
        folder / "mosaic.tif", image, tiled=True, blockxsize=256, blockysize=256, compress="deflate", crs=CRS,
        transform=place,
    )  # fmt: skip
    corners = [(place @ (col, row), place @ (col + width, row + height)) for row, col, height, width in boxes]
    polygons = np.array([box(west, south, east, north) for (west, north), (east, south) in corners])
    formats.write_batches(
        folder / "footprints.gpkg", [formats.Batch(polygons, {})], (), rasterio.CRS.from_user_input(CRS)
    )
    for k in range(plan.inria_tiles):
        image, label, _ = scene(random, plan.inria_side)
        write_raster(folder / "inria" / "images" / f"austin{6 + k}.tif", image, interleave="pixel")
        write_raster(folder / "inria" / "gt" / f"austin{6 + k}.tif", label)
    return [
        Source(f"{plan.png_tiles} PNG tiles of {plan.png_side}² with PNG masks", "png/images", "png/labels"),
        Source(
            f"GeoTIFF of {plan.mosaic_side}², deflated tiles of 256², with a GeoPackage of {len(boxes)} footprints",
            "mosaic.tif",
            "footprints.gpkg",
        ),
        *(
            Source(
                f"{plan.inria_tiles} tiles of {plan.inria_side}² as INRIA's: uncompressed, with such masks",
                "inria/images",
                "inria/gt",
                scale,
            )
            for scale in (1.0, 0.5)
        ),
    ]


def scene(random: np.random.Generator, side: int) -> tuple[np.ndarray, np.ndarray, list[list[int]]]:
    """An image (3, side, side), its mask (1, side, side) of 0 and 255, and boxes (row, col, height, width) in it."""
    coarse = random.integers(60, 160, (3, -(-side // 32), -(-side // 32)), dtype=np.uint8)
    image = np.kron(coarse, np.ones((1, 32, 32), np.uint8))[:, :side, :side]
    label = np.zeros((1, side, side), np.uint8)
    boxes = []
    for _ in range(max(8, label.size // 12_000)):
        (row, col), (height, width) = random.integers(0, side - 48, 2).tolist(), random.integers(12, 48, 2).tolist()
        place = np.s_[:, row : row + height, col : col + width]
        image[place], label[place] = random.integers(150, 220, (3, 1, 1)), 255
        boxes.append([row, col, height, width])
    return image + random.integers(0, 16, image.shape, dtype=np.uint8), label, boxes


def write_raster(path: Path, pixels: np.ndarray, **profile: Any) -> None:
    """Writes an 8-bit raster."""
    path.parent.mkdir(parents=True, exist_ok=True)
    count, height, width = pixels.shape
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, "w", count=count, height=height, width=width, dtype="uint8", **profile) as file:
            file.write(pixels)


# --- the page


def page(result: dict[str, Any]) -> str:
    """The result as text."""
    lines = [
        "# What training waits for",
        "",
        *result_file.origin(result, NAME),
        f"The network `{result['network']}`, trained as `crispmap fit` trains, {result['steps']} steps of "
        f"{result['batch_size']} windows of {result['window']}² pixels, one process that loads and one that trains. "
        "Waiting is the time from the question for a batch to the batch, as a share of all time after the first step. "
        "A step alone is fed the same batch again and again; the loader alone has nobody who "
        f"looks at its batches. Medians of {result['rounds']} rounds; of waiting, the worst round as well.",
        "",
        "| source | scale | waiting | worst round | step, s | step alone, s | batch from the loader alone, s | |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    worst = []
    for row in result["sources"]:
        middle = {key: statistics.median(value) for key, value in row.items() if isinstance(value, list)}
        worst.append(max(row["waiting_share"]))
        lines.append(
            f"| {row['what']} | {row['scale']:g} | {middle['waiting_share']:.2%} | {worst[-1]:.2%} "
            f"| {middle['step_seconds']:.3f} | {middle['network_seconds']:.3f} | {middle['loader_seconds']:.3f} "
            f"| {'met' if worst[-1] < result['target'] else '**not met**'} |"
        )
    verdict = "met" if max(worst) < result["target"] else "**not met**"
    lines += ["", f"Target: less than {result['target']:.0%} of the time in every round of every source: {verdict}."]
    if result["smoke_run"]:
        lines += ["", "A smoke run: these numbers mean nothing."]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
