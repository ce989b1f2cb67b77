"""Selection of the exported network: by measured rewards, by a model, by further measurements."""

import math

import numpy as np
import pytest

from mnas.errors import UsageError
from mnas.loop.records import RemeasuredRecord
from mnas.loop.selection import Remeasured, candidates, grouped, half_interval, ranking, smoothed
from mnas.reward import RewardConfig
from tests.runs import ACCURACY, result

DECISIONS = {trial: (trial // 3 % 3, trial % 3) for trial in range(9)}


def results(accuracies, **changes):
    return [result(trial, value, **changes) for trial, value in enumerate(accuracies)]


def again(trial, *accuracies, latency_ms=None):
    """Return further measurements; None is a failed one."""
    return [
        RemeasuredRecord(
            trial=trial,
            number=number,
            seed=number,
            reward=-1.0 if accuracy is None else accuracy,
            accuracy=accuracy,
            error="it diverged" if accuracy is None else None,
            latency_ms=latency_ms,
        )
        for number, accuracy in enumerate(accuracies)
    ]


def trials(ranked):
    return [network.result.trial for network in ranked]


def test_candidates_succeeded_once_and_to_their_end():
    found = [
        result(0),
        result(1, error="it diverged"),
        result(2, duplicate_of=0),
        result(3, stopped=True),
    ]
    assert [candidate.trial for candidate in candidates(found)] == [0]
    assert [candidate.trial for candidate in candidates(found[1:])] == [3]


def test_measured_ranks_by_recorded_reward_and_the_earliest_of_equals():
    ranked = ranking("measured", results([0.1, 0.3, 0.2, 0.3]), DECISIONS, None)
    assert trials(ranked) == [1, 3, 2, 0]
    assert [network.score for network in ranked] == [0.3, 0.3, 0.2, 0.1]
    assert all(network.smoothed is None for network in ranked)


def test_model_ranks_by_the_reward_at_the_smoothed_accuracy():
    """A lucky measurement of a network whose relatives are bad does not win."""
    accuracies = [0.5, 0.51, 0.62, 0.56, 0.57, 0.58, 0.6, 0.61, 0.6]
    found, reward = results(accuracies, mult_adds=200), RewardConfig(w=-0.5, target_madds=50)
    ranked = ranking("model", found, DECISIONS, reward)
    assert trials(ranking("measured", found, DECISIONS, reward))[0] == 2
    assert trials(ranked)[0] != 2
    for network in ranked:
        assert network.score == pytest.approx(network.smoothed * 0.5)
    means = smoothed(found, DECISIONS, {})
    assert {n.result.trial: n.smoothed for n in ranked} == means


def test_model_needs_a_reward():
    with pytest.raises(ValueError, match="reward = None"):
        ranking("model", results([0.1]), DECISIONS, None)


def test_networks_measured_again_come_first_by_their_mean():
    """The accuracy by which they were selected does not count."""
    records = [*again(0, 0.5, 0.7), *again(2, 0.65, 0.65), *again(3, 0.1, 0.2)]
    ranked = ranking("measured", results([0.9, 0.8, 0.7, 0.6]), DECISIONS, None, records)
    assert trials(ranked) == [2, 0, 3, 1]
    assert [network.score for network in ranked] == pytest.approx([0.65, 0.6, 0.15, 0.8])
    assert ranked[3].remeasured is None


def test_a_network_whose_measurements_all_failed_keeps_its_search_score():
    records = [*again(0, None, None), *again(1, 0.3, None)]
    ranked = ranking("measured", results([0.9, 0.8, 0.7]), DECISIONS, None, records)
    assert trials(ranked) == [1, 0, 2]
    assert [network.score for network in ranked] == [0.3, 0.9, 0.7]
    failed = ranked[1].remeasured
    assert (failed.mean, failed.half_interval, failed.failed) == (None, None, 2)
    assert (ranked[0].remeasured.mean, ranked[0].remeasured.failed) == (0.3, 1)


def test_model_takes_part_of_the_search_and_further_measurements_together():
    found = results([0.5, 0.52, 0.54, 0.56, 0.58, 0.6, 0.62, 0.64, 0.9])
    records = [*again(8, *[0.6] * 20), *again(7, *[0.64] * 20)]
    ranked = ranking("model", found, DECISIONS, ACCURACY, records)
    assert trials(ranked)[:2] == [7, 8]
    assert ranked[0].smoothed == pytest.approx(0.64, abs=0.02)
    # 20 measurements at 0.6 and one at 0.9.
    assert ranked[1].smoothed == pytest.approx((20 * 0.6 + 0.9) / 21, abs=0.02)


def test_model_takes_the_mean_latency_of_further_measurements():
    reward = RewardConfig(cost="latency_ms", target_latency_ms=1.0, w=-1.0)
    found = results([0.5, 0.6], latency_ms=1.0)
    ranked = ranking("model", found, DECISIONS, reward, again(1, 0.6, 0.6, latency_ms=2.0))
    assert ranked[0].result.trial == 1 and ranked[0].score == pytest.approx(0.3)


def test_interval_matches_hand_computation():
    """Mean 0.6, s = 0.1, t(0.975, 2) = 4.302653: 4.302653 · 0.1 / √3."""
    found = grouped(again(4, 0.5, 0.6, 0.7))[4]
    assert found.mean == pytest.approx(0.6)
    assert found.half_interval == pytest.approx(0.248414, abs=1e-6)
    assert half_interval(0.1, 3) == pytest.approx(0.248414, abs=1e-6)
    assert found.interval == pytest.approx((0.6 - 0.248414, 0.6 + 0.248414), abs=1e-6)
    assert grouped(again(4, 0.9, 0.95, 1.0))[4].interval[1] == 1
    alone = Remeasured(tuple(again(4, 0.5)))
    assert alone.half_interval is None and alone.interval is None


def test_networks_that_the_model_is_not_fitted_to_come_last(monkeypatch):
    monkeypatch.setattr("mnas.loop.smoothing.LARGEST", 3)
    ranked = ranking("model", results([0.9, 0.5, 0.6, 0.7]), DECISIONS, ACCURACY)
    assert trials(ranked) == [3, 2, 1, 0]
    assert ranked[3].smoothed is None and ranked[3].score == -math.inf


def test_damaged_records_raise_usage_errors_only():
    found = results([0.5, 0.6, 0.7, 0.8])
    with pytest.raises(UsageError, match="decisions of different lengths"):
        smoothed(found, {**DECISIONS, 1: (0, 1, 2)}, {})
    huge = results([0.5, 0.6, 0.7, 0.8], mult_adds=10**400, params=0)
    assert len(smoothed(huge, {trial: (10**30 + trial,) for trial in range(4)}, {})) == 4
    without = [result(9, accuracy=None), result(10, accuracy=1e308), *found]
    assert set(smoothed(without, DECISIONS, {})) == {0, 1, 2, 3}


def test_smoothing_ranks_better_than_noisy_accuracies():
    """Of 27 networks whose accuracy depends on decisions, with noise as large as the spread."""
    rng = np.random.default_rng(0)
    decisions = {t: (t // 9, t // 3 % 3, t % 3) for t in range(27)}
    true = np.array([0.5 + 0.05 * sum(decisions[t]) for t in range(27)])
    gains = []
    for _ in range(5):
        noisy = true + true.std() * rng.normal(size=27)
        means = smoothed(results(noisy.tolist()), decisions, {})
        gains.append(
            np.corrcoef([means[t] for t in range(27)], true)[0, 1] - np.corrcoef(noisy, true)[0, 1]
        )
    assert np.mean(gains) > 0.1
