"""How sure a difference between two methods is: paired by seed and by tile, by two roads.

*Over seeds*: a paired t test of the differences of the pooled scores, two-sided, with its 95 % interval; it says what
training once more would give on these tiles. *Over seeds and tiles*: a bootstrap that draws both again, which says
what other ground would give too; a draw takes the same tiles for every seed and for both methods.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crispmap.compare.measure import METRICS, Counts, scores

LEVEL = 0.95
DRAWS = 4000
ENOUGH = 5  # seeds, below which intervals are rough
TEST = (
    "paired t test over seeds, two-sided, p corrected by Holm over all methods of a metric and network; "
    f"95 % intervals: of that t test, and by a bootstrap of {DRAWS:,} draws of seeds and tiles, both paired"
)


@dataclass(frozen=True)
class Interval:
    """A number and where it lies with 95 % confidence; NaN where that cannot be said."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """A method's score less the reference's, over the seeds that both have.

    *Convention*: of the perimeter ratio it is the distance from 1 that is compared, |ratio − 1|, so that less is
    better; of all other metrics more is better.

    Attributes:
        method: The method.
        reference: What it is held against, on the same network.
        metric: Key of the metric.
        seeds: Those that both have.
        over_seeds: The mean, with the interval of the t test.
        over_tiles: The same mean, with the interval of the bootstrap.
        p: Of the t test; NaN with fewer than two seeds.
        p_holm: The same, corrected.
    """

    method: str
    reference: str
    metric: str
    seeds: list[int]
    over_seeds: Interval
    over_tiles: Interval
    p: float
    p_holm: float


def mean_interval(values: NDArray[np.float64]) -> tuple[Interval, float]:
    """The mean of independent values with its t interval, and the p of a two-sided test against 0.

    *Convention*: one value has no interval; values that are all the same have one of no width, and the p 0, or 1 where
    they are all 0.
    """
    from scipy import stats

    mean, n = float(values.mean()), len(values)
    if n < 2 or not np.isfinite(values).all():
        return Interval(mean, math.nan, math.nan), math.nan
    error = float(values.std(ddof=1)) / math.sqrt(n)
    half = error * float(stats.t.ppf((1 + LEVEL) / 2, n - 1))
    if error == 0:
        return Interval(mean, mean, mean), float(mean == 0)
    return Interval(mean, mean - half, mean + half), float(2 * stats.t.sf(abs(mean) / error, n - 1))


def bootstrap(one: Counts, other: Counts, draws: int = DRAWS) -> dict[str, Interval]:
    """The interval of the mean difference of two methods under seeds and tiles drawn again, for each metric.

    Args:
        one: Counts (seeds, tiles) by name.
        other: Those of the other method, of the same seeds and tiles.
        draws: How many.

    Returns:
        Quantiles of what is drawn, about the difference of the scores as they are; the same in every call.
    """
    runs, tiles = one["hits"].shape
    rng = np.random.default_rng(0)
    chosen = rng.integers(runs, size=(draws, runs))
    times = rng.multinomial(tiles, np.full(tiles, 1 / tiles), size=draws).astype(np.float64)  # it is drawn
    drawn = [_compared(scores({key: times @ value.T for key, value in counts.items()})) for counts in (one, other)]
    exact = differences(one, other)
    found = {}
    for key, values in exact.items():
        means = np.take_along_axis(drawn[0][key] - drawn[1][key], chosen, 1).mean(1)
        known = means[np.isfinite(means)]
        tails = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
        low, high = np.quantile(known, tails).tolist() if len(known) else (math.nan, math.nan)
        found[key] = Interval(float(values.mean()), low, high)
    return found


def differences(one: Counts, other: Counts) -> dict[str, NDArray[np.float64]]:
    """The difference of each seed's scores, pooled over tiles, by metric; see `Difference` for the perimeter ratio."""
    a, b = (_compared(scores({key: value.sum(-1) for key, value in counts.items()})) for counts in (one, other))
    return {key: a[key] - b[key] for key in a}


def _compared(found: Mapping[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
    return {**found, "perimeter_ratio": np.abs(found["perimeter_ratio"] - 1)}


def holm(p: Sequence[float]) -> list[float]:
    """Holm's correction: p values of a family, each raised so that the family errs no more often than one test.

    NaN stays NaN and counts as no test.
    """
    known = sorted((value, i) for i, value in enumerate(p) if not math.isnan(value))
    raised, highest = [math.nan] * len(p), 0.0
    for rank, (value, i) in enumerate(known):
        highest = max(highest, min(1.0, value * (len(known) - rank)))
        raised[i] = highest
    return raised


def against(reference: str, counts: Mapping[str, Mapping[int, Counts]], methods: Sequence[str]) -> list[Difference]:
    """Holds methods against a reference in every metric.

    Args:
        reference: A method.
        counts: Of each method and seed, (tiles,) by name.
        methods: Those to compare; with the reference they are one family for each metric. A method that shares no
            seed with the reference is left out.

    Returns:
        Metric by metric, in the order of the methods.
    """
    rows: dict[str, list[Difference]] = {metric.key: [] for metric in METRICS}
    for method in methods:
        seeds = sorted(set(counts.get(method, {})) & set(counts.get(reference, {})))
        if not seeds:
            continue
        pair = [stacked([counts[name][seed] for seed in seeds]) for name in (method, reference)]
        drawn, by_seed = bootstrap(pair[0], pair[1]), differences(pair[0], pair[1])
        for key, found in rows.items():
            interval, p = mean_interval(by_seed[key])
            found.append(Difference(method, reference, key, seeds, interval, drawn[key], p, math.nan))
    return [
        Difference(**vars(row) | {"p_holm": p})
        for found in rows.values()
        for row, p in zip(found, holm([row.p for row in found]), strict=True)
    ]


def stacked(runs: Sequence[Counts]) -> Counts:
    """Counts (tiles,) of several runs as (runs, tiles)."""
    return {key: np.stack([run[key] for run in runs]) for key in runs[0]}
