import numpy as np
import pytest

from crispmap.errors import InputError, OutputError, SettingError
from crispmap.geo.raster import Raster
from crispmap.predict.plan import Settings, check, plan


@pytest.fixture
def folder(tmp_path, write_raster):
    for name in ("b.tif", "a.tif"):
        write_raster(tmp_path / "in" / name, np.ones((1, 4, 4), "uint8"))
    return tmp_path / "in"


def test_files_and_folders_become_jobs(tmp_path, folder, write_raster, predicted):
    single = write_raster(tmp_path / "c.v2.tif", np.ones((1, 4, 4), "uint8"))
    jobs = plan([single, str(folder)], tmp_path / "out")
    assert [job.raster.path.name for job in jobs] == ["c.v2.tif", "a.tif", "b.tif"]
    assert {path.name for path in jobs[0].outputs} == predicted("c.v2")
    assert not (tmp_path / "out").exists()
    for job in plan([folder], tmp_path, footprints=False):
        assert {path.name for path in job.outputs} == predicted(job.stem, footprints=False)


def test_a_list_of_images(tmp_path, folder):
    listed = tmp_path / "list.txt"
    listed.write_text(f"{folder}/b.tif\n\n  {folder}/a.tif\r\n")
    assert [job.stem for job in plan([listed], tmp_path / "out")] == ["b", "a"]
    listed.write_text("\n \n")
    with pytest.raises(InputError, match=r"list\.txt names no images"):
        plan([listed], tmp_path / "out")
    listed.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"list\.txt is no list of images"):
        plan([listed], tmp_path / "out")
    listed.write_text("s3://bucket/none.tif\n" * 2)
    with pytest.raises(InputError, match=r"/vsis3/bucket/none\.tif and .* would both"):
        plan([listed], tmp_path / "out")


def test_images_that_would_share_a_name(tmp_path, folder, write_raster):
    twin = write_raster(tmp_path / "a.png", np.ones((1, 4, 4), "uint8"))
    with pytest.raises(InputError, match=r"in/a\.tif and .*/a\.png would both be written as a_mask\.tif"):
        plan([folder, twin], tmp_path / "out")


@pytest.mark.parametrize("taken", ["a_mask.tif", "b_footprints.gpkg"])
def test_outputs_that_are_there(tmp_path, folder, taken):
    (tmp_path / taken).write_text("")
    with pytest.raises(OutputError, match=f"{taken} exists already"):
        plan([folder], tmp_path)
    assert len(plan([folder], tmp_path, overwrite=True)) == 2


def test_an_image_is_never_overwritten(folder, write_raster):
    write_raster(folder / "a_mask.tif", np.ones((1, 4, 4), "uint8"))
    with pytest.raises(OutputError, match=r"a_mask\.tif is one of the images"):
        plan([folder], folder, overwrite=True)


@pytest.mark.parametrize("stem", ["a" * 228, "ü" * 114, "建" * 76])
def test_names_too_long_for_what_comes_after_them(tmp_path, write_raster, stem):
    image = write_raster(tmp_path / f"{stem}.tif", np.ones((1, 4, 4), "uint8"))
    with pytest.raises(OutputError, match=r"_probability\.tif is too long for the name of a file"):
        plan([image], tmp_path / "out")
    shorter = image.rename(tmp_path / f"{stem[1:]}.tif")
    assert plan([shorter], tmp_path / "out")


def test_a_file_in_the_place_of_the_folder(tmp_path, folder):
    with pytest.raises(OutputError, match="is a file"):
        plan([folder], folder / "a.tif")


def test_bands_and_type_must_be_those_of_the_model(tmp_path, write_raster, pointwise):
    def raster(bands, dtype):
        return Raster.of(write_raster(tmp_path / "x.tif", np.ones((bands, 4, 4), dtype)))

    spec = pointwise(3).spec
    check(raster(3, "uint8"), spec)
    with pytest.raises(InputError, match="has 1 band of imagery but the model was trained on 3 bands"):
        check(raster(1, "uint8"), spec)
    with pytest.raises(InputError, match="holds uint16 but the model was trained on uint8"):
        check(raster(3, "uint16"), spec)
    check(raster(3, "float64"), pointwise(3, dtype="float32").spec)
    with pytest.raises(InputError, match="holds float32"):
        check(raster(3, "float32"), spec)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"threshold": 0.0}, "threshold"),
        ({"threshold": 50.0}, "threshold"),
        ({"threshold": float("nan")}, "threshold"),
        ({"patch": 16}, "patch"),
        ({"overlap": 1.0}, "overlap"),
        ({"overlap": -0.1}, "overlap"),
        ({"batch_size": 0}, "batch"),
        ({"min_area": -1.0}, "least area"),
        ({"simplify": float("nan")}, "tolerance"),
    ],
)
def test_settings_out_of_range(wrong, words):
    with pytest.raises(SettingError, match=words):
        Settings(**wrong)
