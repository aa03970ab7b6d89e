"""GDAL reaches the network for addresses that the user gives, and not because a file says so."""

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from good_inputs import label, save

from crispmap.errors import InputError
from crispmap.geo import caution
from crispmap.geo.caution import asks_for_network, check_stays_here
from crispmap.geo.vrt import check_raster_files

READ = """
import json, sys
from crispmap.errors import CrispmapError
from crispmap.geo.drivers import keep_few_drivers
from crispmap.geo.vector import Footprints
from crispmap.predict.plan import plan

keep_few_drivers()  # as commands do

def look(name):
    try:
        if name.endswith(".geojson"):
            return len(Footprints.read(name).polygons)
        job = plan([name], "out")[0]  # which keeps what it made of an address for as long as it is there
        raster = job.raster
        return float(raster.read(raster.window)[0].mean())
    except CrispmapError as error:
        return str(error)

print(json.dumps([look(name) for name in sys.argv[1:]]))
"""


class _Counting(SimpleHTTPRequestHandler):
    """Serves a folder, and notes every request."""

    def log_message(self, *_):
        self.server.requests.append(self.path)


@contextmanager
def serving(folder):
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Counting, directory=str(folder)))
    server.requests = []
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def read(*names):
    """What a process of its own, in which GDAL is fresh, makes of each file: the mean of its pixels, or a refusal."""
    environment = {k: v for k, v in os.environ.items() if k.lower() not in ("no_proxy", "http_proxy", "all_proxy")}
    for name in (*caution._OFFLINE, caution._ALLOWED):  # what this process was told is not for that one
        environment.pop(name, None)
    environment["GDAL_DISABLE_READDIR_ON_OPEN"] = "EMPTY_DIR"
    argv = [sys.executable, "-c", READ, *map(str, names)]
    done = subprocess.run(argv, capture_output=True, text=True, env=environment, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def vrt(folder, source):
    (folder / "a.vrt").write_text(
        '<VRTDataset rasterXSize="96" rasterYSize="64"><VRTRasterBand dataType="Byte" band="1"><SimpleSource>'
        f"<SourceFilename>{source}</SourceFilename><SourceBand>1</SourceBand></SimpleSource></VRTRasterBand></VRTDataset>"
    )
    return folder / "a.vrt"


def tiles(address, escaped=False):
    text = (
        f"<GDAL_WMS><Service name='TMS'><ServerUrl>{address}/${{z}}/${{x}}/${{y}}.png</ServerUrl></Service><DataWindow>"
        "<UpperLeftX>0</UpperLeftX><UpperLeftY>64</UpperLeftY><LowerRightX>96</LowerRightX><LowerRightY>0</LowerRightY>"
        "<SizeX>96</SizeX><SizeY>64</SizeY><TileLevel>0</TileLevel></DataWindow><BlockSizeX>96</BlockSizeX>"
        "<BlockSizeY>64</BlockSizeY><BandsCount>1</BandsCount></GDAL_WMS>"
    )
    return text.replace("<", "&lt;").replace(">", "&gt;") if escaped else text


def _hidden_in_aux(folder, address):
    path = save(folder / "a.tif", label())
    (folder / "a.tif.aux.xml").write_text(
        '<PAMDataset><PAMRasterBand band="1"/><Metadata domain="OVERVIEWS"><MDI key="OVERVIEW_FILE">'
        f"/vsicurl/{address}/there.tif</MDI></Metadata></PAMDataset>"
    )
    return path


def _called_otherwise(folder, address):
    (folder / "a.tif").write_text(tiles(address))
    return folder / "a.tif"


def _in_a_vector_vrt(folder, address):
    (folder / "a.geojson").write_text(
        f"<OGRVRTDataSource><OGRVRTLayer name='a'><SrcDataSource>/vsicurl/{address}/a.geojson</SrcDataSource>"
        "</OGRVRTLayer></OGRVRTDataSource>"
    )
    return folder / "a.geojson"


def _a_vrt_in_a_vrt(folder, address):
    inner = vrt(folder, f"/vsicurl/{address}/there.tif").rename(folder / "inner.vrt")
    return vrt(folder, inner)


def _python_in_a_vrt(folder, address):
    code = f"open({str(folder / 'canary')!r}, 'w')"
    (folder / "a.vrt").write_text(
        '<VRTDataset rasterXSize="96" rasterYSize="64"><VRTRasterBand dataType="Byte" band="1" '
        'subClass="VRTDerivedRasterBand"><PixelFunctionType>f</PixelFunctionType><PixelFunctionLanguage>Python'
        f"</PixelFunctionLanguage><PixelFunctionCode><![CDATA[{code}\ndef f(i, o, *a, **k): o[:] = 1\n]]>"
        f"</PixelFunctionCode><SimpleSource><SourceFilename>{save(folder / 'b.tif', label())}</SourceFilename>"
        "</SimpleSource></VRTRasterBand></VRTDataset>"
    )
    return folder / "a.vrt"


def _written(name, text):
    def make(folder, address):
        (folder / name).write_text(text.replace("ADDRESS", address))
        return folder / name

    return make


NETCDF = "NETCDF:&quot;ADDRESS/there.nc&quot;:v"  # which asks the network itself, past GDAL's settings
MRF = (
    "<MRF_META><CachedSource><Source>SOURCE</Source></CachedSource><Raster><Size x='96' y='64' c='1'/>"
    "<PageSize x='96' y='64' c='1'/><DataType>Byte</DataType></Raster></MRF_META>"
)
FEATURES = '"type": "FeatureCollection", "features": []'

HIDDEN = {
    "a source": lambda f, a: vrt(f, f"/vsicurl/{a}/there.tif"),
    "an address without a prefix": lambda f, a: vrt(f, f"{a}/there.tif"),
    "a streamed source": lambda f, a: vrt(f, f"/vsicurl_streaming/{a}/there.tif"),
    "an escaped source": lambda f, a: vrt(f, f"&#47;vsicurl&#47;{a}/there.tif"),
    "a source in a zip": lambda f, a: vrt(f, f"/vsizip//vsicurl/{a}/there.zip/a.tif"),
    "a VRT in a VRT": _a_vrt_in_a_vrt,
    "a web service in a VRT": lambda f, a: vrt(f, tiles(a, escaped=True)),
    "a web service called .tif": _called_otherwise,
    "netCDF in CDATA": lambda f, a: vrt(f, f'<![CDATA[NETCDF:"{a}/there.nc":v]]>'),
    "netCDF": lambda f, a: vrt(f, NETCDF.replace("ADDRESS", a)),
    "netCDF in a VRT called .tif": lambda f, a: vrt(f, NETCDF.replace("ADDRESS", a)).rename(f / "a.tif"),
    "netCDF in a tile index": _written(
        "a.tif", f"<GDALTileIndexDataset><IndexDataset>{NETCDF}</IndexDataset></GDALTileIndexDataset>"
    ),
    "netCDF in a cache": _written("a.tif", MRF.replace("SOURCE", NETCDF)),
    "a cache": _written("a.tif", MRF.replace("SOURCE", "/vsicurl/ADDRESS/there.tif")),
    "an overview": _hidden_in_aux,
    "a vector VRT": _in_a_vector_vrt,
    "a command of GDAL": _written(
        "a.geojson",
        '{"type": "gdal_streamed_alg", "command_line": "gdal vector pipeline --config GDAL_HTTP_PROXY= ! read '
        '/vsicurl/ADDRESS/a.geojson"}',
    ),
    "a CRS": _written(
        "a.geojson", f'{{{FEATURES}, "crs": {{"type": "link", "properties": {{"href": "ADDRESS/crs"}}}}}}'
    ),
    "Python": _python_in_a_vrt,
    "no address": lambda f, a: vrt(f, save(f / "b.tif", label())),
}


def test_files_that_point_at_an_address_make_no_request(tmp_path):
    (tmp_path / "served").mkdir()
    save(tmp_path / "served" / "there.tif", label())
    folders = {how: tmp_path / str(i) for i, how in enumerate(HIDDEN)}
    for folder in folders.values():
        folder.mkdir()
    with serving(tmp_path / "served") as server:
        address = f"http://127.0.0.1:{server.server_port}"
        found = dict(zip(HIDDEN, read(*(HIDDEN[how](folder, address) for how, folder in folders.items())), strict=True))
        assert server.requests == []
    assert found.pop("a CRS") == 0
    assert found.pop("an overview") == found.pop("no address") == pytest.approx(label().mean())
    assert not list(tmp_path.rglob("canary"))
    for how, outcome in found.items():
        assert "web service" in str(outcome) or "network" in str(outcome) or "cannot be read" in str(outcome), how


def test_an_address_that_is_given_is_read(tmp_path):
    save(tmp_path / "there.tif", label())
    with serving(tmp_path) as server:
        address = f"http://127.0.0.1:{server.server_port}/there.tif"
        assert read(f"/vsicurl/{address}", address) == [pytest.approx(label().mean())] * 2
        assert any("/there.tif" in request for request in server.requests)


def test_names_that_are_addresses():
    for name in ("https://a.org/b.tif", "s3://a/b.tif", "/vsicurl/http://a.org/b", "/vsizip//vsis3/a.zip/b.tif"):
        assert asks_for_network(name)
    for name in ("a.tif", "/data/https/a.tif", "/vsizip/a.zip/b.tif", "/vsimem/a.tif", "C:/a.tif", "/vsicurly/a"):
        assert not asks_for_network(name)


def test_the_refusal_names_the_address(tmp_path, monkeypatch):
    monkeypatch.delenv(caution._ALLOWED, raising=False)
    path = vrt(tmp_path, "/vsis3/secret/a.tif")
    with pytest.raises(InputError, match=r"/vsis3/secret/a\.tif"):
        check_raster_files(path)
    with pytest.raises(InputError, match="WMS"):
        check_stays_here(path, "WMS")
    monkeypatch.setenv(caution._ALLOWED, "1")
    check_raster_files(path)
    check_stays_here(path, "WMS")
