"""How far conventions alone move a boundary score: two predictions, each scored under every definition that goes about.

    taskset -c 1 env OMP_NUM_THREADS=1 .venv/bin/python benchmarks/conventions.py

--data (by default what CRISPMAP_DATA names, else ../shared/data) holds the imagery, --run a run of `loss_comparison.py`
on Jönköping. For Banepa a network is trained first, unless runs/conventions holds it. Written to
docs/results/metric-conventions.json and .md.
"""

import argparse
import json
import math
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from machine import circumstances
from metrics_conventions import page
from torch import Tensor

from crispmap.evaluate import evaluate
from crispmap.evaluate.comparison import comparisons
from crispmap.functional import boundary_counts, boundary_f1, boundary_iou, boundary_iou_counts, confusion_counts
from crispmap.functional.band_score import band_width
from crispmap.functional.boundary_score import boundary_f1_per_image
from crispmap.functional.conventions import Convention, rules_of
from crispmap.functional.lengths import Length, PixelSize
from crispmap.functional.region_score import quotient

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("CRISPMAP_DATA", ROOT.parent / "shared" / "data"))
WORK = ROOT / "runs" / "conventions"
RUN = ROOT / "runs" / "loss-comparison" / "jonkoping" / "balanced-300-0"
RESULT = ROOT / "docs" / "results" / "metric-conventions.json"
CRISPMAP = Path(sys.executable).with_name("crispmap")

BOUNDARIES: tuple[tuple[Convention, str], ...] = (
    ("csurka", "0.75%"),
    ("csurka", "3px"),
    ("csurka", "1m"),
    ("davis", "0.8%"),
    ("davis", "3px"),
    ("pixels", "3px"),
    ("pixels", "1m"),
)
BANDS = ("2%", "3px", "1m")

FIT = (
    "fit --images {work}/train --labels {data}/banepa/train/osm --val-images {work}/val"
    " --val-labels {data}/banepa/train/osm --resolution 0.26 --steps 300 --steps-per-epoch 300 --seed 0"
    " --data.window 128 --model.decoder-channels=[128,64,32,16,8] --out {work}/run"
)
PREDICT = "predict {run} {images} -o {maps} --no-footprints --overwrite"
TRAINED_ON, EXAMINED_ON = ("386690", "386691", "386692"), ("386694", "386695")  # columns; the one between is a gap


@dataclass(frozen=True)
class Tiles:
    """Masks of tiles of one size, bool, each (N, H, W), and where each tile lies."""

    pred: Tensor
    truth: Tensor
    valid: Tensor
    places: tuple[tuple[int, int], ...]  # row and column in the grid of tiles
    pixel_size: PixelSize

    def mosaic(self) -> "Tiles":
        """The same pixels in one image."""
        rows, columns = (sorted(set(axis)) for axis in zip(*self.places, strict=True))
        at = {place: i for i, place in enumerate(self.places)}
        sides = (
            torch.cat([torch.cat([side[at[row, column]] for column in columns], 1) for row in rows])[None]
            for side in (self.pred, self.truth, self.valid)
        )
        return Tiles(*sides, ((0, 0),), self.pixel_size)

    @property
    def shape(self) -> tuple[int, int]:
        """Of one tile."""
        return self.pred.shape[1], self.pred.shape[2]


def read(maps: Path, labels: Path, place: tuple[int, int], pixel_size: PixelSize | None) -> Tiles:
    """Reads predicted masks and their truth, masks or polygons.

    Args:
        maps: The folder of predictions.
        labels: The folder of truths.
        place: Which words of a name, parted by - or _, are the row and the column of a tile.
        pixel_size: Of rasters without a place on the ground; None for what the files say.
    """
    pairs, _ = comparisons(maps, labels, 0.5, None, "file")
    found = [pair.read(pair.grid.window) for pair in pairs]
    pred, truth, valid = (torch.stack([torch.from_numpy(mask) for mask in side]) for side in zip(*found, strict=True))
    words = [pair.name.replace("-", "_").split("_") for pair in pairs]
    places = tuple((int(word[place[0]]), int(word[place[1]])) for word in words)
    size = pixel_size or pairs[0].grid.pixel_size
    assert size is not None, f"{maps} says nothing about the size of its pixels"
    return Tiles(pred, truth, valid, places, size)


def jonkoping(data: Path, run: Path) -> tuple[Tiles, Path, Path]:
    """The validation tiles as a run of the loss comparison sees them."""
    maps, home = WORK / "jonkoping", data / "jonkoping" / "val"
    _crispmap(PREDICT, run=run, images=home / "images", maps=maps)
    return read(maps, home / "masks", (1, 2), (0.2, 0.2)), maps, home / "masks"


def banepa(data: Path) -> tuple[Tiles, Path, Path]:
    """Two columns of tiles as a network sees them that was trained on three others."""
    home, maps = WORK / "banepa", WORK / "banepa" / "maps"
    labels = data / "banepa" / "train" / "osm"
    for part, columns in (("train", TRAINED_ON), ("val", EXAMINED_ON)):
        (home / part).mkdir(parents=True, exist_ok=True)
        for file in sorted((data / "banepa" / "train" / "oam").iterdir()):  # tiles, and the files that place them
            link = home / part / file.name
            if file.name.split("-")[1] in columns and not link.is_symlink():
                link.symlink_to(file.resolve())
    if not (home / "run" / "model.pt").exists():
        _crispmap(FIT, work=home, data=data)
    _crispmap(PREDICT, run=home / "run", images=home / "val", maps=maps)
    (footprints,) = labels.glob("*.geojson")
    return read(maps, footprints, (2, 1), None), maps, footprints


