"""The commands that are put to the test: how each is called, and what it must leave."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import rasterio
from processes import Arm
from rasterio.transform import from_origin
from readers import content, footprints, page, results, scalars, table, torch_file

Reader = Callable[[Path], str]

NETWORK = ["--model.encoder=timm-mobilenetv3_small_minimal_100", "--model.decoder_channels=[8,8,8,8,8]"]
TRAINER = ["--trainer.accelerator=cpu", "--trainer.precision=32-true", "--trainer.log_every_n_steps=1"]
LEARNING = [*NETWORK, *TRAINER, "--data.window=32", "--data.batch_size=2"]


class World:
    """The files that all commands share.

    Attributes:
        folder: All of it.
        disk: Where all outputs go, each command's after the other's, so that a command is repeated to the letter.
        images: To learn from.
        masks: Their labels.
        town: What is predicted.
        village: What is predicted with it.
        levels: What is made footprints of.
        model: With what is predicted; `make` leaves it to `fit`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.disk = folder / "disk"
        self.images, self.masks = folder / "images", folder / "masks"
        self.town, self.village = folder / "town.tif", folder / "village.tif"
        self.levels = folder / "levels.tif"
        self.model = folder / "model.pt"

    def make(self) -> None:
        """Draws all of it but the model."""
        generator = np.random.default_rng(0)
        self.disk.mkdir(parents=True)
        for i in range(2):
            mask = np.zeros((64, 96), np.uint8)
            mask[10:30, 8:20] = mask[35:50, 60:90] = 255
            image = generator.integers(20, 90, (3, 64, 96)) + 90 * (mask > 0)
            _write(self.images / f"{i}.tif", image.astype(np.uint8))
            _write(self.masks / f"{i}.tif", mask[None])
        _write(self.town, generator.integers(0, 255, (3, 900, 160)).astype(np.uint8))
        _write(self.village, generator.integers(0, 255, (3, 100, 90)).astype(np.uint8))
        squares = np.kron(generator.integers(0, 2, (150, 80)) * 255, np.ones((8, 8)))
        _write(self.levels, squares[None].astype(np.uint8))


