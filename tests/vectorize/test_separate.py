"""Touching buildings are parted where a watershed parts them."""

import logging

import numpy as np
import pytest
from scipy import ndimage
from skimage.segmentation import watershed

from crispmap.vectorize import separate
from crispmap.vectorize.runs import runs_of
from crispmap.vectorize.separate import separated


def parted(levels, threshold, core, **settings):
    """The label image after separating, 0 for the background."""
    labels, _ = ndimage.label(levels >= threshold)
    runs = separated(runs_of(labels, labels, levels, row=0), core, **settings)
    found = np.zeros(levels.shape, int)
    for row, start, stop, label in zip(runs.row, runs.start, runs.stop, runs.label, strict=True):
        assert (found[row, start:stop] == 0).all()
        found[row, start:stop] = label
    assert runs.total.sum() == pytest.approx(levels[levels >= threshold].sum(dtype=float))
    return found


def same_parts(found, truth):
    pairs = np.unique(np.stack([found.ravel(), truth.ravel()]), axis=1)
    return len(np.unique(pairs[0])) == pairs.shape[1] == len(np.unique(pairs[1]))


def by_skimage(levels, threshold, core):
    """Watershed of the whole image; objects without a core stay whole."""
    mask = levels >= threshold
    cores, count = ndimage.label(levels >= core)
    found = watershed(-levels, cores, mask=mask)
    rest, _ = ndimage.label(mask & (found == 0))
    return np.where(rest > 0, rest + count, found)


@pytest.mark.parametrize("seed", range(25))
def test_parts_are_those_of_a_watershed(seed):
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.normal(size=(40, 50)), 2)
    levels = (smooth / smooth.std() / 5 + 0.5).astype("float32")  # no two pixels are equal, so neither are valleys
    truth = by_skimage(levels, 0.5, 0.65)
    assert same_parts(parted(levels, 0.5, 0.65), truth)
    assert truth.max() > ndimage.label(levels >= 0.5)[1]


def test_two_houses_part_in_the_valley_between_them():
    levels = np.full((12, 30), 200, "uint8")
    levels[:, 14] = 140
    found = parted(levels, 128, 180)
    left, right = found[0, 0], found[0, -1]
    assert left != right
    assert (found[:, :14] == left).all()
    assert (found[:, 15:] == right).all()
    assert (parted(levels, 128, 130) == 1).all()  # the valley itself is a core
    assert (parted(levels, 128, 201) == 1).all()  # there is no core


def test_a_level_stretch_is_shared_by_nearness():
    levels = np.full((1, 21), 150, "uint8")
    levels[0, [0, 20]] = 200
    found = parted(levels, 128, 180)[0]
    assert (found[:10] == found[0]).all()
    assert (found[11:] == found[20]).all()
    assert found[0] != found[20]


def test_small_cores_are_none():
    levels = np.full((20, 20), 150, "uint8")
    levels[2:6, 2:6] = levels[14:18, 14:18] = levels[3, 15] = 200
    assert len(np.unique(parted(levels, 128, 180))) == 3
    assert len(np.unique(parted(levels, 128, 180, min_pixels=2))) == 2
    assert len(np.unique(parted(levels, 128, 180, min_pixels=17))) == 1


def test_parts_are_connected():
    rng = np.random.default_rng(0)
    levels = rng.integers(100, 256, (60, 60)).astype("uint8")  # plateaus and ties everywhere
    found = parted(levels, 128, 220)
    for label in np.unique(found)[1:]:
        assert ndimage.label(found == label)[1] == 1
        cores = ndimage.label((levels >= 220) & (found == label))[1]
        assert cores <= 1


def test_what_is_too_large_is_left_whole_and_said(monkeypatch, caplog):
    levels = np.full((12, 30), 200, "uint8")
    levels[:, 14] = 140
    monkeypatch.setattr(separate, "MOST_PIXELS", 12 * 30 - 1)
    with caplog.at_level(logging.INFO, logger="crispmap"):
        assert (parted(levels, 128, 180) == 1).all()
    assert "30 × 12 pixels is too large to be separated" in caplog.text
