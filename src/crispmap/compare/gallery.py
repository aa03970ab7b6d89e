"""The windows in which methods differ most, predicted again to be looked at."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from crispmap.compare.measure import Counts, Examined, ValidationTile, count, examine, scores
from crispmap.compare.plan import Method, Run
from crispmap.compare.runner import model_of
from crispmap.functional.boundary_score import boundary_match
from crispmap.functional.morphology import inner_boundary
from crispmap.report.comparison import ContestedWindow, View

TOLERANCE = 2.0
SIDE = 192  # pixels that the network sees
MOST = 6


def contested_tiles(counts: Sequence[Counts], most: int = MOST) -> list[int]:
    """The tiles in which methods differ most by the length of what is wrong of their outlines.

    Args:
        counts: One for each method, summed over its seeds, (tiles,) by name.
        most: How many tiles; fewer where methods agree in the rest.

    Returns:
        Their numbers, those of the widest range between two methods first.
    """
    near = [each[f"near_pred_{TOLERANCE:g}"] + each[f"near_true_{TOLERANCE:g}"] for each in counts]
    wrong = np.stack([each["edge_pred"] + each["edge_true"] - n for each, n in zip(counts, near, strict=True)])
    spread = np.ptp(wrong, axis=0)
    order = np.argsort(-spread, kind="stable")
    return [int(i) for i in order[:most] if spread[i] > 0]


def contested_place(masks: Sequence[NDArray[np.bool_]], side: int = SIDE) -> tuple[slice, slice]:
    """Rows and columns of the window in which most pixels are foreground to some and not to others."""
    votes = np.sum(masks, axis=0)
    split = ((votes > 0) & (votes < len(masks))).astype(np.float64)
    heights, widths = (min(side, length) for length in split.shape)
    sums = np.pad(split.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    inside = sums[heights:, widths:] - sums[:-heights, widths:] - sums[heights:, :-widths] + sums[:-heights, :-widths]
    row, col = np.unravel_index(int(inside.argmax()), inside.shape)
    return slice(int(row), int(row) + heights), slice(int(col), int(col) + widths)


def contested_windows(
    runs: Mapping[str, Run],
    methods: Sequence[Method],
    counts: Mapping[str, Mapping[int, Counts]],
    tiles: Sequence[ValidationTile],
) -> list[ContestedWindow]:
    """The most contested window of each of the most contested tiles.

    Args:
        runs: The run of each method that is shown, all of one seed.
        methods: In the order of the page.
        counts: Of each method and seed, (tiles,) by name.
        tiles: The validation ground.
    """
    shown = [method for method in methods if method.name in runs]
    if len(shown) < 2:
        return []
    means = [_mean(list(counts[method.name].values())) for method in shown]
    chosen = contested_tiles(means)
    seen: list[list[Examined]] = []
    for method in shown:
        model = model_of(runs[method.name])
        seen.append([examine(model, tiles[i]) for i in chosen])
    seed = runs[shown[0].name].seed
    return [
        _window(tiles[tile], seed, shown, [of_method[place] for of_method in seen]) for place, tile in enumerate(chosen)
    ]


def _mean(runs: Sequence[Counts]) -> Counts:
    return {key: np.mean([run[key] for run in runs], axis=0) for key in runs[0]}


def _window(tile: ValidationTile, seed: int, methods: Sequence[Method], seen: Sequence[Examined]) -> ContestedWindow:
    rows, cols = contested_place([(each.pred & each.valid).numpy() for each in seen])
    image, _, truth, valid = seen[0]
    return ContestedWindow(
        name=tile.name,
        place=f"rows {rows.start}–{rows.stop}, columns {cols.start}–{cols.stop} of {truth.shape[0]}×{truth.shape[1]} "
        f"pixels as the network sees them; seed {seed}",
        image=image[:, rows, cols],
        truth=_edge(truth, valid)[rows, cols],
        views=[view_of(method, each, rows, cols) for method, each in zip(methods, seen, strict=True)],
    )


def view_of(method: Method, seen: Examined, rows: slice, cols: slice) -> View:
    """What a method made of a window of a tile, with its scores there.

    What is right and wrong is found on the whole tile, so that the window's border cuts off no match.
    """
    match = boundary_match(seen.pred, seen.truth, TOLERANCE, "pixels", seen.valid)
    here = Examined(seen.image[:, rows, cols], *(mask[rows, cols] for mask in seen[1:]))
    found = {k: float(v) for k, v in scores({k: np.array(v, np.float64) for k, v in count(here).items()}).items()}
    caption = f"IoU {found['iou']:.2f}, boundary F1 {found[f'boundary_f1_{TOLERANCE:g}px']:.2f}, " + (
        f"perimeter {found['perimeter_ratio']:.2f}"
    )
    return View(
        method.name,
        caption.replace("nan", "–").replace("inf", "∞"),
        _edge(seen.pred, seen.valid)[rows, cols],
        *(mask.numpy()[rows, cols] for mask in match),
    )


def _edge(mask: torch.Tensor, valid: torch.Tensor) -> NDArray[np.bool_]:
    edge: NDArray[np.bool_] = inner_boundary(mask, border=False, valid=valid).numpy()
    return edge
