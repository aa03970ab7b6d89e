"""`evaluate` against an independent computation with SciPy, over every kind of pair."""

import math
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
from rasterio.features import shapes
from rasterio.transform import from_origin
from scipy import ndimage
from shapely.geometry import box, shape

from crispmap.errors import InputError, PairingError, SettingError
from crispmap.evaluate import evaluate

CRS = "EPSG:32633"
TRANSFORM = from_origin(500_000, 6_400_000, 0.5, 0.5)
CROSS, SQUARE = ndimage.generate_binary_structure(2, 1), np.ones((3, 3), bool)


def blobs(rng, height, width, fill=0.1) -> np.ndarray:
    noise = ndimage.gaussian_filter(rng.standard_normal((height, width)), 5)
    return noise > np.quantile(noise, 1 - fill)


def shaken(rng, mask) -> np.ndarray:
    return ndimage.gaussian_filter(mask + 0.5 * rng.standard_normal(mask.shape), 1.5) > 0.5


def write(path: Path, pixels, dtype="uint8", crs=CRS, transform=TRANSFORM, **profile) -> Path:
    pixels = np.asarray(pixels)
    path.parent.mkdir(exist_ok=True, parents=True)
    size = {"height": pixels.shape[0], "width": pixels.shape[1], "count": 1}
    with rasterio.open(path, "w", dtype=dtype, crs=crs, transform=transform, **size, **profile) as file:
        file.write(pixels.astype(dtype), 1)
    return path


def polygons(path: Path, mask, crs=CRS, transform=TRANSFORM) -> Path:
    found = [shape(s) for s, value in shapes(mask.astype("uint8"), transform=transform) if value]
    gpd.GeoDataFrame(geometry=found, crs=crs).to_file(path)
    return path


def reference(pairs, tolerance=3.0) -> dict[str, float]:
    """The contract's numbers from (pred, truth, valid) triples, by SciPy."""
    tp = fp = fn = inner = either = pred_length = true_length = 0
    scores = []
    for pred, truth, valid in pairs:
        p, t = pred & valid, truth & valid
        tp, fp, fn = tp + (p & t).sum(), fp + (p & ~t & valid).sum(), fn + (t & ~p & valid).sum()
        edge_p, edge_t = (m & ~ndimage.binary_erosion(m | ~valid, CROSS, border_value=0) for m in (p, t))
        if edge_p.any() and edge_t.any():
            precision = (ndimage.distance_transform_edt(~edge_t)[edge_p] < tolerance).mean()
            recall = (ndimage.distance_transform_edt(~edge_p)[edge_t] < tolerance).mean()
            scores.append(2 * precision * recall / (precision + recall) if precision + recall else 0)
        width = max(1, round(0.02 * math.hypot(*pred.shape)))
        band_p, band_t = (m & ~ndimage.binary_erosion(m | ~valid, SQUARE, width) for m in (p, t))
        inner, either = inner + (band_p & band_t).sum(), either + (band_p | band_t).sum()
        lengths = [
            ((m[1:] != m[:-1]) & valid[1:] & valid[:-1]).sum()
            + ((m[:, 1:] != m[:, :-1]) & valid[:, 1:] & valid[:, :-1]).sum()
            for m in (p, t)
        ]
        pred_length, true_length = pred_length + lengths[0], true_length + lengths[1]
    return {
        "iou": tp / (tp + fp + fn),
        "f1": 2 * tp / (2 * tp + fp + fn),
        "precision": tp / (tp + fp),
        "recall": tp / (tp + fn),
        "boundary_f1": np.mean(scores),
        "boundary_f1_images": len(scores),
        "boundary_iou": inner / either,
        "perimeter_ratio": pred_length / true_length,
        "n_pixels": sum(valid.sum() for *_, valid in pairs),
    }


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.fixture
def pair(rng):
    truth = blobs(rng, 70, 93)
    return shaken(rng, truth), truth, np.ones(truth.shape, bool)


def assert_scores(evaluation, expected) -> None:
    flat = evaluation.to_dict()
    assert {name: flat[name] for name in expected} == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("tolerance", [1.0, 2.5, 3.0, 40.0])
