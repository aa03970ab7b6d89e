"""The `check-data` command through the real entry point."""

import numpy as np
import pytest
from PIL import Image

from crispmap.cli import main
from crispmap.data.labels import Unlabelled
from crispmap.data.scene import Scene
from crispmap.geo.raster import Raster
from crispmap.report.contact_sheet import contact_sheet


@pytest.fixture
def tree(tmp_path, write_raster):
    """Two tiles with labels, an image of a test city, one label without an image, one file too many."""
    root = tmp_path / "AerialImageDataset"
    rng = np.random.default_rng(0)
    for name in ("austin1", "austin6"):
        write_raster(root / "train/images" / f"{name}.tif", rng.integers(0, 256, (3, 90, 120), dtype="uint8"))
        mask = np.zeros((90, 120), "uint8")
        mask[:45] = 255
        write_raster(root / "train/gt" / f"{name}.tif", mask)
    write_raster(root / "train/gt/vienna7.tif", mask)
    write_raster(root / "train/gt/paris1.tif", mask)
    write_raster(root / "test/images/sfo2.tif", rng.integers(0, 256, (3, 90, 120), dtype="uint8"))
    return root


def check(*arguments) -> int:
    return main(["check-data", *map(str, arguments)])


@pytest.mark.parametrize("parent", [False, True])
def test_says_what_is_there(tree, tmp_path, monkeypatch, capsys, parent):
    monkeypatch.chdir(tmp_path)
    assert check("inria", tree.parent if parent else tree) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"INRIA Aerial Image Labeling in {tree}"
    assert "label values: 0 (50.00%), 255 (50.00%)" in lines
    assert {"train: 1 usable tiles", "val: 1 usable tiles", "test: 1 usable tiles"} <= set(lines)
    assert "surplus: train/gt/paris1.tif" in lines
    assert "note: train/gt/vienna7.tif has no image in train/images: left out" in lines
    assert any(line.startswith("train/images: 2 of 180 files; missing austin2.tif, ") for line in lines)
    assert lines[-1] == "contact sheet: contact-sheet-inria.png"
    picture = np.asarray(Image.open(tmp_path / "contact-sheet-inria.png"))
    assert picture.shape[1] > 3 * 2 * 240


def test_the_sheet_goes_where_it_is_wanted_and_replaces_nothing_unasked(tree, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    sheet = tmp_path / "sheets" / "mine.png"
    assert check("inria", tree, "--sheet", sheet) == 0
    assert sheet.exists()
    assert check("inria", tree, "--sheet", sheet) == 2
    assert "exists already" in capsys.readouterr().err
    assert check("inria", tree, "--sheet", sheet, "--overwrite") == 0
    assert check("inria", tree, "--no-sheet") == 0
    assert not (tmp_path / "contact-sheet-inria.png").exists()


def test_a_damaged_tile_is_named_and_the_rest_used(tree, capsys):
    (tree / "train/images/austin6.tif").write_bytes(b"broken")
    assert check("inria", tree, "--no-sheet") == 0
    out = capsys.readouterr().out
    assert "austin6.tif cannot be read" in out
    assert "train: 0 usable tiles" in out


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("inria", "empty"), "nothing of INRIA Aerial Image Labeling in"),
        (("potsdam", "empty"), "nothing of ISPRS Potsdam in"),
        (("aicd", "empty"), "nothing of AICD"),
        (("inria", "nowhere"), "folder not found"),
        (("paris", "empty"), "no dataset 'paris'"),
    ],
)
def test_nothing_usable_is_one_line_and_2(tmp_path, monkeypatch, capsys, arguments, complaint):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    assert check(*arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("crispmap check-data: ")
    assert complaint in error
    assert ("To get it: " in error) == complaint.startswith("nothing of")
    assert error.count("\n") == 1


def test_labels_alone_are_not_usable(tree, capsys):
    for path in [*(tree / "train/images").iterdir(), *(tree / "test/images").iterdir()]:
        path.unlink()
    assert check("inria", tree) == 2
    error = capsys.readouterr().err
    assert "austin1.tif has no image in train/images" in error
    assert "To get it: " in error


@pytest.mark.parametrize("name", ["inria", "potsdam"])
def test_the_real_trees(real_data, tmp_path, name):
    assert check(name, real_data, "--sheet", tmp_path / "sheet.png") == 0
    assert Image.open(tmp_path / "sheet.png").size[1] > 240


def test_labels_are_drawn_in_their_colours(tmp_path, write_raster):
    class Striped(Unlabelled):
        def read(self, window):
            mask, known = np.zeros((2, window.height, window.width), bool)
            mask[:, :80] = True
            known[:, :160] = True
            return mask, known

    image = Raster.of(write_raster(tmp_path / "grey.tif", np.full((3, 240, 240), 90, "uint8")))
    sheet = contact_sheet([("one", Scene(image, Striped())), ("two", Scene(image, Unlabelled()))], {1: (255, 196, 0)})
    plain, drawn = sheet[8:248, 8:248], sheet[8:248, 250:490]
    assert (plain == plain[0, 0]).all()
    for cols, colour in ((slice(0, 80), (255, 196, 0)), (slice(160, 240), (128, 0, 128))):
        literal = (0.45 * plain[0, 0] + 0.55 * np.array(colour)).astype("uint8")
        assert (drawn[:, cols] == literal).all()
    assert (drawn[:, 80:160] == plain[0, 0]).all()
    other = sheet[8:248, 504:744], sheet[8:248, 746:986]
    assert (other[0] == other[1]).all()
