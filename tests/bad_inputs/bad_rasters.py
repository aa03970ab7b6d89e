"""Rasters that are damaged or absurd: their bytes are not what they say."""

import os
import struct
from pathlib import Path

import numpy as np
from bad_table import CANARY, HANDLED, add
from good_inputs import HEIGHT, WIDTH, save

ANY = ("image", "mask")
CHECKED = f"{HANDLED}|can be used"  # what is wrong with one tile is a note, unless there is no other
UNREADABLE = "cannot be read as a raster"
FAR_OFF = f"{UNREADABLE}|has 1 band of imagery|has no CRS|share one grid"  # what is seen before a pixel is read


def _bytes(content: bytes, name: str = "a.tif"):
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return make


def _cut(share: float, driver: str = "GTiff", name: str = "a.tif", **profile):
    """A raster of which only the first part is there; a large one, so that its header is whole."""

    def make(folder: Path) -> Path:
        path = save(
            folder / name,
            np.random.default_rng(0).integers(0, 2, (HEIGHT, WIDTH)).astype("uint8") * 255,
            driver=driver,
            **profile,
        )
        whole = path.read_bytes()
        path.write_bytes(whole[: int(len(whole) * share)])
        return path

    return make


def vrt(body: str, width: int = WIDTH, height: int = HEIGHT, name: str = "a.vrt"):
    def make(folder: Path) -> Path:
        (folder / name).write_text(f'<VRTDataset rasterXSize="{width}" rasterYSize="{height}">{body}</VRTDataset>')
        return folder / name

    return make


def _source(name: str, relative: int = 1) -> str:
    return (
        '<VRTRasterBand dataType="Byte" band="1"><SimpleSource>'
        f'<SourceFilename relativeToVRT="{relative}">{name}</SourceFilename><SourceBand>1</SourceBand>'
        "</SimpleSource></VRTRasterBand>"
    )


def _tiff_header(width: int, height: int, bands: int = 1, bits: int = 8) -> bytes:
    """A TIFF that claims a size and holds nothing."""
    entries = [
        (256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, bits), (259, 3, 1, 1), (262, 3, 1, 1),
        (273, 4, 1, 8), (277, 3, 1, bands), (278, 4, 1, height), (279, 4, 1, 100),
    ]  # fmt: skip
    directory = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + directory + b"\0" * 4


for how, content in {
    "a raster of no bytes": b"",
    "a raster of text": b"this is no raster",
    "a raster of zeros": bytes(4096),
    "a raster with a TIFF's first four bytes": b"II*\0",
    "a raster whose directory lies beyond its end": b"II*\0\xff\xff\xff\x7f",
    "a raster whose directory points at itself": b"II*\0\x08\0\0\0\x01\0\x00\x01\x04\0\x01\0\0\0\x40\0\0\0\x08\0\0\0",
    "a BigTIFF of a header alone": b"II+\0\x08\0\0\0\x10\0\0\0\0\0\0\0",
    "a web page called .tif": b"<!DOCTYPE html><html><body>404 not found</body></html>",
    "a pointer of Git LFS called .tif": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12345\n",
    "a zip called .tif": b"PK\x03\x04" + bytes(60),
}.items():
    add(how, ANY, _bytes(content), UNREADABLE)

add("a PNG cut off in its header", ANY, _bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "a.png"), UNREADABLE)
add("a JPEG of three bytes", ANY, _bytes(b"\xff\xd8\xff", "a.jpg"), UNREADABLE)
add("a JPEG 2000 of its signature", ANY, _bytes(b"\0\0\0\x0cjP  \r\n\x87\n", "a.jp2"), UNREADABLE)
add("a GeoTIFF of half its bytes", "mask", _cut(0.5), UNREADABLE)
add(
    "a compressed GeoTIFF of half its bytes",
    "mask",
    _cut(0.5, compress="deflate", tiled=True, blockxsize=64, blockysize=64),
    UNREADABLE,
)
add("a GeoTIFF without its last bytes", "mask", _cut(0.99), UNREADABLE)
add("a PNG of half its bytes", "mask", _cut(0.5, "PNG", "a.png"), UNREADABLE)
add("a JPEG of half its bytes", "mask", _cut(0.5, "JPEG", "a.jpg"), "cannot be read as a raster|must share one grid")

add("a VRT of ten to the nine pixels a side", ANY, vrt(_source("no.tif"), 10**9, 10**9), "1000000000×1000000000 pixels")
add("a VRT of a negative size", ANY, vrt(_source("no.tif"), -5, 5), UNREADABLE)
add("a VRT of no size", ANY, vrt(_source("no.tif"), 0, 0), UNREADABLE)
add("a VRT without bands", ANY, vrt(""), "no bands of imagery|has no bands|0 bands|cannot be read as a raster")
add("a VRT whose source is gone", ANY, vrt(_source("gone.tif")), FAR_OFF)
add("a VRT that is its own source", ANY, vrt(_source("a.vrt")), FAR_OFF)
add("a VRT cut off", ANY, _bytes(b'<VRTDataset rasterXSize="9" rasterYSize="9"><VRTRasterBand', "a.vrt"), UNREADABLE)
add("a VRT with a source on the network", ANY, vrt(_source("/vsicurl/http://127.0.0.1:9/a.tif", 0)), "from the network")
add(
    "a VRT with a web service inside",
    ANY,
    vrt(_source("&lt;GDAL_WMS&gt;&lt;Service name=&quot;TMS&quot;/&gt;&lt;/GDAL_WMS&gt;", 0)),
    "from the network",
)


