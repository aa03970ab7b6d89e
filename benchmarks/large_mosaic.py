"""A mosaic of 32,768² pixels from imagery to footprints, by the commands that a user would give, and their memory.

    .venv/bin/python benchmarks/large_mosaic.py

writes docs/results/large-mosaic.json and the page made of it; it takes an hour on two cores. ``--quick --out FOLDER``
shows in a minute that all of it runs; its numbers mean nothing.

A small network learns from synthetic scenes; others like them, laid side by side as one VRT in a drawn order, are the
mosaic, so that it takes the disk of a few scenes and is read and decoded like any other. Every command is a process of
its own, and its peak is the largest resident set that the system saw, libraries and files mapped into memory included.
Strips of the same scenes, of one width and growing height, show what of it depends on height. Seconds are for
orientation: the machine may have had other work.
"""

import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import result_file
from machine import circumstances
from rasterio.transform import from_origin

from crispmap.geo.raster import Raster
from crispmap.predict.vrt import new_vrt, say

CRISPMAP = Path(sys.executable).with_name("crispmap")
NAME = "large-mosaic"


@dataclass(frozen=True)
class Plan:
    """How much is done."""

    tile: int = 2048
    tiles: int = 12  # different ones
    side: int = 16  # of the mosaic, in tiles
    width: int = 2  # of the strips, in tiles
    heights: tuple[int, ...] = (2, 8, 32)  # likewise
    steps: int = 240


QUICK = Plan(tile=256, tiles=2, side=2, width=1, heights=(1, 2), steps=2)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, and writes what came out."""
    parser = result_file.new_parser(__doc__, "small scenes")
    parser.add_argument("--work", type=Path, help="folder for scenes, run and maps, to look at them afterwards")
    asked, begin = result_file.parse(parser, __file__, arguments)
    plan = QUICK if asked.quick else Plan()
    with tempfile.TemporaryDirectory() as folder:
        work: Path = asked.work or Path(folder)
        work.mkdir(parents=True, exist_ok=True)
        result = begin | measure(work, plan) | circumstances()
    result_file.write(asked.out, NAME, result, page)


def measure(work: Path, plan: Plan) -> dict[str, Any]:
    """Every command, in the order in which a user would give them."""
    commands = []

    def crispmap(line: str) -> dict[str, Any]:
        commands.append(run(line, work))
        print(commands[-1], flush=True)
        return commands[-1]

    crispmap(f"synthesize learn --scenes 8 --size {min(512, plan.tile)} --seed 1")
    crispmap(f"synthesize tiles --scenes {plan.tiles} --size {plan.tile} --seed 2")
    crispmap(f"fit --images learn/images --labels learn/masks --network small --steps {plan.steps} --out run")
    order = np.random.default_rng(0).integers(plan.tiles, size=(max(plan.side, *plan.heights), plan.side))
    for kind in ("images", "masks"):
        tiles = sorted((work / "tiles" / kind).glob("*.tif"))
        write_mosaic(work / kind / "mosaic.vrt", [[tiles[i] for i in row] for row in order[: plan.side]])
    crispmap("predict run images/mosaic.vrt -o maps")
    crispmap("vectorize maps/mosaic_probability.tif -o regular.gpkg --separate 0.8 --regularise")
    crispmap("evaluate maps/mosaic_mask.tif masks/mosaic.vrt --json scores.json")
    strips = []
    tiles = sorted((work / "tiles" / "images").glob("*.tif"))
    for height in plan.heights:
        strip = write_mosaic(
            work / f"strip{height}.vrt", [[tiles[i] for i in row[: plan.width]] for row in order[:height]]
        )
        rows, columns = Raster.of(strip).height, Raster.of(strip).width
        strips.append({"rows": rows, "columns": columns, **run(f"predict run {strip.name} -o strips", work)})
        print(strips[-1], flush=True)
    return {
        "side": plan.side * plan.tile,
        "commands": commands,
        "scores": json.loads((work / "scores.json").read_text()),
        "strips": strips,
    }


def run(line: str, work: Path) -> dict[str, Any]:
    """One command: what it said, its seconds, and its peak in MiB."""
    start = time.perf_counter()
    process = subprocess.Popen(
        [CRISPMAP, *shlex.split(line), "--overwrite"], cwd=work, stdout=subprocess.PIPE, text=True
    )
    said = process.stdout.read() if process.stdout else ""
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"crispmap {line} failed")
    return {
        "command": f"crispmap {line}",
        "seconds": round(time.perf_counter() - start, 1),
        "peak_mib": round(used.ru_maxrss / 1024),
        "said": said.splitlines(),
    }


def write_mosaic(path: Path, tiles: Sequence[Sequence[Path]]) -> Path:
    """Tiles of one size, row by row, as one raster."""
    one = Raster.of(tiles[0][0])
    place = from_origin(500_000, 5_000_000, one.resolution, one.resolution)
    vrt = new_vrt(len(tiles) * one.height, len(tiles[0]) * one.width, one.crs, place, {})
    for number in one.bands:
        band = ET.SubElement(vrt, "VRTRasterBand", dataType="Byte", band=str(number))
        for i, row in enumerate(tiles):
            for j, tile in enumerate(row):
                source = ET.SubElement(band, "SimpleSource")
                say(source, "SourceFilename", os.path.relpath(tile, path.parent), relativeToVRT="1")
                say(source, "SourceBand", str(number))
                whole = {"xSize": str(one.width), "ySize": str(one.height)}
                ET.SubElement(source, "SrcRect", {"xOff": "0", "yOff": "0", **whole})
                ET.SubElement(source, "DstRect", {"xOff": str(j * one.width), "yOff": str(i * one.height), **whole})
    path.parent.mkdir(exist_ok=True)
    ET.ElementTree(vrt).write(path)
    return path


def page(result: dict[str, Any]) -> str:
    """The tables for people."""
    scores, origin = result["scores"], "\n".join(result_file.origin(result, NAME))
    convention = ", ".join(f"{scores[f'boundary_f1_{part}']}" for part in ("tolerance", "unit", "convention"))
    commands = "\n".join(
        f"| `{each['command']}` | {each['seconds']:,.0f} | {each['peak_mib']:,} | {each['said'][0]} |"
        for each in result["commands"]
    )
    strips = "\n".join(
        f"| {each['rows']:,} | {each['columns']:,} | {each['seconds']:,.0f} | {each['peak_mib']:,} | "
        f"{each['said'][0]} |"
        for each in result["strips"]
    )
    smoke = "**A smoke run: no results.**\n\n" if result["smoke_run"] else ""
    return f"""# A mosaic of {result["side"]:,}² pixels, from imagery to footprints

{origin}
{smoke}Synthetic scenes laid side by side as one VRT. The peak is the largest resident set of the
command's process, PyTorch (about 0.9 GiB) included. Seconds are for orientation: the machine had other work.

| command | seconds | peak MiB | said |
|---|---|---|---|
{commands}

Against the exact masks of the mosaic: IoU {scores["iou"]:.3f}, boundary F1 {scores["boundary_f1"]:.3f}
({convention}), perimeter ratio {scores["perimeter_ratio"]:.2f}, over {scores["n_pixels"]:,} pixels.

## One width, growing height

`crispmap predict`, scene to rasters and footprints. GDAL keeps up to 128 MiB of blocks; once they are full, height
costs next to nothing.

| rows | columns | seconds | peak MiB | said |
|---|---|---|---|---|
{strips}
"""


if __name__ == "__main__":
    main()
