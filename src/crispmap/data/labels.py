"""Labels of one image: a mask raster, or polygons burnt into the image's grid; read by window."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import shapely
from numpy.typing import NDArray

from crispmap.geo.mask import MaskRaster
from crispmap.geo.raster import Raster, Window
from crispmap.geo.vector import Footprints

_CELL = 32  # pixels a side: a mask gives one anchor for every such cell that holds the class


class Label(Protocol):
    """What the ground truth of one image can do."""

    def read(self, window: Window) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """The class and where it is known, both (height, width)."""

    def anchors(self) -> NDArray[np.int64]:
        """Pixels (row, column) of the class, spread over all of it, shaped (n, 2): windows are placed by them."""


@dataclass(frozen=True)
class RasterLabel:
    """A mask raster on the image's grid."""

    mask: MaskRaster

    def read(self, window: Window) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """The class and where it is known."""
        return self.mask.read(window)

    def anchors(self) -> NDArray[np.int64]:
        """One pixel of the class for each cell of 32 pixels a side that holds any."""
        height, width = self.mask.raster.height, self.mask.raster.width
        found = [np.empty((0, 2), np.int64)]
        for row in range(0, height, _CELL):
            strip, known = self.read(Window(row, 0, min(_CELL, height - row), width))
            rows, cols = np.nonzero(strip & known)
            middle = np.argsort(np.abs(rows - _CELL // 2), kind="stable")  # of a cell's pixels, a central one
            _, first = np.unique(cols[middle] // _CELL, return_index=True)
            found.append(np.column_stack([row + rows[middle][first], cols[middle][first]]))
        return np.concatenate(found)


@dataclass(frozen=True)
class VectorLabel:
    """Polygons in the image's CRS; inside the image, no polygon means background."""

    footprints: Footprints
    raster: Raster

    def read(self, window: Window) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """The class and where it is known: everywhere."""
        return self.footprints.burn(self.raster, window), np.ones((window.height, window.width), bool)

    def anchors(self) -> NDArray[np.int64]:
        """One point inside each polygon, where that falls into the image."""
        points = shapely.get_coordinates(shapely.point_on_surface(self.footprints.polygons))
        cols, rows = ~self.raster.transform @ (points[:, 0], points[:, 1])
        pixels = np.floor(np.column_stack([rows, cols])).astype(np.int64)
        inside = (pixels >= 0) & (pixels < (self.raster.height, self.raster.width))
        return np.asarray(pixels[inside.all(axis=1)])
