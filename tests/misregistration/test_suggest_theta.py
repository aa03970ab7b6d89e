"""θ from files: synthetic scenes whose labels are displaced by known offsets, in the forms that users have them."""

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from rasterio.transform import from_origin

from crispmap import suggest_theta
from crispmap.data.synthetic import write_scenes
from crispmap.errors import InputError, PairingError, SettingError

PIXEL = 0.3


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """Three scenes whose labels lie up to 4 px off, each by itself."""
    folder = tmp_path_factory.mktemp("scenes")
    write_scenes(folder, 3, 448, 5, workers=1, label_offset=1.2)
    return folder


@pytest.fixture(scope="module")
def true_offsets(scenes):
    """(n, 2) in pixels right and down, of all displaced labels."""
    labels = gpd.read_file(scenes / "footprints_offset.gpkg")
    return labels[["offset_east", "offset_north"]].to_numpy() / PIXEL * (1, -1)


@pytest.fixture(scope="module")
def shifted(scenes, tmp_path_factory):
    """Masks that lie 3 px right and 2 px up of the buildings, as one sheet."""
    folder = tmp_path_factory.mktemp("shifted")
    for path in (scenes / "masks").iterdir():
        with rasterio.open(path) as file:
            mask = np.roll(file.read(), (-2, 3), (1, 2))
            with rasterio.open(folder / path.name, "w", **file.profile) as out:
                out.write(mask)
    return folder


def test_polygons_against_the_true_ones(scenes, true_offsets):
    result = suggest_theta(scenes / "images", scenes / "footprints_offset.gpkg", reference=scenes / "footprints.gpkg")
    assert result.measured > 40
    distances = np.hypot(*true_offsets.T)
    nearest = np.abs(result.offsets[:, None] - true_offsets).max(axis=2).min(axis=1)
    assert np.median(nearest) < 0.1  # each is the offset of a building
    assert result.median == pytest.approx(np.median(distances), abs=0.3)
    assert result.ninth_decile == pytest.approx(np.quantile(distances, 0.9), abs=0.3)
    assert result.theta in (7, 9)  # 9 if it were for 4 px × √0.9 = 3.8 px, but these are few buildings
    assert result.resolution == pytest.approx(PIXEL)
    assert result.against == str(scenes / "footprints.gpkg")
    assert not result.errors.any()


@pytest.mark.parametrize("labels", ["footprints_offset.gpkg", "masks_offset"])
def test_labels_against_the_imagery(scenes, true_offsets, labels):
    result = suggest_theta(scenes / "images", scenes / labels)
    assert result.measured > 25
    distances = np.hypot(*true_offsets.T)
    assert result.median == pytest.approx(np.median(distances), abs=0.5)
    assert result.ninth_decile == pytest.approx(np.quantile(distances, 0.9), abs=0.5)
    assert result.theta in (7, 9)
    assert 0.05 < np.median(result.errors) < 0.4


@pytest.mark.parametrize("labels", ["footprints.gpkg", "masks"])
def test_clean_labels_lie_where_they_should(scenes, labels):
    result = suggest_theta(scenes / "images", scenes / labels)
    assert result.median < 0.35
    assert result.ninth_decile < 1
    assert result.theta == 3
    same = suggest_theta(scenes / "images", scenes / labels, reference=scenes / labels)
    assert same.ninth_decile < 1e-4


@pytest.mark.parametrize("against_labels", [True, False])
def test_a_sheet_that_lies_off_as_a_whole(scenes, shifted, against_labels):
    result = suggest_theta(scenes / "images", shifted, reference=scenes / "masks" if against_labels else None)
    assert result.shift == pytest.approx((3, -2), abs=0.05 if against_labels else 0.25)
    assert result.scatter < (0.1 if against_labels else 1)
    assert result.theta == 9
    assert "right and" in result.findings()[1]
    assert "(θ = 3)" in result.findings()[1]


def test_pixels_are_those_the_network_sees(scenes, shifted):
    whole = suggest_theta(scenes / "images", shifted, reference=scenes / "masks")
    for how in ({"scale": 0.5}, {"resolution": 2 * PIXEL}):
        half = suggest_theta(scenes / "images", shifted, reference=scenes / "masks", **how)
        assert half.resolution == pytest.approx(2 * PIXEL)
        assert half.shift == pytest.approx((1.5, -1), abs=0.1)
        assert half.metres(half.median) == pytest.approx(whole.metres(whole.median), abs=0.05)
        assert half.theta == 5


def test_tiles_without_a_place_have_no_metres(tmp_path, write_raster, scenes, shifted):
    for kind, folder in (("images", scenes / "images"), ("labels", shifted), ("truth", scenes / "masks")):
        with rasterio.open(folder / "scene_0000.tif") as file:
            write_raster(tmp_path / kind / "a.png", file.read())
    result = suggest_theta(tmp_path / "images", tmp_path / "labels", reference=tmp_path / "truth")
    assert result.shift == pytest.approx((3, -2), abs=0.05)
    assert result.resolution is None
    assert " m)" not in str(result)


def test_a_raster_of_many_windows_measures_each_building_once(tmp_path, write_raster):
    """Houses on a grid across 900×1000 pixels: all are found, once, with the offset of their own."""
    rng = np.random.default_rng(0)
    labels, truth = np.zeros((2, 900, 1000), "uint8")
    moves = {}
    for row in range(30, 860, 60):
        for col in range(30, 960, 60):
            down, right = rng.integers(-3, 4, 2)
            height, width = rng.integers(18, 30, 2)
            truth[row : row + height, col : col + width] = 255
            labels[row + down : row + down + height, col + right : col + right + width] = 255
            moves[row, col] = (right, down)
    images = write_raster(tmp_path / "a.tif", truth)
    result = suggest_theta(
        images,
        write_raster(tmp_path / "l.tif", labels),
        reference=write_raster(tmp_path / "t.tif", truth),
        buildings=999,
    )
    assert result.measured == len(moves)
    assert result.left_out == 0
    found, known = (np.array(sorted(map(tuple, rows))) for rows in (result.offsets.round().tolist(), moves.values()))
    np.testing.assert_array_equal(found, known)
    assert len(result.gaps) == len(moves)


