"""The `suggest-theta` command through the real entry point."""

import pytest

from crispmap.cli import main
from crispmap.data.synthetic import write_scenes


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes")
    write_scenes(folder, 1, 320, 1, workers=1, label_offset=1.2)
    return folder


def suggest(*arguments) -> int:
    return main(["suggest-theta", *map(str, arguments)])


def test_prints_the_suggestion_and_what_it_rests_on(scenes, capsys):
    given = ("--images", scenes / "images", "--labels", scenes / "footprints_offset.gpkg")
    assert suggest(*given, "--reference", scenes / "footprints.gpkg") == 0
    first, *rest = capsys.readouterr().out.splitlines()
    assert first.startswith("θ = ")
    assert "px (" in first
    assert " m) of " in first
    assert any("buildings measured" in line for line in rest)

    assert suggest(*given, "--resolution", 0.6, "--reach", 6, "--buildings", 50, "--seed", 3, "--nodata", "none") == 0
    assert " of the imagery; median " in capsys.readouterr().out.splitlines()[0]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--labels", "nowhere"), "--labels not found: nowhere"),
        (("--reference", "nowhere"), "--reference not found: nowhere"),
        (("--area", "nowhere"), "--area not found: nowhere"),
        (("--scale", 0.5, "--resolution", 0.5), "exclude each other"),
        (("--reach", 100), "reach is 100"),
        (("--nodata", "white"), "white"),
        (("--colour", "red"), "colour"),
    ],
)
def test_bad_values_are_one_line(scenes, capsys, arguments, complaint):
    assert suggest("--images", scenes / "images", "--labels", scenes / "masks", *arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("crispmap suggest-theta: ")
    assert complaint in error
    assert error.count("\n") == 1


def test_images_and_labels_are_needed(capsys):
    assert suggest() == 2
    assert capsys.readouterr().err.count("\n") == 1
