"""Objects of strips against objects of the whole: the same table, whatever the cuts."""

import tracemalloc

import numpy as np
import pytest
from scipy import ndimage

from crispmap.errors import SettingError
from crispmap.evaluate import object_stream
from crispmap.evaluate.object_stream import ObjectStream
from crispmap.functional.object_score import label_objects, object_overlaps

SHAPE = (63, 47)


def noise(density, seed=0):
    return np.random.default_rng(seed).random(SHAPE) < density


def spiral():
    """One corridor, two wide, that winds inwards with a wall between its turns."""
    mask = np.zeros(SHAPE, bool)
    top, left, bottom, right = 0, 0, SHAPE[0], SHAPE[1]
    while bottom - top > 6 and right - left > 6:
        mask[top : top + 2, left:right] = True
        mask[top:bottom, right - 2 : right] = True
        mask[bottom - 2 : bottom, left:right] = True
        mask[top + 3 : bottom, left : left + 2] = True
        mask[top + 3 : top + 5, left : left + 4] = True  # the way into the next turn
        top, left, bottom, right = top + 3, left + 3, bottom - 3, right - 3
    return mask


def comb(upwards):
    mask = np.zeros(SHAPE, bool)
    mask[:, ::2] = True
    mask[0 if upwards else -1] = True
    return mask


