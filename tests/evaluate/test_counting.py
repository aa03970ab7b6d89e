"""Counts in strips against those of the whole image at once, and against the functions that they are made of."""

import math

import numpy as np
import pytest
import rasterio
import torch
from rasterio.transform import from_origin
from scipy import ndimage

from crispmap.evaluate.comparison import comparisons
from crispmap.evaluate.counting import BLOCK, count
from crispmap.evaluate.definitions import Definitions
from crispmap.functional import (
    Length,
    boundary_counts,
    boundary_distances,
    boundary_iou_counts,
    confusion_counts,
    corner_counts,
    perimeter_counts,
)
from crispmap.functional.object_score import label_objects, object_overlaps
from crispmap.functional.surface_score import SurfaceDistances

SQUARE, OBLONG = (0.5, 0.5), (0.7, 0.4)  # metres down and to the right


def write(path, mask, pixel_size, valid):
    transform = from_origin(500_000, 6_400_000, pixel_size[1], pixel_size[0])
    size = {"height": mask.shape[0], "width": mask.shape[1]}
    with rasterio.open(
        path, "w", dtype="uint8", count=1, crs="EPSG:32633", transform=transform, nodata=255, **size
    ) as file:
        file.write(np.where(valid, mask, 255).astype("uint8"), 1)
    return path


@pytest.fixture(scope="module")
def masks():
    """Objects of all sizes, some cut by the border, and holes in the data."""
    rng = np.random.default_rng(3)
    noise = ndimage.gaussian_filter(rng.standard_normal((131, 87)), 4)
    truth = noise > np.quantile(noise, 0.75)
    pred = ndimage.gaussian_filter(truth + 0.9 * rng.standard_normal(truth.shape), 1.2) > 0.5
    valid = ndimage.gaussian_filter(rng.standard_normal(truth.shape), 6) > -0.12
    return pred, truth, valid


def comparison(tmp_path, masks, pixel_size):
    pred, truth, valid = masks
    files = (write(tmp_path / f"{i}.tif", mask, pixel_size, valid) for i, mask in enumerate((pred, truth)))
    (found,), _ = comparisons(*files, 0.5, None, "file")
    return found


def numbers(counts):
    """All that is counted, as plain lists."""
    flat = [each.tolist() for kind in counts[:5] for each in kind]
    flat += [each.tolist() for side in counts[5] for each in side]
    overlaps = counts[6]
    return [*flat, *(getattr(overlaps, name).tolist() for name in ("pred_areas", "true_areas", "pairs", "areas"))]


def in_order(counts):
    return [getattr(counts, name) for name in counts.__dataclass_fields__]


DEFINITIONS = {
    "csurka": Definitions((Length(3.0), Length(1.0, "m"), Length(0.03, "diagonal")), cap=Length(9.0)),
    "davis": Definitions((Length(0.008, "diagonal"), Length(1.3, "m")), "davis", Length(2.0, "m"), Length(6.0, "m")),
    "pixels": Definitions((Length(1.0, "m"), Length(2.5)), "pixels", Length(3.0), Length(0.02, "diagonal")),
}


@pytest.mark.parametrize("pixel_size", [SQUARE, OBLONG], ids=["square", "oblong"])
@pytest.mark.parametrize("definitions", DEFINITIONS.values(), ids=DEFINITIONS)
def test_strips_make_no_difference_and_equal_the_whole_image(tmp_path, masks, definitions, pixel_size):
    found = comparison(tmp_path, masks, pixel_size)
    at_once = count(found, definitions)
    for rows, cols in ((1, 400), (2, 30), (7, 7), (50, 86), (130, 87), (131, 11), (400, 1)):
        strips = count(found, definitions, rows, cols)
        assert numbers(in_order(strips)) == numbers(in_order(at_once)), (rows, cols)
        assert np.array_equal(strips.wrong, at_once.wrong)

    pred, truth, valid = (torch.from_numpy(np.asarray(mask))[None] for mask in masks)
    pred, truth = pred & valid, truth & valid
    shape = (pred.shape[1], pred.shape[2])
    expected = [
        confusion_counts(pred, truth, valid),
        boundary_counts(pred, truth, definitions.tolerances, definitions.convention, valid, pixel_size=pixel_size),
        boundary_iou_counts(pred, truth, definitions.band, valid, pixel_size=pixel_size),
        perimeter_counts(pred, truth, valid),
        corner_counts(pred, truth, valid),
    ]
    flat = [each.tolist() for kind in expected for each in kind]
    assert numbers(in_order(at_once))[: len(flat)] == flat

    cap = definitions.cap.on(shape)
    in_metres = cap.unit == "m"
    distances = SurfaceDistances.of(
        boundary_distances(pred, truth, "csurka", valid, spacing=pixel_size if in_metres else (1, 1))
    )
    for side, whole in zip(at_once.surface, distances, strict=True):
        near = whole.squared.sqrt() <= cap.value
        assert side.squared[: near.sum()].sqrt().tolist() == pytest.approx(whole.squared[near].sqrt().tolist())
        assert side.pixels[: near.sum()].tolist() == whole.pixels[near].tolist()
        assert side.pixels.sum() == whole.pixels.sum()
        assert len(side.squared) == near.sum() + (1 if (~near).any() else 0)
    overlaps = object_overlaps(label_objects(pred[0].numpy()), label_objects(truth[0].numpy()))
    assert at_once.objects.pairs.tolist() == overlaps.pairs.tolist()
    assert at_once.objects.areas.tolist() == overlaps.areas.tolist()


def test_what_is_wrong_is_counted_where_it_is(tmp_path):
    truth = np.zeros((2 * BLOCK + 10, BLOCK + 90), bool)
    truth[30:40, 20:30] = True
    truth[BLOCK + 30 : BLOCK + 40, BLOCK + 20 : BLOCK + 30] = True
    pred = truth.copy()
    pred[BLOCK:] = False
    found = comparison(tmp_path, (pred, truth, np.ones_like(truth)), SQUARE)
    for size in (None, 100):
        assert count(found, Definitions(), size, size).wrong.tolist() == [[0, 0], [0, 36], [0, 0]]


def test_a_cap_below_the_tolerance_does_not_limit_it(tmp_path, masks):
    found = comparison(tmp_path, masks, SQUARE)
    narrow = count(found, Definitions((Length(12.0),), cap=Length(2.0)))
    wide = count(found, Definitions((Length(12.0),)))
    assert narrow.boundary.matched_predicted.tolist() == wide.boundary.matched_predicted.tolist()
    assert math.isinf(narrow.surface.pred.squared[-1])
    assert narrow.surface.pred.squared[-2] <= 4