def test_a_pair_of_masks(tmp_path, pair, tolerance):
    pred, truth, _ = pair
    evaluation = evaluate(
        write(tmp_path / "any.tif", pred * 255), write(tmp_path / "name.tif", truth), tolerance=tolerance
    )
    assert_scores(evaluation, reference([pair], tolerance))
    assert (
        evaluation.to_dict()
        | {
            "boundary_f1_tolerance": tolerance,
            "boundary_f1_unit": "px",
            "boundary_f1_convention": "csurka",
            "boundary_iou_width": 0.02,
            "boundary_iou_width_unit": "diagonal",
            "n_images": 1,
        }
        == evaluation.to_dict()
    )


@pytest.mark.parametrize(("unit", "side"), [("px", 1.0), ("m", 0.3)])
def test_the_curve_is_the_table_at_its_tolerances(tmp_path, unit, side):
    square = np.zeros((60, 60))
    square[10:30, 10:30] = 1
    transform = from_origin(500_000, 6_400_000, 0.3, 0.3)
    truth = write(tmp_path / "t.tif", square, transform=transform)
    for shift in (1, 2, 3, 7, 14):  # some tolerances of the curve are these but for the last bit
        pred = write(tmp_path / "p.tif", np.roll(square, shift, 1), transform=transform)
        cap = 100 * side
        found = evaluate(pred, truth, tolerance=f"{shift * side}{unit}", distance_cap=f"{cap}{unit}")
        at = dict((round(tolerance / side, 6), score) for tolerance, score in found.curve)
        assert at[shift] == found.boundary_f1


def test_a_folder_of_different_sizes_is_pooled(tmp_path, rng):
    pairs = []
    for name, (height, width) in {"a": (40, 130), "b": (90, 61), "empty": (33, 34)}.items():
        truth = blobs(rng, height, width) if name != "empty" else np.zeros((height, width), bool)
        pairs.append((shaken(rng, truth), truth, np.ones(truth.shape, bool)))
        write(tmp_path / "pred" / f"{name}_mask.tif", pairs[-1][0] * 255)
        write(tmp_path / "truth" / f"{name}.tif", truth)
    evaluation = evaluate(tmp_path / "pred", tmp_path / "truth")
    assert_scores(evaluation, reference(pairs))
    assert (evaluation.n_images, evaluation.boundary_f1_images) == (3, 2)
    assert [image.name for image in evaluation.images] == ["a", "b", "empty"]
    row = evaluation.images[1]
    expected = reference(pairs[1:2])
    assert (row.iou, row.boundary_f1, row.n_pixels) == pytest.approx(
        (expected["iou"], expected["boundary_f1"], expected["n_pixels"])
    )


def test_pixels_without_data_on_either_side_are_ignored(tmp_path, pair):
    pred, truth, valid = pair
    pred_seen, truth_seen = valid.copy(), valid.copy()
    pred_seen[:9], truth_seen[20:40, 30:50] = False, False
    evaluation = evaluate(
        write(tmp_path / "p.tif", np.where(pred_seen, pred, np.nan), "float32"),
        write(tmp_path / "t.tif", np.where(truth_seen, truth, 255), nodata=255),
    )
    assert_scores(evaluation, reference([(pred, truth, pred_seen & truth_seen)]))


def test_the_area_limits_what_is_compared(tmp_path, pair):
    pred, truth, valid = pair
    valid[:] = False
    valid[10:50, 20:80] = True
    aoi = gpd.GeoSeries([box(500_010, 6_399_975, 500_040, 6_399_995)], crs=CRS).to_crs("EPSG:3006")
    aoi.to_file(tmp_path / "aoi.gpkg")
    evaluation = evaluate(write(tmp_path / "p.tif", pred), write(tmp_path / "t.tif", truth), area=tmp_path / "aoi.gpkg")
    assert_scores(evaluation, reference([(pred, truth, valid)]))


def test_probabilities_are_cut_at_the_threshold(tmp_path, pair, rng):
    pred, truth, valid = pair
    probability = np.clip(pred * 0.6 + rng.uniform(0, 0.3, pred.shape), 0, 1)
    truth_file = write(tmp_path / "t.tif", truth)
    floats = write(tmp_path / "f.tif", probability, "float32")
    assert_scores(evaluate(floats, truth_file, threshold=0.7), reference([(probability > 0.7, truth, valid)]))
    scaled = np.round(probability * 255)
    whole_numbers = write(tmp_path / "b.tif", scaled)
    expected = reference([(scaled >= 0.2 * 255, truth, valid)])
    assert_scores(evaluate(whole_numbers, truth_file, threshold=0.2), expected)


