"""A predicted raster as a STAC item, with the projection and processing extensions."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS
from shapely.geometry.polygon import orient

from crispmap import __version__
from crispmap.export.stac import ANY_TIME, GEOJSON, Json, extension, href, item
from crispmap.export.stac_model import model_name
from crispmap.export.styles import Layer
from crispmap.geo.degrees import to_degrees
from crispmap.geo.raster import Raster, opened
from crispmap.models import ModelSpec

_PROJECTION = extension("projection", "2.0.0")
_PROCESSING = extension("processing", "1.1.0")
_LEVEL = "L4"  # results of a model, in the words of the processing extension
_COG = "image/tiff; application=geotiff; profile=cloud-optimized"
_STEPS_A_SIDE = 16  # sides of a raster are curves in longitude and latitude
_DECIMALS = 7  # a centimetre
_ASSETS: dict[Layer, Json] = {
    "probability": {
        "type": _COG,
        "title": "Probability of building",
        "description": "255 times the probability; the band's scale factor makes probabilities of it.",
        "roles": ["data"],
        "data_type": "uint8",
    },
    "mask": {
        "type": _COG,
        "title": "Buildings",
        "description": "255, else 0.",
        "roles": ["data"],
        "data_type": "uint8",
    },
    "footprints": {"type": "application/geopackage+sqlite3", "title": "Footprints of buildings", "roles": ["data"]},
}


def prediction_item(
    name: str,
    raster: Raster,
    layers: Mapping[Layer, str | Path],
    spec: ModelSpec,
    *,
    threshold: float,
    folder: str | Path,
    sources: Sequence[str | Path] = (),
    model: str | Path | None = None,
) -> Json:
    """Describes what was predicted of a raster. It holds nothing that differs when the prediction is made again.

    *Convention.* The time is that at which the image was taken: its tag ACQUISITIONDATETIME in GDAL's domain IMAGERY,
    or else TIFFTAG_DATETIME, both taken as UTC. Without either, ``datetime`` is null and the span from 1900 to 9999
    says that it is not known. A raster without a place on the ground has no geometry. Across the antimeridian the
    geometry is two polygons, and the box's west is greater than its east, as RFC 7946 has it.

    Args:
        name: The id: the stem of the outputs.
        raster: What was predicted, whose grid the maps have.
        layers: The outputs, all in the folder of the item.
        spec: Of the model.
        threshold: A pixel belongs to the mask from this probability on.
        folder: Where the item will lie.
        sources: The images behind the raster, as files or in GDAL's words; the raster itself if none are given.
        model: The item of the model, if there is one.
    """
    geometry, bbox = _ground(raster)
    processing: Json = {
        "processing:level": _LEVEL,
        "processing:lineage": f"Buildings mapped with {spec.architecture}/{spec.encoder}; mask and footprints from the "
        f"probability {threshold:g} on.",
        "processing:software": {"crispmap": __version__},
    }
    links = [{"rel": "via", "href": href(source, folder), "title": "Image"} for source in sources or [raster.path]]
    if model is not None:
        processing["processing:expression"] = {"format": "stac-mlm", "expression": href(model, folder)}
        links.append(
            {
                "rel": "derived_from",
                "href": href(model, folder),
                "type": GEOJSON,
                "title": "Model",
                "mlm:name": model_name(spec),
            }
        )
    return item(
        name,
        geometry,
        bbox,
        {
            **_time(raster),
            **({} if raster.resolution is None else {"gsd": raster.resolution}),
            **_projection(raster),
            **processing,
        },
        assets={layer: {"href": Path(path).name, **_ASSETS[layer]} for layer, path in layers.items()},
        links=links,
        extensions=[_PROJECTION, _PROCESSING],
    )


def _time(raster: Raster) -> Json:
    with opened(raster.path) as file:
        words = file.tags(ns="IMAGERY").get("ACQUISITIONDATETIME"), file.tags().get("TIFFTAG_DATETIME")
    for word in words:
        for pattern in ("%Y-%m-%d %H:%M:%S", "%Y:%m:%d %H:%M:%S"):
            try:
                taken = datetime.strptime((word or "").strip(), pattern).replace(tzinfo=UTC)
            except ValueError:
                continue
            return {"datetime": taken.strftime("%Y-%m-%dT%H:%M:%SZ")}
    return ANY_TIME


def _projection(raster: Raster) -> Json:
    t = raster.transform
    corners = [t @ (col, row) for row in (0, raster.height) for col in (0, raster.width)]
    xs, ys = zip(*corners, strict=True)
    epsg = raster.crs.to_epsg() if raster.crs else None
    wkt = {"proj:wkt2": CRS.from_user_input(raster.crs).to_wkt()} if raster.crs and epsg is None else {}
    return {
        "proj:code": None if epsg is None else f"EPSG:{epsg}",
        **wkt,
        "proj:shape": [raster.height, raster.width],
        "proj:transform": [t.a, t.b, t.c, t.d, t.e, t.f],
        "proj:bbox": [min(xs), min(ys), max(xs), max(ys)],
    }


def _ground(raster: Raster) -> tuple[Json | None, list[float] | None]:
    """A raster's outline in longitude and latitude, and its box; None and None where it has no place."""
    if not raster.located:
        return None, None
    lon, lat = _outline(raster)
    if not np.isfinite([lon, lat]).all():
        return None, None
    lon = np.unwrap(lon, period=360)
    lon -= 360 * np.floor((lon.min() + 180) / 360)  # so that it begins from -180 to 180 and ends wherever it does
    outline = shapely.Polygon(np.stack([lon, lat], axis=-1))
    west, south, east, north = outline.bounds
    polygons = _polygons(outline)
    if east > 180:
        here, beyond = (outline & shapely.box(left, -90, left + 360, 90) for left in (-180, 180))
        polygons = _polygons(here) + _polygons(shapely.transform(beyond, lambda xy: xy - (360, 0)))
        east -= 360
    shape = polygons[0] if len(polygons) == 1 else shapely.MultiPolygon(polygons)
    geometry: Json = shapely.geometry.mapping(shape)
    return geometry, [round(side, _DECIMALS) for side in (west, south, east, north)]


def _polygons(shape: shapely.Geometry) -> list[shapely.Polygon]:
    """The polygons of a shape in GeoJSON's order of vertices, counterclockwise, and to a centimetre."""
    straight = shapely.simplify(shape, 10.0**-_DECIMALS)
    rounded = shapely.transform(straight, lambda xy: xy.round(_DECIMALS))
    return [orient(part) for part in shapely.get_parts(rounded)]


def _outline(raster: Raster) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Longitudes and latitudes around a raster, closed."""
    steps = np.linspace(0, 1, _STEPS_A_SIDE, endpoint=False)
    nil, one = np.zeros_like(steps), np.ones_like(steps)
    cols = np.concatenate([steps, one, 1 - steps, nil, [0]]) * raster.width
    rows = np.concatenate([nil, steps, one, 1 - steps, [0]]) * raster.height
    t = raster.transform
    x, y = t.a * cols + t.b * rows + t.c, t.d * cols + t.e * rows + t.f
    lon, lat = to_degrees(raster.crs).transform(x, y)
    return np.asarray(lon), np.asarray(lat)
