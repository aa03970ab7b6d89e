"""Footprints from file to file: every format, every kind of raster, in memory that does not grow with the height."""

import json
import tracemalloc
import warnings

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from rasterio.features import rasterize, shapes
from rasterio.transform import from_origin
from scipy import ndimage
from shapely import box
from shapely.geometry import shape

from crispmap.errors import InputError, OutputError, SettingError
from crispmap.geo.geoparquet import GeoParquet
from crispmap.vectorize import VectorizeSettings, writing
from crispmap.vectorize.writing import write_footprints

PLACE = from_origin(500_000, 6_600_000, 0.5, 0.5)
FORMATS = ["gpkg", "fgb", "geojson", "json", "parquet", "geoparquet"]


def read(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return gpd.read_parquet(path) if "parquet" in path.suffix else gpd.read_file(path)


def scene(seed=0, size=(160, 120)):
    """Levels of blobs of all sizes, some of which touch; they rise and fall, so that they can be parted."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=size), 3)
    return np.clip(noise / noise.std() * 60 + 110, 0, 255).astype("uint8")


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_holds_the_footprints(levels_file, tmp_path, suffix):
    levels = scene()
    out = tmp_path / f"new/footprints.{suffix}"
    count = write_footprints(levels_file(levels, scale=1 / 255), out, VectorizeSettings(simplify=0, min_area=0))
    found = read(out)
    mask = levels >= 127.5
    truth = [shape(outline) for outline, _ in shapes(mask.astype("uint8"), mask=mask, transform=PLACE, connectivity=4)]
    assert len(found) == count == len(truth) > 10
    assert [path.name for path in out.parent.iterdir()] == [out.name]
    assert list(found.columns.drop("geometry")) == ["area_m2", "probability", "perimeter_m", "orientation"]
    degrees = "json" in suffix
    assert found.crs.to_epsg() == (4326 if degrees else 32633)
    on_map = found.geometry.to_crs("EPSG:32633") if degrees else found.geometry
    for polygon in truth:
        away = on_map.symmetric_difference(polygon).area
        assert away.min() < (0.01 * polygon.length if degrees else 1e-6)  # RFC 7946 keeps seven decimals: a centimetre
        row = found.loc[away.idxmin()]
        assert row["area_m2"] == pytest.approx(polygon.area, rel=2e-3, abs=0.01)  # the projection's scale
        assert row["perimeter_m"] == pytest.approx(polygon.length, rel=2e-3, abs=0.01)
        inside = rasterize([polygon], levels.shape, transform=PLACE) > 0
        assert row["probability"] == pytest.approx(levels[inside].mean() / 255, abs=1e-4)


@pytest.mark.parametrize("cut", [8, 1000])
@pytest.mark.parametrize("suffix", ["gpkg", "fgb", "geojson", "parquet"])
def test_a_disk_that_fills_up_at_the_very_end(levels_file, tmp_path, no_file_beyond, suffix, cut):
    path = levels_file(scene(), scale=1 / 255)
    write_footprints(path, tmp_path / f"whole.{suffix}")
    size = (tmp_path / f"whole.{suffix}").stat().st_size
    with no_file_beyond(size - cut), pytest.raises((OutputError, OSError), match=r"disk full|File too large"):
        write_footprints(path, tmp_path / "out" / f"cut.{suffix}")
    assert not list((tmp_path / "out").iterdir())


def test_geojson_is_that_of_rfc_7946(levels_file, tmp_path):
    write_footprints(levels_file(scene(), scale=1 / 255), tmp_path / "f.geojson")
    text = json.loads((tmp_path / "f.geojson").read_text())
    assert "crs" not in text
    for feature in text["features"]:
        assert shapely.Polygon(feature["geometry"]["coordinates"][0]).exterior.is_ccw


def test_geoparquet_can_be_read_in_parts(levels_file, tmp_path):
    write_footprints(levels_file(scene(), scale=1 / 255), tmp_path / "f.parquet")
    file = GeoParquet(tmp_path / "f.parquet")
    everything = file.read().geometries
    assert file.bounds == tuple(shapely.total_bounds(everything))
    corner = (500_000, 6_599_990, 500_012, 6_600_000)
    assert (
        len(file.read(corner).geometries)
        == (shapely.intersects(shapely.box(*corner), shapely.envelope(everything))).sum()
    )


@pytest.mark.parametrize(
    "settings",
    [
        VectorizeSettings(),
        VectorizeSettings(simplify=2, min_area=0),
        VectorizeSettings(separate=0.6, min_area=3),
        VectorizeSettings(separate=0.7, regularise=True),
    ],
    ids=str,
)
def test_footprints_do_not_depend_on_the_strips(levels_file, tmp_path, settings):
    path = levels_file(scene(), scale=1 / 255)

    def footprints(rows):
        write_footprints(path, tmp_path / "f.parquet", settings, strip_pixels=rows * 120)
        frame = read(tmp_path / "f.parquet")
        return sorted(zip(frame.geometry.to_wkb(), *(frame[name] for name in frame.columns[:4]), strict=True))

    whole = footprints(160)
    assert len(whole) > 10
    for rows in (1, 7, 40):
        assert footprints(rows) == whole


@pytest.mark.parametrize("regularise", [False, True])
def test_footprints_never_overlap(levels_file, tmp_path, regularise):
    settings = VectorizeSettings(separate=0.6, regularise=regularise)
    write_footprints(levels_file(scene(3), scale=1 / 255), tmp_path / "f.gpkg", settings)
    polygons = read(tmp_path / "f.gpkg").geometry
    assert polygons.is_valid.all()
    assert polygons.area.sum() == pytest.approx(polygons.union_all().area, rel=1e-12)
    shared = shapely.STRtree(polygons).query(polygons, predicate="touches")
    assert shared.shape[1] > 4


def levels_of(kind):
    mask = np.zeros((40, 50), bool)
    mask[5:15, 5:25] = mask[20:36, 30:40] = True
    return mask, {
        "levels with a scale": (np.where(mask, 204, 40).astype("uint8"), 1 / 255, 0.8),
        "levels without one": (np.where(mask, 255, 40).astype("uint8"), None, 1),
        "probabilities": (np.where(mask, 0.8, 0.2).astype("float32"), None, 0.8),
        "zeros and ones": (mask.astype("uint8"), None, 1),
        "zeros and 255": (mask.astype("uint8") * 255, None, 1),
    }[kind]


@pytest.mark.parametrize(
    "kind", ["levels with a scale", "levels without one", "probabilities", "zeros and ones", "zeros and 255"]
)
def test_levels_probabilities_and_masks_give_the_same(levels_file, tmp_path, kind):
    _, (levels, scale, probability) = levels_of(kind)
    assert write_footprints(levels_file(levels, scale=scale), tmp_path / "f.gpkg") == 2
    found = read(tmp_path / "f.gpkg")
    assert found["probability"].to_numpy() == pytest.approx([probability] * 2, abs=1e-4)
    on_map = [box(500_002.5, 6_599_992.5, 500_012.5, 6_599_997.5), box(500_015, 6_599_982, 500_020, 6_599_990)]
    assert all(one.equals(other) for one, other in zip(found.geometry, on_map, strict=True))
    assert found["orientation"].tolist() == [90, 0]


def test_the_threshold_and_the_least_area_count(levels_file, tmp_path):
    levels = np.full((40, 50), 0.2, "float32")
    levels[5:15, 5:25], levels[20:36, 30:40] = 0.6, 0.9  # 50 and 40 m²
    path = levels_file(levels)

    def count(**settings):
        return write_footprints(path, tmp_path / "f.gpkg", VectorizeSettings(**settings))

    assert [count(threshold=at) for at in (0.1, 0.5, 0.7, 0.95)] == [1, 2, 1, 0]
    assert [count(min_area=least) for least in (0, 40.2, 50.2)] == [2, 1, 0]
    assert len(read(tmp_path / "f.gpkg")) == 0


def test_without_a_place_lengths_are_pixels(levels_file, tmp_path):
    levels = np.zeros((40, 50), "uint8")
    levels[5:9, 5:8] = levels[20:36, 30:40] = 255
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        path = levels_file(levels, crs=None, transform=None)
    assert write_footprints(path, tmp_path / "f.geojson") == 1  # one has 12 pixels
    found = read(tmp_path / "f.geojson")
    assert found.geometry[0].equals(box(30, 20, 40, 36))
    assert list(found.columns) == ["area_px", "probability", "perimeter_px", "orientation", "geometry"]


def test_memory_does_not_grow_with_the_height(levels_file, tmp_path, monkeypatch):
    monkeypatch.setattr("crispmap.geo.raster._PIXELS_AT_ONCE", 64 * 200)

    def peak(times):
        path = levels_file(np.tile(scene(size=(256, 200)), (times, 1)), scale=1 / 255, name=f"{times}.tif")
        tracemalloc.start()
        sparse = VectorizeSettings(threshold=0.75)
        count = write_footprints(path, tmp_path / "f.fgb", sparse)
        memory = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return count, memory

    peak(1)  # what is loaded once
    (few, low), (many, high) = peak(4), peak(24)
    assert many > 5 * few
    assert high < 1.2 * low


@pytest.mark.parametrize("suffix", ["gpkg", "fgb", "geojson", "parquet"])
def test_what_fails_halfway_leaves_nothing_and_says_why(levels_file, tmp_path, monkeypatch, suffix):
    path = levels_file(scene(), scale=1 / 255)
    strips = writing._strips

    def torn(*args):
        yield from list(strips(*args))[:2]
        raise InputError("the file is torn")

    monkeypatch.setattr(writing, "_strips", torn)
    with pytest.raises(InputError, match="the file is torn"):
        write_footprints(path, tmp_path / "out" / f"f.{suffix}", strip_pixels=2000)
    assert not list((tmp_path / "out").iterdir())


def test_mistakes_are_named(levels_file, tmp_path):
    path = levels_file(scene(), scale=1 / 255)
    with pytest.raises(OutputError, match=r"f.shp names no format .* \.gpkg"):
        write_footprints(path, tmp_path / "f.shp")
    with pytest.raises(InputError, match="make a mask of one class"):
        write_footprints(levels_file(np.arange(12, dtype="uint8").reshape(3, 4)), tmp_path / "f.gpkg")
    for wrong, words in (
        ({"threshold": 1}, "between 0 and 1"),
        ({"separate": 0.4}, "above the threshold"),
        ({"separate": 1.1}, "up to 1"),
        ({"min_area": -1}, "least area"),
        ({"simplify": float("inf")}, "tolerance of simplifying"),
        ({"regularise": True, "simplify": 0}, "give more"),
    ):
        with pytest.raises(SettingError, match=words):
            VectorizeSettings(**wrong)
