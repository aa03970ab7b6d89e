"""Which prediction belongs to which truth: files and folders paired by stem."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from crispmap.errors import InputError, PairingError
from crispmap.geo.raster import RASTER_SUFFIXES, is_hidden
from crispmap.geo.vector import VECTOR_SUFFIXES

# what `crispmap predict` adds to the stem of an image, the form to prefer first
_ENDINGS = ("_mask", "_probability", "_footprints")


class Pair(NamedTuple):
    """A prediction and its truth."""

    name: str
    pred: Path
    truth: Path


def is_vector(path: Path) -> bool:
    """Whether a file holds vectors, by its suffix."""
    return path.suffix.lower() in VECTOR_SUFFIXES


def find_pairs(pred: Path, truth: Path) -> list[Pair]:
    """Pairs predictions with truths.

    Two files are a pair whatever they are called. In folders the stem decides, without `_mask`,
    `_probability` and `_footprints`; of several files for one stem the mask is taken, then the probability;
    vectors count only where a folder has no rasters. A raster against a folder takes its partner from there;
    a vector file against a folder goes with each of its files.

    Args:
        pred: A file or folder.
        truth: A file or folder.

    Returns:
        The pairs by name.

    Raises:
        InputError: If a folder holds neither rasters nor vectors.
        PairingError: If something has no partner or more than one.
    """
    preds, truths = _files(pred), _files(truth)
    if not pred.is_dir() and not truth.is_dir():
        return [Pair(_stem(pred), pred, truth)]
    if not truth.is_dir():
        truths, preds = _file_and_folder(truth, preds, pred)
    elif not pred.is_dir():
        preds, truths = _file_and_folder(pred, truths, truth)
    _check_complete(preds.keys(), truths.keys(), pred, truth)
    return [Pair(stem, preds[stem], truths[stem]) for stem in sorted(preds)]


def _files(path: Path) -> dict[str, Path]:
    """The files to compare by stem: rasters, or vectors where there are none."""
    if not path.is_dir():
        return {_stem(path): path}
    files = sorted(file for file in path.iterdir() if file.is_file() and not is_hidden(file))
    for suffixes in (RASTER_SUFFIXES, VECTOR_SUFFIXES):
        found: dict[str, Path] = {}
        for file in files:
            if file.suffix.lower() in suffixes:
                found[_stem(file)] = _preferred(file, found.get(_stem(file)))
        if found:
            return found
    raise InputError(f"no masks or footprints in {path}; looked for {', '.join(RASTER_SUFFIXES + VECTOR_SUFFIXES)}")


def _stem(file: Path) -> str:
    for ending in _ENDINGS:
        if file.stem.endswith(ending):
            return file.stem.removesuffix(ending)
    return file.stem


def _preferred(file: Path, other: Path | None) -> Path:
    if other is None:
        return file
    rank, other_rank = _rank(file), _rank(other)
    if rank == other_rank:
        raise PairingError(f"{other} and {file.name} have the same stem; keep one of them in the folder")
    return file if rank < other_rank else other


def _rank(file: Path) -> int:
    return next((i for i, ending in enumerate(_ENDINGS) if file.stem.endswith(ending)), len(_ENDINGS))


def _file_and_folder(file: Path, others: dict[str, Path], folder: Path) -> tuple[dict[str, Path], dict[str, Path]]:
    """A file and the files of a folder, narrowed to what goes with each other."""
    if is_vector(file):
        return dict.fromkeys(others, file), others
    stem = _stem(file)
    if stem not in others:
        raise PairingError(f"{folder} has no partner for {file}; looked for the stem '{stem}'")
    return {stem: file}, {stem: others[stem]}


def _check_complete(preds: Iterable[str], truths: Iterable[str], pred: Path, truth: Path) -> None:
    preds, truths = set(preds), set(truths)
    lacking = [
        f"{len(missing)} without a {kind} in {folder} ({_some(missing)})"
        for missing, kind, folder in ((preds - truths, "truth", truth), (truths - preds, "prediction", pred))
        if missing
    ]
    if lacking:
        raise PairingError(f"{len(preds)} predictions and {len(truths)} truths: {' and '.join(lacking)}")


def _some(names: set[str]) -> str:
    first = sorted(names)
    return ", ".join(first[:3]) + (", …" if len(first) > 3 else "")
