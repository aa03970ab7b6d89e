"""The paper's experiment on what there is: result files, and the table at the head of the README that is made of them.

    .venv/bin/python benchmarks/reproductions.py synthetic                      # about an hour on two processors
    CRISPMAP_DATA=data .venv/bin/python benchmarks/reproductions.py jonkoping   # an hour
    CRISPMAP_DATA=data .venv/bin/python benchmarks/reproductions.py trees       # ten minutes
    .venv/bin/python benchmarks/reproductions.py readme                         # the tables, from the files

Runs lie in runs/reproduced and are not repeated; docs/results/reproduced-NAME.{json,md} are what they gave, and
docs/results/reproduced.md and the table in the README are made of these. ``trees`` takes the published trees with a
budget that shows no more than that all of it works; AICD's is made here, from synthetic scenes.
"""

import argparse
import json
import os
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import rasterio
from machine import circumstances
from rasterio.errors import NotGeoreferencedWarning
from reproductions_page import LOSSES, RESULTS, SUBJECTS, published, summary, with_headline

from crispmap.cli import main as crispmap
from crispmap.data.synthetic import write_scenes

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("CRISPMAP_DATA", ROOT.parent / "shared" / "data"))
WORK = ROOT / "runs" / "reproduced"
BUDGET = ROOT / "benchmarks" / "reproductions.yaml"


def main(arguments: list[str] | None = None) -> None:
    """Carries out what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("synthetic", "jonkoping", "trees", "readme"))
    parser.add_argument("--commit", help="of the runs, if they were made before the present one")
    parser.add_argument("--note", default="", help="on how the runs were made, for the result files")
    asked = parser.parse_args(arguments)
    os.chdir(ROOT)
    if asked.what == "readme":
        page = ROOT / "README.md"
        page.write_text(with_headline(page.read_text(encoding="utf-8"), published()), encoding="utf-8")
        (RESULTS / "reproduced.md").write_text(summary(published()), encoding="utf-8")
        return
    for name, folder in {"synthetic": synthetic, "jonkoping": jonkoping, "trees": trees}[asked.what]().items():
        publish(name, folder, asked.commit, asked.note)


def synthetic() -> dict[str, Path]:
    """Both kinds of labels."""
    out = WORK / "synthetic"
    call("reproduce", "synthetic", "--out", str(out.relative_to(ROOT)))
    return {"synthetic-exact": out / "exact", "synthetic-offset": out / "offset"}


def jonkoping() -> dict[str, Path]:
    """The same losses, network and windows on real imagery."""
    out, home = WORK / "jonkoping", DATA / "jonkoping"
    paths = {"images": "train/images", "labels": "train/masks", "val-images": "val/images", "val-labels": "val/masks"}
    flags = {f"--{name}": str(home / path) for name, path in paths.items()} | {
        "--scale": "0.5",
        "--networks": "small",
        "--losses": ",".join(LOSSES),
        "--reference": "paper",
        "--seeds": "5",
        "--steps": "360",
        "--steps-per-epoch": "90",
        "--data.window": "128",
        "--out": str(out.relative_to(ROOT)),
    }
    call("compare", *(part for flag in flags.items() for part in flag))
    return {"jonkoping": out}


def trees() -> dict[str, Path]:
    """The published layouts from end to end."""
    tree = WORK / "tree" / "AICDDataset"
    if not tree.exists():
        write_aicd_tree(tree)
    roots = {"aicd": tree.relative_to(ROOT), "inria": DATA / "AerialImageDataset", "potsdam": DATA / "Potsdam"}
    for name, root in roots.items():
        out, config = (str(path.relative_to(ROOT)) for path in (WORK / name, BUDGET))
        call("reproduce", name, "--data", str(root), "--out", out, "--config", config)
    return {name: WORK / name for name in roots}


def call(*arguments: str) -> None:
    """Calls crispmap, and ends where it fails."""
    if status := crispmap(arguments):
        sys.exit(status)


def write_aicd_tree(root: Path, scenes: int = 10, height: int = 600, width: int = 800) -> None:
    """A tree in AICD's layout: what is new in the target image of a pair is a synthetic scene's buildings.

    Its two images show different ground; the reader takes the one in which the masks' outlines are seen.
    """
    with tempfile.TemporaryDirectory() as folder:
        write_scenes(folder, 2 * scenes, max(height, width), 11)
        for scene in range(scenes):
            name = f"Scene{scene:04d}_View00"
            for half, number in (("target", scene), ("moving", scenes + scene)):
                image = _cut(Path(folder) / "images" / f"scene_{number:04d}.tif", height, width)
                opaque = np.full((1, height, width), 255, np.uint8)
                _write_png(root / "Images_Shadows" / f"{name}_{half}.png", np.concatenate([image, opaque]))
            mask = _cut(Path(folder) / "masks" / f"scene_{scene:04d}.tif", height, width)
            _write_png(root / "GroundTruth" / f"{name}_gtmask.png", mask)


def _cut(path: Path, height: int, width: int) -> np.ndarray:
    with rasterio.open(path) as file:
        return file.read()[:, :height, :width]


def _write_png(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    bands, height, width = pixels.shape
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, "w", driver="PNG", count=bands, height=height, width=width, dtype="uint8") as file:
            file.write(pixels)


def publish(name: str, folder: Path, commit: str | None = None, note: str = "") -> None:
    """Copies what a comparison found into docs/results, with its commit and without paths of this machine."""
    text = (folder / "results.json").read_text(encoding="utf-8")
    found = json.loads(_portable(text))
    known = circumstances()
    found |= {"commit": commit or known["commit"]} | ({"note": note} if note else {})
    (RESULTS / f"reproduced-{name}.json").write_text(json.dumps(found, ensure_ascii=False) + "\n", encoding="utf-8")
    subject, tables = SUBJECTS[name], _portable((folder / "results.md").read_text(encoding="utf-8"))
    _, _, rest = tables.partition("\n")
    page = (
        f"# Losses compared: {subject.title}\n\n{subject.text}\n{rest}Commit: {found['commit']}.{note and f' {note}'}\n"
    )
    (RESULTS / f"reproduced-{name}.md").write_text(page, encoding="utf-8")


def _portable(text: str) -> str:
    return text.replace(str(DATA.resolve()), "$CRISPMAP_DATA").replace(str(DATA), "$CRISPMAP_DATA")


if __name__ == "__main__":
    main()
