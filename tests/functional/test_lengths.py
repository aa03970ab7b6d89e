"""Lengths: how they are read, what they are in pixels, and which of them one distance map serves."""

import math
from fractions import Fraction

import numpy as np
import pytest

from crispmap.errors import SettingError
from crispmap.functional.lengths import Length, rulers


@pytest.mark.parametrize(
    ("given", "value", "unit"),
    [
        (3, 3.0, "px"),
        (2.5, 2.5, "px"),
        (1e-3, 0.001, "px"),
        (1e-5, 0.00001, "px"),
        ("3", 3.0, "px"),
        ("3px", 3.0, "px"),
        (" 0.75 px ", 0.75, "px"),
        ("1.5m", 1.5, "m"),
        (".5 m", 0.5, "m"),
        ("2e1m", 20.0, "m"),
        ("0.75%", 0.0075, "diagonal"),
        ("0.8 %", 0.008, "diagonal"),
        (Length(0.02, "diagonal"), 0.02, "diagonal"),
    ],
)
def test_what_people_write_is_read(given, value, unit):
    assert Length.of(given) == Length(value, unit)


@pytest.mark.parametrize("given", [np.float64(2.5), np.float32(2.5), np.arange(2, 4)[0]])
def test_numbers_of_numpy_are_numbers(given):
    assert Length.of(given) == Length(float(given))


@pytest.mark.parametrize(
    "given", [0, 0.0, -1, "0m", "0%", "-1m", "3km", "3 m²", "m", "", "1.2.3", "1,5m", "nan", math.nan, math.inf, None]
)
def test_what_is_no_length_is_named(given):
    with pytest.raises(SettingError, match=r"width is .*; give a length greater than 0: pixels .* metres .* diagonal"):
        Length.of(given, "width")


@pytest.mark.parametrize("text", ["3 px", "2.5 px", "1.5 m", "0.75 %", "2 %"])
def test_text_is_read_back(text):
    assert str(Length.of(text)) == text


def test_metres_that_are_whole_pixels_are_whole_pixels():
    for tenths in (1, 2, 3, 5, 7):
        size = tenths / 10
        for pixels in range(1, 200):
            metres = Fraction(pixels * tenths, 10)
            assert Length.of(f"{float(metres)}m").in_pixels((size, size)) == (pixels, pixels)


def test_metres_on_pixels_of_any_shape():
    assert Length(1.5, "m").in_pixels((0.5, 0.3)) == (3.0, 5.0)
    assert Length(1.0, "m").in_pixels((0.3, 0.3)) == pytest.approx((10 / 3, 10 / 3), abs=1e-9)
    down, right = Length(1.0, "m").in_pixels((0.3, 0.3 * (1 + 5e-7)))  # equal but for rounding, as GeoTIFFs have it
    assert down == right == pytest.approx(10 / 3, rel=1e-6)
    down, right = Length(1.0, "m").in_pixels((0.3, 0.3 * (1 + 5e-6)))
    assert down > right


def test_pixels_are_pixels_whatever_they_measure():
    assert Length(3.0).in_pixels() == Length(3.0).in_pixels((0.5, 0.3)) == (3.0, 3.0)


def test_a_share_of_the_diagonal_becomes_pixels_on_an_image():
    assert Length(0.02, "diagonal").on((300, 400)) == Length(10.0)
    assert Length(0.02, "diagonal").on((400, 300)) == Length(10.0)
    for length in (Length(3.0), Length(1.5, "m")):
        assert length.on((300, 400)) == length


def test_lengths_that_cannot_be_pixels_are_named():
    with pytest.raises(SettingError, match=r"a length is 1.5 m, but the ground resolution is not known"):
        Length(1.5, "m").in_pixels()
    with pytest.raises(SettingError, match=r"a length is 2 % of a diagonal"):
        Length(0.02, "diagonal").in_pixels((0.3, 0.3))


@pytest.mark.parametrize("pixel_size", [(0, 0.3), (0.3, 0), (-0.3, -0.3), (math.nan, 0.3), (math.inf, 0.3)])
def test_a_pixel_size_that_is_none_is_named(pixel_size):
    with pytest.raises(SettingError, match="pixel_size is"):
        Length(1.5, "m").in_pixels(pixel_size)


def test_pixels_and_metres_share_a_ruler_on_square_pixels():
    (ruler,) = rulers([Length(2.0), Length(0.6, "m"), Length(4.5)], (0.3, 0.3))
    assert ruler == ((1.0, 1.0), (2.0, 2.0, 4.5), (0, 1, 2))


def test_metres_on_oblong_pixels_have_a_ruler_of_their_own():
    found = rulers([Length(1.2, "m"), Length(2.0), Length(0.6, "m"), Length(4.5)], (0.5, 0.3))
    assert found == [((1.0, 1.0), (2.0, 4.5), (1, 3)), ((0.5, 0.3), (1.2, 0.6), (0, 2))]
    assert rulers([Length(1.2, "m")], (0.5, 0.3)) == [((0.5, 0.3), (1.2,), (0,))]
    assert rulers([], (0.5, 0.3)) == []
