"""The `synthesize` command through the real entry point."""

from platform import node

import geopandas as gpd
import pytest

from crispmap.cli import main


def synthesize(*arguments) -> int:
    return main(["synthesize", *map(str, arguments)])


def test_writes_images_masks_and_footprints(tmp_path, capsys):
    out = tmp_path / "new" / "scenes"
    assert synthesize(out, "--scenes", 2, "--size", 64, "--seed", 1, "--workers", 1) == 0
    names = sorted(str(path.relative_to(out)) for path in out.rglob("*.*"))
    assert names == [
        "footprints.gpkg",
        "images/scene_0000.tif",
        "images/scene_0001.tif",
        "masks/scene_0000.tif",
        "masks/scene_0001.tif",
    ]
    written = capsys.readouterr().out
    footprints = len(gpd.read_file(out / "footprints.gpkg", layer="footprints"))
    assert written == f"{out}: 2 scenes of 64×64 pixels, {footprints} footprints (seed 1)\n"
    assert [path.name for path in out.parent.iterdir()] == ["scenes"]


def test_a_kill_after_the_last_rename_leaves_nothing_for_ever(tmp_path, capsys):
    (tmp_path / "scenes" / "images").mkdir(parents=True)
    (tmp_path / f".scenes.{node()}.999999999.part").mkdir()
    assert synthesize(tmp_path / "scenes") == 2
    assert "exists already" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["scenes"]


def test_displaced_labels_are_written_beside_the_truth(tmp_path, capsys):
    out = tmp_path / "scenes"
    assert synthesize(out, "--scenes", 1, "--size", 64, "--seed", 1, "--workers", 1, "--label-offset", 1.5) == 0
    names = sorted(path.name for path in out.iterdir())
    assert names == ["footprints.gpkg", "footprints_offset.gpkg", "images", "masks", "masks_offset"]
    assert "labels in masks_offset displaced by up to 1.5 m" in capsys.readouterr().out


def test_help_shows_an_example(capsys):
    assert synthesize("--help") == 0
    assert "crispmap synthesize scenes --scenes" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--size", 63), "at least 64"),
        (("--scenes", 0), "at least 1"),
        (("--seed", -1), "from 0"),
        (("--workers", 0), "at least 1"),
        (("--size", "large"), "size"),
        (("--label-offset", -1), "from 0"),
        (("--label-offset", "far"), "far"),
        (("--colour", "red"), "colour"),
    ],
)
def test_bad_values_are_one_line_and_leave_nothing(tmp_path, capsys, arguments, complaint):
    assert synthesize(tmp_path / "deep" / "out", *arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("crispmap synthesize: ")
    assert complaint in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_no_place_to_write_to(capsys):
    assert synthesize() == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_an_existing_folder_is_replaced_only_when_asked(tmp_path, capsys):
    kept = tmp_path / "out" / "precious.txt"
    kept.parent.mkdir()
    kept.write_text("mine")
    assert synthesize(kept.parent, "--scenes", 1, "--size", 64) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert kept.read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]

    for scenes in (2, 1):
        assert synthesize(kept.parent, "--scenes", scenes, "--size", 64, "--overwrite") == 0
        assert len(list((tmp_path / "out" / "images").iterdir())) == scenes
    assert kept.read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_file_in_the_way(tmp_path, capsys):
    file = tmp_path / "file"
    file.write_text("mine")
    assert synthesize(file / "out", "--scenes", 1, "--size", 64) == 2
    assert synthesize(file, "--scenes", 1, "--size", 64) == 2
    assert capsys.readouterr().err.count("\n") == 2
    assert file.read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
