"""The blocks of an evaluation in which most boundary is wrong, read again to be looked at."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from crispmap.evaluate.comparison import Comparison
from crispmap.evaluate.counting import BLOCK
from crispmap.evaluate.definitions import Definitions
from crispmap.evaluate.evaluation import Evaluation
from crispmap.functional.boundary_score import boundaries, boundary_match
from crispmap.functional.conventions import rules_of
from crispmap.geo.raster import Window
from crispmap.report import EdgeWindow


def worst_windows(evaluations: Sequence[tuple[str, Evaluation]], most: int = 12) -> list[EdgeWindow]:
    """Those with the most spurious and missed boundary pixels at the first tolerance.

    Args:
        evaluations: The name of each prediction and its evaluation.
        most: How many windows.
    """
    found = []
    for name, evaluation in evaluations:
        for comparison, wrong in zip(evaluation.comparisons, evaluation.wrong, strict=True):
            rows, cols = np.nonzero(wrong)
            found += [
                (int(wrong[row, col]), name, comparison, evaluation.definitions, int(row), int(col))
                for row, col in zip(rows, cols, strict=True)
            ]
    found.sort(key=lambda each: -each[0])
    return [_window(*each) for each in found[:most]]


def _window(length: int, name: str, comparison: Comparison, definitions: Definitions, row: int, col: int) -> EdgeWindow:
    grid = comparison.grid
    shape = (grid.height, grid.width)
    rules = rules_of(definitions.convention)
    tolerance = rules.resolve(definitions.tolerances[0], shape)
    halo = math.ceil(max(tolerance.in_pixels(comparison.pixel_size))) + 2
    block = Window(row * BLOCK, col * BLOCK, BLOCK, BLOCK).intersection(grid.window)
    around = Window(block.row - halo, block.col - halo, block.height + 2 * halo, block.width + 2 * halo)
    around = around.intersection(grid.window)
    pred, truth, valid = (torch.from_numpy(mask) for mask in comparison.read(around))
    match = boundary_match(pred, truth, tolerance, definitions.convention, valid, pixel_size=comparison.pixel_size)
    _, true_edge = boundaries(pred[None], truth[None], definitions.convention, valid[None])
    here = block.slices_in(around)
    matched, spurious, missed, edge = (x[here].numpy() for x in (*match, true_edge[0]))
    return EdgeWindow(
        prediction=name,
        image=comparison.name,
        place=f"rows {block.row}–{block.row + block.height}, columns {block.col}–{block.col + block.width}",
        score=_f1(matched.sum(), spurious.sum(), missed.sum(), edge.sum()),
        length=length,
        pred=_here(pred, here),
        truth=_here(truth, here),
        matched=matched,
        spurious=spurious,
        missed=missed,
        valid=_here(valid, here),
    )


def _here(mask: Tensor, part: tuple[slice, slice]) -> np.ndarray:
    found: np.ndarray = mask[part].numpy()
    return found


def _f1(matched: float, spurious: float, missed: float, true: float) -> float:
    """NaN where a side has no boundary."""
    if not matched + spurious or not true:
        return math.nan
    precision, recall = matched / (matched + spurious), 1 - missed / true
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0
