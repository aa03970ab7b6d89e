"""What is compared with what, on which pixels: every kind of pair against polygons burnt one by one."""

import warnings
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from rasterio.transform import from_origin
from shapely import Point, Polygon, box

from crispmap.errors import InputError, PairingError, SettingError
from crispmap.evaluate.comparison import comparisons
from crispmap.geo import vector_source
from crispmap.geo.raster import Window

CRS = "EPSG:32633"
WEST, SOUTH = 500_000, 6_400_000
HEIGHT, WIDTH = 250, 180  # half metres


@pytest.fixture(autouse=True)
def _low_bands(monkeypatch):
    monkeypatch.setattr(vector_source, "_LEAST_ROWS", 64)


@pytest.fixture
def rng():
    return np.random.default_rng(11)


def houses(rng, count, height=HEIGHT / 2, width=WIDTH / 2):
    """Turned rectangles in metres that may overlap and reach over the edge."""
    found = []
    for _ in range(count):
        x, y = rng.uniform((WEST, SOUTH), (WEST + width, SOUTH + height))
        w, h = rng.uniform(3, 12, 2)
        found.append(shapely.affinity.rotate(box(x, y, x + w, y + h), rng.uniform(0, 90)))
    return found


def vectors(path: Path, shapes, crs=CRS) -> Path:
    path.parent.mkdir(exist_ok=True)
    frame = gpd.GeoDataFrame({"a": range(len(shapes))}, geometry=list(shapes), crs=crs)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "'crs' was not provided")
        frame.to_parquet(path, write_covering_bbox=True) if path.suffix == ".parquet" else frame.to_file(path)
    return path


def moved(shapes, crs):
    return gpd.GeoSeries(shapes, crs=CRS).to_crs(crs)


def centres(grid):
    rows, cols = np.mgrid[: grid.height, : grid.width] + 0.5
    return grid.transform @ (cols, rows)


def last_polygon(shapes, grid):
    """The place from 1 of the last polygon over each pixel's centre."""
    found = np.zeros((grid.height, grid.width), int)
    for i, shape in enumerate(shapes):
        found[shapely.contains_xy(shape, *centres(grid))] = i + 1
    return found


def same_objects(ids, expected):
    """Whether two maps of numbers show the same objects, whatever their numbers."""
    pairs = np.unique(np.stack([ids.ravel(), expected.ravel()]), axis=1)
    return all(len(np.unique(side)) == pairs.shape[1] for side in pairs) and ((ids > 0) == (expected > 0)).all()


@pytest.fixture
def write_mask(write_raster):
    def write(path, mask):
        where = from_origin(WEST, SOUTH + HEIGHT / 2, 0.5, 0.5)
        return write_raster(path, np.asarray(mask, "uint8")[None] * 255, crs=CRS, transform=where, nodata=None)

    return write


def compare(pred, truth, area=None, **how):
    return comparisons(pred, truth, 0.5, area, "file", **how)


def strips(grid, rows):
    return [Window(row, 0, rows, grid.width).intersection(grid.window) for row in range(0, grid.height, rows)]


