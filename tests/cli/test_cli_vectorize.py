"""The `vectorize` command through the real entry point."""

from platform import node

import geopandas as gpd
import numpy as np
import pytest
from rasterio.transform import from_origin

from crispmap import cli


@pytest.fixture
def raster(tmp_path, write_raster):
    levels = np.zeros((60, 80), "float32")
    levels[10:30, 10:50] = 0.9
    levels[10:30, 30] = 0.6  # two houses wall to wall
    levels[40:44, 60:63] = 0.8  # 3 m²
    return write_raster(tmp_path / "p.tif", levels, transform=from_origin(500_000, 5_000_000, 0.5, 0.5))


def test_footprints_of_a_raster(tmp_path, raster, capsys):
    out = tmp_path / "new" / "footprints.gpkg"
    assert cli.main(["vectorize", str(raster), "-o", str(out)]) == 0
    assert capsys.readouterr().out == f"2 footprints in {out}\n"
    found = gpd.read_file(out)
    assert found["area_m2"].tolist() == pytest.approx([200, 3], rel=1e-3)
    assert found.crs.to_epsg() == 32633


def test_a_style_of_the_users_own_stays(tmp_path, raster):
    own, arguments = tmp_path / "f.qml", ["vectorize", str(raster), "-o", str(tmp_path / "f.gpkg")]
    own.write_text("<qgis/>")
    assert cli.main(arguments) == 0
    assert own.read_text() == "<qgis/>"
    assert cli.main([*arguments, "--overwrite"]) == 0
    assert "SimpleFill" in own.read_text()


def test_a_kill_after_the_last_rename_leaves_nothing_for_ever(tmp_path, raster, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "f.gpkg").touch()
    (tmp_path / "out" / f".f.gpkg.{node()}.999999999.part").mkdir()
    assert cli.main(["vectorize", str(raster), "-o", str(tmp_path / "out" / "f.gpkg")]) == 2
    assert "exists already" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["f.gpkg"]


def test_every_flag_reaches_the_settings(tmp_path, raster, capsys):
    out = tmp_path / "f.parquet"
    flags = ["--separate", "0.8", "--min-area", "5", "--simplify", "0.7", "--regularise", "--threshold", "0.55"]
    assert cli.main(["vectorize", str(raster), "-o", str(out), *flags]) == 0
    assert "2 footprints" in capsys.readouterr().out
    assert sorted(gpd.read_parquet(out)["area_m2"]) == pytest.approx([97.5, 102.5], abs=3)
    assert cli.main(["vectorize", str(raster), "-o", str(out), "--nodata", "0.8", "--overwrite"]) == 0
    assert "1 footprint in" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["none.tif", "-o", "f.gpkg"], "raster not found: none.tif"),
        (["{raster}", "-o", "{raster}"], "exists already; give another place or --overwrite"),
        (["{raster}", "-o", "{raster}", "--overwrite"], "names no format that footprints are written in"),
        (["{raster}", "-o", "{folder}", "--overwrite"], "is a folder; give a file"),
        (["{raster}", "-o", "{folder}/f.gpkg", "--threshold", "2"], "the threshold is a probability between 0 and 1"),
        (["{raster}", "-o", "{folder}/f.gpkg", "--nodata", "some"], "nodata is 'none' or a number"),
        (["{raster}"], "arguments are required: out"),
    ],
)
def test_mistakes_are_one_line_and_exit_2(tmp_path, raster, capsys, arguments, words):
    arguments = [each.format(raster=raster, folder=tmp_path) for each in arguments]
    assert cli.main(["vectorize", *arguments]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["p.tif"]


def test_help_has_an_example(capsys):
    assert cli.main(["vectorize", "--help"]) == 0
    assert "crispmap vectorize maps/town_probability.tif -o footprints.gpkg" in capsys.readouterr().out
