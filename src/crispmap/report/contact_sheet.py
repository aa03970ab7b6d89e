"""A contact sheet: small pictures of scenes, each beside itself with its labels drawn on it."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from crispmap.data.scene import IGNORED, Scene
from crispmap.geo.raster import Window
from crispmap.report.figures import Picture, to_rgb

_SIDE = 240  # of a picture
_GROUND = 720  # pixels of a scene that a picture shows at most, so that buildings can be told
_GAP, _CAPTION = 8, 18
_COLUMNS = 3
_PAPER, _INK = (250, 250, 248), (40, 40, 40)
_UNKNOWN = (128, 0, 128)


def contact_sheet(scenes: Sequence[tuple[str, Scene]], palette: Mapping[int, tuple[int, int, int]]) -> Picture:
    """Shows the middle of scenes, without and with their labels.

    Args:
        scenes: What to show, with captions.
        palette: The colour of each class number that is to be seen. Ignored pixels are drawn in purple; a scene of
            which nothing is known is drawn without labels.

    Returns:
        The sheet: pairs of pictures in three columns.
    """
    rows = -(-len(scenes) // _COLUMNS)
    width, height = 2 * _SIDE + 2 * _GAP, _SIDE + _CAPTION + _GAP
    sheet = Image.new("RGB", (min(len(scenes), _COLUMNS) * width + _GAP, rows * height + _GAP), _PAPER)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default()
    for i, (caption, scene) in enumerate(scenes):
        left, top = _GAP + i % _COLUMNS * width, _GAP + i // _COLUMNS * height
        for k, picture in enumerate(_pictures(scene, palette)):
            sheet.paste(Image.fromarray(picture), (left + k * (_SIDE + 2), top))
        pen.text((left, top + _SIDE + 2), caption, _INK, font)
    return np.asarray(sheet)


def _pictures(scene: Scene, palette: Mapping[int, tuple[int, int, int]]) -> tuple[Picture, Picture]:
    side = min(_GROUND, scene.image.height, scene.image.width)
    window = Window((scene.image.height - side) // 2, (scene.image.width - side) // 2, side, side)
    image, label = scene.read(window, (_SIDE, _SIDE))
    picture = to_rgb(image)
    return picture, _drawn(picture, label, palette)


def _drawn(picture: Picture, label: NDArray[np.uint8], palette: Mapping[int, tuple[int, int, int]]) -> Picture:
    drawn = picture.copy()
    unknown = {} if (label == IGNORED).all() else {IGNORED: _UNKNOWN}
    for number, colour in {**palette, **unknown}.items():
        here = label == number
        drawn[here] = (0.45 * drawn[here] + 0.55 * np.array(colour)).astype(np.uint8)
    return drawn
