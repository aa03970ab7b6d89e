"""Which windows are shown, and that their pictures say what the scores say."""

import numpy as np
import pytest
import torch

from crispmap.compare.gallery import contested_place, contested_tiles, view_of
from crispmap.compare.measure import Examined
from crispmap.compare.plan import Method


def counts(wrong: list[int]) -> dict[str, np.ndarray]:
    """Of a method whose outlines are wrong by so many pixels in each tile."""
    n = np.array(wrong, float)
    half = np.floor(n / 2)
    return {
        "edge_pred": 100 + half,
        "edge_true": 100 + n - half,
        "near_pred_2": 0 * n + 100,
        "near_true_2": 0 * n + 100,
    }


def test_tiles_come_by_the_range_between_methods():
    methods = [counts([10, 50, 7, 90]), counts([30, 49, 7, 80]), counts([12, 90, 7, 85])]
    assert contested_tiles(methods) == [1, 0, 3]  # ranges 41, 20, 0 and 10
    assert contested_tiles(methods, 1) == [1]


def literal_place(masks: list[np.ndarray], side: int) -> int:
    """The most pixels of a window on which masks disagree, looked for in every window."""
    split = np.any(masks, axis=0) & ~np.all(masks, axis=0)
    height, width = (min(side, length) for length in split.shape)
    rows, cols = split.shape[0] - height + 1, split.shape[1] - width + 1
    return max(split[i : i + height, j : j + width].sum() for i in range(rows) for j in range(cols))


@pytest.mark.parametrize("shape", [(30, 50), (12, 40), (9, 9)])
@pytest.mark.parametrize("seed", range(3))
def test_the_window_is_where_masks_disagree_most(shape, seed):
    rng = np.random.default_rng(seed)
    masks = [rng.random(shape) < 0.1 for _ in range(3)]
    masks[0][4:8, 3:9] = ~masks[1][4:8, 3:9]
    rows, cols = contested_place(masks, 12)
    assert rows.stop - rows.start == min(12, shape[0])
    assert cols.stop - cols.start == min(12, shape[1])
    split = np.any(masks, axis=0) & ~np.all(masks, axis=0)
    assert split[rows, cols].sum() == literal_place(masks, 12)


def test_a_view_is_cut_out_of_the_whole_tile():
    """A true outline just beyond the window confirms a predicted one inside it."""
    pred, truth = (torch.zeros((40, 60), dtype=torch.bool) for _ in range(2))
    pred[10:30, 10:31] = True
    truth[10:30, 10:29] = True
    seen = Examined(np.zeros((3, 40, 60), np.float32), pred, truth, torch.ones_like(pred))
    method = Method("a", "a", "crispmap.BCELoss", "Unet/resnet18", "")
    view = view_of(method, seen, slice(0, 40), slice(30, 60))  # the prediction's last column, not the truth's
    assert view.outline[10:30, 0].all()
    assert view.matched[10:30, 0].all()
    assert not view.spurious.any()
    assert view.outline.sum() == 20
    assert "IoU 0.00" in view.caption
    whole = view_of(method, seen, slice(0, 40), slice(0, 60))
    assert f"IoU {19 / 21:.2f}, boundary F1 1.00" in whole.caption


def test_a_view_of_nothing_has_dashes():
    empty = torch.zeros((20, 20), dtype=torch.bool)
    seen = Examined(np.zeros((3, 20, 20), np.float32), empty, empty, ~empty)
    view = view_of(Method("a", "a", "b", "c", ""), seen, slice(0, 20), slice(0, 20))
    assert view.caption == "IoU –, boundary F1 1.00, perimeter –"
