"""Rank agreement against scipy and against numbers worked out by hand."""

import dataclasses

import numpy as np
import pytest
from scipy import stats

from mnas.analysis.rank_agreement import (
    MEASURES,
    Networks,
    agreement,
    estimate,
    partial_tau,
    resamples,
    weighted_taus,
)

RNG = np.random.default_rng(0)
X, Y = RNG.integers(0, 12, (2, 40)).astype(float)  # with ties


def networks(accuracy, depth=None, mult_adds=None, w=0.0):
    n = len(accuracy)
    depth = np.arange(n) if depth is None else depth
    mult_adds = np.full(n, 1e6) if mult_adds is None else mult_adds
    return Networks(
        np.array(accuracy, float),
        np.array(mult_adds, float),
        np.full(n, 1e5),
        np.array(depth, float),
        target=1e6,
        w=w,
    )


def whole(score, known):
    found = agreement(np.array(score, float), known, np.ones((1, len(score)), int))
    return {name: values[0] for name, values in found.items()}


def test_tau_of_all_pairs_is_scipys_with_ties():
    expected = stats.kendalltau(X, Y).statistic
    assert weighted_taus(X, Y, np.ones((1, 40)))[0] == pytest.approx(expected, abs=1e-6)


def test_multiplicities_select_networks():
    kept = np.arange(40) % 3 > 0
    expected = stats.kendalltau(X[kept], Y[kept]).statistic
    assert weighted_taus(X, Y, kept[None])[0] == pytest.approx(expected, abs=1e-6)


def test_tau_at_equal_depth_by_hand():
    # Depth 1: accuracies .1 .2 .3, scores 1 3 2: 2 concordant, 1 discordant; depth 2: 1 discordant.
    found = whole([1, 3, 2, 9, 8], networks([0.1, 0.2, 0.3, 0.4, 0.5], depth=[1, 1, 1, 2, 2]))
    assert found["tau_equal_depth"] == pytest.approx(0.0)
    assert found["tau"] == pytest.approx((8 - 2) / 10)


def test_tau_is_undefined_without_pairs_of_equal_depth():
    assert np.isnan(whole([1, 2, 3, 4, 5], networks([0.1, 0.2, 0.3, 0.4, 0.5]))["tau_equal_depth"])


def test_tau_of_the_reward_includes_the_cost():
    # Halving the cost doubles the reward (w = -1): .4 and .6 become .8 and .6.
    known = networks([0.4, 0.6], mult_adds=[5e5, 1e6], w=-1.0)
    assert whole([0.4, 0.6], known)["tau_reward"] == 1
    assert whole([0.1, 0.6], known)["tau_reward"] == -1
    assert np.isnan(whole([-0.4, 0.6], known)["tau_reward"])


def test_best_quarter_and_top_decile():
    accuracy = np.arange(20) / 20
    score = accuracy.copy()
    score[[18, 19]] = score[[19, 18]]  # 2 of the best 5; both among the best tenth still
    found = whole(score, networks(accuracy))
    assert found["tau_best_quarter"] == pytest.approx((9 - 1) / 10)
    assert found["top_decile"] == 1
    assert whole(-score, networks(accuracy))["top_decile"] == 0


def test_equal_cost_compares_within_tenths_by_mult_adds():
    accuracy = np.tile([0.1, 0.2], 10)
    known = networks(accuracy, mult_adds=np.arange(20))
    # Right within every tenth, wrong between them.
    score = accuracy - np.repeat(np.arange(10), 2)
    assert whole(score, known)["tau_equal_cost"] == 1
    assert whole(score, known)["tau"] < 1


def test_interval_covers_the_value_and_shrinks_with_the_networks():
    widths = []
    for n in (20, 200):
        accuracy = np.random.default_rng(n).random(n)
        score = accuracy + np.random.default_rng(n + 1).normal(0, 0.2, n)
        values = agreement(score, networks(accuracy), resamples(n))["tau"]
        found = estimate(values)
        assert found.low < found.value < found.high
        widths.append(found.high - found.low)
    assert widths[1] < widths[0] / 2
    assert estimate(np.array([np.nan, 1.0])).value is None


def test_measures_are_those_that_are_documented():
    assert set(whole(X[:10], networks(Y[:10] / 20))) == set(MEASURES)


def test_partial_tau_by_hand():
    x, y, z = [1, 2, 3, 4], [1, 2, 4, 3], [2, 1, 3, 4]  # xy 4/6, xz 4/6, yz 2/6
    (found,) = partial_tau(np.array(x), np.array(y), [np.array(z)])
    xy, xz, yz = 4 / 6, 4 / 6, 2 / 6
    assert found == pytest.approx((xy - xz * yz) / ((1 - xz**2) * (1 - yz**2)) ** 0.5)


def test_subset_keeps_the_reward():
    known = networks([0.1, 0.2, 0.3], mult_adds=[1, 2, 3], w=-1)
    part = known.subset(np.array([2, 0]))
    assert part.accuracy.tolist() == [0.3, 0.1] and part.mult_adds.tolist() == [3, 1]
    assert dataclasses.replace(part, accuracy=0, mult_adds=0, params=0, depth=0).w == -1
