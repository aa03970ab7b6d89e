from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
from rasterio.transform import from_origin
from shapely import Polygon, box

from crispmap.data.folder import find_scenes, natural_order
from crispmap.errors import InputError, PairingError
from crispmap.geo.raster import Window

ORIGIN = (500_000, 5_000_000)


def imagery(rng, bands=3, height=80, width=100, dtype="uint8"):
    return rng.integers(1, 200, (bands, height, width)).astype(dtype)


def mask(height=80, width=100, high=255):
    out = np.zeros((height, width), "uint8")
    out[20:40, 30:60] = high
    return out


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def pair(tmp_path, write_raster, rng):
    """Two images with masks."""
    for name in ("a", "b"):
        write_raster(tmp_path / "images" / f"{name}.tif", imagery(rng))
        write_raster(tmp_path / "masks" / f"{name}.tif", mask())
    return tmp_path / "images", tmp_path / "masks"


def footprints(path, polygons, crs="EPSG:32633"):
    gpd.GeoDataFrame(geometry=polygons, crs=crs).to_file(path)
    return path


def square(row, col, height, width, resolution=0.5):
    """A polygon over whole pixels of the rasters that `write_raster` makes."""
    west, north = ORIGIN[0] + col * resolution, ORIGIN[1] - row * resolution
    return box(west, north - height * resolution, west + width * resolution, north)


def test_masks_pair_by_stem(pair):
    scenes = find_scenes(*pair)
    assert [scene.image.path.stem for scene in scenes] == ["a", "b"]
    sample = scenes[0].read(Window(0, 0, 80, 100), (80, 100))
    np.testing.assert_array_equal(sample.label, mask(high=1))


def test_hidden_files_are_no_images_and_no_labels(pair):
    for folder in pair:
        (folder / "._a.tif").write_bytes(b"\0\5\x16\7")  # as macOS leaves them
    assert [scene.image.path.name for scene in find_scenes(*pair)] == ["a.tif", "b.tif"]


def test_names_are_in_natural_order():
    names = ["tile_10.tif", "tile_2.tif", "10²3.tif", "9.tif", "tile_2b.tif"]
    found = sorted(map(Path, names), key=natural_order)
    assert [path.name for path in found] == ["9.tif", "10²3.tif", "tile_2.tif", "tile_2b.tif", "tile_10.tif"]


def test_suffixes_of_labels_do_not_count(pair):
    for file in list(pair[1].iterdir()):
        file.rename(file.with_name(f"{file.stem}_label.tif"))
    assert len(find_scenes(*pair)) == 2


def test_grey_masks_are_cut_at_half(tmp_path, write_raster, rng):
    grey = mask()
    grey[20:40, 30], grey[20:40, 31] = 127, 128
    image = write_raster(tmp_path / "i.tif", imagery(rng))
    label = write_raster(tmp_path / "other_name.tif", grey)
    (scene,) = find_scenes(image, label)
    read = scene.read(Window(0, 0, 80, 100), (80, 100)).label
    assert read[25, 30] == 0
    assert read[25, 31] == 1


@pytest.mark.parametrize("suffix", [".gpkg", ".geojson", ".shp"])
@pytest.mark.parametrize("crs", ["EPSG:32633", "EPSG:4326", "EPSG:3857"])
def test_vectors_of_any_crs_give_the_mask_they_draw(tmp_path, write_raster, rng, suffix, crs):
    image = write_raster(tmp_path / "i.tif", imagery(rng))
    layer = gpd.GeoSeries([square(20, 30, 20, 30).buffer(0.05)], crs="EPSG:32633").to_crs(crs)
    footprints(tmp_path / f"f{suffix}", layer.tolist(), crs)
    (scene,) = find_scenes(image, tmp_path / f"f{suffix}")
    np.testing.assert_array_equal(scene.read(Window(0, 0, 80, 100), (80, 100)).label, mask(high=1))


def test_windows_read_parts_of_the_whole(pair):
    scene = find_scenes(*pair)[0]
    whole = scene.read(Window(0, 0, 80, 100), (80, 100))
    part = scene.read(Window(10, 25, 30, 20), (30, 20))
    np.testing.assert_array_equal(part.image, whole.image[:, 10:40, 25:45])
    np.testing.assert_array_equal(part.label, whole.label[10:40, 25:45])