def chevrons():
    """Arms that meet further down, so that many components turn out to be one, late."""
    rows, cols = np.indices(SHAPE)
    return (abs(cols - SHAPE[1] // 2) + rows) % 4 < 2


def blobs():
    return ndimage.gaussian_filter(np.random.default_rng(3).random(SHAPE), 2) > 0.5


MASKS = {
    "empty": np.zeros(SHAPE, bool),
    "full": np.ones(SHAPE, bool),
    "sparse": noise(0.1),
    "half": noise(0.5, 1),
    "percolating": noise(0.593, 2),  # the density at which components by 4-connectivity become endless and winding
    "dense": noise(0.8, 3),
    "spiral": spiral(),
    "wall": ~spiral(),
    "comb": comb(True),
    "comb upside down": comb(False),
    "chevrons": chevrons(),
    "chevrons upside down": chevrons()[::-1],
    "blobs": blobs(),
}
ORDER = list(MASKS.values())
PAIRS = {name: (MASKS[name], other) for name, other in zip(MASKS, ORDER[3:] + ORDER[:3], strict=True)}


def streamed(pred, true, rows, valid=None, **settings):
    stream = ObjectStream(pred.shape[1], **settings)
    for row in range(0, len(pred), rows):
        strip = np.s_[row : row + rows]
        stream.add(pred[strip], true[strip], None if valid is None else valid[strip])
    return stream.result()


def assert_equal(found, expected):
    for name, value in vars(expected).items():
        np.testing.assert_array_equal(getattr(found, name), value)
        assert getattr(found, name).dtype == value.dtype


@pytest.fixture(params=[0, 50, object_stream._FEW], ids=lambda few: f"few={few}")
def few(request, monkeypatch):
    """How many records are let grow: with few of them, they are tidied up between strips, with many at the end."""
    monkeypatch.setattr(object_stream, "_FEW", request.param)


@pytest.mark.parametrize("rows", [1, 2, 7, 20, 1000])
@pytest.mark.parametrize(("pred", "true"), PAIRS.values(), ids=PAIRS)
@pytest.mark.usefixtures("few")
def test_strips_give_what_the_whole_gives(pred, true, rows):
    assert_equal(streamed(pred, true, rows), object_overlaps(label_objects(pred), label_objects(true)))


@pytest.mark.parametrize("rows", [1, 5, 1000])
@pytest.mark.usefixtures("few")
def test_ignored_pixels_cut_objects_in_strips_as_in_the_whole(rows):
    valid = noise(0.9, 5)
    valid[20] = valid[:, 30] = False
    for pred, true in PAIRS.values():
        expected = object_overlaps(label_objects(pred & valid), label_objects(true & valid))
        assert_equal(streamed(pred, true, rows, valid), expected)


@pytest.mark.parametrize("rows", [1, 5, 1000])
@pytest.mark.usefixtures("few")
def test_a_side_that_comes_with_numbers_keeps_them(rows):
    ids = np.random.default_rng(4).choice([0, 3, 900, 2**40, 17], SHAPE)  # each in many pieces
    pred = MASKS["percolating"]
    assert_equal(streamed(pred, ids, rows, true_is_labelled=True), object_overlaps(label_objects(pred), ids))
    assert_equal(streamed(ids, pred, rows, pred_is_labelled=True), object_overlaps(ids, label_objects(pred)))
    both = {"pred_is_labelled": True, "true_is_labelled": True}
    assert_equal(streamed(ids, ids[::-1], rows, **both), object_overlaps(ids, ids[::-1]))
    valid = noise(0.7, 6)
    assert_equal(streamed(ids, ids[::-1], rows, valid, **both), object_overlaps(ids * valid, ids[::-1] * valid))


def test_strips_of_changing_height_and_of_none():
    pred, true = MASKS["percolating"], MASKS["blobs"]
    stream = ObjectStream(SHAPE[1])
    for cut in zip([0, 1, 1, 4, 30, 31], [1, 1, 4, 30, 31, SHAPE[0]], strict=True):
        stream.add(pred[slice(*cut)], true[slice(*cut)])
    assert_equal(stream.result(), object_overlaps(label_objects(pred), label_objects(true)))


def test_a_result_can_be_asked_for_on_the_way():
    pred, true = MASKS["half"], MASKS["spiral"]
    stream = ObjectStream(SHAPE[1])
    for row in range(SHAPE[0]):
        stream.add(pred[row : row + 1], true[row : row + 1])
        if row % 9 == 0:
            part = np.s_[: row + 1]
            assert_equal(stream.result(), object_overlaps(label_objects(pred[part]), label_objects(true[part])))


def test_no_strip_at_all_is_no_object():
    found = ObjectStream(9).result()
    assert (len(found.pred_areas), len(found.true_areas), found.pairs.shape, len(found.areas)) == (0, 0, (0, 2), 0)


def test_memory_does_not_grow_with_the_height(monkeypatch):
    monkeypatch.setattr(object_stream, "_FEW", 100)
    bars = np.arange(64)[None] % 2 == 0

    def peak(rows):
        stream = ObjectStream(64)
        stream.add(bars, bars)
        tracemalloc.start()
        for _ in range(rows):
            stream.add(bars, bars)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert stream.result().areas.tolist() == [rows + 1] * 32
        return found

    few, many = peak(40), peak(400)
    assert many < 2 * few


@pytest.mark.parametrize(
    ("pred", "true", "valid", "message"),
    [
        (np.zeros((2, 5), bool), np.zeros((2, 5), int), None, r"pred must be bool and \(2, 6\); found bool \(2, 5\)"),
        (np.zeros((2, 6), int), np.zeros((2, 6), int), None, r"pred must be bool and \(2, 6\); found int64"),
        (np.zeros((2, 6), bool), np.zeros((2, 6), bool), None, r"true must be integers and \(2, 6\); found bool"),
        (np.zeros((2, 6), bool), np.zeros((3, 6), int), None, r"true must be integers and \(2, 6\); found int64 \(3"),
        (np.zeros((2, 6), bool), np.zeros((2, 6), int), np.ones((1, 6), bool), r"valid must be bool and \(2, 6\)"),
        (np.zeros((2, 6), bool), np.full((2, 6), -2), None, "labels must be integers of at least 0; .* from -2"),
    ],
)
def test_mistakes_are_named(pred, true, valid, message):
    with pytest.raises(SettingError, match=message):
        ObjectStream(6, true_is_labelled=True).add(pred, true, valid)
