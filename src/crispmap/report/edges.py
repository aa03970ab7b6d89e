"""Windows of a map in which outlines go wrong, and their pictures: few colours, every pixel as it is."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from crispmap.report.figures import EDGE_COLOURS, data_uri

# What a pixel of a picture is, as its place in the palette. The masks lie beneath in dim shades of the lines.
GROUND, TRUE_ONLY, PREDICTED_ONLY, BOTH, IGNORED, HATCH, MATCHED, SPURIOUS, MISSED = range(9)
PALETTE = {
    GROUND: (22, 25, 29),
    TRUE_ONLY: (66, 63, 27),
    PREDICTED_ONLY: (82, 43, 28),
    BOTH: (39, 56, 69),
    IGNORED: (104, 108, 113),
    HATCH: (134, 138, 143),
    MATCHED: EDGE_COLOURS["matched"],
    SPURIOUS: EDGE_COLOURS["spurious"],
    MISSED: EDGE_COLOURS["missed"],
}
_THUMBNAIL = 512  # pixels of the longer side, at most
_LINE = 256  # lines of a thumbnail are this share of its longer side wide


@dataclass(frozen=True)
class EdgeWindow:
    """A window with its masks and what became of their boundaries, each of these bool, (height, width).

    Attributes:
        prediction: The name of the prediction.
        image: The name of the image.
        place: Where in it the window lies, such as "rows 1024–1536, columns 0–512".
        score: The boundary F1 there, at the first tolerance; NaN where there is none.
        length: Boundary pixels that are spurious or missed.
        pred: The predicted mask.
        truth: The true mask.
        matched: Predicted boundary that the truth has within the tolerance.
        spurious: Predicted boundary that it has not.
        missed: True boundary that the prediction has not within the tolerance.
        valid: False where a pixel was ignored.
    """

    prediction: str
    image: str
    place: str
    score: float
    length: float
    pred: NDArray[np.bool_]
    truth: NDArray[np.bool_]
    matched: NDArray[np.bool_]
    spurious: NDArray[np.bool_]
    missed: NDArray[np.bool_]
    valid: NDArray[np.bool_]


def window_picture(window: EdgeWindow) -> NDArray[np.uint8]:
    """What each pixel of a window is, as places in `PALETTE`, (height, width).

    *Convention*: lines lie above masks and ignored pixels, and of lines what is missed above what is spurious above
    what is matched.
    """
    return _drawn(window.pred, window.truth, window.valid, window.matched, window.spurious, window.missed)


def window_thumbnail(window: EdgeWindow) -> NDArray[np.uint8]:
    """The same made small, so that its longer side has 512 pixels at most, with lines wide enough to see."""
    step = -(-max(window.pred.shape) // _THUMBNAIL)
    lines = [_any(line, step) for line in (window.matched, window.spurious, window.missed)]
    width = round(max(lines[0].shape) / _LINE)
    if width > 1:
        lines = [ndimage.binary_dilation(line, np.ones((width, width))) for line in lines]
    masks = (mask[::step, ::step] for mask in (window.pred, window.truth, window.valid))
    return _drawn(*masks, *lines)


def indexed_uri(picture: NDArray[np.uint8]) -> str:
    """A data URI of places in `PALETTE`, as PNG."""
    image = Image.fromarray(picture)
    image.putpalette([value for colour in PALETTE.values() for value in colour])
    return data_uri(image, "png", optimize=True)


def _drawn(
    pred: NDArray[np.bool_],
    truth: NDArray[np.bool_],
    valid: NDArray[np.bool_],
    matched: NDArray[np.bool_],
    spurious: NDArray[np.bool_],
    missed: NDArray[np.bool_],
) -> NDArray[np.uint8]:
    picture = np.full(pred.shape, GROUND, np.uint8)
    picture[truth] = TRUE_ONLY
    picture[pred] = PREDICTED_ONLY
    picture[pred & truth] = BOTH
    rows, columns = np.ogrid[: pred.shape[0], : pred.shape[1]]
    picture[~valid] = np.where((rows + columns) % 12 < 3, HATCH, IGNORED)[~valid]
    for line, what in ((matched, MATCHED), (spurious, SPURIOUS), (missed, MISSED)):
        picture[line] = what
    return picture


def _any(line: NDArray[np.bool_], step: int) -> NDArray[np.bool_]:
    """Whether there is a line in each block of ``step`` × ``step`` pixels; the last blocks may be smaller."""
    rows, columns = (np.arange(0, size, step) for size in line.shape)
    blocks: NDArray[np.bool_] = np.logical_or.reduceat(np.logical_or.reduceat(line, rows, axis=0), columns, axis=1)
    return blocks
