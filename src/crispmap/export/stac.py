"""STAC 1.1 items: what all of them have in common, and how they are written."""

import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from crispmap.whole import whole_file

Json = dict[str, Any]

ANY_TIME: Json = {  # STAC wants a time or a span of it; this is the span that says nothing
    "datetime": None,
    "start_datetime": "1900-01-01T00:00:00Z",
    "end_datetime": "9999-12-31T23:59:59Z",
}
GEOJSON = "application/geo+json"


def extension(name: str, version: str) -> str:
    """The address by which an item says that it follows an extension."""
    return f"https://stac-extensions.github.io/{name}/v{version}/schema.json"


def item(
    name: str,
    geometry: Json | None,
    bbox: Sequence[float] | None,
    properties: Json,
    *,
    assets: Mapping[str, Json],
    links: Sequence[Json] = (),
    extensions: Sequence[str] = (),
) -> Json:
    """A STAC item.

    Args:
        name: Its id.
        geometry: GeoJSON in longitude and latitude; None where the place is not known, and then no box either.
        bbox: West, south, east, north; west is greater than east across the antimeridian.
        properties: The time among them, see `ANY_TIME`.
        assets: By their keys.
        links: To other items and files.
        extensions: Their addresses, of `extension`.
    """
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": list(extensions),
        "id": name,
        "geometry": geometry,
        **({} if bbox is None else {"bbox": list(bbox)}),
        "properties": properties,
        "links": list(links),
        "assets": dict(assets),
    }


def write_item(content: Json, path: str | Path) -> None:
    """Writes an item as JSON, numbers that JSON has not as null; the file appears whole or not at all."""
    with whole_file(path) as part:
        part.write_text(
            json.dumps(_finite(content), indent=2, allow_nan=False, ensure_ascii=False) + "\n", encoding="utf-8"
        )


def beside(file: str | Path, folder: str | Path) -> str:
    """How an item in a folder names a file, so that both can be moved together."""
    return Path(os.path.relpath(file, folder)).as_posix()


def href(target: str | Path, folder: str | Path) -> str:
    """How an item in a folder names an image: a file as one beside it; addresses and GDAL names stay."""
    return beside(target, folder) if os.path.exists(target) else str(target)  # this takes any text, unlike Path.exists


def _finite(value: Any) -> Any:
    """The same without NaN and infinities, such as scores of what is not there."""
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
