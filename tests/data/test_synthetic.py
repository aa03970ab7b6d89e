"""Synthetic scenes: determinism, exactness of labels against independent geometry, and honest difficulty."""

import math
import os
from itertools import pairwise

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import rasterio.features
import shapely
from scipy.ndimage import map_coordinates
from scipy.stats import kstest

from crispmap.data.synthetic import building_offset, displace_labels, render_scene, write_scenes
from crispmap.data.synthetic.coverage import pixel_coverage
from crispmap.data.synthetic.dataset import _spread
from crispmap.data.synthetic.light import Sun
from crispmap.data.synthetic.plans import Frame, Wing, ridges, roof_surface
from crispmap.errors import CrispmapError, OutputError, SettingError

SEEDS = range(6)


@pytest.fixture(scope="module")
def scenes():
    return [render_scene(seed, index, 512) for seed in SEEDS for index in (0, 40)]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The same seed written twice: three scenes by one process, two scenes by two."""
    alone, shared = tmp_path_factory.mktemp("alone") / "out", tmp_path_factory.mktemp("shared") / "out"
    write_scenes(alone, 3, 160, 7, workers=1)
    write_scenes(shared, 2, 160, 7, workers=2)
    return alone, shared


def _on_map(scene, x, y):
    return scene.transform.c + 0.3 * x, scene.transform.f - 0.3 * y


# Determinism


def test_a_scene_depends_on_seed_index_and_size_alone():
    first = render_scene(3, 5, 96)
    np.random.seed(0)  # noqa: NPY002  nothing may depend on the global state
    again = render_scene(3, 5, 96)
    assert np.array_equal(first.image, again.image)
    assert np.array_equal(first.mask, again.mask)
    assert [f.polygon.wkb for f in first.footprints] == [f.polygon.wkb for f in again.footprints]
    for other in (render_scene(4, 5, 96), render_scene(3, 6, 96), render_scene(3, 5, 97)):
        assert not np.array_equal(first.image[:, :96, :96], other.image[:, :96, :96])


@pytest.mark.parametrize("name", ["scene_0000.tif", "scene_0001.tif"])
@pytest.mark.parametrize("kind", ["images", "masks"])
def test_files_are_the_same_whatever_the_number_of_workers_and_scenes(folders, kind, name):
    alone, shared = folders
    assert (alone / kind / name).read_bytes() == (shared / kind / name).read_bytes()


def test_footprints_are_the_same_whatever_the_number_of_workers_and_scenes(folders):
    alone, shared = (gpd.read_file(folder / "footprints.gpkg", layer="footprints") for folder in folders)
    assert len(shared)
    assert alone[alone.scene != "scene_0002"].reset_index(drop=True).equals(shared)


def test_writing_again_gives_the_same_bytes(folders, tmp_path):
    write_scenes(tmp_path / "out", 3, 160, 7, workers=1)
    for path in (tmp_path / "out").rglob("*.*"):
        assert path.read_bytes() == (folders[0] / path.relative_to(tmp_path / "out")).read_bytes(), path.name


# Labels


def test_mask_is_the_footprint_at_pixel_centres(scenes):
    for scene in scenes[:4]:
        columns, rows = np.meshgrid(np.arange(512) + 0.5, np.arange(512) + 0.5)
        x, y = _on_map(scene, columns, rows)
        inside = shapely.contains_xy(shapely.union_all([f.polygon for f in scene.footprints]), x, y)
        assert set(np.unique(scene.mask)) == {0, 255}
        assert np.array_equal(scene.mask == 255, inside)


def test_footprints_are_valid_and_do_not_overlap(scenes):
    for scene in scenes:
        polygons = [f.polygon for f in scene.footprints]
        assert all(p.is_valid and p.geom_type == "Polygon" for p in polygons)
        assert sum(p.area for p in polygons) == pytest.approx(shapely.union_all(polygons).area, abs=1e-6)


def test_rows_share_their_walls_exactly(scenes):
    walls = [
        left.polygon.intersection(right.polygon)
        for scene in scenes
        for left, right in pairwise(scene.footprints)
        if left.plan == right.plan == "row" and left.polygon.distance(right.polygon) == 0
    ]
    assert len(walls) > 20
    for wall in walls:
        assert wall.length > 8
        assert wall.area == 0


def test_all_plans_and_roofs_occur_in_plausible_sizes(scenes):
    footprints = [f for scene in scenes for f in scene.footprints]
    assert {f.plan for f in footprints} == {"rectangle", "L", "U", "T", "courtyard", "row"}
    assert {f.roof for f in footprints} == {"flat", "gabled", "hipped"}
    for f in footprints:
        assert (f.plan == "courtyard") == (len(f.polygon.interiors) == 1)
        width, length = sorted(np.hypot(*np.diff(_box_corners(f.polygon), axis=0).T))
        assert 5 < width <= length <= 40.01
        assert 2 < f.height < 16


def _box_corners(polygon):
    return np.array(shapely.minimum_rotated_rectangle(polygon).exterior.coords)[:3]


def test_buildings_take_a_tenth_to_a_third_of_the_ground(scenes):
    shares = [(scene.mask == 255).mean() for scene in scenes]
    assert 0.12 < np.mean(shares) < 0.3
    assert 0.05 < min(shares)
    assert max(shares) < 0.4


def test_scenes_of_one_seed_lie_apart():
    extents = []
    for index in (0, 1, 31, 32, 33):
        scene = render_scene(0, index, 128)
        left, top = _on_map(scene, 0, 0)
        extent = shapely.box(left, top - 128 * 0.3, left + 128 * 0.3, top)
        assert all(f.polygon.intersects(extent) for f in scene.footprints)
        extents.append(shapely.union_all([extent, *(f.polygon for f in scene.footprints)]))
    assert sum(e.area for e in extents) == pytest.approx(shapely.union_all(extents).area)


# Image against labels


def _edge_offsets(scene, shift=0.0):
    """Where the image's edge lies beyond each footprint's edge, in pixels, measured on profiles across it."""
    gray = scene.image.mean(axis=0)
    across = np.arange(-4, 4.01, 0.25)
    offsets = []
    others = [f.polygon for f in scene.footprints]
    for footprint in scene.footprints:
        if footprint.roof == "flat":  # a parapet is a second edge close by
            continue
        pixels = shapely.transform(
            footprint.polygon, lambda xy: (xy - (scene.transform.c, scene.transform.f)) / (0.3, -0.3)
        )
        ring = np.array(shapely.geometry.polygon.orient(pixels).exterior.coords)
        for start, end in pairwise(ring):
            length = math.dist(start, end)
            if length < 20:
                continue
            way = (end - start) / length
            outwards = np.array((way[1], -way[0]))
            along = np.arange(6, length - 6, 0.5)
            points = start + along[:, None, None] * way + (across + shift)[None, :, None] * outwards
            beyond = shapely.points(*_on_map(scene, *((start + end) / 2 + 3 * outwards)))
            if points.min() < 2 or points.max() > 509 or any(beyond.intersects(o) for o in others):
                continue
            profile = map_coordinates(gray, points[..., ::-1].reshape(-1, 2).T - 0.5, order=1)
            profile = profile.reshape(points.shape[:2]).mean(axis=0)
            inside, outside = profile[across <= -2].mean(), profile[across >= 2].mean()
            if abs(outside - inside) < 25:
                continue
            share = (profile - inside) / (outside - inside)
            crossings = np.flatnonzero((share[:-1] < 0.5) & (share[1:] >= 0.5))
            if len(crossings) == 1:
                k = crossings[0]
                offsets.append(across[k] + 0.25 * (0.5 - share[k]) / (share[k + 1] - share[k]))
    return offsets


def test_image_edges_lie_on_the_footprints_edges(scenes):
    offsets = np.concatenate([_edge_offsets(scene) for scene in scenes])
    assert len(offsets) > 100
    assert abs(np.median(offsets)) < 0.06
    shifted = np.concatenate([_edge_offsets(scene, shift=0.5) for scene in scenes])
    assert np.median(shifted) == pytest.approx(-0.5, abs=0.1)  # the measurement sees half a pixel


def test_no_threshold_on_colour_finds_the_buildings(scenes):
    images = np.stack([scene.image for scene in scenes]).astype(np.float32)
    truth = np.stack([scene.mask == 255 for scene in scenes])
    red, green, blue = images.transpose(1, 0, 2, 3)
    for feature in (red, green, blue, red - green, green - blue, 2 * green - red - blue, red - blue):
        for level in np.quantile(feature[::2], np.linspace(0.05, 0.95, 19)):
            for guess in (feature > level, feature < level):
                assert (guess & truth).sum() / (guess | truth).sum() < 0.45


# Parts


def test_coverage_is_the_area_of_the_intersection():
    rng = np.random.default_rng(0)
    for _ in range(30):
        outer = shapely.affinity.rotate(shapely.box(0, 0, *rng.uniform(2, 20, 2)), rng.uniform(0, 360))
        outer = shapely.affinity.translate(outer, *rng.uniform(-5, 15, 2))
        inner = outer.buffer(-0.7, join_style="mitre")
        polygon = outer.difference(inner) if rng.random() < 0.5 else outer
        cells = [[shapely.box(x, y, x + 1, y + 1) for x in range(18)] for y in range(12)]
        expected = shapely.area(shapely.intersection(polygon, cells))
        assert np.abs(pixel_coverage(polygon, 12, 18) - expected).max() < 1e-5


def test_coverage_of_edges_on_the_pixel_grid():
    expected = np.zeros((4, 5))
    expected[1:3, 2:5] = 1
    expected[3, 2:5] = 0.5
    assert np.array_equal(pixel_coverage(shapely.box(2, 1, 9, 3.5), 4, 5), expected)


def test_shadows_match_a_march_along_the_ray():
    rng = np.random.default_rng(1)
    height = np.zeros((80, 90), np.float32)
    for row, column in rng.integers(20, 60, (5, 2)):
        height[row : row + 9, column : column + 7] = rng.uniform(3, 9)
    sun, resolution = Sun(math.radians(140), math.radians(40)), 0.4
    rows, columns = np.mgrid[:80, :90].astype(float)
    expected = np.full(height.shape, -np.inf)
    for step in range(1, 80):
        at = rows - step * math.cos(sun.azimuth), columns + step * math.sin(sun.azimuth)
        reached = map_coordinates(height, at, order=1, mode="nearest") - step * math.tan(sun.elevation) * 0.4
        expected = np.maximum(expected, reached)
    shaded = sun.shadow_ceiling(height, resolution) > 0.5
    assert 100 < shaded.sum() < 4000
    assert (shaded != (expected > 0.5)).mean() < 0.01


def test_a_slope_that_faces_the_sun_is_bright():
    sun = Sun(math.radians(180), math.radians(45))  # from the south, which is down
    to_south = np.repeat(-np.arange(20, dtype=np.float32)[:, None], 20, axis=1)  # sinks by 1 m a metre
    light = sun.shade(to_south, 1.0, ambient=0.0)
    assert light[10, 10] == pytest.approx(math.sqrt(2), rel=1e-5)
    assert sun.shade(to_south[::-1], 1.0, ambient=0.0)[10, 10] == pytest.approx(0, abs=1e-6)
    assert sun.shade(np.zeros((5, 5), np.float32), 1.0, ambient=0.3) == pytest.approx(1.0)


@pytest.mark.parametrize(("roof", "corner"), [("hipped", 1.0), ("gabled", 2.0)])
def test_roof_over_a_rectangle(roof, corner):
    x = np.array([[0.0, 9.0, 8.0]], np.float32)
    y = np.array([[0.0], [2.0]], np.float32)
    over = ridges(Frame(0, 0, 0), [Wing(-10, -4, 10, 4)])
    rise, _ = roof_surface(roof, over, 0.5, x, y)
    assert rise[0, 0] == pytest.approx(2.0)  # on the ridge, half the width times the pitch
    assert rise[1, 0] == pytest.approx(1.0)  # half way down
    assert rise[0, 2] == pytest.approx(corner)  # 2 m from the end: a hip has come down, a gable has not


@pytest.mark.parametrize(("seed", "index", "size"), [(-1, 0, 64), (0, -1, 64), (0, 0, 63)])
def test_numbers_out_of_range(seed, index, size):
    with pytest.raises(SettingError, match=r"is -?\d+"):
        render_scene(seed, index, size)


@pytest.mark.parametrize("size", [64, 77, 300])
@pytest.mark.parametrize("resolution", [0.1, 0.5])
def test_any_size_and_resolution(size, resolution):
    scene = render_scene(1, 0, size, resolution)
    assert scene.image.shape == (3, size, size)
    assert scene.mask.shape == (size, size)
    assert scene.transform.a == resolution
    assert scene.image.std() > 5


# Files


def test_files_agree_on_where_things_are(folders):
    footprints = gpd.read_file(folders[0] / "footprints.gpkg", layer="footprints")
    assert list(footprints.columns) == ["scene", "building", "plan", "roof", "height", "geometry"]
    assert footprints.crs == "EPSG:32633"
    for index in range(3):
        scene, name = render_scene(7, index, 160), f"scene_{index:04d}"
        with (
            rasterio.open(folders[0] / "images" / f"{name}.tif") as image,
            rasterio.open(folders[0] / "masks" / f"{name}.tif") as mask,
        ):
            assert image.crs == mask.crs == footprints.crs
            assert image.transform == mask.transform == scene.transform
            assert (image.count, mask.count, image.dtypes[0], mask.dtypes[0]) == (3, 1, "uint8", "uint8")
            assert image.profile["tiled"]
            assert image.compression.value == "DEFLATE"
            assert np.array_equal(image.read(), scene.image)
            here = footprints.cx[slice(*image.bounds[::2]), slice(*image.bounds[1::2])]
            assert set(here.scene) <= {name}
            drawn = np.zeros(mask.shape, np.uint8)
            if len(here):
                drawn = rasterio.features.rasterize(here.geometry, mask.shape, transform=mask.transform)
            assert np.array_equal(mask.read(1), 255 * drawn)


def test_nothing_is_left_when_writing_fails(tmp_path):
    for scenes, size, seed, workers in ((0, 64, 0, 1), (1, 63, 0, 1), (1, 64, -1, 1), (1, 64, 0, 0)):
        with pytest.raises(SettingError):
            write_scenes(tmp_path / "out" / "deeper", scenes, size, seed, workers)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("largest", "size"), [("scene_0000.tif", 256), ("footprints.gpkg", 64)])
def test_a_disk_that_fills_up_at_the_very_end_of_a_file(tmp_path, no_file_beyond, largest, size):
    write_scenes(tmp_path / "whole", 1, size, 0, 1)
    room = max(path.stat().st_size for path in (tmp_path / "whole").rglob("*.*")) - 1
    with no_file_beyond(room), pytest.raises(OutputError, match=rf"{largest} cannot be .*is the disk full\?"):
        write_scenes(tmp_path / "cut", 1, size, 0, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["whole"]


def test_a_process_that_is_killed():
    with pytest.raises(CrispmapError, match=r"one of 2 processes .* was killed.* give fewer workers"):
        list(_spread(os._exit, 2, 2))


# Displaced labels

OFFSET = 1.5  # metres


@pytest.fixture(scope="module")
def displaced_folders(tmp_path_factory):
    """The scenes of `folders` with displaced labels: three by one process, two by two."""
    alone, shared = tmp_path_factory.mktemp("alone") / "out", tmp_path_factory.mktemp("shared") / "out"
    write_scenes(alone, 3, 160, 7, workers=1, label_offset=OFFSET)
    write_scenes(shared, 2, 160, 7, workers=2, label_offset=OFFSET)
    return alone, shared


def _layer(path):
    return gpd.read_file(path, layer="footprints")


def test_a_label_offset_changes_no_byte_of_the_truth(folders, displaced_folders):
    clean = {path.relative_to(folders[0]): path.read_bytes() for path in folders[0].rglob("*.*")}
    written = {path.relative_to(displaced_folders[0]) for path in displaced_folders[0].rglob("*.*")}
    assert clean == {path: (displaced_folders[0] / path).read_bytes() for path in clean}
    assert {str(path) for path in written - set(clean)} == {
        "footprints_offset.gpkg",
        *(f"masks_offset/scene_{index:04d}.tif" for index in range(3)),
    }


def test_displaced_labels_are_the_same_whatever_the_number_of_workers_and_scenes(displaced_folders, tmp_path):
    alone, shared = displaced_folders
    for name in ("scene_0000.tif", "scene_0001.tif"):
        assert (alone / "masks_offset" / name).read_bytes() == (shared / "masks_offset" / name).read_bytes()
    first, second = (_layer(folder / "footprints_offset.gpkg") for folder in displaced_folders)
    assert first[first.scene != "scene_0002"].reset_index(drop=True).equals(second)
    write_scenes(tmp_path / "out", 3, 160, 7, workers=1, label_offset=OFFSET)
    for path in (tmp_path / "out").rglob("*.*"):
        assert path.read_bytes() == (alone / path.relative_to(tmp_path / "out")).read_bytes(), path.name


def test_each_label_is_its_building_moved_by_its_own_offset(displaced_folders):
    truth, labels = (_layer(displaced_folders[0] / name) for name in ("footprints.gpkg", "footprints_offset.gpkg"))
    assert list(labels.columns) == [*truth.columns[:-1], "offset_east", "offset_north", "geometry"]
    assert labels[truth.columns[:-1]].equals(truth.drop(columns="geometry"))
    moves = labels[["offset_east", "offset_north"]].to_numpy()
    for true, label, move in zip(truth.geometry, labels.geometry, moves, strict=True):
        assert label.equals_exact(shapely.affinity.translate(true, *move), 1e-6)
    assert len(np.unique(moves.round(6), axis=0)) == len(moves) > 4
    assert np.hypot(*moves.T).max() <= OFFSET


def test_displaced_masks_are_the_displaced_footprints_at_pixel_centres(displaced_folders):
    labels = _layer(displaced_folders[0] / "footprints_offset.gpkg")
    for name, polygons in labels.groupby("scene").geometry:
        with (
            rasterio.open(displaced_folders[0] / "masks_offset" / f"{name}.tif") as mask,
            rasterio.open(displaced_folders[0] / "masks" / f"{name}.tif") as truth,
        ):
            assert (mask.crs, mask.transform, mask.profile) == (truth.crs, truth.transform, truth.profile)
            rows, columns = np.mgrid[:160, :160] + 0.5
            inside = shapely.contains_xy(polygons.union_all(), *(mask.transform @ (columns, rows)))
            assert np.array_equal(mask.read(1), np.where(inside, 255, 0))
            assert not np.array_equal(mask.read(1), truth.read(1))


def test_offsets_are_uniform_over_the_disc():
    """Of a uniform disc, the squared distance is uniform on [0, r²] and independent of the direction, uniform too."""
    moves = np.array([building_offset(seed, i, b, 2.0) for seed in range(4) for i in range(10) for b in range(50)])
    share, turn = (np.hypot(*moves.T) / 2) ** 2, np.arctan2(*moves.T) / (2 * np.pi) + 0.5
    for values in (share, turn):
        assert kstest(values, "uniform").pvalue > 0.01
    assert abs(np.corrcoef(share, turn)[0, 1]) < 0.06
    assert np.abs(moves.mean(axis=0)).max() < 0.07


def test_an_offset_follows_from_seed_scene_and_building_and_grows_in_proportion():
    first = building_offset(3, 4, 5, 1.0)
    assert first == building_offset(3, 4, 5, 1.0)
    assert building_offset(3, 4, 5, 2.5) == pytest.approx((2.5 * first[0], 2.5 * first[1]))
    assert len({first, *(building_offset(*names, 1.0) for names in ((4, 4, 5), (3, 5, 5), (3, 4, 6), (4, 3, 5)))}) == 5


def test_displacing_keeps_the_image_and_merges_overlaps():
    scene = next(s for s in (render_scene(0, i, 256) for i in range(9)) if any(f.plan == "row" for f in s.footprints))
    labels = displace_labels(scene, 0, 0, 2.0)
    assert labels.image is scene.image
    polygons = [f.polygon for f in labels.footprints]
    assert sum(p.area for p in polygons) > shapely.union_all(polygons).area + 1  # houses of a row lie over each other
    assert set(np.unique(labels.mask)) == {0, 255}
    assert [f.building for f in labels.footprints] == [f.building for f in scene.footprints]


@pytest.mark.parametrize("label_offset", [-0.1, math.nan, math.inf])
def test_label_offsets_out_of_range(label_offset, tmp_path):
    with pytest.raises(SettingError, match="label offset is"):
        write_scenes(tmp_path / "out", 1, 64, 0, 1, label_offset=label_offset)
    assert list(tmp_path.iterdir()) == []


def test_scenes_without_an_offset_replace_those_with_one(tmp_path):
    write_scenes(tmp_path, 1, 64, 1, 1, label_offset=1.0)
    (tmp_path / "mine.txt").write_text("mine")
    write_scenes(tmp_path, 1, 64, 1, 1)
    assert {path.name for path in tmp_path.iterdir()} == {"images", "masks", "footprints.gpkg", "mine.txt"}
