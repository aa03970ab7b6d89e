"""The folder source: images with labels beside them, as masks or as polygons, paired and checked."""

import logging
import re
from collections.abc import Sequence
from pathlib import Path

import shapely

from crispmap.data.labels import Label, RasterLabel, VectorLabel
from crispmap.data.scene import Scene
from crispmap.errors import InputError, PairingError
from crispmap.geo.mask import MaskRaster, check_mask_set
from crispmap.geo.raster import RASTER_SUFFIXES, Nodata, Raster, check_same_grid, is_hidden, raster_files
from crispmap.geo.vector import VECTOR_SUFFIXES, Footprints, window_outline
from crispmap.progress import track

log = logging.getLogger("crispmap")

_LABEL_SUFFIX = re.compile(r"_(mask|label|labels|gt|footprints)$")


def find_scenes(
    images: Path,
    labels: Path,
    *,
    area: Path | None = None,
    nodata: Nodata = "file",
    scale: float = 1.0,
    resolution: float | None = None,
) -> list[Scene]:
    """Pairs images with labels and checks that they fit each other.

    Args:
        images: A raster or a folder of rasters.
        labels: A mask or a folder of masks, paired by stem (``_mask``, ``_label``, ``_labels``, ``_gt`` at the
            end of a label's stem do not count); or vectors: one file for all the images, a folder that holds
            one, or a folder with one for each stem.
        area: Polygons inside which the labels are complete; pixels outside are ignored.
        nodata: How the images' nodata is told.
        scale: The share of its own pixels a side to which imagery is brought.
        resolution: Instead of ``scale``: metres a pixel to which imagery is brought.

    Returns:
        The scenes, in natural order of their names.

    Raises:
        InputError: If something cannot be read, or images differ in bands or type.
        PairingError: If images and labels do not belong together.
    """
    paths = sorted(raster_files(images) if images.is_dir() else [images], key=natural_order)
    rasters = [Raster.of(path) for path in paths]
    check_alike(rasters)
    grounds = _near(Footprints.read(area), rasters) if area else [None] * len(rasters)
    scenes = [
        Scene(raster, label, network_scale(raster, scale, resolution), nodata, ground)
        for raster, label, ground in zip(rasters, _labels(labels, rasters), grounds, strict=True)
    ]
    look_at_labels(scenes)
    if not any(len(scene.anchors) for scene in scenes):
        raise InputError(f"{labels} marks nothing in any of the {len(scenes)} images; there is nothing to learn from")
    return scenes


def look_at_labels(scenes: Sequence[Scene]) -> None:
    """Has each scene look through its labels for anchors now, with a progress bar, rather than when first asked."""
    for scene in track(scenes, "looking at labels", len(scenes)):
        _ = scene.anchors


def natural_order(path: Path) -> tuple[tuple[int, str | int], ...]:
    """A key that sorts tile_2 before tile_10."""
    parts = re.findall(r"\d+|\D+", path.name)
    return tuple((0, int(part)) if part.isdecimal() else (1, part) for part in parts)


def check_alike(rasters: Sequence[Raster]) -> None:
    """Checks that images can go through one network.

    Raises:
        InputError: If one of them has another number of bands or another type than the first.
    """
    first = rasters[0]
    for raster in rasters:
        if (len(raster.bands), raster.dtype) != (len(first.bands), first.dtype):
            raise InputError(
                f"images differ: {first.path.name} has {len(first.bands)} bands of {first.dtype}, "
                f"{raster.path.name} {len(raster.bands)} of {raster.dtype}; bring them to one form"
            )


def network_scale(raster: Raster, scale: float, resolution: float | None) -> float:
    """The share of its own pixels a side to which a raster is brought.

    Raises:
        InputError: If a resolution is wanted and the raster's is not known.
    """
    if resolution is None:
        return scale
    if raster.resolution is None:
        raise InputError(f"{raster.path} has no CRS, so its ground resolution is unknown; use --scale instead")
    return raster.resolution / resolution


def _labels(path: Path, rasters: Sequence[Raster]) -> list[Label]:
    files = sorted(file for file in path.iterdir() if not is_hidden(file)) if path.is_dir() else [path]
    masks, vectors = _by_stem(files, RASTER_SUFFIXES), _by_stem(files, VECTOR_SUFFIXES)
    if not masks and not vectors:
        known = ", ".join(RASTER_SUFFIXES + VECTOR_SUFFIXES)
        raise InputError(f"no labels at {path}; looked for {known}")
    if masks:
        if not path.is_dir() and len(rasters) == 1:  # one image, one mask: whatever they are called
            masks = {rasters[0].path.stem: path}
        return _masks(_partners(masks, rasters, path), rasters)
    if len(vectors) == 1:
        return _shared_vectors(next(iter(vectors.values())), rasters)
    return _own_vectors(_partners(vectors, rasters, path), rasters)


