"""What a trained network makes of the validation ground: counts of each tile, and scores of counts.

Counts are integers that add up, so that any set of tiles can be scored from what is kept of each.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from crispmap.data.scene import IGNORED, Region, Scene
from crispmap.functional.band_score import boundary_iou_counts
from crispmap.functional.boundary_score import boundary_counts
from crispmap.functional.outline_score import perimeter_counts
from crispmap.functional.region_score import confusion_counts
from crispmap.geo.raster import Window
from crispmap.models import SegmentationModel
from crispmap.report import Metric

TILE = 512  # pixels that the network sees; larger images are cut into squares of it
TOLERANCES = (1.0, 2.0, 3.0)  # pixels that the network sees
BAND = 3.0  # pixels

METRICS = (
    Metric("iou", "IoU", "intersection over union, pixels of all tiles pooled"),
    *(
        Metric(
            f"boundary_f1_{t:g}px",
            f"Boundary F1, {t:g} px",
            f"convention pixels: distance ≤ {t:g} px, boundary pixels of all tiles pooled",
        )
        for t in TOLERANCES
    ),
    Metric("boundary_iou", "Boundary IoU", f"Cheng 2021 with inner bands {BAND:g} px wide, pooled"),
    Metric(
        "perimeter_ratio",
        "Perimeter ratio",
        "predicted / true length of outlines in pixel edges, pooled; 1 is right, above it jagged or full of specks",
        best="nearest 1",
    ),
)
RANKED_BY = "boundary_f1_2px"

Counts = Mapping[str, NDArray[np.float64]]
Scores = dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class ValidationTile:
    """A piece of the validation ground that is predicted at once and drawn as one by the bootstrap.

    Attributes:
        name: Of its image, with its place in it where the image is cut.
        scene: The image with its labels.
        window: In the image's own pixels.
    """

    name: str
    scene: Scene
    window: Window


class Examined(NamedTuple):
    """A tile as the network saw it: the image (bands, H, W) as `Sample` has it, and masks (H, W), bool."""

    image: NDArray[np.float32]
    pred: Tensor
    truth: Tensor
    valid: Tensor


def tiles_of(regions: Sequence[Region], side: int = TILE) -> list[ValidationTile]:
    """Cuts validation ground into tiles.

    *Convention*: an image or part of one that is no larger than ``side`` pixels as the network sees it is one tile;
    a larger one is cut into squares side by side, of which the last of a row or column are smaller.
    """
    return [
        ValidationTile(_name(region, window, whole), region.scene, window)
        for region in regions
        for whole, window in _cut(region, side)
    ]


def _cut(region: Region, side: int) -> Iterator[tuple[bool, Window]]:
    area, step = region.window, region.scene.side(side)
    for row in range(area.row, area.row + area.height, step):
        for col in range(area.col, area.col + area.width, step):
            window = Window(row, col, step, step).intersection(area)
            yield window == region.scene.image.window, window


def _name(region: Region, window: Window, whole: bool) -> str:
    stem = region.scene.image.path.stem
    return (
        stem
        if whole
        else f"{stem}, rows {window.row}–{window.row + window.height}, columns {window.col}–"
        + str(window.col + window.width)
    )


@torch.inference_mode()
def examine(model: SegmentationModel, tile: ValidationTile) -> Examined:
    """Predicts a tile as a whole; a pixel is foreground from a probability of one half on."""
    window, scale = tile.window, tile.scene.scale
    shape = max(1, round(window.height * scale)), max(1, round(window.width * scale))
    sample = tile.scene.read(window, shape)
    device = next(model.parameters()).device
    logits = model(torch.from_numpy(sample.image)[None].to(device)).float().cpu()
    label = torch.from_numpy(sample.label)
    return Examined(sample.image, logits[0, 0] >= 0, label == 1, label != IGNORED)


def count(seen: Examined) -> dict[str, int]:
    """Counts all that the scores are made of; ignored pixels are counted nowhere."""
    pred, truth, valid = seen.pred[None], seen.truth[None], seen.valid[None]
    area = confusion_counts(pred, truth, valid)
    edges = boundary_counts(pred, truth, TOLERANCES, "pixels", valid)
    bands = boundary_iou_counts(pred, truth, BAND, valid)
    lengths = perimeter_counts(pred, truth, valid)
    found = {
        "hits": area.true_positive,
        "false_positive": area.false_positive,
        "false_negative": area.false_negative,
        "edge_pred": edges.predicted,
        "edge_true": edges.true,
        "band_both": bands.intersection,
        "band_either": bands.union,
        "length_pred": lengths.predicted,
        "length_true": lengths.true,
    }
    for i, tolerance in enumerate(TOLERANCES):
        found[f"near_pred_{tolerance:g}"] = edges.matched_predicted[:, i]
        found[f"near_true_{tolerance:g}"] = edges.matched_true[:, i]
    return {key: int(value.sum()) for key, value in found.items()}


def scores(pooled: Counts) -> Scores:
    """The metrics of counts that are pooled already, of any shape.

    *Convention*: NaN where a quotient has nothing to divide by; a boundary F1 is 1 where neither side has a boundary
    and 0 where one has, as the convention *pixels* says.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        union = pooled["hits"] + pooled["false_positive"] + pooled["false_negative"]
        found = {"iou": pooled["hits"] / union}
        for tolerance in TOLERANCES:
            near = pooled[f"near_pred_{tolerance:g}"], pooled[f"near_true_{tolerance:g}"]
            found[f"boundary_f1_{tolerance:g}px"] = _f1(*near, pooled["edge_pred"], pooled["edge_true"])
        found["boundary_iou"] = pooled["band_both"] / pooled["band_either"]
        found["perimeter_ratio"] = pooled["length_pred"] / pooled["length_true"]
    return found


def _f1(
    near_pred: NDArray[np.float64],
    near_true: NDArray[np.float64],
    pred: NDArray[np.float64],
    true: NDArray[np.float64],
) -> NDArray[np.float64]:
    precision, recall = near_pred / np.maximum(pred, 1), near_true / np.maximum(true, 1)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-300)
    return np.where((pred == 0) & (true == 0), 1.0, f1)
