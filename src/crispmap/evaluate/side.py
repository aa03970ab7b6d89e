"""One side of a comparison: a mask on disk, or polygons burnt into a grid as windows ask for them."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from crispmap.geo.grid import Placed
from crispmap.geo.mask import MaskRaster
from crispmap.geo.raster import Window, kept_open
from crispmap.geo.vector_source import VectorSource


class Side(Protocol):
    """A prediction or a truth."""

    def read(self, window: Window) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """The mask and where it is known, each (height, width)."""

    def ids(self, window: Window) -> NDArray[np.int64] | None:
        """Which polygon each pixel shows, (height, width), 0 for none; None where there are no polygons."""

    def polygons(self) -> NDArray[np.object_] | None:
        """The polygons that touch the grid, in its CRS; None where there are no polygons."""

    def opened(self) -> AbstractContextManager["Side"]:
        """The same for many reads, with its file open until the context ends."""


@dataclass(frozen=True)
class MaskSide:
    """A raster."""

    mask: MaskRaster
    threshold: float = 0.5

    def read(self, window: Window) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """The mask and where it holds data."""
        return self.mask.read(window, self.threshold)

    def ids(self, window: Window) -> None:
        """None: what belongs together in a raster is not known."""

    def polygons(self) -> None:
        """None."""

    @contextmanager
    def opened(self) -> Iterator["MaskSide"]:
        """The same mask, with its file open."""
        with kept_open(self.mask.raster) as raster:
            yield replace(self, mask=replace(self.mask, raster=raster))


@dataclass(frozen=True)
class PolygonSide:
    """Polygons; they are known everywhere."""

    source: VectorSource
    grid: Placed

    def read(self, window: Window) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Where polygons are, and that this is known."""
        mask = self.source.near(self.grid, window).burn(self.grid, window)
        return mask, np.ones_like(mask)

    def ids(self, window: Window) -> NDArray[np.int64]:
        """The ids of the polygons."""
        return self.source.near(self.grid, window).burn_ids(self.grid, window)

    def polygons(self) -> NDArray[np.object_]:
        """All that touch the grid."""
        return self.source.near(self.grid, self.grid.window).within(self.grid).polygons

    @contextmanager
    def opened(self) -> Iterator["PolygonSide"]:
        """Itself, and what it holds of its file is forgotten when the context ends."""
        yield self
        self.source.forget()
