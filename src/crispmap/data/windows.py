"""Windows over regions: drawn at random for training, laid on a grid for validation."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from crispmap.data.augment import flip_and_turn, photometric
from crispmap.data.scene import IGNORED, Region, Sample
from crispmap.data.statistics import Statistics
from crispmap.functional import signed_distance
from crispmap.geo.raster import Window


@dataclass
class TrainingWindows(Dataset[dict[str, Tensor]]):
    """Endlessly many windows; the one at an index is a pure function of (seed, index).

    Attributes:
        regions: Where windows may lie.
        size: Their side in pixels that the network sees.
        seed: Of the run.
        class_share: The share of windows placed so that they contain the class; the others fall anywhere.
        statistics: Of the imagery; photometric changes are measured by it, and none are made without it.
        distance: Whether samples carry the signed distance maps of their labels.
    """

    regions: Sequence[Region]
    size: int
    seed: int
    class_share: float = 0.75
    statistics: Statistics | None = None
    distance: bool = False

    def __post_init__(self) -> None:
        """Lays out what is drawn from."""
        areas = np.array([region.window.height * region.window.width for region in self.regions], float)
        self._ground = np.cumsum(areas) / areas.sum()
        self._anchors = np.cumsum([len(region.anchors) for region in self.regions])

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """The sample at any index from 0: ``image`` and ``label`` as `Sample` has them, ``distance`` if asked for.

        The distance is `signed_distance` of the label, of which ignored pixels are no part.
        """
        rng = np.random.default_rng([self.seed, index])
        region, window = self._draw(rng)
        sample = flip_and_turn(region.read(window, self.size), rng)
        if self.statistics is not None:
            sample = photometric(sample, self.statistics, rng)
        tensors = as_tensors(sample)
        if self.distance:
            tensors["distance"] = signed_distance(tensors["label"] == 1, tensors["label"] != IGNORED)
        return tensors

    def _draw(self, rng: np.random.Generator) -> tuple[Region, Window]:
        if rng.random() < self.class_share:
            chosen = int(rng.integers(self._anchors[-1]))
            place = int(np.searchsorted(self._anchors, chosen, side="right"))
            region = self.regions[place]
            anchor_row, anchor_col = region.anchors[chosen - self._anchors[place]].tolist()
        else:
            region = self.regions[int(np.searchsorted(self._ground, rng.random(), side="right"))]
            anchor_row, anchor_col = None, None
        side, area = region.scene.side(self.size), region.window
        row = _start(rng, side, area.row, area.height, anchor_row)
        col = _start(rng, side, area.col, area.width, anchor_col)
        return region, Window(row, col, side, side)


class GridWindows(Dataset[dict[str, Tensor]]):
    """Windows side by side over regions, every time the same: what a network is validated on.

    Args:
        regions: What they cover.
        size: Their side in pixels that the network sees.
        limit: At most so many, spread evenly over all of them; those dropped are dropped in every epoch.
    """

    def __init__(self, regions: Sequence[Region], size: int, limit: int) -> None:
        windows = [(region, window) for region in regions for window in _side_by_side(region, size)]
        chosen = np.unique(np.linspace(0, len(windows) - 1, min(limit, len(windows))).round().astype(int))
        self._windows = [windows[i] for i in chosen]
        self._size = size

    def __len__(self) -> int:
        return len(self._windows)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """One window, as `TrainingWindows` gives it."""
        region, window = self._windows[index]
        return as_tensors(region.read(window, self._size))


def as_tensors(sample: Sample) -> dict[str, Tensor]:
    """The sample as the loader batches it."""
    return {
        "image": torch.from_numpy(np.ascontiguousarray(sample.image)),
        "label": torch.from_numpy(np.ascontiguousarray(sample.label)),
    }


def _side_by_side(region: Region, size: int) -> Iterator[Window]:
    """Windows that share no pixel; the last of a row or column may reach beyond the region, where all is ignored."""
    side, area = region.scene.side(size), region.window
    for row in range(area.row, area.row + area.height, side):
        for col in range(area.col, area.col + area.width, side):
            yield Window(row, col, side, side)


def _start(rng: np.random.Generator, side: int, low: int, length: int, anchor: int | None) -> int:
    """Where a window begins along one axis: over the anchor if there is one, inside the region if it fits."""
    first, last = sorted((low, low + length - side))  # a region smaller than the window lies anywhere inside it
    if anchor is not None:
        first, last = max(first, anchor - side + 1), min(last, anchor)
    return int(rng.integers(first, last + 1))
