"""The offset of one building's label, from the edges of an image or from another label of the same building.

Directions are those of the pixel grid: right along the columns, down along the rows. An offset says where the label
lies, seen from where it should: moving the label by its negative puts it in place.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy import ndimage

from crispmap.misregistration.buildings import Building

_FINE = 0.7  # σ in pixels of the derivatives of an image: the finest that sampling carries
_SOFT = 1.0  # σ in pixels by which masks are softened, so that a staircase of pixels has the direction of its wall
_BORDER = 4  # pixels around a mask that softening reaches

_ARCS = 12  # parts of an outline that are left out in turn
_PARTY_WALL = 2  # pixels around other buildings where an outline is not expected to show in an image
_SHORTEST = 16.0  # pixels of outline, fewer of which say nothing
_VISIBLE = 0.5  # the least share of an outline that must lie in the image, away from its border

# When an alignment is believed. On synthetic scenes of 0.3 m with labels that lie up to 5 px off, half of all pass;
# most others are cut by a border or are one house of a row. The median error is then 0.2 px, and 2 in 100 are wrong by
# more than 1 px; of labels thrown at random places 2 in 100 pass.
_SURE = 0.75  # px, the largest standard error
_RIVAL = 0.75  # the next best alignment's agreement, as a share of the best one's
_AGREEMENT = 0.15  # the least by which the best alignment beats the median one, as a share of perfect agreement
_APART = 2.5  # px between two alignments that rival each other

_SAME = 0.5  # the least intersection over union, once aligned, of two labels of one building


class Offset(NamedTuple):
    """Where a label lies, seen from where it should, in pixels.

    Attributes:
        right: Along the columns.
        down: Along the rows.
        error: The standard error of the measurement; 0 between two labels, which hold no noise.
    """

    right: float
    down: float
    error: float


@dataclass(frozen=True)
class EdgeField:
    """The directions of an image's edges, and where labels can be compared with them.

    Attributes:
        tensor: (3, height, width) float32: Σ gₓ², Σ gₓ·g_y and Σ g_y² over the bands (the structure tensor of Di Zenzo
            1986), where g is the gradient, normalised by its length over all bands, so that a faint roof edge counts as
            much as a hard shadow.
        valid: (height, width) bool: where the image and the labels around are known.
    """

    tensor: NDArray[np.float32]
    valid: NDArray[np.bool_]

    @classmethod
    def of(cls, image: NDArray[np.floating], ignored: NDArray[np.bool_] | None = None) -> "EdgeField":
        """Finds the edges of an image.

        Args:
            image: (bands, height, width), in any unit, NaN where there is no data.
            ignored: (height, width), where nothing is known about the labels.
        """
        unknown = ~np.isfinite(image).all(axis=0)
        right, down = np.stack([_gradient(np.where(unknown, 0, band), _FINE) for band in image], axis=1)
        length = np.sqrt(np.square((right, down), dtype=np.float64).sum(axis=(0, 1)))  # squares of float32 may overflow
        # a tenth of what is usual here keeps sensor noise on even ground from counting like an edge
        floor = max(0.1 * float(np.median(length[~unknown])), 1e-6) if not unknown.all() else 1.0
        right, down = (gradient / (length + floor) for gradient in (right, down))
        tensor = np.stack([(a * b).sum(axis=0) for a, b in ((right, right), (right, down), (down, down))])
        known = ~ndimage.binary_dilation(unknown, iterations=_BORDER) if unknown.any() else ~unknown
        if ignored is not None:
            known &= ~ignored
        return cls(tensor.astype(np.float32), known)


def offset_from_edges(building: Building, edges: EdgeField, others: NDArray[np.bool_], reach: int = 8) -> Offset | None:
    r"""Finds where a building's outline lies best on the edges of an image.

    For each shift d of whole pixels, the agreement is the mean over the outline of how squarely it crosses the image's
    gradient g, with outward normals n and weights w (the slope of the softened mask):

    $$E(d) = \frac{\sum_p w_p \, \lVert g(p + d) \cdot n_p \rVert}{\sum_p w_p}, \qquad g = \frac{\nabla I}{\lVert
    \nabla I \rVert + c}$$

    where the norm runs over the bands. Only directions count, not contrast, so walls, lawns and shadows weigh the same;
    the sign does not count, because a roof may be brighter than its surroundings on one side and darker on another. The
    best shift is refined by a parabola along each axis.

    The error is the jackknife's: the shift is found again with each twelfth of the outline left out, which tells
    evidence from all sides from a single long edge, along which a label could slide.

    Args:
        building: The label.
        edges: Of the image on the same grid.
        others: (height, width), pixels of other labelled buildings: the outline next to them is left out, because party
            walls do not show in an image.
        reach: Offsets up to this many pixels along each axis are looked for.

    Returns:
        The offset of the label from the image, or None if the evidence is flat, ambiguous or hidden.
    """
    frame, top, left = _frame(building, edges.valid.shape, reach + _BORDER)
    outline = _Outline.of(building.within(top, left, frame), others[top : top + frame[0], left : left + frame[1]])
    visible = _visible(edges.valid[top : top + frame[0], left : left + frame[1]], outline, reach)
    length = outline.weight.sum()
    outline = outline.only(visible)
    if outline.weight.sum() < max(_SHORTEST, _VISIBLE * length):
        return None
    agreement = _agreement(outline, edges.tensor[:, top : top + frame[0], left : left + frame[1]], reach)
    whole = agreement.sum(axis=0)
    best = _peak(whole)
    if best is None or not _is_clear(whole):
        return None
    again = [_peak(whole - arc) for arc in agreement]
    if any(shift is None for shift in again):
        return None
    spread = np.array(again) - np.mean(np.array(again), axis=0)
    error = float(np.sqrt((_ARCS - 1) / _ARCS * (spread**2).sum()))
    return Offset(-best[0], -best[1], error) if error <= _SURE else None


def offset_from_overlap(building: Building, reference: Building, reach: int = 8) -> Offset | None:
    """Finds the shift at which a building's label covers another label of it best.

    That is where the squared difference of the two softened masks is least, refined by a parabola along each axis.

    Args:
        building: The label.
        reference: The other label of the same building, on the same grid.
        reach: Offsets up to this many pixels along each axis are looked for.

    Returns:
        The offset of the label from the reference; None if it is out of reach, or if the two, once aligned to a whole
        pixel, have less than half of their union in common: then they hardly show the same building.
    """
    height, width = building.mask.shape
    margin = reach + _BORDER
    row, col = building.row - margin, building.col - margin
    around = reference.within(row, col, (height + 2 * margin, width + 2 * margin))
    label = np.pad(building.mask, _BORDER)
    windows = sliding_window_view(_soften(around), label.shape)
    overlap = np.einsum("ijkl,kl->ij", windows, _soften(label))
    best = _peak(overlap)
    if best is None:
        return None
    right, down = round(best[0]), round(best[1])
    aligned = building.within(row - down, col - right, around.shape)
    common = (aligned & around).sum()
    if common < _SAME * (building.mask.sum() + reference.mask.sum() - common):
        return None
    return Offset(-best[0], -best[1], 0.0)


class _Outline(NamedTuple):
    """Pixels along an outline, in order around it.

    Attributes:
        rows: (n,).
        cols: (n,).
        normal: (2, n) unit vectors across the outline, along columns and rows.
        weight: (n,); they sum to about the outline's length in pixels.
    """

    rows: NDArray[np.int64]
    cols: NDArray[np.int64]
    normal: NDArray[np.float32]
    weight: NDArray[np.float32]

    @classmethod
    def of(cls, mask: NDArray[np.bool_], others: NDArray[np.bool_]) -> "_Outline":
        slope = _gradient(mask.astype(np.float32), _SOFT)
        steepness = np.hypot(*slope)
        steepness[ndimage.binary_dilation(others, iterations=_PARTY_WALL)] = 0
        rows, cols = np.nonzero(steepness > 0.1)  # a straight wall has 0.4
        around = np.argsort(np.arctan2(rows - rows.mean(), cols - cols.mean())) if len(rows) else rows
        rows, cols = rows[around], cols[around]
        weight = steepness[rows, cols]
        return cls(rows, cols, slope[:, rows, cols] / weight, weight)

    def only(self, kept: NDArray[np.bool_]) -> "_Outline":
        return _Outline(self.rows[kept], self.cols[kept], self.normal[:, kept], self.weight[kept])


def _visible(valid: NDArray[np.bool_], outline: _Outline, reach: int) -> NDArray[np.bool_]:
    """Which pixels of an outline stay in the known part of the image under every shift."""
    safe = ndimage.minimum_filter(valid, 2 * reach + 1, mode="constant", cval=False)
    return np.asarray(safe[outline.rows, outline.cols])


def _agreement(outline: _Outline, tensor: NDArray[np.float32], reach: int) -> NDArray[np.float64]:
    """What each arc of the outline adds to the agreement at every shift, (arcs, shifts down, shifts right)."""
    shifts = np.arange(-reach, reach + 1)
    places = (outline.rows[:, None] + shifts)[:, :, None] * tensor.shape[2] + (outline.cols[:, None] + shifts)[:, None]
    right, down = outline.normal[:, :, None, None]
    factors = (right**2, 2 * right * down, down**2)
    squares = sum(factor * plane.ravel()[places] for factor, plane in zip(factors, tensor, strict=True))
    crossing = np.sqrt(np.maximum(squares, 0)) * outline.weight[:, None, None]
    total = outline.weight.sum(dtype=np.float64)
    share = (np.cumsum(outline.weight, dtype=np.float64) - outline.weight / 2) / total
    starts = np.searchsorted(share, np.arange(_ARCS) / _ARCS)
    return np.asarray(np.add.reduceat(crossing, starts, axis=0, dtype=np.float64) / total)


def _is_clear(agreement: NDArray[np.float64]) -> bool:
    """Whether one shift stands out from the others, with no rival away from it."""
    down, right = np.unravel_index(agreement.argmax(), agreement.shape)
    rows, cols = np.ogrid[: agreement.shape[0], : agreement.shape[1]]
    rival = agreement[np.hypot(rows - down, cols - right) > _APART].max()
    usual = np.median(agreement)
    height = agreement.max() - usual
    return bool(height >= _AGREEMENT and rival - usual <= _RIVAL * height)


def _peak(values: NDArray[np.floating]) -> tuple[float, float] | None:
    """The shift (right, down) of the largest value, refined; None if it lies at the rim, beyond which there is more."""
    down, right = (int(i) for i in np.unravel_index(values.argmax(), values.shape))
    if not (0 < down < values.shape[0] - 1 and 0 < right < values.shape[1] - 1):
        return None
    reach = values.shape[0] // 2
    return (
        right - reach + _summit(*values[down, right - 1 : right + 2]),
        down - reach + _summit(*values[down - 1 : down + 2, right]),
    )


def _summit(before: float, at: float, after: float) -> float:
    """Where the parabola through three neighbouring values, the middle one the largest, is highest."""
    bend = before - 2 * at + after
    return float(0.5 * (before - after) / bend) if bend < 0 else 0.0


def _gradient(plane: NDArray[np.floating], sigma: float) -> NDArray[np.floating]:
    """The derivatives of a softened plane along columns and rows, (2, height, width)."""
    return np.stack([ndimage.gaussian_filter(plane, sigma, order=order) for order in ((0, 1), (1, 0))])


def _soften(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    return np.asarray(ndimage.gaussian_filter(mask.astype(np.float32), _SOFT))


def _frame(building: Building, shape: tuple[int, int], margin: int) -> tuple[tuple[int, int], int, int]:
    """The shape and the first pixel of a building's surroundings, as far as they lie on the grid."""
    top, left = max(0, building.row - margin), max(0, building.col - margin)
    bottom = min(shape[0], building.row + building.mask.shape[0] + margin)
    right = min(shape[1], building.col + building.mask.shape[1] + margin)
    return (bottom - top, right - left), top, left
