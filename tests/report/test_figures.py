import base64
import io

import numpy as np
import pytest
from PIL import Image
from shapely.geometry import Polygon, box

from crispmap.report.figures import (
    EDGE_COLOURS,
    FOOTPRINT_COLOUR,
    drawing_uri,
    edge_picture,
    footprint_picture,
    mask_picture,
    photo_uri,
    reduced,
    to_rgb,
)


def count(picture, colour) -> int:
    return int((picture == colour).all(axis=2).sum())


def square(rows, cols, size=32) -> np.ndarray:
    mask = np.zeros((size, size), bool)
    mask[slice(*rows), slice(*cols)] = True
    return mask


IMAGE = np.random.default_rng(0).integers(0, 256, (3, 32, 32), dtype=np.uint8)


class TestEdgePicture:
    def test_each_kind_of_boundary_has_its_colour(self):
        """One square found, one of 5 × 5 missed (16 boundary pixels), one of 4 × 4 made up (12)."""
        found, missed, spurious = square((2, 12), (2, 12)), square((2, 7), (22, 27)), square((24, 28), (4, 8))
        picture = edge_picture(IMAGE, found | spurious, found | missed, tolerance=3)
        assert picture.shape == (512, 512, 3)
        assert picture.dtype == np.uint8
        enlarged = (512 // 32) ** 2
        assert {name: count(picture, colour) / enlarged for name, colour in EDGE_COLOURS.items()} == {
            "matched": 36,
            "missed": 16,
            "spurious": 12,
        }
        assert (picture[2 * 16, 22 * 16] == EDGE_COLOURS["missed"]).all()
        assert (picture[24 * 16, 4 * 16] == EDGE_COLOURS["spurious"]).all()

    @pytest.mark.parametrize(("shift", "kind"), [(2, "matched"), (3, "spurious")])
    def test_the_tolerance_is_the_metric_s(self, shift, kind):
        """A full-height edge moved by 2 pixels is within a tolerance of 3, one moved by 3 is not."""
        picture = edge_picture(IMAGE, square((0, 32), (0, 16 + shift)), square((0, 32), (0, 16)), tolerance=3)
        middle = picture[256, (15 + shift) * 16]
        assert tuple(middle) == EDGE_COLOURS[kind]

    def test_lines_of_large_pictures_are_wide_enough_to_see(self):
        image, mask = np.zeros((1, 900, 700), np.uint16), np.zeros((900, 700), bool)
        mask[300:600, 300:600] = True
        picture = edge_picture(image, mask, mask, tolerance=3)
        assert picture.shape == (900, 700, 3)
        across = (picture[450] == EDGE_COLOURS["matched"]).all(axis=1)
        assert across.sum() == 2 * 5

    def test_nothing_predicted_and_nothing_there(self):
        nothing = np.zeros((32, 32), bool)
        picture = edge_picture(IMAGE, nothing, nothing, tolerance=3)
        assert all(count(picture, colour) == 0 for colour in EDGE_COLOURS.values())


class TestToRgb:
    @pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
    def test_any_type_covers_black_to_white(self, dtype):
        image = np.linspace(0, 100, 3 * 20 * 30).reshape(3, 20, 30).astype(dtype)
        picture = to_rgb(image)
        assert (picture.shape, picture.dtype) == ((20, 30, 3), np.uint8)
        assert (picture.min(), picture.max()) == (0, 255)

    def test_the_ends_are_percentiles(self):
        values = np.arange(101.0).reshape(1, 1, 101)
        grey = to_rgb(values)[0, :, 0]
        assert (grey == 0).sum() == 3
        assert (grey == 255).sum() == 3
        assert grey[50] == 128

    @pytest.mark.parametrize("bands", [1, 2])
    def test_few_bands_become_grey(self, bands):
        picture = to_rgb(IMAGE[:bands])
        assert (picture[..., 0] == picture[..., 1]).all()
        assert (picture[..., 0] == picture[..., 2]).all()

    def test_of_many_bands_the_first_three_are_shown(self):
        more = np.concatenate([IMAGE, np.full((2, 32, 32), 60_000)])
        assert (to_rgb(more) == to_rgb(IMAGE.astype(int))).all()

    def test_colours_keep_their_balance(self):
        image = np.concatenate([np.full((1, 9, 9), v) for v in (0.0, 0.5, 1.0)])
        assert to_rgb(image)[4, 4].tolist() == [0, 128, 255]

    def test_without_contrast_or_data(self):
        assert (to_rgb(np.full((3, 4, 4), 7, np.uint8)) == 0).all()
        assert (to_rgb(np.full((3, 4, 4), np.nan)) == 0).all()
        holes = IMAGE.astype(float)
        holes[:, :5] = np.nan
        assert (to_rgb(holes)[:5] == 0).all()


class TestFootprints:
    def test_outlines_and_fill_lie_where_the_polygons_are(self):
        image = np.full((3, 100, 200), 128, np.uint8)
        court = Polygon(box(20, 30, 80, 70).exterior, [box(40, 45, 60, 55).exterior])
        picture = footprint_picture(image, [court])
        assert picture.shape == (100, 200, 3)
        assert tuple(picture[30, 50]) == FOOTPRINT_COLOUR  # row 30: the upper edge
        assert tuple(picture[45, 50]) == FOOTPRINT_COLOUR  # the courtyard's
        ground, roof, yard = picture[10, 10], picture[38, 30], picture[50, 50]
        assert (ground == yard).all()
        assert int(roof[0]) - int(roof[2]) > 20

    def test_large_imagery_is_reduced_and_the_polygons_with_it(self):
        picture = footprint_picture(np.zeros((3, 500, 1000), np.uint8), [box(100, 100, 900, 400)], longest=250)
        assert picture.shape == (125, 250, 3)
        assert tuple(picture[25, 125]) == FOOTPRINT_COLOUR

    def test_there_may_be_none(self):
        assert count(footprint_picture(IMAGE, []), FOOTPRINT_COLOUR) == 0


def test_reduced_pictures_keep_their_shape():
    assert reduced(np.zeros((1, 30, 300)), 100).shape == (10, 100, 3)
    assert reduced(IMAGE, 100).shape == (32, 32, 3)


@pytest.mark.parametrize(("encode", "form", "tolerance"), [(photo_uri, "jpeg", 40), (drawing_uri, "png", 0)])
def test_data_uris_decode_to_the_picture(encode, form, tolerance):
    picture = mask_picture(square((4, 20), (6, 30)))
    head, data = encode(picture).split(",")
    assert head == f"data:image/{form};base64"
    decoded = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
    assert decoded.shape == (512, 512, 3)
    assert np.abs(decoded.astype(int) - picture).max() <= tolerance
