"""What making footprints faithful or regular costs, or gains: IoU, boundary F1 and vertices against exact outlines.

    .venv/bin/python benchmarks/regularise.py

writes docs/results/regularise.json and the page made of it, in some minutes. ``--quick --out FOLDER`` shows in seconds
that all of it runs; its numbers mean nothing.

True footprints are burnt into pixels and made into a probability as a network might give it: blurred, with smooth
noise, and lower along walls that buildings share. They are the exact footprints of crispmap's synthetic scenes, and
real ones where CRISPMAP_DATA (else ../shared/data) has them: Massachusetts, and buildings of Banepa as volunteers drew
them. Each probability becomes footprints in several ways, which are compared with the truth by `crispmap evaluate`.
"""

import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import geopandas as gpd
import numpy as np
import rasterio
import result_file
import shapely
from buildingregulariser import regularize_geodataframe
from machine import circumstances
from rasterio.features import rasterize
from rasterio.transform import from_origin
from scipy import ndimage

from crispmap.data.synthetic import render_scene
from crispmap.evaluate import evaluate
from crispmap.vectorize import VectorizeSettings
from crispmap.vectorize.writing import write_footprints

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("CRISPMAP_DATA", ROOT.parent / "shared" / "data"))
NAME = "regularise"
RESOLUTION = 0.3
SCORES = ("iou", "boundary_f1_1px", "boundary_f1_3px", "object_f1", "polis", "vertex_ratio")
WAYS = {
    "as traced": VectorizeSettings(simplify=0),
    "faithful": VectorizeSettings(),
    "faithful, separated": VectorizeSettings(separate=0.75),
    "regularised": VectorizeSettings(regularise=True),
    "regularised, separated": VectorizeSettings(separate=0.75, regularise=True),
}
THEIRS = {  # on which outlines
    "buildingregulariser": VectorizeSettings(simplify=0),
    "buildingregulariser, separated": VectorizeSettings(separate=0.75, simplify=0),
}


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    scenes: int = 8
    size: int = 1024
    real_files: int = 4
    noises: tuple[float, ...] = (0.0, 0.2, 0.4)


QUICK = Plan(scenes=1, size=192, real_files=0, noises=(0.2,))


class Town(NamedTuple):
    """True footprints in metres, and the place that is looked at."""

    name: str
    polygons: list[shapely.Polygon]
    transform: rasterio.Affine
    crs: str
    size: int


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, and writes what came out."""
    parser = result_file.new_parser(__doc__, "a small scene")
    asked, begin = result_file.parse(parser, __file__, arguments)
    plan = QUICK if asked.quick else Plan()
    result = {
        **begin,
        "resolution": RESOLUTION,
        "records": measure(plan),
        **circumstances(),
    }
    result_file.write(asked.out, NAME, result, page)


def measure(plan: Plan) -> list[dict[str, Any]]:
    """The scores of every way, for each kind of town and noise; counts of a kind's towns are pooled."""
    towns: dict[str, list[Town]] = {}
    for town in (*synthetic(plan), *massachusetts(plan), *banepa(plan)):
        towns.setdefault(town.name, []).append(town)
    return [
        {"towns": name, "noise": noise, "way": way} | found
        for name, group in towns.items()
        for noise in plan.noises
        for way, found in scores(group, noise).items()
    ]


