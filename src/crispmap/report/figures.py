"""Pictures: imagery for display, edge pictures, footprints over imagery, and how pages embed them."""

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from rasterio import Affine
from rasterio.features import rasterize
from scipy import ndimage
from shapely import Polygon

from crispmap.functional.boundary_score import boundary_match
from crispmap.geo.resample import resample

Picture = NDArray[np.uint8]  # (height, width, 3)

# Told apart with any kind of colour vision: they differ along blue and yellow, and in lightness.
EDGE_COLOURS = {"matched": (86, 180, 233), "missed": (240, 228, 66), "spurious": (255, 98, 40)}
FOOTPRINT_COLOUR = (255, 196, 0)
_SMALLEST = 512  # pictures with a longer side below this are enlarged, pixel by pixel
_LINE = 180  # lines are this share of the longer side, so that they show in a thumbnail


def to_rgb(image: NDArray[Any]) -> Picture:
    """Stretches imagery for display.

    Args:
        image: (bands, height, width) of any type; the first three bands become red, green and blue, fewer
            become grey.

    Returns:
        The picture: the 2nd to the 98th percentile of all three bands cover black to white; NaN is black.
    """
    bands = np.asarray(image[:3] if len(image) >= 3 else image[:1], np.float32)
    known = bands[np.isfinite(bands)]
    low, high = np.percentile(known, (2, 98)) if known.size else (0.0, 1.0)
    stretched = np.nan_to_num((bands - low) / max(high - low, 1e-6), nan=0.0, posinf=0.0, neginf=0.0)
    picture = (np.clip(stretched, 0, 1) * 255).round().astype(np.uint8).transpose(1, 2, 0)
    return np.ascontiguousarray(np.broadcast_to(picture, (*picture.shape[:2], 3)))


def mask_picture(mask: NDArray[Any]) -> Picture:
    """A mask in light on dark."""
    colours = np.array([[32, 36, 42], [240, 239, 234]], np.uint8)
    return _enlarged(colours[mask.astype(np.uint8)])


def edge_picture(image: NDArray[Any], pred: NDArray[Any], truth: NDArray[Any], tolerance: float) -> Picture:
    """Shows where the outlines of a prediction are right and where they are not.

    On the dimmed image lie, in the colours of `EDGE_COLOURS`, the predicted boundary that the truth has within the
    tolerance (matched), the predicted boundary that it has not (spurious) and the true boundary that the prediction
    has not (missed), by the rules of the boundary F1 score (convention csurka). Errors lie above what is right.

    Args:
        image: (bands, height, width) of any type.
        pred: Bool, (height, width).
        truth: Bool, (height, width).
        tolerance: In pixels.

    Returns:
        The picture. Small ones are enlarged by a whole factor; in large ones the lines are widened.
    """
    picture = _dimmed(to_rgb(image))
    match = boundary_match(_tensor(pred), _tensor(truth), tolerance)
    width = max(1, round(max(pred.shape) / _LINE))
    for name in ("matched", "spurious", "missed"):
        edge = getattr(match, name).numpy()
        picture[ndimage.binary_dilation(edge, np.ones((width, width))) if width > 1 else edge] = EDGE_COLOURS[name]
    return _enlarged(picture)


def footprint_picture(image: NDArray[Any], footprints: Sequence[Polygon], longest: int = 1600) -> Picture:
    """Draws polygons over imagery.

    Args:
        image: (bands, height, width) of any type.
        footprints: Polygons in its pixel coordinates, x the column and y the row.
        longest: Imagery with a longer side is reduced to it.
    """
    background = reduced(image, longest)
    scale = background.shape[0] / image.shape[1]
    picture = _dimmed(background, grey=0.5, light=0.8)
    if footprints:
        inside = rasterize(footprints, background.shape[:2], transform=Affine.scale(1 / scale)).astype(bool)
        picture[inside] = 0.72 * picture[inside] + 0.28 * np.array(FOOTPRINT_COLOUR)
    canvas = Image.fromarray(picture)
    pen = ImageDraw.Draw(canvas)
    for polygon in footprints:
        for ring in (polygon.exterior, *polygon.interiors):
            outline = [(x * scale, y * scale) for x, y in ring.coords]
            pen.line(outline, FOOTPRINT_COLOUR, width=max(1, round(max(canvas.size) / 500)), joint="curve")
    return np.asarray(canvas)


def reduced(image: NDArray[Any], longest: int) -> Picture:
    """Imagery for display, its longer side no longer than ``longest`` pixels."""
    height, width = image.shape[1:]
    scale = min(1.0, longest / max(height, width))
    valid = np.isfinite(image).all(axis=0)
    pixels, valid = resample(image, valid, (max(1, round(height * scale)), max(1, round(width * scale))))
    return to_rgb(np.where(valid, pixels, np.nan))


def photo_uri(picture: Picture) -> str:
    """A data URI of a picture with many colours, as JPEG with full colour resolution."""
    return data_uri(Image.fromarray(picture), "jpeg", quality=88, subsampling=0)


def drawing_uri(picture: Picture) -> str:
    """A data URI of a picture with few colours, as PNG."""
    return data_uri(Image.fromarray(picture), "png", optimize=True)


def data_uri(image: Image.Image, form: str, **settings: Any) -> str:
    """A data URI of an image in a format of Pillow's, with its settings."""
    buffer = io.BytesIO()
    image.save(buffer, form, **settings)
    return f"data:image/{form};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _dimmed(picture: Picture, grey: float = 0.85, light: float = 0.5) -> Picture:
    """Less colour and less light, so that what is drawn on it stands out."""
    mean = picture.mean(axis=2, keepdims=True)
    dimmed: Picture = (light * (grey * mean + (1 - grey) * picture)).astype(np.uint8)
    return dimmed


def _enlarged(picture: Picture) -> Picture:
    factor = -(-_SMALLEST // max(picture.shape))
    return np.ascontiguousarray(picture.repeat(factor, axis=0).repeat(factor, axis=1))


def _tensor(mask: NDArray[Any]) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(mask, bool))
