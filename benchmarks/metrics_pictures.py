"""Pictures of failures, one square a pixel: truth, prediction, and what a tolerance makes of their boundaries."""

from pathlib import Path

import matplotlib
import torch
from metrics_failures import SIZE, TOLERANCE, Failure, outlines, tensors

from crispmap.functional import boundary_counts, boundary_f1, boundary_match

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

INSIDE = "#dcdcdc"
STYLES = {  # told apart by colour-blind readers, and what is missed by its shape too
    "matched": {"facecolor": "#0072b2", "edgecolor": "none"},
    "spurious": {"facecolor": "#e8590c", "edgecolor": "none"},
    "missed": {"facecolor": "white", "edgecolor": "black", "linewidth": 1.2},
}


def draw(failure: Failure, file: Path) -> None:
    """Draws a failure, 1800 pixels wide, to be shown at half of that or less."""
    pred, truth = tensors(failure)
    match = boundary_match(pred[0], truth[0], TOLERANCE)
    score = float(boundary_f1(boundary_counts(pred, truth, [TOLERANCE]))[0])
    figure, axes = plt.subplots(1, 3, figsize=(12, 5), layout="constrained")
    for axis, mask, title in zip(axes, (truth, pred, pred), ("truth", "prediction", _title(score)), strict=True):
        _squares(axis, mask[0], facecolor=INSIDE if axis is axes[2] else "#4d4d4d", edgecolor="none")
        axis.set(xlim=(0, SIZE), ylim=(SIZE, 0), aspect="equal", xticks=[], yticks=[])
        axis.set_title(title, fontsize=17)
    for name, style in STYLES.items():
        _squares(axes[2], getattr(match, name), **style)
    for outline in outlines(failure.truth):
        axes[2].plot(*outline.exterior.xy, color="black", linewidth=1, linestyle=(0, (4, 3)))
    names = [f"{name}: {int(getattr(match, name).sum())} px" for name in STYLES]
    patches: list[Artist] = [Patch(label=name, **style) for name, style in zip(names, STYLES.values(), strict=True)]
    patches.append(Line2D([], [], color="black", linewidth=1, linestyle=(0, (4, 3)), label="truth"))
    figure.legend(handles=patches, loc="outside lower right", ncols=4, fontsize=16, frameon=False)
    figure.savefig(file, dpi=150)
    plt.close(figure)


def _title(score: float) -> str:
    return f"boundary, 3 px: F1 {score:.3f}"


def _squares(axis: Axes, mask: torch.Tensor, **style: object) -> None:
    squares = [Rectangle((column, row), 1, 1) for row, column in mask.nonzero().tolist()]
    axis.add_collection(PatchCollection(squares, **style))