def test_the_seed_and_the_number_of_buildings(scenes):
    def measure(**how):
        return suggest_theta(scenes / "images", scenes / "masks_offset", reference=scenes / "masks", **how)

    few = measure(buildings=3)
    assert 3 <= few.measured < measure().measured
    np.testing.assert_array_equal(few.offsets, measure(buildings=3).offsets)
    others = [measure(buildings=3, seed=seed).offsets for seed in (1, 2, 3)]
    assert any(o.shape != few.offsets.shape or not np.array_equal(o, few.offsets) for o in others)


def test_buildings_outside_the_area_are_not_looked_at(tmp_path, scenes):
    with rasterio.open(scenes / "images" / "scene_0000.tif") as file:
        left, bottom, right, top = file.bounds
    area = tmp_path / "area.geojson"
    half = shapely.box(left, bottom, (left + right) / 2, top)
    gpd.GeoDataFrame(geometry=[half], crs="EPSG:32633").to_crs("EPSG:4326").to_file(area)
    one = scenes / "images" / "scene_0000.tif"
    for labels in (scenes / "masks" / "scene_0000.tif", scenes / "footprints.gpkg"):
        whole, inside = suggest_theta(one, labels), suggest_theta(one, labels, area=area)
        looked_at = inside.measured + inside.left_out
        assert 0 < inside.measured < whole.measured
        assert looked_at < 0.8 * (whole.measured + whole.left_out)


def test_what_is_cut_by_nodata_has_not_moved_less(tmp_path, write_raster):
    """Two of three buildings reach into ground without data, where label and truth end at the same line."""
    image, truth = np.full((1, 80, 160), 90, "uint8"), np.zeros((80, 160), "uint8")
    for col in (20, 60, 120):
        truth[30:50, col : col + 24] = 255
    image[:, :, 78:126] = 0
    paths = [
        write_raster(tmp_path / f"{name}.tif", pixels, nodata=nodata)
        for name, pixels, nodata in (("i", image, 0), ("l", np.roll(truth, 3, axis=1), None), ("t", truth, None))
    ]
    result = suggest_theta(paths[0], paths[1], reference=paths[2])
    np.testing.assert_allclose(result.offsets, [[3, 0]], atol=0.01)
    assert (result.unclear, result.partial) == (0, 2)


def test_a_mask_where_nothing_can_be_measured(tmp_path, write_raster):
    mask = np.zeros((80, 100), "uint8")
    mask[30:50, 30:60] = 255
    mask[0:9, 0:9] = 255
    images = write_raster(tmp_path / "i.tif", np.full((3, 80, 100), 90, "uint8"))
    with pytest.raises(InputError, match=r"none of the 2 buildings .*: 1 are cut by a border, 1 show no clear edge"):
        suggest_theta(images, write_raster(tmp_path / "m.tif", mask))
    elsewhere = np.roll(mask, 35, axis=1)
    with pytest.raises(InputError, match="no clear counterpart within 8 pixels"):
        suggest_theta(images, tmp_path / "m.tif", reference=write_raster(tmp_path / "r.tif", elsewhere))


def test_what_does_not_belong_together(scenes, tmp_path, write_raster):
    write_raster(tmp_path / "masks" / "other.tif", np.full((9, 9), 255, "uint8"), transform=from_origin(0, 0, 1, 1))
    with pytest.raises(PairingError):
        suggest_theta(scenes / "images", tmp_path / "masks")
    with pytest.raises(PairingError):
        suggest_theta(scenes / "images", scenes / "masks", reference=tmp_path / "masks")


@pytest.mark.parametrize(
    "how",
    [
        {"scale": 0.5, "resolution": 0.5},
        {"scale": 0.0},
        {"resolution": -1.0},
        {"resolution": float("nan")},
        {"buildings": 0},
        {"reach": 2},
        {"reach": 33},
        {"seed": -1},
    ],
)
def test_settings_out_of_range(how):
    with pytest.raises(SettingError, match=next(reversed(how))):
        suggest_theta("nowhere", "nowhere", **how)


def test_masks_of_real_imagery_moved_on_purpose(real_data, tmp_path, write_raster):
    """Whatever these labels are off by themselves, moving all of them by 6 and −4 of the file's pixels is seen."""
    images = sorted((real_data / "jonkoping" / "train" / "images").glob("barnarp_[01]_*.png"))
    for path in images:
        (tmp_path / "images").mkdir(exist_ok=True)
        (tmp_path / "images" / path.name).symlink_to(path)
        with rasterio.open(path.parents[1] / "masks" / path.name) as file:
            mask = file.read()
        write_raster(tmp_path / "masks" / path.name, mask)
        write_raster(tmp_path / "moved" / path.name, np.roll(mask, (-4, 6), (1, 2)))
    asis, moved = (suggest_theta(tmp_path / "images", tmp_path / name, scale=0.5) for name in ("masks", "moved"))
    assert min(asis.measured, moved.measured) > 20
    assert np.subtract(moved.shift, asis.shift) == pytest.approx((3, -2), abs=0.3)
    assert asis.median < 1
    assert moved.scatter == pytest.approx(asis.scatter, abs=0.6)
    assert asis.theta == 3
    assert moved.theta in (7, 9)