def _crispmap(command: str, **places: Path) -> None:
    subprocess.run([CRISPMAP, *command.format(**places).split()], check=True)


def measure(tiles: Tiles) -> list[dict[str, Any]]:
    """All scores of the tiles: the mean of the tiles', that of their counts, and that of their mosaic."""
    mosaic = tiles.mosaic()
    rows = []
    per_tile, pooled = _ious(tiles)
    rows.append(_row("IoU", "", None, (per_tile, pooled, _ious(mosaic)[1]), "pooled", None))
    for convention, text in BOUNDARIES:
        scores, whole = _boundary(tiles, convention, text), _boundary(mosaic, convention, text)
        rules = rules_of(convention)
        on = [max(rules.resolve(text, each.shape).in_pixels(tiles.pixel_size)) for each in (tiles, mosaic)]
        rows.append(_row("boundary F1", convention, text, (*scores[:2], whole[0]), rules.reduction, on, scores[2]))
    for text in BANDS:
        (per_tile, pooled), (whole, _) = _bands(tiles, text), _bands(mosaic, text)
        on = [float(max(band_width(text, each.shape, tiles.pixel_size))) for each in (tiles, mosaic)]
        rows.append(_row("Boundary IoU", "", text, (per_tile, pooled, whole), "pooled", on))
    return rows


def _row(
    metric: str,
    convention: str,
    length: str | None,
    scores: tuple[float, float, float],
    own: str,
    pixels: Sequence[float] | None,
    images: int | None = None,
) -> dict[str, Any]:
    image, pooled, mosaic = scores
    return {
        "metric": metric,
        "convention": convention,
        "length": None if length is None else str(Length.of(length)),
        "length_in_pixels": None if pixels is None else {"tile": pixels[0], "mosaic": pixels[1]},
        "own_reduction": own,
        "images_with_a_score": images,
        "image": image,
        "pooled": pooled,
        "mosaic": mosaic,
    }


def _ious(tiles: Tiles) -> tuple[float, float]:
    hits, false_positive, false_negative, _ = confusion_counts(tiles.pred, tiles.truth, tiles.valid)
    union = hits + false_positive + false_negative
    return float(quotient(hits, union).nanmean()), float(quotient(hits.sum(), union.sum()))


def _boundary(tiles: Tiles, convention: Convention, tolerance: str) -> tuple[float, float, int]:
    """Mean of the tiles' scores, score of their counts, and how many tiles have a score."""
    masks = tiles.pred, tiles.truth, [tolerance], convention, tiles.valid
    counts = boundary_counts(*masks, pixel_size=tiles.pixel_size)
    mean, pooled = (float(boundary_f1(counts, convention, how)[0]) for how in ("image", "pooled"))
    return mean, pooled, int(boundary_f1_per_image(counts, convention)[:, 0].isfinite().sum())


def _bands(tiles: Tiles, width: str) -> tuple[float, float]:
    counts = boundary_iou_counts(tiles.pred, tiles.truth, width, tiles.valid, pixel_size=tiles.pixel_size)
    return float(boundary_iou(counts, "image")), float(boundary_iou(counts))


def check_against_the_command(rows: Sequence[dict[str, Any]], maps: Path, labels: Path) -> None:
    """Stops where `crispmap evaluate` finds other numbers for the same files."""
    found = evaluate(maps, labels, tolerance="3px", convention="csurka", band_width="3px")
    ours = {(row["metric"], row["convention"], row["length"]): row for row in rows}
    for score, row, column in (
        (found.iou, ("IoU", "", None), "pooled"),
        (found.boundary_f1, ("boundary F1", "csurka", "3 px"), "image"),
        (found.boundary_iou, ("Boundary IoU", "", "3 px"), "pooled"),
    ):
        assert math.isclose(score, ours[row][column], rel_tol=1e-12), (row, score, ours[row])


def main(arguments: Sequence[str] | None = None) -> None:
    """Predicts, measures and writes both files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="the folder with jonkoping and banepa")
    parser.add_argument("--run", type=Path, default=RUN, help="a run on Jönköping; loss_comparison.py makes them")
    args = parser.parse_args(arguments)
    torch.set_num_threads(1)
    places = [
        (
            "Jönköping",
            "orthophotos of Barnarp, Sweden, without a CRS, taken for 0.2 m a pixel; validation tiles as the run "
            f"{args.run.name} of `benchmarks/loss_comparison.py` sees them.",
            jonkoping(args.data, args.run),
        ),
        (
            "Banepa",
            "drone imagery of a Nepalese town against OpenStreetMap footprints; a network trained on three columns of "
            "tiles (0.26 m, 300 steps, seed 0), examined on two others with one between left out.",
            banepa(args.data),
        ),
    ]
    written: dict[str, Any] = {
        "command": "python benchmarks/conventions.py",
        "commands": [f"crispmap {command}" for command in (FIT, PREDICT)],
        "places": [],
    }
    for title, text, (tiles, maps, labels) in places:
        rows = measure(tiles)
        check_against_the_command(rows, maps, labels)
        written["places"].append(
            {
                "title": title,
                "text": text,
                "tiles": len(tiles.pred),
                "tile_shape": tiles.shape,
                "mosaic_shape": tiles.mosaic().shape,
                "pixel_size": tiles.pixel_size,
                "rows": rows,
            }
        )
    written |= circumstances()
    RESULT.write_text(json.dumps(written, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    RESULT.with_suffix(".md").write_text(page(written))
    print(page(written))


if __name__ == "__main__":
    main()