def _write(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(exist_ok=True)
    bands, height, width = pixels.shape
    size = {"count": bands, "height": height, "width": width, "dtype": pixels.dtype}
    with rasterio.open(path, "w", crs="EPSG:32633", transform=from_origin(5e5, 5e6, 0.5, 0.5), **size) as file:
        file.write(pixels)


@dataclass(frozen=True)
class Command:
    """A command under test; all paths below are relative to the place of outputs.

    Attributes:
        name: In the tally.
        arguments: After the program's name.
        input: A file that it reads.
        finished: What has to be the same in the end, whatever happened on the way: patterns of paths, and what reads
            them.
        whole: Those patterns among them whose files are absent or as they are in the end, at any moment.
        readable: Patterns of files that may be of an earlier moment but never unreadable, and what reads them.
        trains: Whether it computes losses and gradients.
        tolerates: Whether it goes on with its other parts when one fails, and says so.
        arms: What makes it more vulnerable, such as more frequent commits.
        anew: Whether it is started as users start it, and not forked with everything loaded.
    """

    name: str
    arguments: Sequence[str]
    input: Path
    finished: dict[str, Reader]
    whole: Sequence[str] = ()
    readable: dict[str, Reader] | None = None
    trains: bool = False
    tolerates: bool = False
    arms: Sequence[Arm] = ()
    anew: bool = False

    def differences(self, there: Path, reference: Path) -> list[str]:
        """How a finished output differs from that of an undisturbed run, also by what else lies about."""
        wrong = [
            f"{name} differs"
            for pattern, read in self.finished.items()
            for name in _paths(reference, pattern)
            if _attempt(read, there / name) != read(reference / name)
        ]
        return wrong + [f"{name} is left behind or missing" for name in sorted(_listing(there) ^ _listing(reference))]

    def damage(self, there: Path, reference: Path) -> list[str]:
        """What of an output that was interrupted is neither absent nor whole."""
        wrong = []
        for pattern in self.whole:
            for name in _paths(there, pattern):
                if _attempt(self.finished[pattern], there / name) != self.finished[pattern](reference / name):
                    wrong.append(f"{name} is not whole")
        for pattern, read in (self.readable or {}).items():
            wrong += [
                f"{name} cannot be read" for name in _paths(there, pattern) if _attempt(read, there / name) is None
            ]
        return wrong


def _attempt(read: Reader, path: Path) -> str | None:
    try:
        return read(path)
    except Exception:  # a file that is not whole may fail in any way
        return None


def _paths(folder: Path, pattern: str) -> list[str]:
    """What a pattern finds, without what is hidden: parts of files are, until they are whole."""
    found = (path.relative_to(folder) for path in folder.glob(pattern))
    return sorted(str(path) for path in found if not any(part.startswith(".") for part in path.parts))


def _listing(folder: Path) -> set[str]:
    """Every file and folder, save that TensorBoard begins a new file with each start."""
    found = (path.relative_to(folder) for path in folder.rglob("*"))
    return {str(path) for path in found if "tensorboard" not in path.parts}


def commands(world: World) -> dict[str, Command]:
    """All of them, by their names."""
    out = world.disk / "out"
    ground = [f"--images={world.images}", f"--labels={world.masks}", f"--val_images={world.images}"]
    ground += [f"--val_labels={world.masks}", *LEARNING]
    learning = [*ground, f"--out={out}", "--steps=6"]
    image = world.images / "1.tif"
    fitted: dict[str, Reader] = {
        "out/model.pt": torch_file,
        "out/config.yaml": content,
        "out/metrics.csv": table,
        "out/checkpoints/*.ckpt": torch_file,
        "out/tensorboard": scalars,
    }
    every = [
        Command(
            "fit",
            ["fit", *learning, "--steps_per_epoch=2", "--data.workers=0"],
            image,
            fitted,
            ["out/model.pt", "out/config.yaml"],
            {"out/checkpoints/*.ckpt": torch_file},
            trains=True,
        ),
        Command(
            "fit, with a loader process",
            ["fit", *learning, "--steps_per_epoch=3", "--data.workers=1", "--loss=crispmap.SurfaceLoss"],
            image,
            fitted,
            ["out/model.pt", "out/config.yaml"],
            {"out/checkpoints/*.ckpt": torch_file},
            trains=True,
        ),
        Command(
            "compare",
            ["compare", *ground, f"--out={out}", "--steps=3", "--losses=bce,dice", "--seeds=2", "--data.workers=0"],
            image,
            {
                "out/results.json": results,
                "out/report.html": page,
                "out/runs/**/last.pt": torch_file,
                "out/runs/**/counts.json": results,
                "out/runs/**/run.json": results,
            },
            ["out/report.html", "out/runs/**/last.pt", "out/runs/**/counts.json"],
            {"out/runs/**/run.json": results, "out/results.json": results, "out/runs/**/*.ckpt": torch_file},
            trains=True,
            tolerates=True,
        ),
        Command(
            "search-weight",
            [
                *("search-weight", *learning, "--steps_per_epoch=2", "--data.workers=0"),
                *("--weights=[0.2,0.8]", "--from_epoch=1", "--every_epochs=1"),
            ],
            image,
            {
                "out/model.pt": torch_file,
                "out/search.json": results,
                "out/branches/*/model.pt": torch_file,
                "out/branches/*/checkpoints/*.ckpt": torch_file,
                "out/branches/*/metrics.csv": table,
            },
            ["out/model.pt"],
            {"out/search.json": results, "out/branches/*/checkpoints/*.ckpt": torch_file},
            trains=True,
        ),
        Command(
            "predict",
            [
                *("predict", str(world.model), str(world.town), str(world.village), f"-o={out}"),
                *("--patch=32", "--device=cpu", "--precision=32"),
            ],
            world.town,
            {"out/*.tif": content, "out/*.gpkg": footprints},
            ["out/*.tif", "out/*.gpkg"],
            arms=[_commit_often],
        ),
        *(
            Command(
                f"vectorize to {suffix}",
                ["vectorize", str(world.levels), f"-o={world.disk / 'out'}.{suffix}"],
                world.levels,
                {f"out.{suffix}": footprints},
                [f"out.{suffix}"],
            )
            for suffix in ("gpkg", "fgb", "geojson")
        ),
        Command(
            "vectorize to parquet",
            ["vectorize", str(world.levels), f"-o={world.disk / 'out'}.parquet"],
            world.levels,
            {"out.parquet": content},
            ["out.parquet"],
        ),
        Command(
            "synthesize",
            ["synthesize", str(out), "--scenes=4", "--size=192", "--workers=1", "--label-offset=1"],
            world.levels,
            {"out/**/*.tif": content, "out/*.gpkg": content},
            ["out/**/*.tif", "out/*.gpkg"],
        ),
        Command(
            "evaluate",
            ["evaluate", str(world.levels), str(world.levels), f"--html={out}/scores.html"],
            world.levels,
            {"out/scores.html": page},
            ["out/scores.html"],
        ),
    ]
    known = {command.name: command for command in every}
    for name, *more in (("fit",), ("synthesize", "--workers=2")):
        forked = known[name]
        started = replace(forked, name=f"{name}, started anew", arguments=[*forked.arguments, *more], anew=True)
        known[started.name] = started
    return known


def _commit_often() -> None:
    """Rows of so small a raster would be finished before the first commit."""
    import crispmap.predict.spool
    import crispmap.predict.stream

    crispmap.predict.spool._SECONDS_BETWEEN_COMMITS = 0.0
    crispmap.predict.stream._SECTION = 8