def test_beyond_the_image_everything_is_ignored(pair):
    sample = find_scenes(*pair)[0].read(Window(-5, 90, 20, 20), (20, 20))
    covered = np.zeros((20, 20), bool)
    covered[5:, :10] = True
    np.testing.assert_array_equal(sample.label == 255, ~covered)
    np.testing.assert_array_equal(np.isnan(sample.image).all(axis=0), ~covered)


def test_nodata_needs_all_bands(tmp_path, write_raster, rng):
    pixels = imagery(rng)
    pixels[:, 5, 5] = 255
    pixels[0, 6, 6] = 255  # a bright roof
    image = write_raster(tmp_path / "i.tif", pixels, nodata=255)
    label = write_raster(tmp_path / "m.tif", mask())
    whole = Window(0, 0, 80, 100)

    def ignored(nodata):
        (scene,) = find_scenes(image, label, nodata=nodata)
        return np.argwhere(scene.read(whole, (80, 100)).label == 255).tolist()

    assert ignored("file") == [[5, 5]]
    assert ignored("none") == []
    assert ignored(float(pixels[0, 0, 0])) == [] or pixels[:, 0, 0].std() == 0


def test_area_limits_what_is_known(tmp_path, write_raster, rng):
    image = write_raster(tmp_path / "i.tif", imagery(rng))
    labels = footprints(tmp_path / "f.gpkg", [square(20, 30, 20, 30), square(60, 80, 10, 10)])
    area = footprints(tmp_path / "aoi.gpkg", [square(0, 0, 50, 100)])
    (scene,) = find_scenes(image, labels, area=area)
    label = scene.read(Window(0, 0, 80, 100), (80, 100)).label
    assert (label[:50] != 255).all()
    assert (label[50:] == 255).all()
    assert len(scene.anchors) == 1


def test_halved_imagery_is_averaged(pair):
    scene = find_scenes(*pair, scale=0.5)[0]
    full = scene.read(Window(10, 20, 40, 40), (40, 40))
    half = scene.read(Window(10, 20, 40, 40), (20, 20))
    np.testing.assert_allclose(half.image, full.image.reshape(3, 20, 2, 20, 2).mean((2, 4)), rtol=1e-6)
    np.testing.assert_array_equal(half.label, full.label.reshape(20, 2, 20, 2).mean((1, 3)) >= 0.5)


def test_resolution_follows_the_ground(pair):
    (scene, _) = find_scenes(*pair, resolution=1.0)
    assert scene.scale == pytest.approx(0.5)
    assert scene.side(64) == 128


def test_bow_ties_are_repaired_and_points_reported(tmp_path, write_raster, rng, caplog):
    image = write_raster(tmp_path / "i.tif", imagery(rng))
    x, y = ORIGIN
    bow_tie = Polygon([(x + 5, y - 5), (x + 15, y - 15), (x + 15, y - 5), (x + 5, y - 15)])
    footprints(tmp_path / "f.geojson", [bow_tie, box(x, y, x, y).centroid])
    (scene,) = find_scenes(image, tmp_path / "f.geojson")
    assert len(scene.label.footprints.polygons) == 2
    assert "1 invalid polygons repaired" in caplog.text
    assert "1 features without an area left out" in caplog.text


def test_a_courtyard_bent_through_its_wall_is_repaired_and_reported(tmp_path, write_raster, rng, caplog):
    west, south, east, north = gpd.GeoSeries([square(20, 30, 40, 40)], crs="EPSG:32633").to_crs(4326).total_bounds
    court = [(west + (east - west) * x, south + (north - south) * y) for x, y in ((0.5, 0), (0.7, 0.5), (0.3, 0.5))]
    for name in ("a", "b"):
        write_raster(tmp_path / "images" / f"{name}.tif", imagery(rng))
        house = Polygon(box(west, south, east, north).exterior, [court])
        footprints(tmp_path / f"{name}.gpkg", [house], 4326)
    for labels, files in ((tmp_path / "a.gpkg", "a"), (tmp_path, "ab")):
        caplog.clear()
        scenes = find_scenes(tmp_path / "images", labels)
        for scene in scenes:
            label = scene.read(Window(0, 0, 80, 100), (80, 100)).label
            assert label.sum() == pytest.approx(40 * 40 * 0.9, rel=0.02)
        assert caplog.messages == [f"{tmp_path / file}.gpkg: 1 invalid polygons repaired" for file in files]


def test_masks_without_a_place_serve_located_images(tmp_path, write_raster, rng):
    image = write_raster(tmp_path / "i.tif", imagery(rng))
    label = write_raster(tmp_path / "m.png", mask())
    assert len(find_scenes(image, label)) == 1