@pytest.mark.parametrize("vector_is", ["pred", "truth"])
@pytest.mark.parametrize(("suffix", "crs"), [("gpkg", CRS), ("geojson", "EPSG:4326"), ("parquet", "EPSG:3857")])
def test_a_raster_with_vectors_strip_by_strip(tmp_path, rng, write_mask, vector_is, suffix, crs):
    mask, shapes = rng.random((HEIGHT, WIDTH)) > 0.5, houses(rng, 60)
    raster = write_mask(tmp_path / "r.tif", mask)
    polygons = vectors(tmp_path / f"v.{suffix}", moved(shapes, crs), crs)
    aoi = [box(WEST + 10, SOUTH + 20, WEST + 70, SOUTH + 100)]
    area = vectors(tmp_path / "aoi.gpkg", aoi)
    sides = (polygons, raster) if vector_is == "pred" else (raster, polygons)
    (comparison,), notes = compare(*sides, area)
    grid = comparison.grid
    assert (grid.height, grid.width, grid.located, grid.pixel_size) == (HEIGHT, WIDTH, True, (0.5, 0.5))
    assert comparison.polygons() is None
    expected, inside = last_polygon(shapes, grid), last_polygon(aoi, grid) > 0
    found, ids = [], []
    with comparison.opened() as opened:
        for window in strips(grid, 30):
            found.append(opened.read(window))
            of_vectors, of_raster = opened.pred_ids(window), opened.true_ids(window)
            if vector_is == "truth":
                of_vectors, of_raster = of_raster, of_vectors
            assert of_raster is None
            ids.append(of_vectors)
    pred, truth, valid = map(np.concatenate, zip(*found, strict=True))
    burnt, read = (pred, truth) if vector_is == "pred" else (truth, pred)
    np.testing.assert_array_equal(read, mask)
    np.testing.assert_array_equal(valid, inside)
    # moved there and back, a corner may pass a pixel's centre
    assert (burnt != (expected > 0)).mean() < (1e-9 if crs == CRS else 1e-3)
    ids = np.concatenate(ids)
    assert ids.dtype == np.int64
    np.testing.assert_array_equal(ids > 0, burnt)
    assert len(np.unique(ids)) == len(np.unique(expected))
    if crs == CRS:
        assert same_objects(ids, expected)
    for side, strip in zip(comparison.read(Window(33, 20, 50, 60)), (pred, truth, valid), strict=True):
        np.testing.assert_array_equal(side, strip[33:83, 20:80])
    assert list(notes) == []


def test_rasters_stay_open_while_strips_are_read(tmp_path, rng, write_mask, monkeypatch):
    pred, truth = rng.random((2, HEIGHT, WIDTH)) > 0.5
    files = write_mask(tmp_path / "p.tif", pred), write_mask(tmp_path / "t.tif", truth)
    (comparison,), _ = compare(*files)
    opened_files = []
    open_ = rasterio.open
    monkeypatch.setattr(rasterio, "open", lambda *args: opened_files.append(args[0]) or open_(*args))
    with comparison.opened() as opened:
        found = [opened.read(window) for window in strips(comparison.grid, 16)]
        assert opened.pred_ids(comparison.grid.window) is opened.true_ids(comparison.grid.window) is None
    assert opened_files == list(files)
    for side, expected in zip(map(np.concatenate, zip(*found, strict=True)), (pred, truth, True), strict=True):
        np.testing.assert_array_equal(side, np.broadcast_to(expected, (HEIGHT, WIDTH)))


