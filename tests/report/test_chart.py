import itertools
import re

import numpy as np
import pytest

from crispmap.report.chart import HEIGHT, WIDTH, lay_out
from crispmap.report.content import Chart, Curve


def points(path: str) -> np.ndarray:
    return np.array([pair.split() for pair in re.split("[ML]", path)[1:]], float)


def test_a_curve_goes_from_corner_to_corner():
    drawing = lay_out(Chart("IoU", [Curve("a", [0, 50, 100], [0.0, 0.5, 1.0])]), {"a": 0})
    (first, middle, last) = points(drawing.lines[0].path)
    assert first == pytest.approx([drawing.left, drawing.bottom], abs=0.1)
    assert last[0] == pytest.approx(drawing.right, abs=0.1)
    assert middle == pytest.approx((first + last) / 2, abs=0.1)
    assert [tick.text for tick in drawing.y_ticks] == ["0", "0.25", "0.5", "0.75", "1"]
    assert [tick.text for tick in drawing.x_ticks] == ["0", "25", "50", "75", "100"]
    assert drawing.y_ticks[2].place == pytest.approx(middle[1], abs=0.1)


def test_several_runs_of_a_method_share_one_label_between_their_ends():
    drawing = lay_out(Chart("loss", [Curve("a", [0, 9], [1, 0]), Curve("a", [0, 9], [1, 0.5])]), {"z": 0, "a": 1})
    assert [line.method for line in drawing.lines] == [1, 1]
    (label,) = drawing.labels
    ends = [points(line.path)[-1, 1] for line in drawing.lines]
    assert label.y == pytest.approx(np.mean(ends), abs=0.1)


@pytest.mark.parametrize("end", [0.0, 0.5, 1.0])
def test_labels_never_lie_upon_one_another_or_outside(end):
    names = ["BCE", "BCE + IoU", "BCE + IoU + boundary", "another one"]
    curves = [Curve(name, [0, 10, 20], [0, 1, end]) for name in names]
    drawing = lay_out(Chart("IoU", curves), {name: i for i, name in enumerate(names)})
    assert len(drawing.labels) == len(names)
    for above, below in itertools.pairwise(drawing.labels):
        assert below.y - above.y >= len(above.lines) * drawing.line_height
    for label in drawing.labels:
        assert 0 <= label.y <= label.y + (len(label.lines) - 1) * drawing.line_height <= HEIGHT
    assert drawing.left < WIDTH / 2 < drawing.right < WIDTH


def test_values_that_are_no_numbers_are_left_out():
    drawing = lay_out(
        Chart("IoU", [Curve("a", [0, 1, 2], [np.nan, 0.2, 0.4]), Curve("b", [0], [np.nan])]), {"a": 0, "b": 1}
    )
    assert len(drawing.lines) == 1
    assert len(points(drawing.lines[0].path)) == 2


@pytest.mark.parametrize("curves", [[], [Curve("a", [5], [0.3])], [Curve("a", [0, 9], [0.3, 0.3])]])
def test_what_has_no_extent_is_drawn_all_the_same(curves):
    drawing = lay_out(Chart("IoU", curves), {"a": 0})
    assert len(drawing.lines) == len(curves)
    assert all(np.isfinite(points(line.path)).all() for line in drawing.lines)