def _asking(what: str, name: str = "a.tif"):
    """A raster of a format that asks netCDF for an address, which would reach the network past GDAL's settings."""
    return _bytes(what.replace("ADDRESS", "NETCDF:&quot;http://127.0.0.1:9/a.nc&quot;:v").encode(), name)


_MRF = (
    "<MRF_META><CachedSource><Source>SOURCE</Source></CachedSource><Raster><Size x='96' y='64' c='1'/><PageSize x='96' "
    "y='64' c='1'/><Compression>NONE</Compression><DataType>Byte</DataType><DataFile>CANARY</DataFile>"
    "<IndexFile>CANARY.idx</IndexFile></Raster></MRF_META>"
)


def _mrf(folder: Path) -> Path:
    """An MRF that tells GDAL to fill a file with the pixels of another."""
    source = save(folder / "source", np.full((HEIGHT, WIDTH), 33, "uint8"))
    text = _MRF.replace("SOURCE", str(source)).replace("CANARY", str(folder / CANARY))
    (folder / "a.tif").write_text(text)
    return folder / "a.tif"


def _statement(folder: Path) -> Path:
    """A VRT that opens its source with a statement that has a database write a file."""
    save(folder / "source", np.full((HEIGHT, WIDTH), 33, "uint8"))
    statement = f"<OOI key='PRELUDE_STATEMENTS'>VACUUM INTO '{folder / CANARY}'</OOI>"
    return vrt(_source("source").replace("<SourceBand>", f"<OpenOptions>{statement}</OpenOptions><SourceBand>"))(folder)


add("a cache that fills a file", ANY, _mrf, UNREADABLE)
add("a VRT of a cache that fills a file", ANY, lambda f: _mrf(f) and vrt(_source("a.tif"))(f), FAR_OFF)
add("a VRT with a statement for a database", ANY, _statement, "OpenOptions")
add(
    "a tile index on the network",
    ANY,
    _asking("<GDALTileIndexDataset><IndexDataset>ADDRESS</IndexDataset></GDALTileIndexDataset>"),
    UNREADABLE,
)
add(
    "a VRT with netCDF on the network",
    ANY,
    vrt(_source("NETCDF:&quot;http://127.0.0.1:9/a.nc&quot;:v")),
    "from the network",
)
add("a cache of netCDF on the network", ANY, _asking(_MRF.replace("SOURCE", "ADDRESS")), UNREADABLE)


def _with_a_pipe(name: str, content: str = ""):
    def make(folder: Path) -> Path:
        os.mkfifo(folder / name)
        return vrt(content)(folder) if content else save(folder / "a.tif", np.zeros((HEIGHT, WIDTH), "uint8"))

    return make


add(
    "a VRT of a pipe", ANY, _with_a_pipe("p.tif", _source("p.tif")), "is a pipe", {"check-data": f"is a pipe|{CHECKED}"}
)
for name in ("a.tif.msk", "a.tif.ovr", "a.tif.aux.xml", "a.RPB"):
    add(
        f"a raster beside a pipe called {name}",
        ANY,
        _with_a_pipe(name),
        "is a pipe",
        {"check-data": f"is a pipe|{CHECKED}"},
    )

_ENTITIES = "".join(f'<!ENTITY {name} "{content * 999}">' for name, content in (("a", "x"), ("b", "&a;"), ("c", "&b;")))
add(
    "a VRT with a bomb of entities",
    ANY,
    _bytes(
        f'<!DOCTYPE a [{_ENTITIES}]><VRTDataset rasterXSize="9" rasterYSize="9"><SRS>&c;</SRS></VRTDataset>'.encode(),
        "a.vrt",
    ),
    UNREADABLE,
)
add(
    "a TIFF that claims four thousand million pixels a side",
    ANY,
    _bytes(_tiff_header(2**32 - 2, 2**32 - 2)),
    "pixels|cannot be read as a raster",
)
add("a TIFF that claims a hundred thousand pixels a side", ANY, _bytes(_tiff_header(10**5, 10**5)), FAR_OFF)
add("a TIFF that claims no pixels", ANY, _bytes(_tiff_header(0, 0)), UNREADABLE)
add(
    "a TIFF that claims sixty thousand bands",
    ANY,
    _bytes(_tiff_header(9, 9, bands=60_000) + bytes(200)),
    "60000 bands, and no more than 4096 are read",
)
add("a TIFF that claims no bands", ANY, _bytes(_tiff_header(9, 9, bands=0)), UNREADABLE)