@pytest.mark.parametrize("vectors", ["pred", "truth"])
def test_a_raster_with_vectors(tmp_path, pair, vectors):
    pred, truth, valid = pair
    files = {
        "pred": write(tmp_path / "p.tif", pred),
        "truth": write(tmp_path / "t.tif", truth),
    }
    files[vectors] = polygons(tmp_path / "v.gpkg", pred if vectors == "pred" else truth)
    assert_scores(evaluate(files["pred"], files["truth"]), reference([(pred, truth, valid)]))


def test_one_vector_file_serves_a_folder(tmp_path, rng):
    truth = blobs(rng, 60, 80)
    polygons(tmp_path / "all.geojson", truth, crs=CRS)
    halves = []
    for name, cols in {"west": slice(0, 40), "east": slice(40, 80)}.items():
        pred = shaken(rng, truth[:, cols])
        halves.append((pred, truth[:, cols], np.ones_like(pred)))
        place = TRANSFORM @ rasterio.Affine.translation(cols.start, 0)
        write(tmp_path / "maps" / f"{name}_mask.tif", pred * 255, transform=place)
    for suffix in ("geojson", "gpkg"):  # another CRS, then that of the rasters
        if suffix == "gpkg":
            gpd.read_file(tmp_path / "all.geojson").to_crs("EPSG:3857").to_file(tmp_path / "all.gpkg")
        evaluation = evaluate(tmp_path / "maps", tmp_path / f"all.{suffix}")
        assert_scores(evaluation, reference(halves))


def test_a_truth_without_polygons_is_all_background(tmp_path, pair):
    pred, _, valid = pair
    gpd.GeoDataFrame(geometry=[], crs=CRS).to_file(tmp_path / "none.gpkg")
    evaluation = evaluate(write(tmp_path / "p.tif", pred), tmp_path / "none.gpkg")
    assert (evaluation.iou, evaluation.precision, evaluation.n_pixels) == (0, 0, valid.size)
    flat = evaluation.to_dict()
    assert (flat["recall"], flat["boundary_f1"], flat["perimeter_ratio"]) == (None, None, None)


def test_what_was_mended_in_vectors_is_noted(tmp_path, pair):
    bow_tie = "POLYGON((500001 6399990, 500005 6399994, 500005 6399990, 500001 6399994, 500001 6399990))"
    frame = gpd.GeoDataFrame(geometry=gpd.GeoSeries.from_wkt([bow_tie, "POINT(500001 6399990)"]), crs=CRS)
    frame.to_file(tmp_path / "v.geojson")
    evaluation = evaluate(write(tmp_path / "p.tif", pair[0]), tmp_path / "v.geojson")
    assert evaluation.notes == (
        "v.geojson: features with an invalid outline were repaired: 1",
        "v.geojson: features that are no polygons were left out: 1",
    )


def test_masks_without_a_place_go_with_those_that_have_one(tmp_path, pair):
    pred, truth, _ = pair
    bare = tmp_path / "p.png"
    with rasterio.open(bare, "w", "PNG", truth.shape[1], truth.shape[0], 1, dtype="uint8") as file:
        file.write(pred.astype("uint8") * 255, 1)
    placed = write(tmp_path / "t.tif", truth)
    assert_scores(evaluate(bare, placed), reference([pair]))
    for sides in ((bare, placed), (placed, bare)):  # pixels of half a metre, either way
        assert evaluate(*sides, tolerance="1.5m").boundary_f1 == evaluate(bare, placed, tolerance=3).boundary_f1


@pytest.mark.parametrize("settings", [{"tolerance": 0}, {"tolerance": math.nan}, {"threshold": 0}, {"threshold": 1.5}])
def test_settings_out_of_range_are_refused(tmp_path, settings):
    with pytest.raises(SettingError, match=next(iter(settings))):
        evaluate(tmp_path, tmp_path, **settings)


def test_nothing_in_common_is_an_error(tmp_path):
    file = write(tmp_path / "p.tif", np.full((4, 4), np.nan), "float32")
    with pytest.raises(PairingError, match="no pixel with data in common"):
        evaluate(file, write(tmp_path / "t.tif", np.ones((4, 4))))


def test_class_numbers_are_an_error(tmp_path):
    file = write(tmp_path / "t.tif", np.arange(16).reshape(4, 4) % 6)
    with pytest.raises(InputError, match=r"0…5 .*neither"):
        evaluate(write(tmp_path / "p.tif", np.ones((4, 4))), file)
