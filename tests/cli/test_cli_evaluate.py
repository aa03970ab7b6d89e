"""The `evaluate` command through the real entry point, in this process and once in its own."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin
from shapely.geometry import Point, box

from crispmap.cli import main

CRS = "EPSG:32633"
PLACE = from_origin(500_000, 6_400_000, 1, 1)
BUILDING = box(500_005, 6_399_985, 500_015, 6_399_995)  # what raster() marks


def raster(path: Path, size=(20, 30), crs=CRS, transform=PLACE, value=255, count=1, **profile) -> Path:
    path.parent.mkdir(exist_ok=True)
    pixels = np.zeros((count, *size), "uint8")
    pixels[:, 5:15, 5:15] = value
    shape = {"height": size[0], "width": size[1], "count": count}
    with rasterio.open(path, "w", dtype="uint8", crs=crs, transform=transform, **shape, **profile) as file:
        file.write(pixels)
    return path


def vectors(path: Path, geometry=BUILDING, crs=CRS) -> Path:
    frame = gpd.GeoDataFrame(geometry=[geometry], crs=crs)
    frame.to_parquet(path) if path.suffix == ".parquet" else frame.to_file(path)
    return path


@pytest.fixture
def mask(tmp_path) -> Path:
    return raster(tmp_path / "mask.tif")


def test_a_table_and_json_of_a_perfect_map(tmp_path, mask, capsys):
    out = tmp_path / "new" / "scores.json"
    assert main(["evaluate", str(mask), str(vectors(tmp_path / "v.gpkg")), "--json", str(out)]) == 0
    assert json.loads(out.read_text()) == {
        "iou": 1.0,
        "f1": 1.0,
        "precision": 1.0,
        "recall": 1.0,
        "boundary_f1": 1.0,
        "boundary_precision": 1.0,
        "boundary_recall": 1.0,
        "boundary_f1_3px": 1.0,
        "boundary_iou": 1.0,
        "perimeter_ratio": 1.0,
        "corner_ratio": 1.0,
        "hausdorff_95": 0.0,
        "mean_surface_distance": 0.0,
        "beyond_cap": 0.0,
        "object_f1": 1.0,
        "object_precision": 1.0,
        "object_recall": 1.0,
        "object_average_precision": 1.0,
        "merged": 0,
        "split": 0,
        "n_predicted": 1,
        "n_true": 1,
        "polis": None,
        "vertex_ratio": None,
        "n_pixels": 600,
        "boundary_f1_tolerance": 3.0,
        "boundary_f1_unit": "px",
        "boundary_f1_convention": "csurka",
        "boundary_f1_images": 1,
        "boundary_iou_width": 0.02,
        "boundary_iou_width_unit": "diagonal",
        "surface_distance_cap": 100.0,
        "surface_distance_unit": "px",
        "hausdorff_95_is_beyond_cap": False,
        "object_iou": 0.5,
        "n_images": 1,
        "resolution": 1.0,
    }
    printed, mistakes = capsys.readouterr()
    assert mistakes == ""
    assert "1 image, 600 pixels of 1 m compared" in printed
    assert "boundary F1 at 3 px   1.000  csurka, distance < 3 px, mean of 1 of 1 images" in printed


def test_options_reach_the_evaluation(tmp_path, mask, capsys):
    truth = raster(tmp_path / "t.tif", transform=PLACE, value=1)
    aoi = vectors(tmp_path / "aoi.geojson", box(500_000, 6_399_990, 500_010, 6_400_000))
    out = tmp_path / "s.json"
    out.write_text("old")
    options = ["--tolerance", "2", "--area", str(aoi), "--nodata", "none", "--overwrite"]
    assert main(["evaluate", str(mask), str(truth), "--json", str(out), *options]) == 0
    scores = json.loads(out.read_text())
    assert (scores["n_pixels"], scores["boundary_f1_tolerance"], scores["iou"]) == (100, 2.0, 1.0)


def test_several_predictions_make_one_table(tmp_path, mask, capsys):
    """One of them with a footprint that is a metre too wide, and in every form that there is."""
    wide = vectors(tmp_path / "wide.parquet", box(500_005, 6_399_985, 500_016, 6_399_995))
    truth = vectors(tmp_path / "truth.gpkg")
    outs = [tmp_path / f"out.{kind}" for kind in ("json", "csv", "html")]
    options = [f"--{out.suffix[1:]}={out}" for out in outs]
    tolerances = ["--tolerance", "1.5m", "--tolerance", "1px", "--distance-cap", "20m"]
    assert main(["evaluate", str(wide), str(truth), str(truth), *options, *tolerances, "--per-image"]) == 0
    printed, mistakes = capsys.readouterr()
    assert mistakes == ""
    lines = {line[:22].strip(): line for line in printed.splitlines()}
    assert lines["boundary F1 at 1.5 m"].split()[5:7] == ["1.000", "1.000"]
    scores = json.loads(outs[0].read_text())["predictions"]
    assert scores["truth.gpkg"]["iou"] == 1
    assert scores["wide.parquet"]["iou"] == pytest.approx(10 / 11)
    assert scores["wide.parquet"]["polis"] == pytest.approx(
        0.25
    )  # two of its four vertices a metre off, none of the truth's
    assert scores["wide.parquet"]["images"].keys() == {"wide"}
    rows = list(csv.DictReader(outs[1].open()))
    assert [(row["prediction"], row["image"]) for row in rows][:2] == [
        ("wide.parquet", "wide"),
        ("wide.parquet", "all"),
    ]
    assert float(rows[1]["boundary_f1_1px"]) == scores["wide.parquet"]["boundary_f1_1px"] < 1
    page = outs[2].read_text()
    assert "wide.parquet" in page
    assert "distance &lt; 1.5 m" in page
    assert "http:" not in page.replace("http://www.w3.org/2000/svg", "")
    assert "https:" not in page


def test_masks_without_a_place_take_the_resolution_they_are_given(tmp_path, capsys):
    """A shift of two pixels is 0.4 m where a pixel is 0.2 m."""
    files = [str(raster(tmp_path / f"{i}.tif", crs=None, transform=rasterio.Affine.identity())) for i in range(2)]
    with rasterio.open(files[0], "r+") as file:
        file.write(np.roll(file.read(), 2, axis=2))
    for tolerance, found in (("0.5m", True), ("0.3m", False)):
        out = tmp_path / f"{tolerance}.json"
        assert main(["evaluate", *files, "--resolution=0.2", f"--tolerance={tolerance}", f"--json={out}"]) == 0
        scores = json.loads(out.read_text())
        assert (scores["boundary_f1"] == 1, scores["resolution"]) == (found, 0.2)


def test_what_cannot_be_measured_is_null(tmp_path, capsys):
    empty = raster(tmp_path / "e.tif", value=0)
    assert main(["evaluate", str(empty), str(empty), "--json", str(tmp_path / "s.json")]) == 0
    scores = json.loads((tmp_path / "s.json").read_text())
    assert [scores[name] for name in ("iou", "boundary_f1", "boundary_iou", "perimeter_ratio")] == [None] * 4
    assert "–" in capsys.readouterr().out


def _folders(tmp_path: Path, *pred: str) -> list[str]:
    for name in pred:
        raster(tmp_path / "pred" / name)
    raster(tmp_path / "truth" / "a.tif")
    return [str(tmp_path / "pred"), str(tmp_path / "truth")]


def _empty_folder(tmp_path: Path) -> list[str]:
    (tmp_path / "nothing").mkdir()
    return ["{mask}", str(tmp_path / "nothing")]


def _broken(tmp_path: Path, name: str) -> str:
    (tmp_path / name).write_bytes(b"II*\x00 not much of a file")
    return str(tmp_path / name)


BAD = {
    "no prediction": (lambda p: ["{mask}/no.tif", "{mask}"], "prediction not found"),
    "no truth": (lambda p: ["{mask}", str(p / "no.tif")], "truth not found"),
    "no area": (lambda p: ["{mask}", "{mask}", "--area", str(p / "no.gpkg")], "area not found"),
    "no such option": (lambda p: ["{mask}", "{mask}", "--tolerence", "3"], "tolerence"),
    "a tolerance of 0": (lambda p: ["{mask}", "{mask}", "--tolerance", "0"], "tolerance is 0"),
    "a threshold beyond 1": (lambda p: ["{mask}", "{mask}", "--threshold", "128"], "threshold is 128"),
    "nodata in words": (lambda p: ["{mask}", "{mask}", "--nodata", "white"], "'white'"),
    "a broken raster": (lambda p: ["{mask}", _broken(p, "b.tif")], "b.tif cannot be read as a raster"),
    "a broken vector": (lambda p: ["{mask}", _broken(p, "b.gpkg")], "b.gpkg cannot be read as vectors"),
    "an empty folder": (_empty_folder, "no masks or footprints in"),
    "a prediction alone": (lambda p: _folders(p, "a_mask.tif", "b_mask.tif"), "1 without a truth"),
    "a truth alone": (lambda p: _folders(p, "b_mask.tif"), "1 without a prediction"),
    "no partner in the folder": (lambda p: ["{mask}", _folders(p, "a.tif")[1]], "has no partner for"),
    "another size": (lambda p: ["{mask}", str(raster(p / "t.tif", size=(20, 31)))], "30×20 pixels but"),
    "another place": (
        lambda p: ["{mask}", str(raster(p / "t.tif", transform=from_origin(500_001, 6_400_000, 1, 1)))],
        "columns",
    ),
    "another CRS": (lambda p: ["{mask}", str(raster(p / "t.tif", crs="EPSG:32634"))], "EPSG:32634"),
    "class numbers": (lambda p: ["{mask}", str(raster(p / "t.tif", value=5))], "0…5"),
    "metres without a place": (
        lambda p: [*[str(raster(p / "r.tif", crs=None))] * 2, "--tolerance", "1m"],
        "the ground resolution is not known",
    ),
    "no length": (lambda p: ["{mask}", "{mask}", "--tolerance", "wide"], "tolerance is wide"),
    "no convention": (lambda p: ["{mask}", "{mask}", "--convention", "matlab"], "convention is 'matlab'"),
    "the same twice": (lambda p: ["{mask}", "{mask}", "{mask}"], "given twice"),
    "a resolution for rasters": (lambda p: ["{mask}", "{mask}", "--resolution", "1"], "mask.tif has its own"),
    "vectors elsewhere": (
        lambda p: ["{mask}", str(vectors(p / "v.gpkg", box(0, 0, 9, 9)))],
        "no polygon of",
    ),
    "an area elsewhere": (
        lambda p: ["{mask}", "{mask}", "--area", str(vectors(p / "v.gpkg", box(0, 0, 9, 9)))],
        "no polygon of",
    ),
    "points": (lambda p: ["{mask}", str(vectors(p / "v.gpkg", Point(500_005, 6_399_990)))], "but no polygon"),
    "vectors without a CRS": (
        lambda p: ["{mask}", str(vectors(p / "v.gpkg", crs=None))],
        "v.gpkg has no CRS",
    ),
    "a raster without a CRS": (
        lambda p: [str(raster(p / "r.tif", crs=None)), str(vectors(p / "v.gpkg"))],
        "r.tif has no CRS",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_mistake_is_one_line_and_leaves_nothing_behind(tmp_path, mask, capsys, case):
    arguments, expected = BAD[case]
    out = tmp_path / "out" / "scores.json"
    argv = [argument.replace("{mask}", str(mask)) for argument in arguments(tmp_path)]
    assert main(["evaluate", *argv, "--json", str(out)]) == 2
    printed, mistake = capsys.readouterr()
    assert printed == ""
    assert mistake.startswith("crispmap evaluate: ")
    assert mistake.count("\n") == 1
    assert expected in mistake
    assert not out.parent.exists()


def test_bands_that_differ_are_a_mistake(tmp_path, mask, capsys):
    path = raster(tmp_path / "rgb.tif", count=3)
    with rasterio.open(path, "r+") as file:
        file.write(np.zeros((20, 30), "uint8"), 2)
    assert main(["evaluate", str(mask), str(path)]) == 2
    assert "rgb.tif has 3 bands that differ" in capsys.readouterr().err


def test_an_existing_result_is_kept(tmp_path, mask, capsys):
    out = tmp_path / "s.json"
    out.write_text("precious")
    assert main(["evaluate", str(mask), str(mask), "--json", str(out)]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert out.read_text() == "precious"


@pytest.mark.parametrize(("arguments", "status"), [(["--help"], 0), (["no.tif", "no.tif"], 2)])
def test_help_and_path_mistakes_answer_without_torch(arguments, status):
    code = (
        "import sys; from crispmap.cli import main; status = main(['evaluate', *sys.argv[1:]]); "
        "assert 'torch' not in sys.modules; sys.exit(status)"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr
    assert ("usage: crispmap evaluate" in done.stdout) == (status == 0)
