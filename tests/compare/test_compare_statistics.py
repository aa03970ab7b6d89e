"""Intervals, tests and corrections against scipy and against their definitions, written out."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from crispmap.compare.measure import METRICS, TOLERANCES, scores
from crispmap.compare.statistics import (
    against,
    bootstrap,
    differences,
    holm,
    mean_interval,
    stacked,
)


def random_counts(rng: np.random.Generator, shape: tuple[int, ...], quality: float = 0.8) -> dict[str, np.ndarray]:
    """Counts that could be: nothing is matched more often than it is there."""
    truth = rng.integers(200, 900, shape)
    hits = rng.binomial(truth, quality)
    edge_true, edge_pred = rng.integers(40, 120, shape), rng.integers(40, 120, shape)
    counts = {
        "hits": hits,
        "false_positive": rng.integers(10, 200, shape),
        "false_negative": truth - hits,
        "edge_pred": edge_pred,
        "edge_true": edge_true,
        "band_both": rng.integers(50, 100, shape),
        "band_either": rng.integers(100, 300, shape),
        "length_pred": rng.integers(60, 200, shape),
        "length_true": rng.integers(60, 140, shape),
    }
    for tolerance in TOLERANCES:
        counts[f"near_pred_{tolerance:g}"] = rng.binomial(edge_pred, quality)
        counts[f"near_true_{tolerance:g}"] = rng.binomial(edge_true, quality)
    return {key: value.astype(np.float64) for key, value in counts.items()}


class TestTheTTest:
    @pytest.mark.parametrize("seed", range(4))
    @pytest.mark.parametrize("n", [2, 3, 5, 12])
    def test_as_scipy_has_it(self, seed, n):
        rng = np.random.default_rng(seed)
        one, other = rng.normal(0.7, 0.02, n), rng.normal(0.68, 0.02, n)
        interval, p = mean_interval(one - other)
        outside = stats.ttest_rel(one, other)
        low, high = outside.confidence_interval(0.95)
        assert p == pytest.approx(outside.pvalue)
        assert (interval.mean, interval.low, interval.high) == pytest.approx((np.mean(one - other), low, high))

    def test_what_cannot_be_said_is_nan(self):
        interval, p = mean_interval(np.array([0.2]))
        assert interval.mean == 0.2
        assert all(map(math.isnan, (interval.low, interval.high, p)))
        assert math.isnan(mean_interval(np.array([0.2, math.nan]))[1])

    @pytest.mark.parametrize(("value", "p"), [(0.0, 1.0), (0.25, 0.0)])
    def test_without_any_spread(self, value, p):
        interval, found = mean_interval(np.full(4, value))
        assert (interval.mean, interval.low, interval.high, found) == (value, value, value, p)


class TestHolm:
    def test_by_hand(self):
        """The smallest times 3, the next times 2, the last once, and none below the one before."""
        assert holm([0.03, 0.01, 0.02]) == pytest.approx([0.04, 0.03, 0.04])
        assert holm([0.5, 0.9]) == [1.0, 1.0]
        assert holm([]) == []

    def test_by_its_definition(self):
        """A hypothesis falls at a level iff it and all with smaller p fall one after another."""
        rng = np.random.default_rng(0)
        for _ in range(40):
            p = rng.uniform(0, 0.2, 6).tolist()
            raised = holm(p)
            for level in (0.01, 0.05, 0.1, 0.3):
                fallen = set()
                for rank, i in enumerate(sorted(range(6), key=p.__getitem__)):
                    if p[i] > level / (6 - rank):
                        break
                    fallen.add(i)
                assert {i for i in range(6) if raised[i] <= level} == fallen

    def test_what_was_not_tested_does_not_count(self):
        assert holm([0.02, math.nan, 0.04]) == pytest.approx([0.04, math.nan, 0.04], nan_ok=True)


def literal_differences(one, other, seeds, tiles) -> dict[str, float]:
    """The mean difference over some seeds, each of the counts of some tiles, with repetitions, one at a time."""
    found = {metric.key: 0.0 for metric in METRICS}
    for seed in seeds:
        pooled = [
            {key: np.float64(sum(counts[key][seed, tile] for tile in tiles)) for key in counts}
            for counts in (one, other)
        ]
        a, b = (scores(each) for each in pooled)
        for key in found:
            values = [abs(x[key] - 1) if key == "perimeter_ratio" else x[key] for x in (a, b)]
            found[key] += float(values[0] - values[1]) / len(seeds)
    return found


class TestTheBootstrap:
    def test_as_its_definition_written_out(self):
        """Its quantiles are those of the same scheme drawn by itself, within the noise of drawing."""
        rng = np.random.default_rng(1)
        one, other = random_counts(rng, (4, 7), 0.85), random_counts(rng, (4, 7), 0.75)
        drawn = {metric.key: [] for metric in METRICS}
        for _ in range(3000):
            seeds, tiles = rng.integers(4, size=4), rng.integers(7, size=7)
            for key, value in literal_differences(one, other, seeds, tiles).items():
                drawn[key].append(value)
        found = bootstrap(one, other, 20_000)
        for key, interval in found.items():
            spread = np.std(drawn[key])
            low, high = np.quantile(drawn[key], [0.025, 0.975])
            assert interval.low == pytest.approx(low, abs=0.2 * spread)
            assert interval.high == pytest.approx(high, abs=0.2 * spread)

    def test_two_seeds_and_two_tiles_by_enumeration(self):
        """Each of the 16 draws has more than 2.5 % of the probability, so the bounds are the extremes, exactly."""
        rng = np.random.default_rng(9)
        one, other = random_counts(rng, (2, 2)), random_counts(rng, (2, 2))
        pairs = list(itertools.product(range(2), repeat=2))
        every = [literal_differences(one, other, seeds, tiles) for seeds in pairs for tiles in pairs]
        for key, interval in bootstrap(one, other).items():
            assert interval.low == pytest.approx(min(each[key] for each in every))
            assert interval.high == pytest.approx(max(each[key] for each in every))

    def test_the_mean_is_that_of_all_seeds_on_all_tiles(self):
        rng = np.random.default_rng(2)
        one, other = random_counts(rng, (3, 5)), random_counts(rng, (3, 5))
        literal = literal_differences(one, other, range(3), range(5))
        for key, interval in bootstrap(one, other, 50).items():
            assert interval.mean == pytest.approx(literal[key])
            assert interval.low <= interval.high

    def test_it_is_paired(self):
        """What both methods share, however much tiles and seeds differ, is no uncertainty of the difference."""
        one = random_counts(np.random.default_rng(3), (5, 6))
        for interval in bootstrap(one, one).values():
            assert (interval.mean, interval.low, interval.high) == (0, 0, 0)

    def test_one_seed_and_equal_tiles_leave_nothing_to_draw(self):
        rng = np.random.default_rng(4)
        one, other = ({k: np.repeat(v, 5, 1) for k, v in random_counts(rng, (1, 1)).items()} for _ in range(2))
        for interval in bootstrap(one, other, 100).values():
            assert interval.low == pytest.approx(interval.mean)
            assert interval.high == pytest.approx(interval.mean)

    def test_the_same_in_every_call(self):
        rng = np.random.default_rng(5)
        one, other = random_counts(rng, (3, 4)), random_counts(rng, (3, 4))
        assert bootstrap(one, other, 200) == bootstrap(one, other, 200)


class TestAgainstTheReference:
    def test_only_shared_seeds_are_paired(self):
        rng = np.random.default_rng(6)
        one, two, three = ({seed: random_counts(rng, (5,)) for seed in range(4)} for _ in range(3))
        del two[1]
        three = {9: three[0]}
        rows = against("a", {"a": one, "b": two, "c": three}, ["b", "c", "d"])
        assert [(row.method, row.metric) for row in rows] == [("b", metric.key) for metric in METRICS]
        for row in rows:
            assert row.seeds == [0, 2, 3]
            by_seed = [
                literal_differences(
                    *({k: v[None] for k, v in runs[seed].items()} for runs in (two, one)), [0], range(5)
                )
                for seed in row.seeds
            ]
            values = [each[row.metric] for each in by_seed]
            assert row.over_seeds.mean == pytest.approx(np.mean(values))
            assert row.over_tiles.mean == pytest.approx(np.mean(values))
            assert row.p == pytest.approx(stats.ttest_1samp(values, 0).pvalue)
            assert row.p_holm == row.p  # a family of one

    def test_holm_runs_over_the_methods_of_a_metric(self):
        rng = np.random.default_rng(7)
        counts = {name: {seed: random_counts(rng, (5,)) for seed in range(5)} for name in "abc"}
        rows = against("a", counts, ["b", "c"])
        for metric, found in itertools.groupby(rows, key=lambda row: row.metric):
            pair = list(found)
            assert [row.p_holm for row in pair] == holm([row.p for row in pair]), metric

    def test_a_perimeter_ratio_is_compared_by_its_distance_from_one(self):
        base = random_counts(np.random.default_rng(8), (1, 1))
        length = base["length_true"]
        short, long = base | {"length_pred": 0.9 * length}, base | {"length_pred": 1.3 * length}
        assert differences(short, long)["perimeter_ratio"] == pytest.approx(0.1 - 0.3)


def test_stacked_runs_keep_their_order():
    runs = [{"hits": np.array([1.0, 2.0])}, {"hits": np.array([3.0, 4.0])}]
    assert stacked(runs)["hits"].tolist() == [[1, 2], [3, 4]]
