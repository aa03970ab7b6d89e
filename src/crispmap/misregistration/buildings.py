"""Single buildings of a label map: each with its own mask, and how near the next one stands."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage


class Building(NamedTuple):
    """One labelled object on the pixel grid of a label map.

    Attributes:
        row: First row of its bounding box.
        col: First column of its bounding box.
        mask: Its pixels within the bounding box, (height, width) bool.
    """

    row: int
    col: int
    mask: NDArray[np.bool_]

    @property
    def box(self) -> tuple[slice, slice]:
        """Rows and columns of its bounding box."""
        height, width = self.mask.shape
        return slice(self.row, self.row + height), slice(self.col, self.col + width)

    def within(self, row: int, col: int, shape: tuple[int, int]) -> NDArray[np.bool_]:
        """Its mask as it appears in a frame of this shape whose first pixel is (row, col); it may be cut."""
        frame = np.zeros(shape, bool)
        top, left = self.row - row, self.col - col
        rows = slice(max(0, top), min(shape[0], top + self.mask.shape[0]))
        cols = slice(max(0, left), min(shape[1], left + self.mask.shape[1]))
        if rows.start < rows.stop and cols.start < cols.stop:
            frame[rows, cols] = self.mask[rows.start - top : rows.stop - top, cols.start - left : cols.stop - left]
        return frame

    def shared(self, other: "Building") -> int:
        """How many pixels it has in common with another."""
        apart = (
            other.row >= self.row + self.mask.shape[0]
            or self.row >= other.row + other.mask.shape[0]
            or other.col >= self.col + self.mask.shape[1]
            or self.col >= other.col + other.mask.shape[1]
        )
        return 0 if apart else int((self.mask & other.within(self.row, self.col, self.mask.shape)).sum())


def connected_buildings(mask: NDArray[np.bool_]) -> list[Building]:
    """The connected components of a mask: pixels that share a side belong together.

    Args:
        mask: (height, width).

    Returns:
        One building a component. Houses that touch, as in a row, are one component; polygons tell them apart.
    """
    numbers, count = ndimage.label(mask)
    boxes = ndimage.find_objects(numbers, count)
    return [
        Building(rows.start, cols.start, numbers[rows, cols] == number)
        for number, (rows, cols) in enumerate(boxes, start=1)
    ]


def overlay(buildings: Iterable[Building], shape: tuple[int, int]) -> NDArray[np.int32]:
    """How many of the buildings each pixel of a label map belongs to, (height, width)."""
    count = np.zeros(shape, np.int32)
    for building in buildings:
        count[building.box] += building.mask
    return count


def neighbour_gaps(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """How far each building of a mask stands from its nearest neighbour.

    The gap is the number of background pixels between the two on the straight way: one in a 1-pixel alley.
    Buildings that touch are one object here, as they are to a loss that sees the mask.

    Args:
        mask: (height, width); its connected components are the buildings.

    Returns:
        One gap a building in pixels, in the order of `connected_buildings`; infinite where there is no other.
    """
    numbers, count = ndimage.label(mask)
    gaps = np.full(count, np.inf)
    if count < 2:
        return gaps
    # Every pixel belongs to the building nearest to it. Where the lands of two buildings meet, the way from one to the
    # other is as long as the distances of the two pixels that meet; the shortest such way is the gap.
    distance, (rows, cols) = ndimage.distance_transform_edt(~mask, return_indices=True)
    owner = numbers[rows, cols]
    for one, other in ((np.s_[:-1], np.s_[1:]), (np.s_[:, :-1], np.s_[:, 1:])):
        meet = owner[one] != owner[other]
        way = distance[one][meet] + distance[other][meet]
        np.minimum.at(gaps, owner[one][meet] - 1, way)
        np.minimum.at(gaps, owner[other][meet] - 1, way)
    return gaps
