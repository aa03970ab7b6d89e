import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import rasterio

from crispmap.errors import InputError
from crispmap.geo import open_files
from crispmap.geo.open_files import close_kept_files, kept_file
from crispmap.geo.raster import Raster, Window


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """Files of a test are young; they are kept all the same, and none is left from another test."""
    monkeypatch.setattr(open_files, "_SETTLED", -60.0)
    close_kept_files()
    yield
    close_kept_files()


@pytest.fixture
def opens(monkeypatch):
    """How often which path was opened."""
    counts = {}
    real = rasterio.open

    def counted(path, *args, **settings):
        counts[str(path)] = counts.get(str(path), 0) + 1
        return real(path, *args, **settings)

    monkeypatch.setattr(rasterio, "open", counted)
    return counts


def flat(value, height=40, width=30):
    return np.full((1, height, width), value, "uint8")


def value_of(raster):
    pixels, _ = raster.read(Window(3, 4, 5, 6))
    assert (pixels == pixels[0, 0, 0]).all()
    return int(pixels[0, 0, 0])


def test_many_windows_open_a_file_once(tmp_path, write_raster, opens):
    path = write_raster(tmp_path / "a.tif", flat(7))
    raster = Raster.of(path)
    opens.clear()
    assert [value_of(raster) for _ in range(20)] == [7] * 20
    assert opens == {str(path): 1}


def test_a_young_file_is_opened_for_every_read(tmp_path, write_raster, opens, monkeypatch):
    monkeypatch.setattr(open_files, "_SETTLED", 2.0)
    path = write_raster(tmp_path / "a.tif", flat(7))
    raster = Raster.of(path)
    opens.clear()
    for value in (8, 9):  # the same size, perhaps within one tick of the file system's clock
        write_raster(path, flat(value))
        assert value_of(raster) == value
    assert opens == {str(path): 4}  # two of them to write


@pytest.mark.parametrize("how", ["replaced", "overwritten"])
@pytest.mark.parametrize("compress", [None, "deflate"])
def test_another_file_of_the_name_is_never_read_from_the_old(tmp_path, write_raster, how, compress):
    path = write_raster(tmp_path / "a.tif", flat(1), compress=compress)
    raster = Raster.of(path)
    for value in range(2, 30):
        time.sleep(0.005)  # a tick of the clock, which is what `_SETTLED` is for
        if how == "replaced":
            os.replace(write_raster(tmp_path / "b.tif", flat(value), compress=compress), path)
        else:
            write_raster(path, flat(value), compress=compress)
        assert value_of(raster) == value


def test_a_mask_beside_the_file_is_watched_too(tmp_path, write_raster):
    path = write_raster(tmp_path / "a.tif", flat(7))
    for known in (True, False):
        time.sleep(0.01)
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False), rasterio.open(path, "r+") as file:
            file.write_mask(np.full((40, 30), known))
        raster = Raster.of(path)
        assert raster.masked
        assert raster.read(raster.window)[1].all() == known


def test_a_deleted_or_shortened_file_is_named(tmp_path, write_raster):
    path = write_raster(tmp_path / "a.tif", np.ones((1, 300, 300), "uint8"))
    raster = Raster.of(path)
    raster.read(raster.window)
    whole = path.read_bytes()
    with path.open("r+b") as file:
        file.truncate(40_000)
    with pytest.raises(InputError, match=r"a\.tif cannot be read"):
        raster.read(raster.window)
    path.unlink()
    with pytest.raises(InputError, match=r"image not found: .*a\.tif"):
        raster.read(raster.window)
    path.write_bytes(whole)
    assert (raster.read(raster.window)[0] == 1).all()


def test_descriptors_are_bounded_and_given_back(tmp_path, write_raster, monkeypatch):
    if not Path("/proc/self/fd").exists():
        pytest.skip("this system does not list descriptors")
    monkeypatch.setattr(open_files, "_MOST_KEPT", 5)
    rasters = [Raster.of(write_raster(tmp_path / f"{i}.tif", flat(i), compress="lzw")) for i in range(20)]

    def held():
        links = (os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd"))
        return sum(link.startswith(os.path.realpath(tmp_path)) for link in links)

    assert [value_of(raster) for raster in rasters * 2] == [*range(20)] * 2
    assert held() == 5
    close_kept_files()
    assert held() == 0


def test_the_file_read_last_is_kept_longest(tmp_path, write_raster, monkeypatch, opens):
    monkeypatch.setattr(open_files, "_MOST_KEPT", 2)
    a, b, c = (Raster.of(write_raster(tmp_path / f"{name}.tif", flat(1))) for name in "abc")
    opens.clear()
    for raster in (a, b, a, c, a, b):
        value_of(raster)
    assert {os.path.basename(path): count for path, count in opens.items()} == {"a.tif": 1, "b.tif": 2, "c.tif": 1}


def test_no_handle_crosses_a_fork(tmp_path, write_raster):
    if not hasattr(os, "fork"):
        pytest.skip("no fork here")
    path = write_raster(tmp_path / "a.tif", flat(7))
    with kept_file(path) as file:
        parents = id(file)
    child = os.fork()
    if child == 0:
        with kept_file(path) as file:
            os._exit(0 if id(file) != parents and (file.read() == 7).all() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    with kept_file(path) as file:
        assert id(file) == parents


def test_no_handle_is_in_two_hands(tmp_path, write_raster):
    path = write_raster(tmp_path / "a.tif", flat(7))
    with kept_file(path) as one, kept_file(path) as other:
        assert one is not other
        assert (one.read() == other.read()).all()
    assert one.closed + other.closed == 1


def test_threads_read_what_one_alone_reads(tmp_path, write_raster):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (2, 200, 180)).astype("uint8")
    files = {"tiled": True, "blockxsize": 64, "blockysize": 64, "compress": "deflate"}, {}
    rasters = [Raster.of(write_raster(tmp_path / f"{i}.tif", pixels, **kind)) for i, kind in enumerate(files)]
    barrier = threading.Barrier(4)

    def read(seed):
        own = np.random.default_rng(seed)
        barrier.wait()
        for _ in range(50):
            row, col = own.integers(0, 120, 2).tolist()
            found, _ = rasters[int(own.integers(2))].read(Window(row, col, 50, 60))
            np.testing.assert_array_equal(found, pixels[:, row : row + 50, col : col + 60])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(read, range(4)))


def test_a_vrt_shows_what_its_sources_hold_now(tmp_path, write_raster):
    write_raster(tmp_path / "a.tif", flat(1))
    (tmp_path / "a.vrt").write_text(
        '<VRTDataset rasterXSize="30" rasterYSize="40"><VRTRasterBand dataType="Byte" band="1"><SimpleSource>'
        '<SourceFilename relativeToVRT="1">a.tif</SourceFilename><SourceBand>1</SourceBand>'
        "</SimpleSource></VRTRasterBand></VRTDataset>"
    )
    raster = Raster.of(tmp_path / "a.vrt")
    for value in (1, 2, 3):
        os.replace(write_raster(tmp_path / "b.tif", flat(value)), tmp_path / "a.tif")
        assert value_of(raster) == value