def _by_stem(files: Sequence[Path], suffixes: tuple[str, ...]) -> dict[str, Path]:
    """The files of some kinds by the stem that their images have.

    Raises:
        PairingError: If two have the same.
    """
    found: dict[str, Path] = {}
    for file in files:
        if file.suffix.lower() in suffixes and found.setdefault(_stem(file), file) is not file:
            raise PairingError(
                f"{found[_stem(file)]} and {file.name} are both labels of '{_stem(file)}'; keep one in the folder"
            )
    return found


def _stem(file: Path) -> str:
    return _LABEL_SUFFIX.sub("", file.stem)


def _partners(files: dict[str, Path], rasters: Sequence[Raster], folder: Path) -> list[Path]:
    """The label file of each image."""
    found = [files.get(raster.path.stem) or files.get(_stem(raster.path)) for raster in rasters]
    alone = [raster.path.name for raster, file in zip(rasters, found, strict=True) if file is None]
    if alone:
        more = f" and {len(alone) - 3} more" if len(alone) > 3 else ""
        raise PairingError(
            f"no label in {folder} for {', '.join(alone[:3])}{more}: a label has the stem of its image "
            f"({len(rasters)} images, {len(files)} labels)"
        )
    surplus = sorted(set(files.values()) - set(found))
    if surplus:
        log.warning("%d labels in %s have no image and are left out, %s first", len(surplus), folder, surplus[0].name)
    return [file for file in found if file is not None]


def _masks(files: Sequence[Path], rasters: Sequence[Raster]) -> list[Label]:
    masks = []
    for raster, file in zip(rasters, files, strict=True):
        mask = MaskRaster.of(file)
        check_same_grid(mask.raster, raster)
        masks.append(mask)
    return [RasterLabel(mask) for mask in check_mask_set(masks)]


def _shared_vectors(file: Path, rasters: Sequence[Raster]) -> list[Label]:
    """One vector file for every image; an image without a polygon is all background."""
    near = _near(Footprints.read(file), rasters)
    _report(file, near)
    return [VectorLabel(footprints, raster) for footprints, raster in zip(near, rasters, strict=True)]


def _own_vectors(files: Sequence[Path], rasters: Sequence[Raster]) -> list[Label]:
    """A vector file for each image; an empty one says that there is nothing."""
    labels: list[Label] = []
    for raster, file in zip(rasters, files, strict=True):
        footprints = Footprints.read(file).on(raster)
        _report(file, [footprints])
        near = footprints.within(raster)
        if len(footprints.polygons) and not len(near.polygons):
            raise PairingError(_no_overlap(footprints, raster))
        labels.append(VectorLabel(near, raster))
    return labels


def _near(footprints: Footprints, rasters: Sequence[Raster]) -> list[Footprints]:
    """Those that touch each image, which they must in one of them."""
    near = [footprints.on(raster).within(raster) for raster in rasters]
    if not any(len(found.polygons) for found in near):
        raise PairingError(_no_overlap(footprints.on(rasters[0]), rasters[0]))
    return near


def _report(file: Path, moved: Sequence[Footprints]) -> None:
    """Says what of a file was repaired or left out, in it or on the way to the CRSs of images."""
    if repaired := len(frozenset().union(*(footprints.repaired_features for footprints in moved))):
        log.warning("%s: %d invalid polygons repaired", file, repaired)
    if dropped := len(frozenset().union(*(footprints.dropped_features for footprints in moved))):
        log.warning("%s: %d features without an area left out", file, dropped)


def _no_overlap(footprints: Footprints, raster: Raster) -> str:
    if not len(footprints.polygons):
        return f"{footprints.path} holds no polygons"
    theirs = ", ".join(f"{value:g}" for value in shapely.total_bounds(footprints.polygons))
    ours = ", ".join(f"{value:g}" for value in window_outline(raster, raster.window).bounds)
    return (
        f"{footprints.path} does not overlap {raster.path}: it lies in ({theirs}), the image in ({ours}), "
        f"both in {raster.crs}; is one of their CRSs wrong?"
    )