class TestVectorsWithVectors:
    @pytest.mark.parametrize(
        ("pred_crs", "truth_crs", "expected_crs"),
        [
            (CRS, CRS, CRS),
            ("EPSG:4326", CRS, CRS),
            (CRS, "EPSG:3006", "EPSG:3006"),
            (CRS, "EPSG:4326", CRS),  # the UTM zone of the place
            ("EPSG:3857", "EPSG:3857", CRS),
        ],
    )
    def test_they_meet_on_a_grid_in_metres(self, tmp_path, rng, pred_crs, truth_crs, expected_crs):
        sides = houses(rng, 40), houses(rng, 40)
        files = [
            vectors(tmp_path / name, moved(shapes, crs), crs)
            for name, shapes, crs in zip(("p.gpkg", "t.geojson"), sides, (pred_crs, truth_crs), strict=True)
        ]
        (comparison,), _ = compare(*files)
        grid = comparison.grid
        assert grid.crs == rasterio.CRS.from_user_input(expected_crs)
        assert grid.pixel_size == pytest.approx((0.25, 0.25))
        here = [moved(shapes, expected_crs).to_numpy() for shapes in sides]
        covered = box(*(grid.transform @ (0, grid.height)), *(grid.transform @ (grid.width, 0)))
        assert covered.buffer(-0.99).covers(shapely.union_all(np.concatenate(here)))
        bounds = shapely.total_bounds(np.concatenate(here))
        if pred_crs == truth_crs == expected_crs:
            assert covered.area < np.prod(bounds[2:] - bounds[:2] + 2.5)
        found = [comparison.read(window) for window in strips(grid, 50)]
        pred, truth, valid = map(np.concatenate, zip(*found, strict=True))
        assert valid.all()
        ids = [comparison.pred_ids(grid.window), comparison.true_ids(grid.window)]
        for burnt, numbers, shapes in zip((pred, truth), ids, here, strict=True):
            expected = last_polygon(shapes, grid)
            assert (burnt != (expected > 0)).mean() < 1e-3
            np.testing.assert_array_equal(numbers > 0, burnt)
            assert len(np.unique(numbers)) == len(np.unique(expected))
        for found_polygons, shapes in zip(comparison.polygons(), here, strict=True):
            assert len(found_polygons) == 40
            assert shapely.area(shapely.symmetric_difference(found_polygons, shapes)).max() < 0.01

    def test_resolution_and_area(self, tmp_path, rng):
        sides = houses(rng, 40), houses(rng, 40)
        files = [vectors(tmp_path / f"{i}.parquet", shapes) for i, shapes in enumerate(sides)]
        aoi = Polygon([(WEST, SOUTH), (WEST + 80, SOUTH), (WEST, SOUTH + 90)])
        area = vectors(tmp_path / "aoi.geojson", moved([aoi], "EPSG:4326"), "EPSG:4326")
        (comparison,), _ = compare(*files, area, resolution=0.6)
        grid = comparison.grid
        west, north = grid.transform @ (0, 0)
        assert grid.pixel_size == pytest.approx((0.6, 0.6))
        assert west / 0.6 == pytest.approx(round(west / 0.6), abs=1e-6)
        assert abs(west - WEST + 1) <= 0.6
        assert abs(north - (SOUTH + 90) - 1) <= 1.7  # the area's own CRS is turned
        np.testing.assert_array_equal(comparison.read(grid.window).valid, last_polygon([aoi], grid) > 0)
        for found, shapes in zip(comparison.polygons(), sides, strict=True):
            expected = [shape for shape in shapes if aoi.contains(shape.centroid)]
            assert 0 < len(expected) < 30
            assert shapely.equals(found, expected).all()

    def test_one_side_may_be_empty(self, tmp_path, rng):
        shapes = houses(rng, 5)
        some, none = vectors(tmp_path / "some.gpkg", shapes), vectors(tmp_path / "none.gpkg", [])
        for sides in ((some, none), (none, some)):
            (comparison,), _ = compare(*sides)
            masks = dict(zip(sides, comparison.read(comparison.grid.window)[:2], strict=True))
            assert masks[some].any()
            assert not masks[none].any()
            assert sorted(map(len, comparison.polygons())) == [0, 5]
        with pytest.raises(PairingError, match=r"none\.gpkg and .*none\.gpkg hold no polygon"):
            compare(none, none)

    def test_tiles_that_are_empty_on_both_sides_are_left_out(self, tmp_path, rng):
        for folder in ("p", "t"):
            vectors(tmp_path / folder / "a.gpkg", houses(rng, 5))
            vectors(tmp_path / folder / "b.geojson", [])
        found, notes = compare(tmp_path / "p", tmp_path / "t")
        assert [comparison.name for comparison in found] == ["a"]
        assert list(notes) == ["b: neither side holds a polygon, so there is no place to compare; left out"]
        area = vectors(tmp_path / "aoi.gpkg", [box(WEST, SOUTH, WEST + 90, SOUTH + 125)])
        found, notes = compare(tmp_path / "p", tmp_path / "t", area)
        assert [comparison.name for comparison in found] == ["a", "b"]
        assert list(notes) == []

    def test_a_folder_with_one_truth(self, tmp_path, rng):
        vectors(tmp_path / "p" / "a.gpkg", houses(rng, 5))
        vectors(tmp_path / "p" / "b.gpkg", houses(rng, 5))
        found, _ = compare(tmp_path / "p", vectors(tmp_path / "t.geojson", houses(rng, 30)))
        assert [comparison.name for comparison in found] == ["a", "b"]
        assert all(len(comparison.polygons()[1]) == 30 for comparison in found)

    def test_without_a_crs_the_files_unit_counts(self, tmp_path):
        shapes = [box(0, 0, 10, 10), box(20, 5, 30, 9)]
        files = [vectors(tmp_path / f"{name}.gpkg", shapes, crs=None) for name in "pt"]
        (comparison,), _ = compare(*files, resolution=0.5)
        grid = comparison.grid
        assert (grid.height, grid.width) == (24, 64)
        assert (grid.pixel_size, grid.located) == (None, False)
        assert comparison.read(grid.window).pred.sum() == 4 * (100 + 40)

    def test_mistakes(self, tmp_path, rng):
        shapes = houses(rng, 5)
        here = vectors(tmp_path / "here.gpkg", shapes)
        there = vectors(tmp_path / "there.gpkg", [box(WEST + 900, SOUTH, WEST + 910, SOUTH + 9)])
        wide = vectors(tmp_path / "wide.gpkg", [*houses(rng, 5), box(WEST + 2e5, SOUTH + 2e5, WEST + 3e5, SOUTH + 3e5)])
        bare = vectors(tmp_path / "bare.gpkg", houses(rng, 5), crs=None)
        points = vectors(tmp_path / "points.gpkg", [shapes[0].centroid])
        empty = vectors(tmp_path / "empty.gpkg", [])
        for sides, area, error, message in (
            ((here, there), None, PairingError, r"here\.gpkg and .*there\.gpkg lie apart"),
            ((here, here), there, PairingError, r"no polygon of .*here\.gpkg lies on the ground compared"),
            ((here, here), empty, PairingError, r"empty\.gpkg holds no polygon"),
            ((here, points), None, PairingError, r"points\.gpkg holds 1 features but no polygon"),
            ((here, bare), None, PairingError, r"bare\.gpkg has no CRS but .*here\.gpkg is in EPSG:32633"),
            ((bare, here), None, PairingError, r"bare\.gpkg has no CRS but .*here\.gpkg is in EPSG:32633"),
            ((here, here), bare, PairingError, r"bare\.gpkg has no CRS"),
            ((here, wide), None, InputError, r"pixels of 0\.25 m; give an --area or a coarser --resolution"),
        ):
            with pytest.raises(error, match=message):
                compare(*sides, area)
        for resolution in (0, -1, np.nan, np.inf):
            with pytest.raises(SettingError, match="resolution"):
                compare(here, here, resolution=resolution)

    def test_both_sides_of_the_antimeridian(self, tmp_path):
        spots = [(179.999, -17.0), (-179.999, -17.0)]
        in_degrees = vectors(tmp_path / "d.gpkg", [Point(spot).buffer(1e-4) for spot in spots], crs=4326)
        with pytest.raises(InputError, match=r"d\.gpkg reaches from 180° west to 180° east.* UTM"):
            compare(in_degrees, in_degrees)
        east, south = rasterio.warp.transform("EPSG:4326", "EPSG:32701", *zip(*spots, strict=True))
        in_metres = vectors(
            tmp_path / "m.gpkg", [Point(x, y).buffer(10) for x, y in zip(east, south, strict=True)], 32701
        )
        ((one,), _) = compare(in_metres, in_metres)
        assert one.grid.width * 0.25 < 300
        area = vectors(tmp_path / "a.gpkg", [Point(spots[0]).buffer(5e-4)], crs=4326)
        ((one,), _) = compare(in_degrees, in_degrees, area)
        assert one.read(one.grid.window).pred.any()

    def test_a_resolution_is_not_for_rasters(self, tmp_path, write_mask, rng):
        raster = write_mask(tmp_path / "r.tif", np.ones((HEIGHT, WIDTH)))
        with pytest.raises(SettingError, match=r"resolution is 0\.5 m, but .* has its own"):
            compare(raster, vectors(tmp_path / "v.gpkg", houses(rng, 5)), resolution=0.5)


def test_notes_tell_what_was_read(tmp_path, write_mask):
    raster = write_mask(tmp_path / "r.tif", np.ones((HEIGHT, WIDTH)))
    top = SOUTH + HEIGHT / 2
    ties = [Polygon([(0, 0), (2, 2), (2, 0), (0, 2)]), Polygon([(0, 110), (2, 112), (2, 110), (0, 112)])]
    shapes = [shapely.affinity.translate(tie, WEST + 5, SOUTH + 5) for tie in ties]
    (comparison,), notes = compare(raster, vectors(tmp_path / "v.gpkg", [*shapes, Point(WEST + 9, top - 60)]))
    assert list(notes) == ["v.gpkg: features with an invalid outline were repaired: 1"]
    for _ in range(2):
        for window in strips(comparison.grid, 20):
            comparison.read(window)
    assert list(notes) == [
        "v.gpkg: features with an invalid outline were repaired: 2",
        "v.gpkg: features that are no polygons were left out: 1",
    ]
