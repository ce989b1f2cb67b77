"""Quality of a proxy: measures beside free predictors, gain, spread over seeds."""

import dataclasses
import json

import numpy as np
import pytest

from mnas.analysis import free_predictors
from mnas.analysis.proxy_quality import (
    CALIBRATED,
    ONE_TRAINING,
    PROXY,
    SMOOTHED,
    WITH_PROXY,
    Quality,
    Score,
    known_networks,
    quality,
)
from mnas.analysis.rank_agreement import resamples
from mnas.architecture.cost import depth
from mnas.architecture.network_table import TableRow
from mnas.errors import UsageError
from mnas.evaluators.table import decoder

SPACE = decoder("nas-bench-macro")


def network(name):
    return SPACE([int(choice) for choice in name])


def table(count=40):
    """Return networks whose accuracy is 0.5 + 0.05 for each layer, with something unknown added."""
    rng = np.random.default_rng(0)
    rows, seen = [], set()
    while len(rows) < count:
        architecture = SPACE(rng.integers(0, 3, 8).tolist())
        if architecture.canonical_hash() not in seen:
            seen.add(architecture.canonical_hash())
            accuracy = 0.5 + 0.05 * depth(architecture) + rng.normal(0, 0.03)
            rows.append(TableRow(architecture, accuracy, (accuracy, accuracy + 0.001)))
    return rows


ROWS = table()
KNOWN = known_networks(ROWS, None, -0.07)


@pytest.fixture(scope="module", autouse=True)
def _few_resamples():
    """Take 100 bootstrap resamples, which is faster."""

    def few(networks, seed=0, count=100):
        return resamples(networks, seed, count)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mnas.analysis.proxy_quality.resamples", few)
        yield


@pytest.fixture(scope="module")
def perfect():
    """Return the quality of a proxy that gives the accuracies themselves, halved."""
    scores = [Score((row.accuracy / 2, row.accuracy / 2 + 0.01), 30.0) for row in ROWS]
    return quality(ROWS, scores, KNOWN)


def test_counts_of_layers_leave_identities_out():
    assert depth(network("01000201")) == 3
    assert free_predictors.weighted_depth(network("01000201")) == 1 * 3 + 0 * 2 + 2 * 1
    assert free_predictors.weighted_depth(network("11111111")) == 2 * 3 + 3 * 2 + 3 * 1
    assert free_predictors.layers_by_expansion(network("01000201")) == 3 + 6 + 3
    assert free_predictors.choices([network("01000201"), network("02000201")]).shape == (2, 2)


def test_perfect_proxy_has_tau_1_wherever_networks_can_be_compared(perfect):
    found = perfect.agreement[PROXY]
    for measure in ("tau", "tau_equal_depth", "tau_equal_cost", "tau_best_quarter", "tau_reward"):
        assert found[measure].value == pytest.approx(1, abs=1e-6), measure
    assert found["top_decile"].value == 1


def test_perfect_proxy_adds_what_costs_do_not_predict(perfect):
    depth = perfect.agreement["depth"]["tau"].value
    assert 0.3 < depth < 0.95
    without, with_proxy = (
        perfect.agreement[name]["tau_equal_depth"].value for name in (CALIBRATED, WITH_PROXY)
    )
    assert without < 0.5 < 0.9 < with_proxy
    assert perfect.gain["tau_equal_depth"].value == pytest.approx(with_proxy - without)
    assert perfect.gain["tau_equal_depth"].low > 0
    assert perfect.partial_tau["depth"] > 0.9


def test_few_labels_suffice_to_calibrate_a_perfect_proxy_with_costs(perfect):
    few = perfect.agreement[f"{WITH_PROXY}, 20 labels"]
    assert few["tau"].value > 0.9 > perfect.agreement["ridge, 20 labels"]["tau"].value
    assert few["tau"].low <= few["tau"].value <= few["tau"].high


def test_noise_adds_nothing():
    rng = np.random.default_rng(1)
    found = quality(ROWS, [Score((value,)) for value in rng.random(len(ROWS))], KNOWN)
    gain = found.gain["tau"]
    assert gain.low < 0.05 and abs(found.partial_tau["depth"]) < 0.3
    assert found.cpu_seconds is None and found.seed_std is None


def test_smoothing_ranks_better_than_noisy_scores_and_sees_no_accuracy(perfect):
    """Noise of the size of the spread; the same scores are smoothed alike whatever the labels."""
    assert perfect.agreement[SMOOTHED]["tau"].value > 0.7
    rng = np.random.default_rng(2)
    spread = np.std([row.accuracy for row in ROWS])
    scores = [Score((row.accuracy + spread * rng.normal(),)) for row in ROWS]
    found = quality(ROWS, scores, KNOWN).agreement
    assert found[SMOOTHED]["tau"].value > found[PROXY]["tau"].value + 0.1
    constant = dataclasses.replace(KNOWN, accuracy=KNOWN.accuracy[::-1].copy())
    opposite = quality(ROWS, scores, constant).agreement
    assert opposite[SMOOTHED]["tau"].value < found[SMOOTHED]["tau"].value - 0.3


def test_networks_with_other_numbers_of_blocks_are_smoothed_by_costs_alone():
    blocks = network("01000201").blocks
    mixed = [network("01000201"), network("01000201").replace(blocks=blocks[:-1])]
    assert free_predictors.settings(mixed).shape == (2, 0)
    found = free_predictors.settings([network("01000201"), network("02000201")])
    # Kernel size and expand ratio of the second block.
    assert found.tolist() == [[0, 0], [1, 1]]


def test_cost_and_spread_are_of_single_evaluations(perfect):
    assert (perfect.networks, perfect.seeds, perfect.cpu_seconds) == (40, 2, 15.0)
    assert perfect.seed_std == pytest.approx(0.01 / 2**0.5)
    assert perfect.tau_seeds == pytest.approx(1)


def test_one_training_is_judged_by_the_others(perfect):
    assert perfect.agreement[ONE_TRAINING]["tau"].value == pytest.approx(1, abs=1e-6)


def test_labels_of_the_ridge_are_at_most_half_of_the_networks(perfect):
    assert "ridge, 20 labels" in perfect.agreement


def test_json_round_trip_and_malformed_files(perfect):
    data = json.loads(json.dumps(perfect.to_dict(), allow_nan=False))
    assert Quality.from_dict(data, "x.json") == perfect
    for change in (
        [],
        {"networks": 3},
        {**data, "cpu_seconds": "fast"},
        {**data, "agreement": {}},
        {**data, "agreement": 3},
        {**data, "gain": {"tau": 1}},
        {**data, "agreement": {PROXY: {"tau": {"value": 1}}}},
        {**data, "agreement": {PROXY: {**data["gain"], "tau": {"value": "high"}}}},
    ):
        with pytest.raises(UsageError, match=r"x\.json"):
            Quality.from_dict(change, "x.json")


def test_few_networks_are_rejected():
    with pytest.raises(UsageError, match="4 networks with a score; accepted: 5 or more"):
        quality(ROWS[:4], [Score((0.5,))] * 4, known_networks(ROWS[:4], None, 0))
