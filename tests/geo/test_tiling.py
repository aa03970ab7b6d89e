import numpy as np
import pytest

from crispmap.geo.tiling import TileGrid


@pytest.mark.parametrize(
    ("height", "width", "size", "overlap"),
    [
        (100, 100, 32, 8),
        (97, 211, 32, 8),
        (32, 33, 32, 31),
        (5, 200, 32, 16),
        (40, 64, 32, 0),
        (1, 1, 64, 16),
        (16, 200, 32, 16),
    ],
)
def test_shares_of_all_tiles_sum_to_one_on_every_pixel(height, width, size, overlap):
    total = np.zeros((height, width))
    for tile in TileGrid(height, width, size, overlap):
        row, col, tall, wide = tile.window
        assert row >= 0
        assert row + tall <= height
        assert col >= 0
        assert col + wide <= width
        assert (tile.share > 0).all()
        total[row : row + tall, col : col + wide] += tile.share
    np.testing.assert_allclose(total, 1, atol=1e-6)


def test_tiles_come_row_by_row_and_overlap_by_what_was_asked():
    windows = [tile.window for tile in TileGrid(70, 50, 32, 8)]
    assert [(window.row, window.col) for window in windows] == [(row, col) for row in (0, 24, 38) for col in (0, 18)]
    assert {(window.height, window.width) for window in windows} == {(32, 32)}


def test_one_tile_where_the_area_is_no_larger():
    (tile,) = TileGrid(32, 20, 32, 8)
    assert tile.window == (0, 0, 32, 20)
    np.testing.assert_array_equal(tile.share, 1)


def test_the_share_falls_linearly_over_the_overlap():
    first, second = TileGrid(1, 12, 8, 4)
    np.testing.assert_allclose(first.col_share, [1, 1, 1, 1, 7 / 8, 5 / 8, 3 / 8, 1 / 8])
    np.testing.assert_allclose(second.col_share, first.col_share[::-1])