class TestBadInput:
    def refused(self, error, match, images, labels, **settings):
        with pytest.raises(error, match=match) as caught:
            find_scenes(images, labels, **settings)
        assert "\n" not in str(caught.value)

    def test_missing_partner(self, pair):
        (pair[1] / "b.tif").unlink()
        self.refused(PairingError, r"no label in .* for b\.tif", *pair)

    def test_two_labels_of_one_image(self, pair):
        (pair[1] / "a_mask.tif").write_bytes((pair[1] / "b.tif").read_bytes())
        self.refused(PairingError, r"a\.tif and a_mask\.tif are both labels of 'a'", *pair)

    def test_empty_folder(self, pair, tmp_path):
        (tmp_path / "none").mkdir()
        self.refused(InputError, "no images in", tmp_path / "none", pair[1])
        self.refused(InputError, "no labels at", pair[0], tmp_path / "none")

    def test_label_of_another_size(self, pair, write_raster):
        write_raster(pair[1] / "a.tif", mask(90, 100))
        self.refused(PairingError, "100×90 pixels but .* 100×80", *pair)

    def test_label_in_another_place(self, pair, write_raster):
        write_raster(pair[1] / "a.tif", mask(), transform=from_origin(ORIGIN[0] + 2, ORIGIN[1], 0.5, 0.5))
        self.refused(PairingError, "share one grid", *pair)

    @pytest.mark.parametrize(
        ("transform", "fits"),
        [
            (from_origin(*ORIGIN, 0.5, 0.5), True),
            (from_origin(ORIGIN[0] + 2, ORIGIN[1], 0.5, 0.5), False),
            (from_origin(0, 0, 1, 1), True),  # no place at all
            (from_origin(0, 80, 0.5, 0.5), True),
        ],
    )
    def test_label_without_a_crs_is_in_the_images(self, pair, write_raster, transform, fits):
        write_raster(pair[1] / "a.tif", mask(), crs=None, transform=transform)
        if fits:
            assert len(find_scenes(*pair)) == 2
        else:
            self.refused(PairingError, r"lies \+4\.00 columns .* share one grid", *pair)

    def test_vectors_elsewhere(self, pair, tmp_path):
        labels = footprints(tmp_path / "f.gpkg", [square(5000, 5000, 20, 20)])
        self.refused(PairingError, "does not overlap", pair[0], labels)

    def test_crs_missing_on_the_image(self, tmp_path, write_raster, rng):
        image = write_raster(tmp_path / "i.png", imagery(rng))
        labels = footprints(tmp_path / "f.gpkg", [square(20, 30, 20, 30)])
        self.refused(PairingError, r"i\.png has no CRS", image, labels)

    def test_crs_missing_on_the_vectors(self, pair, tmp_path):
        labels = footprints(tmp_path / "f.gpkg", [square(20, 30, 20, 30)], crs=None)
        self.refused(PairingError, r"f\.gpkg has no CRS", pair[0], labels)

    def test_differing_bands(self, pair, write_raster, rng):
        write_raster(pair[0] / "b.tif", imagery(rng, bands=2))
        self.refused(InputError, "3 bands of uint8, b.tif 2", *pair)

    def test_numbers_of_classes(self, pair, write_raster):
        write_raster(pair[1] / "a.tif", mask(high=3))
        write_raster(pair[1] / "b.tif", mask(high=5))
        self.refused(InputError, r"neither \{0,1\} nor \{0,255\}", *pair)

    def test_nothing_marked(self, pair, write_raster):
        for name in ("a", "b"):
            write_raster(pair[1] / f"{name}.tif", mask(high=0))
        self.refused(InputError, "marks nothing", *pair)

    def test_damaged_files(self, pair, tmp_path):
        (pair[0] / "a.tif").write_bytes((pair[0] / "a.tif").read_bytes()[:100])
        self.refused(InputError, "cannot be read as a raster", *pair)
        (tmp_path / "f.gpkg").write_text("no database")
        (pair[0] / "a.tif").unlink()
        self.refused(InputError, "cannot be read as vectors", pair[0], tmp_path / "f.gpkg")

    def test_resolution_without_a_place(self, tmp_path, write_raster, rng):
        image = write_raster(tmp_path / "i.png", imagery(rng))
        label = write_raster(tmp_path / "m.png", mask())
        self.refused(InputError, "ground resolution is unknown", image, label, resolution=0.5)