def scores(towns: list[Town], noise: float) -> dict[str, dict[str, Any]]:
    """The scores of each way, by its name."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        truth, levels = Path(folder) / "truth", Path(folder) / "levels"
        for i, town in enumerate(towns):
            write_town(town, truth / f"{i}.gpkg", levels / f"{i}.tif", noise, seed=i)
        for way, settings in (WAYS | THEIRS).items():
            made = Path(folder) / way
            begin = time.perf_counter()
            for path in levels.iterdir():
                write_footprints(path, made / f"{path.stem}.gpkg", settings)
                if way in THEIRS:
                    regularise_theirs(made / f"{path.stem}.gpkg")
            seconds = time.perf_counter() - begin
            flat = evaluate(made, truth, tolerance=["1px", "3px"], resolution=RESOLUTION).flat()
            found[way] = {name: flat.get(name) for name in SCORES} | faults(made) | {"seconds": round(seconds, 2)}
    return found


def regularise_theirs(path: Path) -> None:
    """Has the library regularise the outlines of a file, in their place."""
    frame = regularize_geodataframe(gpd.read_file(path), num_cores=1)
    path.unlink()
    frame.to_file(path)


def faults(made: Path) -> dict[str, Any]:
    """How many footprints there are, how many are not valid, and what area lies under several, in m²."""
    count = invalid = 0
    overlap = 0.0
    for path in made.iterdir():
        shapes = gpd.read_file(path).geometry
        count, invalid = count + len(shapes), invalid + int((~shapes.is_valid).sum())
        shapes = shapes.make_valid()
        overlap += shapes.area.sum() - shapes.union_all().area
    return {"footprints": count, "invalid": invalid, "overlap_m2": abs(round(overlap, 2))}


def write_town(town: Town, truth: Path, levels: Path, noise: float, seed: int) -> None:
    """Writes the true footprints, and the levels that a network might give for them."""
    for path in (truth, levels):
        path.parent.mkdir(exist_ok=True)
    west, north = town.transform @ (0, 0)
    east, south = town.transform @ (town.size, town.size)
    frame = gpd.GeoSeries(town.polygons, crs=town.crs)
    frame = frame.intersection(shapely.box(west, south, east, north))
    frame[frame.area > 0].to_file(truth)
    shape = (town.size, town.size)
    numbers = rasterize([(polygon, i + 1) for i, polygon in enumerate(town.polygons)], shape, transform=town.transform)
    inside = (numbers > 0).astype(float)
    near = [np.roll(numbers, 1, axis=axis) for axis in (0, 1)]
    walls = sum(((numbers != other) & (numbers > 0) & (other > 0)).astype(float) for other in near)
    smooth = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 1.5)
    probability = ndimage.gaussian_filter(inside, 1.2) - 0.9 * ndimage.gaussian_filter(np.minimum(walls, 1), 1)
    probability += noise * smooth / smooth.std() * 0.2
    profile = {"height": town.size, "width": town.size, "count": 1, "dtype": "uint8", "compress": "deflate"}
    with rasterio.open(levels, "w", crs=town.crs, transform=town.transform, **profile) as file:
        file.write(np.rint(np.clip(probability, 0, 1) * 255).astype(np.uint8), 1)
        file.scales = (1 / 255,)


def synthetic(plan: Plan) -> Iterator[Town]:
    """Scenes of crispmap itself."""
    for i in range(plan.scenes):
        scene = render_scene(0, i, plan.size, RESOLUTION)
        polygons = [footprint.polygon for footprint in scene.footprints]
        yield Town("synthetic", polygons, scene.transform, scene.crs, plan.size)


def massachusetts(plan: Plan) -> Iterator[Town]:
    """Footprints of the Massachusetts buildings dataset."""
    for path in sorted((DATA / "massachusetts").glob("*.gpkg"))[: plan.real_files]:
        yield real("Massachusetts", path, plan.size)


def banepa(plan: Plan) -> Iterator[Town]:
    """Buildings of Banepa in OpenStreetMap, as they were drawn: many outlines are not regular."""
    paths = sorted((DATA / "banepa").rglob("*.geojson"))
    for path in [path for path in paths if "osm" in path.parts][: plan.real_files]:
        yield real("Banepa", path, plan.size)


def real(name: str, path: Path, size: int) -> Town:
    """The footprints of a file, in metres, about the middle of their bounds."""
    frame = gpd.read_file(path)
    frame = frame.to_crs(frame.estimate_utm_crs()).explode()
    frame = frame[frame.geometry.geom_type == "Polygon"]
    west, south, east, north = frame.total_bounds
    half = size * RESOLUTION / 2
    place = from_origin((west + east) / 2 - half, (south + north) / 2 + half, RESOLUTION, RESOLUTION)
    return Town(name, frame.geometry.make_valid().tolist(), place, frame.crs.to_string(), size)


def page(result: dict[str, Any]) -> str:
    """The result as text."""
    lines = [
        "# Faithful and regularised footprints",
        "",
        *result_file.origin(result, NAME),
        f"True footprints, burnt at {result['resolution']} m, blurred and with noise; PoLiS in metres, vertices by "
        "those of the true partners. Scores above those of the traced outline are won, not lost: its "
        "steps are not there in the truth. Seconds are for orientation: the machine may have had other work. "
        "buildingregulariser runs with its defaults; other tolerances than these moved its IoU by less than 0.01.",
        "",
    ]
    if result["smoke_run"]:
        lines += ["**A smoke run: these numbers mean nothing.**", ""]
    for towns, noise in dict.fromkeys((each["towns"], each["noise"]) for each in result["records"]):
        lines += [f"## {towns}, noise {noise:g}", ""]
        lines += [
            "| | IoU | boundary F1, 1 px | 3 px | object F1 | PoLiS | vertices | footprints | not valid | overlaps, m² "
            "| s |",
            "|---" * 11 + "|",
        ]
        for record in result["records"]:
            if (record["towns"], record["noise"]) == (towns, noise):
                cells = ["–" if record[name] is None else f"{record[name]:.4f}" for name in SCORES[:4]]
                cells += ["–" if record[name] is None else f"{record[name]:.2f}" for name in SCORES[4:]]
                cells += [f"{record['footprints']}", f"{record['invalid']}", f"{record['overlap_m2']:.1f}"]
                cells += [f"{record['seconds']:.1f}"]
                lines.append(f"| {record['way']} | {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
