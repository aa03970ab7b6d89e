from pathlib import Path

import pytest

from crispmap.errors import InputError, PairingError
from crispmap.evaluate.pairing import find_pairs


def files(folder: Path, *names: str) -> Path:
    folder.mkdir()
    for name in names:
        (folder / name).touch()
    return folder


def names(pairs) -> list[tuple[str, str, str]]:
    return [(pair.name, pair.pred.name, pair.truth.name) for pair in pairs]


def test_endings_do_not_count_on_either_side(tmp_path):
    pred = files(tmp_path / "p", "b.png", "a_mask.tif", "c_probability.tif")
    truth = files(tmp_path / "t", "a.tif", "b_mask.TIF", "c.jpg", ".hidden.tif", "notes.txt")
    assert names(find_pairs(pred, truth)) == [
        ("a", "a_mask.tif", "a.tif"),
        ("b", "b.png", "b_mask.TIF"),
        ("c", "c_probability.tif", "c.jpg"),
    ]


def test_of_what_predict_writes_the_mask_is_taken(tmp_path):
    pred = files(tmp_path / "p", "a_probability.tif", "a_mask.tif", "a_footprints.gpkg", "a.tif")
    truth = files(tmp_path / "t", "a.tif")
    assert names(find_pairs(pred, truth)) == [("a", "a_mask.tif", "a.tif")]


def test_footprints_are_taken_where_there_are_no_rasters(tmp_path):
    pred = files(tmp_path / "p", "a_footprints.gpkg", "b_footprints.gpkg")
    truth = files(tmp_path / "t", "a.tif", "b.tif")
    assert names(find_pairs(pred, truth)) == [
        ("a", "a_footprints.gpkg", "a.tif"),
        ("b", "b_footprints.gpkg", "b.tif"),
    ]


def test_two_files_are_a_pair_whatever_their_names(tmp_path):
    folder = files(tmp_path / "f", "this_mask.tif", "that.gpkg")
    found = find_pairs(folder / "this_mask.tif", folder / "that.gpkg")
    assert names(found) == [("this", "this_mask.tif", "that.gpkg")]


@pytest.mark.parametrize("file_is", ["pred", "truth"])
def test_a_raster_takes_its_partner_from_a_folder(tmp_path, file_is):
    folder = files(tmp_path / "many", "a.tif", "b.tif", "c.tif")
    single = files(tmp_path / "one", "b_mask.tif", "z.tif")
    sides = (single / "b_mask.tif", folder) if file_is == "pred" else (folder, single / "b_mask.tif")
    (pair,) = find_pairs(*sides)
    assert {pair.pred.name, pair.truth.name} == {"b_mask.tif", "b.tif"}
    with pytest.raises(PairingError, match=r"no partner for .*z\.tif"):
        find_pairs(*(single / "z.tif" if side.is_file() else side for side in sides))


@pytest.mark.parametrize("file_is", ["pred", "truth"])
def test_a_vector_file_goes_with_every_raster(tmp_path, file_is):
    folder = files(tmp_path / "many", "a.tif", "b.tif")
    vectors = files(tmp_path / "one", "all.geojson") / "all.geojson"
    pairs = find_pairs(vectors, folder) if file_is == "pred" else find_pairs(folder, vectors)
    assert [pair.name for pair in pairs] == ["a", "b"]
    assert all(vectors in (pair.pred, pair.truth) for pair in pairs)


def test_files_without_a_partner_are_counted_and_named(tmp_path):
    pred = files(tmp_path / "p", *(f"{stem}_mask.tif" for stem in "abcdefg"))
    truth = files(tmp_path / "t", "a.tif", "z.tif")
    expected = r"7 predictions and 2 truths: 6 without a truth .*\(b, c, d, …\) and 1 without a prediction .*\(z\)"
    with pytest.raises(PairingError, match=expected):
        find_pairs(pred, truth)


def test_two_files_for_one_stem_are_refused(tmp_path):
    pred = files(tmp_path / "p", "a.png", "a.tif")
    with pytest.raises(PairingError, match=r"a\.png and a\.tif have the same stem"):
        find_pairs(pred, files(tmp_path / "t", "a.tif"))


def test_vectors_go_with_vectors(tmp_path):
    pred = files(tmp_path / "p", "a_footprints.gpkg", "b.fgb", "c.parquet")
    truth = files(tmp_path / "t", "a.geojson", "b.shp", "c.geoparquet")
    assert names(find_pairs(pred, truth)) == [
        ("a", "a_footprints.gpkg", "a.geojson"),
        ("b", "b.fgb", "b.shp"),
        ("c", "c.parquet", "c.geoparquet"),
    ]
    assert names(find_pairs(pred / "b.fgb", truth / "a.geojson")) == [("b", "b.fgb", "a.geojson")]
    assert names(find_pairs(pred, truth / "a.geojson")) == [
        ("a", "a_footprints.gpkg", "a.geojson"),
        ("b", "b.fgb", "a.geojson"),
        ("c", "c.parquet", "a.geojson"),
    ]
    (truth / "c.geoparquet").unlink()
    with pytest.raises(PairingError, match=r"1 without a truth .*\(c\)"):
        find_pairs(pred, truth)


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no masks or footprints in .*e; looked for"):
        find_pairs(files(tmp_path / "e", "readme.txt"), files(tmp_path / "t", "a.tif"))
