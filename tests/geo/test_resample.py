import numpy as np
import pytest

from crispmap.geo.resample import resample

RNG = np.random.default_rng(0)


def test_the_same_shape_changes_nothing():
    pixels, valid = RNG.integers(0, 60_000, (2, 5, 7)).astype("uint16"), RNG.random((5, 7)) > 0.5
    out, seen = resample(pixels, valid, (5, 7))
    np.testing.assert_array_equal(out, pixels)
    np.testing.assert_array_equal(seen, valid)
    assert out.dtype == np.float32


def test_halving_is_the_mean_of_four():
    pixels = RNG.random((3, 6, 10)).astype("float32")
    out, seen = resample(pixels, np.ones((6, 10), bool), (3, 5))
    np.testing.assert_allclose(out, pixels.reshape(3, 3, 2, 5, 2).mean((2, 4)), rtol=1e-6)
    assert seen.all()


@pytest.mark.parametrize("shape", [(5, 4), (3, 7), (8, 9), (1, 1)])
def test_shrinking_is_an_area_mean(shape):
    """Against pixels drawn so finely that every new one covers a whole number of them."""
    pixels = RNG.random((1, 8, 9)).astype("float64")
    height, width = shape
    fine = np.kron(pixels[0], np.ones((height, width)))
    expected = fine.reshape(height, 8, width, 9).mean((1, 3))
    out, _ = resample(pixels, np.ones((8, 9), bool), shape)
    np.testing.assert_allclose(out[0], expected, rtol=1e-5)


def test_growing_keeps_a_gradient_in_place():
    ramp = np.broadcast_to((np.arange(10) + 0.5) / 10, (1, 4, 10))
    out, _ = resample(ramp, np.ones((4, 10), bool), (4, 40))
    expected = (np.arange(40) + 0.5) / 40
    np.testing.assert_allclose(out[0, 0, 2:-2], expected[2:-2], atol=1e-6)


def test_pixels_without_data_stay_out_of_the_mean():
    pixels = np.full((1, 4, 4), 10, "uint8")
    valid = np.ones((4, 4), bool)
    pixels[0, :, :1], valid[:, :1] = 255, False
    pixels[0, :2, 2:], valid[:2, 2:] = 255, False
    out, seen = resample(pixels, valid, (2, 2))
    np.testing.assert_array_equal(seen, [[True, False], [True, True]])
    np.testing.assert_allclose(out[0][seen], 10, rtol=1e-6)


def test_not_a_number_where_there_are_no_data_does_not_spread():
    pixels = np.ones((1, 4, 4), "float32")
    pixels[0, 0, 0] = np.nan
    out, seen = resample(pixels, np.isfinite(pixels[0]), (2, 2))
    assert seen.all()
    np.testing.assert_allclose(out, 1, rtol=1e-6)


@pytest.mark.parametrize(
    ("rows", "cols"), [((0.5, 7.25), (1.0, 9.0)), ((2.75, 6.5), (0.25, 3.5)), ((1.0, 7.0), (0.0, 9.0))]
)
def test_a_part_is_covered_from_anywhere_between_pixels(rows, cols):
    """Against pixels drawn so finely, 24 a side, that every edge falls between them."""
    pixels = RNG.random((2, 8, 9))
    fine = np.kron(pixels, np.ones((1, 24, 24)))
    part = fine[:, round(rows[0] * 24) : round(rows[1] * 24), round(cols[0] * 24) : round(cols[1] * 24)]
    shape = 3, 2
    out, seen = resample(pixels, np.ones((8, 9), bool), shape, rows, cols)
    height, width = (length // n for length, n in zip(part.shape[1:], shape, strict=True))
    expected = part.reshape(2, shape[0], height, shape[1], width).mean((2, 4))
    np.testing.assert_allclose(out, expected, rtol=1e-5)
    assert seen.all()


def test_as_many_pixels_moved_by_a_half_are_means_of_neighbours():
    pixels = RNG.random((1, 4, 5))
    out, _ = resample(pixels, np.ones((4, 5), bool), (4, 4), cols=(0.5, 4.5))
    np.testing.assert_allclose(out, (pixels[..., 1:] + pixels[..., :-1]) / 2, rtol=1e-5)
