"""A scene: an image with its labels, of which any window can be read as a training sample."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from crispmap.data.compound import RasterPart
from crispmap.data.labels import IGNORED, Label
from crispmap.geo.raster import Nodata, Raster, Window
from crispmap.geo.resample import resample
from crispmap.geo.vector import Footprints

__all__ = ["IGNORED", "Region", "Sample", "Scene"]


class Sample(NamedTuple):
    """A window as the network sees it.

    Attributes:
        image: (bands, height, width) float32 in the units of the file, NaN where there is no data.
        label: (height, width) uint8: 1 the class, 0 the rest, 255 ignored; of labels with several classes, 0 the
            first of them, 1 the second and so on.
    """

    image: NDArray[np.float32]
    label: NDArray[np.uint8]


@dataclass(frozen=True)
class Scene:
    """An image with its labels.

    Attributes:
        image: The raster.
        label: What is known about it.
        scale: The share of its own pixels a side to which it is brought.
        nodata: How the image's nodata is told.
        area: Where the labels are complete, in the image's CRS; everywhere if None.
    """

    image: Raster
    label: Label
    scale: float = 1.0
    nodata: Nodata = "file"
    area: Footprints | None = None

    def read(self, window: Window, shape: tuple[int, int]) -> Sample:
        """Reads a window and brings it to a shape.

        What is nodata, outside the image or outside the area is ignored. A pixel belongs to the class if at
        least half of its known ground does; of several classes, to that which has most of it. Imagery may come by way
        of an overview (`Raster.read_at`), labels never do: those of masks are nearest neighbours as a rule, which move
        outlines.
        """
        image, seen, valid = self.image.read_at(window, shape, self.nodata)
        mask, known = self.label.read(window)
        known = known & valid
        if self.area is not None:
            known &= self.area.burn(self.image, window)
        if not seen.all():
            image[:, ~seen] = np.nan
        shares, sure = resample(mask.reshape(-1, *known.shape), known, shape)
        number = shares[0] >= 0.5 if mask.ndim == 2 else shares.argmax(axis=0)
        label = number.astype(np.uint8)
        label[~(sure & seen)] = IGNORED
        return Sample(image, label)

    def part(self, window: Window) -> "Scene":
        """The scene inside a window, which lies inside the image; of the rest nothing is seen."""
        return replace(self, image=RasterPart.cut(self.image, window), label=_LabelPart(self, window))

    def side(self, size: int) -> int:
        """How many of the image's own pixels a window covers that the network sees with ``size`` pixels."""
        return max(1, round(size / self.scale))

    @cached_property
    def anchors(self) -> NDArray[np.int64]:
        """Pixels of the class (row, column), shaped (n, 2), those outside the area left out."""
        anchors = self.label.anchors()
        if self.area is None:
            return anchors
        return np.asarray(anchors[self.area.cover(self.image, anchors)])


@dataclass(frozen=True)
class _LabelPart:
    """What a scene knows inside a window."""

    scene: Scene
    inside: Window

    def read(self, window: Window) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """The class and where it is known, as the scene's label has them; beyond the part nothing is known."""
        place = Window(self.inside.row + window.row, self.inside.col + window.col, window.height, window.width)
        mask, known = self.scene.label.read(place)
        seen = np.zeros_like(known)
        seen[place.intersection(self.inside).slices_in(place)] = True
        return mask & seen, known & seen

    def anchors(self) -> NDArray[np.int64]:
        """Those of the scene, which is looked through only once for all of its parts."""
        return Region(self.scene, self.inside).anchors - (self.inside.row, self.inside.col)


@dataclass(frozen=True)
class Region:
    """The part of a scene from which windows may be taken."""

    scene: Scene
    window: Window

    @cached_property
    def anchors(self) -> NDArray[np.int64]:
        """The scene's anchors inside the region."""
        start, size = np.array(self.window).reshape(2, 2)
        inside = (self.scene.anchors >= start) & (self.scene.anchors < start + size)
        return np.asarray(self.scene.anchors[inside.all(axis=1)])

    def read(self, window: Window, size: int) -> Sample:
        """Reads a square window as ``size`` pixels a side; nothing outside the region is seen."""
        sample = self.scene.read(window, (size, size))
        inside = window.intersection(self.window)
        if inside == window:
            return sample
        ratio = size / window.height
        rows, cols = inside.slices_in(window)
        outside = np.ones((size, size), bool)
        outside[
            round(rows.start * ratio) : round(rows.stop * ratio),
            round(cols.start * ratio) : round(cols.stop * ratio),
        ] = False
        sample.image[:, outside] = np.nan
        sample.label[outside] = IGNORED
        return sample
