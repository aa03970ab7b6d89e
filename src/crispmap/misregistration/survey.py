"""Measuring the labels of a training set: which buildings are looked at, and what each is held against."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.features import rasterize
from scipy import ndimage

from crispmap.data.folder import find_scenes
from crispmap.data.labels import VectorLabel
from crispmap.data.scene import IGNORED, Sample, Scene
from crispmap.errors import InputError, SettingError
from crispmap.geo.raster import Nodata, Window
from crispmap.misregistration.buildings import Building, connected_buildings, neighbour_gaps, overlay
from crispmap.misregistration.offset import EdgeField, Offset, offset_from_edges, offset_from_overlap
from crispmap.misregistration.result import Misregistration
from crispmap.progress import track

_Measure = Callable[[Building], Offset | None]

_CORE = 384  # side, in pixels that the network sees, of the squares in which buildings are looked up
_MARGIN = 64  # pixels read around each, so that the buildings whose middle lies in it are whole
_NEAREST, _FARTHEST = 3, 32  # reaches that leave room for a rival, and that memory allows


def suggest_theta(
    images: str | Path,
    labels: str | Path,
    *,
    reference: str | Path | None = None,
    area: str | Path | None = None,
    nodata: Nodata = "file",
    scale: float = 1.0,
    resolution: float | None = None,
    buildings: int = 500,
    reach: int = 8,
    seed: int = 0,
) -> Misregistration:
    """Measures how far labels lie off, building by building, and suggests the boundary loss's θ.

    Labels drawn from another image, or by a hurried hand, are offset building by building rather than as one sheet. A
    boundary loss whose tolerance (θ − 1)/2 is smaller than these offsets rewards boundaries where there are none, and
    masks turn jagged; one that is much larger sees little. The suggestion is the odd θ ≥ 3 whose tolerance is the
    distance that 9 labels in 10 keep, to the nearest pixel.

    The paper's own rule is another: θ should not exceed the smallest gap between neighbouring segments, or the
    boundaries of neighbours are taken for each other. The gaps between labelled buildings are measured too, and the
    result says so where the two rules conflict.

    *Convention.* An offset is where the label lies, seen from where it should, in pixels right and down. Distances are
    Euclidean. Only outlines of which at least half can be compared under every shift are measured: what is cut by the
    image's border, ignored or next to another building does not count. Buildings whose evidence is flat or ambiguous
    are left out and counted. Where roofs lean in the imagery, labels of the ground lie off them, and that is measured
    too, because it is what the network sees.

    Args:
        images: A raster or a folder of rasters, as `crispmap fit` takes them. With ``reference`` only their grid and
            nodata count.
        labels: A mask or a folder of masks, or vectors. Polygons are measured one by one; of a mask, its connected
            components are the buildings, so a row of houses is one.
        reference: Other labels of the same images, held to be right: the labels are measured against them instead of
            the imagery, each building against the one that it overlaps most.
        area: Polygons inside which the labels are complete; buildings outside are not looked at.
        nodata: How the images' nodata is told.
        scale: The share of its own pixels a side to which imagery is brought for the network.
        resolution: Instead of ``scale``: metres a pixel to which imagery is brought.
        buildings: Enough of them: no further place is looked at once so many have been measured.
        reach: Offsets of less than this many pixels right, left, up and down are looked for, from 3 to 32. A label
            that lies farther off is left out, or in rare cases found at a false place; measure again with a larger
            reach where the offsets come near it. A larger reach leaves out more buildings for their neighbours' sake.
        seed: By which places are drawn; the same seed measures the same buildings.

    Returns:
        The offsets, the suggestion ``theta``, and sentences for both (``str(result)``). Lengths are in pixels that the
        network sees, and in metres where the images have a CRS.

    Raises:
        SettingError: If a number is out of range, or scale and resolution are both given.
        InputError: If data cannot be used, or no building could be measured.
        PairingError: If images and labels do not belong together.
    """
    _check(scale, resolution, buildings, reach, seed)
    ground = None if area is None else Path(area)

    def scenes_of(path: str | Path) -> list[Scene]:
        return find_scenes(Path(images), Path(path), area=ground, nodata=nodata, scale=scale, resolution=resolution)

    scenes = scenes_of(labels)
    others: Sequence[Scene | None] = [None] * len(scenes) if reference is None else scenes_of(reference)
    places = [(scene, other, core) for scene, other in zip(scenes, others, strict=True) for core in _cores(scene)]
    found = _Found()
    order = np.random.default_rng(seed).permutation(len(places))
    for number in track(order, "measuring labels", len(order)):
        scene, other, core = places[number]
        place = _Place.read(scene, core)
        if other is None:
            _survey(place, _against_imagery(place, reach), found)
        else:
            _survey(place, _against_labels(place, _Place.read(other, core), reach), found)
        if len(found.offsets) >= buildings:
            break
    if not found.offsets:
        raise InputError(
            f"none of the {found.unclear + found.partial} buildings of {labels} could be measured: {found.partial} are "
            f"cut by a border, {found.unclear} show no clear {'edge' if reference is None else 'counterpart'} within "
            f"{reach} pixels"
        )
    measured = np.array(found.offsets)
    return Misregistration(
        offsets=measured[:, :2],
        errors=measured[:, 2],
        gaps=np.array(found.gaps),
        unclear=found.unclear,
        partial=found.partial,
        against="the imagery" if reference is None else str(reference),
        resolution=_resolution(scenes),
    )


@dataclass
class _Found:
    offsets: list[Offset] = field(default_factory=list)
    gaps: list[float] = field(default_factory=list)
    unclear: int = 0
    partial: int = 0


class _Place(NamedTuple):
    """A part of a scene as the network sees it, with the buildings that are labelled in it.

    Attributes:
        sample: Image and label.
        buildings: All that have a pixel in it.
        rim: (height, width) bool: what is unknown and the pixels next to it, at the part's border too.
        core: Rows and columns between which the middle of a building must lie to be looked at here.
    """

    sample: Sample
    buildings: list[Building]
    rim: NDArray[np.bool_]
    core: tuple[slice, slice]

    @classmethod
    def read(cls, scene: Scene, core: Window) -> "_Place":
        margin = scene.side(_MARGIN)
        around = Window(core.row - margin, core.col - margin, core.height + 2 * margin, core.width + 2 * margin)
        window = around.intersection(scene.image.window)
        shape = (max(1, round(window.height * scene.scale)), max(1, round(window.width * scene.scale)))
        sample = scene.read(window, shape)
        to_network = shape[0] / window.height, shape[1] / window.width
        rows, cols = (
            slice(part.start * ratio, part.stop * ratio)  # in fractions of pixels, so that cores meet
            for part, ratio in zip(core.slices_in(window), to_network, strict=True)
        )
        if isinstance(scene.label, VectorLabel):
            buildings = list(_polygon_buildings(scene.label, window, shape))
        else:
            buildings = connected_buildings(sample.label == 1)
        rim = ndimage.binary_dilation(sample.label == IGNORED, np.ones((3, 3), bool), border_value=1)
        return cls(sample, buildings, rim, (rows, cols))

    def owns(self, building: Building) -> bool:
        """Whether a building is to be looked at here and in no other place."""
        row, col = (start + side / 2 for start, side in zip(building[:2], building.mask.shape, strict=True))
        rows, cols = self.core
        return bool(rows.start <= row < rows.stop and cols.start <= col < cols.stop)

    def cuts(self, building: Building) -> bool:
        """Whether a building may go on where nothing is known."""
        return bool(self.rim[building.box][building.mask].any())


def _survey(place: _Place, measure: _Measure, found: _Found) -> None:
    """Adds what one place tells."""
    labelled, ignored = place.sample.label == 1, place.sample.label == IGNORED
    gaps = zip(connected_buildings(labelled), neighbour_gaps(labelled).tolist(), strict=True)
    found.gaps += [gap for building, gap in gaps if place.owns(building)]
    for building in filter(place.owns, place.buildings):
        if ignored[building.box][building.mask].all():  # outside the area
            continue
        if (offset := measure(building)) is not None:
            found.offsets.append(offset)
        elif place.cuts(building):
            found.partial += 1
        else:
            found.unclear += 1


def _against_imagery(place: _Place, reach: int) -> _Measure:
    edges = EdgeField.of(place.sample.image, place.sample.label == IGNORED)
    count = overlay(place.buildings, place.sample.label.shape)

    def measure(building: Building) -> Offset | None:
        others = count > 0
        others[building.box] = count[building.box] > building.mask
        return offset_from_edges(building, edges, others, reach)

    return measure


def _against_labels(place: _Place, reference: _Place, reach: int) -> _Measure:
    def measure(building: Building) -> Offset | None:
        shared = [building.shared(other) for other in reference.buildings]
        if not any(shared):
            return None
        counterpart = reference.buildings[int(np.argmax(shared))]
        if any(part.cuts(label) for part in (place, reference) for label in (building, counterpart)):
            return None  # what is cut seems to have moved less than it has
        return offset_from_overlap(building, counterpart, reach)

    return measure


def _polygon_buildings(label: VectorLabel, window: Window, shape: tuple[int, int]) -> Iterator[Building]:
    """The polygons of a window, each drawn by itself on the grid of ``shape``; those without a pixel are left out."""
    ratio = np.array((shape[1] / window.width, shape[0] / window.height))
    near = label.footprints.within(label.raster, window).in_pixels(label.raster)
    for polygon in shapely.transform(near, lambda xy: (xy - (window.col, window.row)) * ratio):
        left, top, right, bottom = np.array(polygon.bounds).clip(0, (*shape[::-1], *shape[::-1]))
        row, col = math.floor(top), math.floor(left)
        box = math.ceil(bottom) - row, math.ceil(right) - col
        if min(box) > 0:
            mask = rasterize([polygon], out_shape=box, transform=Affine.translation(col, row), dtype="uint8")
            if mask.any():
                yield Building(row, col, mask.astype(bool))


def _cores(scene: Scene) -> list[Window]:
    """The squares of a scene that hold any of the class."""
    side = scene.side(_CORE)
    image = scene.image.window
    cells = np.unique(scene.anchors // side, axis=0).tolist()
    return [Window(row * side, col * side, side, side).intersection(image) for row, col in cells]


def _resolution(scenes: Sequence[Scene]) -> float | None:
    """Metres a pixel as the network sees it; None where an image has no place on the ground."""
    seen = [scene.image.resolution / scene.scale for scene in scenes if scene.image.resolution is not None]
    return float(np.median(seen)) if len(seen) == len(scenes) else None


def _check(scale: float, resolution: float | None, buildings: int, reach: int, seed: int) -> None:
    if resolution is not None and scale != 1.0:
        raise SettingError("scale and resolution exclude each other; give one of them")
    for name, value in (("scale", scale), ("resolution", resolution)):
        if value is not None and not (math.isfinite(value) and value > 0):
            raise SettingError(f"{name} is {value}; it must be above 0")
    for name, number, least in (("buildings", buildings, 1), ("seed", seed, 0)):
        if number < least:
            raise SettingError(f"{name} is {number}; it must be at least {least}")
    if not _NEAREST <= reach <= _FARTHEST:
        raise SettingError(f"reach is {reach} pixels; it must be from {_NEAREST} to {_FARTHEST}")
