"""What a VRT names is found, however it is written."""

import os
import shutil

import numpy as np
import pytest
from rasterio import shutil as rasterio_shutil

from crispmap.errors import InputError
from crispmap.geo import caution
from crispmap.geo.raster import Raster
from crispmap.geo.vrt import check_raster_files


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    monkeypatch.delenv(caution._ALLOWED, raising=False)


def vrt(path, inside, head=""):
    path.write_text(f'{head}<VRTDataset rasterXSize="8" rasterYSize="8">{inside}</VRTDataset>')
    return path


def simple(inside, attributes=""):
    return f'<VRTRasterBand dataType="Byte" band="1"><SimpleSource {attributes}>{inside}</SimpleSource></VRTRasterBand>'


def source(name):
    return simple(f"<SourceFilename relativeToVRT='1'>{name}</SourceFilename>")


NAMED = {  # ways to name a file that GDAL follows, "FILE" standing for its name
    "an element": simple("<SourceFilename>FILE</SourceFilename>"),
    "small letters": simple("<sourcefilename>FILE</sourcefilename>"),
    "CDATA": simple("<SourceFilename><![CDATA[FILE]]></SourceFilename>"),
    "a comment before it": simple("<SourceFilename><!-- no -->FILE</SourceFilename>"),
    "an attribute": simple("", "SourceFilename='FILE'"),
    "an overview": "<Overview><SourceFilename>FILE</SourceFilename></Overview>",
    "a mask": f"<MaskBand>{source('FILE')}</MaskBand>",
    "a warp": "<GDALWarpOptions><SourceDataset>FILE</SourceDataset></GDALWarpOptions>",
    "an argument": "<Step><Argument name='gain_dataset_filename_1'>FILE</Argument></Step>",
    "heights": "<RPCTransformer><DEMPath>FILE</DEMPath></RPCTransformer>",
    "places": "<Metadata domain='GEOLOCATION'><MDI key='X_DATASET'>FILE</MDI></Metadata>",
}


@pytest.mark.parametrize("inside", NAMED.values(), ids=NAMED)
def test_an_address_is_found(tmp_path, inside, monkeypatch):
    path = vrt(tmp_path / "a.vrt", inside.replace("FILE", "/vsis3/secret/a.tif"))
    with pytest.raises(InputError, match=r"from the network \(/vsis3/secret/a\.tif\)"):
        check_raster_files(path)
    monkeypatch.setenv(caution._ALLOWED, "1")
    check_raster_files(path)


@pytest.mark.parametrize("inside", NAMED.values(), ids=NAMED)
def test_a_pipe_is_found(tmp_path, inside):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="pipe is a pipe"):
        check_raster_files(vrt(tmp_path / "a.vrt", inside.replace("FILE", "pipe")))


@pytest.mark.parametrize("way", ["/vsigzip/pipe", "/vsisubfile/0_99,pipe", "/vsizip//vsigzip/pipe", "/vsistdin/"])
def test_a_pipe_by_way_of_a_virtual_file_system(tmp_path, way):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match=r"is a pipe|standard input"):
        check_raster_files(vrt(tmp_path / "a.vrt", source(way.replace("pipe", str(tmp_path / "pipe")))))


def test_sources_of_sources_are_looked_at(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for i in range(1100):  # as deep as no recursion goes
        vrt(tmp_path / f"{i}.tif", source(f"{i + 1}.tif"))
    vrt(tmp_path / "1100.tif", source("pipe"))
    with pytest.raises(InputError, match="pipe is a pipe"):
        check_raster_files(tmp_path / "0.tif")
    check_raster_files(vrt(tmp_path / "own.vrt", source("own.vrt")))


def test_sources_lie_beside_the_file_or_its_link_or_where_one_is(tmp_path, monkeypatch):
    for folder in ("there", "here", "linked"):
        (tmp_path / folder).mkdir()
    vrt(tmp_path / "there" / "a.vrt", simple("<SourceFilename>p</SourceFilename>"))
    (tmp_path / "linked" / "a.vrt").symlink_to(tmp_path / "there" / "a.vrt")
    monkeypatch.chdir(tmp_path / "here")
    for folder in ("there", "here", "linked"):
        check_raster_files(tmp_path / "linked" / "a.vrt")
        os.mkfifo(tmp_path / folder / "p")
        with pytest.raises(InputError, match="p is a pipe"):
            check_raster_files(tmp_path / "linked" / "a.vrt")
        (tmp_path / folder / "p").unlink()


@pytest.mark.parametrize("beside", ["a.tif.msk", "a.tif.ovr", "a.tif.aux.xml", "a.aux", "a.RPB", "A_rpc.txt", "a-b"])
def test_a_pipe_beside_a_raster(tmp_path, write_raster, beside):
    path = write_raster(tmp_path / "a.tif", np.ones((8, 8), "uint8"))
    os.mkfifo(tmp_path / "ab.tif")  # of another
    check_raster_files(path)
    os.mkfifo(tmp_path / beside)
    with pytest.raises(InputError, match=f"{beside} beside .* is a pipe"):
        Raster.of(path)


def test_an_overview_beside_may_be_a_vrt(tmp_path, write_raster):
    path = write_raster(tmp_path / "a.tif", np.ones((8, 8), "uint8"))
    vrt(tmp_path / "a.tif.ovr", source("/vsicurl/http://127.0.0.1:9/a.tif"))
    with pytest.raises(InputError, match="from the network"):
        Raster.of(path)


@pytest.mark.parametrize(
    ("inside", "head", "says"),
    [
        (simple("<OpenOptions><OOI key='PRELUDE_STATEMENTS'>VACUUM INTO 'x'</OOI></OpenOptions>"), "", "OpenOptions"),
        (simple("<openoptions/>"), "", "OpenOptions"),
        ("<SRS>&a;</SRS>", "<!DOCTYPE a [<!ENTITY a 'b'>]>", "document type"),
        ("<SRS>&a;</SRS>", "", "undefined entity"),
        ("<SRS>", "", "mismatched tag"),
        ("</VRTDataset><VRTDataset>", "", "junk after document element"),
    ],
)
def test_vrts_that_gdal_is_not_given(tmp_path, inside, head, says):
    with pytest.raises(InputError, match=says):
        Raster.of(vrt(tmp_path / "a.tif", inside, head))


def test_what_gdal_writes_passes_and_is_read(tmp_path, write_raster):
    pixels = np.arange(64, dtype="uint8").reshape(8, 8)
    rasterio_shutil.copy(write_raster(tmp_path / "b.tif", pixels), tmp_path / "Häuser <&>.vrt", driver="VRT")
    raster = Raster.of(tmp_path / "Häuser <&>.vrt")
    np.testing.assert_array_equal(raster.read(raster.window)[0], pixels[None])


def test_a_vrt_that_changes_is_looked_at_again(tmp_path, write_raster):
    write_raster(tmp_path / "b.tif", np.ones((8, 8), "uint8"))
    path = vrt(tmp_path / "a.vrt", source("b.tif"))
    assert Raster.of(path).height == 8
    shutil.move(vrt(tmp_path / "new", source("/vsicurl/http://127.0.0.1:9/a.tif")), path)
    with pytest.raises(InputError, match="from the network"):
        Raster.of(path)
