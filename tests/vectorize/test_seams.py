"""Outlines of a raster that comes in strips are those of the whole raster, as GDAL polygonises it at once."""

import numpy as np
import pytest
import shapely
from scipy import ndimage

from crispmap.vectorize.rings import trace
from crispmap.vectorize.stream import Strip, finished_groups
from crispmap.vectorize.topology import network_of


def strips(mask, height):
    for row in range(0, len(mask), height):
        part = mask[row : row + height]
        yield Strip(row, part, part.astype("uint8"))


def traced(mask, height, reach=(0, 0)):
    """The polygons of a mask that comes in strips, group by group as they are handed on."""
    found = []
    for runs in finished_groups(strips(mask, height), mask.shape[1], reach):
        _, labels = np.unique(runs.label, return_inverse=True)
        shapes, collapsed = network_of(trace(runs, labels, mask.shape[1]), mask.shape[1]).shapes()
        assert not collapsed.any()
        found += shapes.tolist()
    return found


def same_set(found, truth):
    assert shapely.is_valid(found).all()
    as_bytes = [sorted(shapely.to_wkb(shapely.normalize(np.array(each, object))).tolist()) for each in (found, truth)]
    return as_bytes[0] == as_bytes[1]


@pytest.mark.parametrize("seed", range(40))
def test_random_masks_in_strips_of_every_height(blobs, outlines, seed):
    mask = blobs(seed)
    truth = list(outlines(mask).values())
    for height in range(1, len(mask) + 1):
        assert same_set(traced(mask, height), truth)
    assert same_set(traced(mask, 3, (2, 1)), truth)


def spiral(side):
    """A wall one pixel thick that turns inwards, with a gap of one pixel between its turns."""
    mask = np.zeros((side, side), bool)
    row, col, step = 0, 0, (0, 1)
    mask[0, 0] = True
    turns = 0
    while turns < 2:
        ahead, beyond = (row + step[0], col + step[1]), (row + 2 * step[0], col + 2 * step[1])
        inside = all(0 <= at < side for at in ahead)
        if inside and not (all(0 <= at < side for at in beyond) and mask[beyond]):
            (row, col), turns = ahead, 0
            mask[row, col] = True
        else:
            step, turns = (step[1], -step[0]), turns + 1
    return mask


def nested(side):
    """Rings within rings: islands in holes of islands."""
    row, col = np.indices((side, side))
    depth = np.minimum(np.minimum(row, col), np.minimum(side - 1 - row, side - 1 - col))
    return depth // 2 % 2 == 0


def pinched():
    """An object that touches itself at corners: holes that meet each other and the outside in a point."""
    mask = np.ones((9, 9), bool)
    mask[2, 2] = mask[3, 3] = mask[4, 4] = mask[5, 5] = False
    mask[0, 4] = mask[1, 5] = mask[8, 8] = False
    return mask


DRAWINGS = {
    "spiral": spiral(23),
    "nested": nested(27),
    "pinched": pinched(),
    "full": np.ones((12, 7), bool),
    "empty": np.zeros((12, 7), bool),
    "chessboard": np.indices((9, 8)).sum(axis=0) % 2 == 0,
    "columns": np.tile([True, False], (20, 5)),
    "one row": np.array([[True, False, True, True]]),
    "one column": np.array([[True], [False], [True], [True]]),
}


@pytest.mark.parametrize("name", DRAWINGS)
def test_drawings_in_strips_of_every_height(outlines, name):
    mask = DRAWINGS[name]
    truth = list(outlines(mask).values())
    assert (name == "empty") == (not truth)
    for height in range(1, len(mask) + 1):
        assert same_set(traced(mask, height), truth)


def test_the_drawings_are_what_they_say(outlines):
    assert len(outlines(spiral(23))) == 1
    assert spiral(23).sum() > 250
    assert len(outlines(nested(27))) == 4
    assert [len(polygon.interiors) for polygon in outlines(pinched()).values()] == [5]


def groups_of(mask, reach):
    """Groups of objects by brute force: those whose pixels have so much background between them, or less."""
    labels, count = ndimage.label(mask)
    pixels = [np.argwhere(labels == label) for label in range(1, count + 1)]
    group = list(range(count))
    for one in range(count):
        for other in range(one):
            apart = np.abs(pixels[one][:, None] - pixels[other][None])
            if ((apart <= np.add(reach, 1)).all(axis=-1)).any():
                old, new = group[one], group[other]
                group = [new if number == old else number for number in group]
    return {frozenset(int(labels[tuple(pixels[i][0])]) for i in range(count) if group[i] == g) for g in set(group)}


@pytest.mark.parametrize("reach", [(0, 0), (1, 2), (3, 0), (5, 4)])
@pytest.mark.parametrize("seed", range(8))
def test_groups_are_objects_within_reach(seed, reach):
    mask = np.random.default_rng(seed).random((26, 22)) < 0.07
    labels = ndimage.label(mask)[0]
    for height in (1, 2, 5, 26):
        found = []
        for runs in finished_groups(strips(mask, height), mask.shape[1], reach):
            objects = labels[runs.row, runs.start]
            found += [frozenset(objects[runs.group == group].tolist()) for group in np.unique(runs.group)]
        assert len(found) == len(set(found))  # each handed on once
        assert set(found) == groups_of(mask, reach)


def test_an_object_is_handed_on_as_soon_as_it_is_finished():
    mask = np.zeros((40, 30), bool)
    mask[2:4, 2:6] = mask[8:23, 2:6] = mask[32:36, 3:9] = True
    handed = [np.unique(runs.row).tolist() for runs in finished_groups(strips(mask, 5), 30)]
    rows = [[], [*range(2, 4)], [], [], [*range(8, 23)], [], [], [*range(32, 36)], []]
    assert handed == [rows[1], [], [], [], rows[4], [], [], rows[7], []]


def test_sums_and_levels_are_those_of_the_pixels():
    rng = np.random.default_rng(1)
    mask, levels = rng.random((30, 20)) < 0.5, rng.random((30, 20)).astype("float32")
    for height in (1, 7, 30):
        parts = [Strip(row, mask[row : row + height], levels[row : row + height]) for row in range(0, 30, height)]
        for runs in finished_groups(parts, 20, keep_levels=True):
            own = [levels[r, a:b] for r, a, b in zip(runs.row, runs.start, runs.stop, strict=True)]
            np.testing.assert_array_equal(runs.levels, np.concatenate([*own, []]))
            np.testing.assert_allclose(runs.total, [part.sum(dtype=float) for part in own], rtol=1e-12)
