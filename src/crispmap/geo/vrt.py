"""What a VRT is made of, looked at before GDAL opens it: XML that names other files, and how these are opened.

The XML is read by a parser and not by eye, because GDAL takes a name from an element, an attribute, CDATA or a text
with a comment in it, and all of them are the same to a parser. What this one does not take, GDAL is not given.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from xml.parsers import expat

from crispmap.errors import InputError
from crispmap.geo.caution import asks_for_network, may_use_network
from crispmap.input_file import check_input_file

_HEAD = 1024  # bytes that GDAL looks at to tell what a file is
_MOST_BYTES = 2**28
_NAMES_A_FILE = re.compile(r"(filename|dataset|path)$", re.IGNORECASE)  # elements and attributes
_KEY_OF_A_FILE = re.compile(r"filename|^(overview_file|[xy]_dataset)$", re.IGNORECASE)  # of arguments and metadata
_INSIDE = re.compile(r"^(/vsi\w+/)+([\d_]+,)?")  # GDAL's ways into an archive or a part of a file
_BESIDE = (".ovr", ".msk")  # rasters that GDAL opens with another, and which may be VRTs, too


def check_raster_files(path: str | Path) -> None:
    """Checks a raster, what lies beside it and what it is made of, without opening any by GDAL.

    Sources are followed at any depth. What lies in an archive or at an address is not looked at.

    Raises:
        InputError: If one of them is a pipe, a socket or a device; or if a VRT among them takes pixels from the network
            before that has been allowed, opens its sources in ways of its own, or is no plain XML.
    """
    waiting, seen = [str(path)], set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        check_input_file(name, beside=True)
        if not os.path.isfile(name):
            continue
        waiting += [name + suffix for suffix in _BESIDE if os.path.isfile(name + suffix)]
        if _is_vrt(name):
            waiting += _sources(name)


def _is_vrt(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return b"<vrtdataset" in file.read(_HEAD).lower()
    except OSError:  # GDAL will say so
        return False


def _sources(path: str) -> Iterator[str]:
    """Where the sources of a VRT may lie: beside it, or where the command was given."""
    folders = {os.path.dirname(path), os.path.dirname(os.path.realpath(path)), ""}
    for source in _named_files(path):
        if not may_use_network() and (asks_for_network(source) or source.startswith("<")):
            raise InputError(
                f"{path} takes pixels from the network ({source[:100]}), which is reached for addresses that you give "
                "yourself only; give that address, or download it"
            )
        if "/vsistdin" in source.lower():
            raise InputError(f"{path} takes pixels from standard input ({source[:100]}), which may never end")
        for name in {source, _INSIDE.sub("", source)}:
            yield from (os.path.join(folder, name) for folder in folders)


def _named_files(path: str) -> list[str]:
    """What a VRT names as a file, anywhere in it."""
    found: list[str] = []
    texts: list[tuple[bool, list[str]]] = []  # of the elements that are open: whether each names a file, and its text

    def begin(element: str, attributes: dict[str, str]) -> None:
        if any(word.lower() == "openoptions" for word in (element, *attributes)):
            raise InputError(
                f"{path} says how its sources are to be opened (OpenOptions), which may run statements in a database; "
                "make it without -oo"
            )
        keys = (value for name, value in attributes.items() if name.lower() in ("name", "key"))
        texts.append((bool(_NAMES_A_FILE.search(element) or any(map(_KEY_OF_A_FILE.search, keys))), []))
        found.extend(value for name, value in attributes.items() if _NAMES_A_FILE.search(name))

    def add(text: str) -> None:
        if texts:
            texts[-1][1].append(text)

    def end(_: str) -> None:
        names_file, text = texts.pop()
        if names_file:
            found.append("".join(text))

    def refuse_types(*_: object) -> None:
        raise InputError(f"{path} cannot be read as a raster: a VRT has no document type, where entities may multiply")

    parser = expat.ParserCreate("utf-8")
    parser.StartElementHandler, parser.CharacterDataHandler, parser.EndElementHandler = begin, add, end
    parser.StartDoctypeDeclHandler = refuse_types
    try:
        if os.stat(path).st_size > _MOST_BYTES:
            raise InputError(f"{path} cannot be read as a raster: a VRT has no more than {_MOST_BYTES:,} bytes")
        with open(path, "rb") as file:
            parser.ParseFile(file)
    except expat.ExpatError as error:
        raise InputError(f"{path} cannot be read as a raster; is it whole? (as XML it is not: {error})") from error
    return [name for name in (text.strip().strip('"') for text in found) if name]
