"""Importance of decisions by a Gaussian process."""

import itertools

import numpy as np
import pytest

from mnas.analysis.decisions import coded, decisions
from mnas.analysis.importance import LARGEST, LEAST, importances, weights
from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from mnas.loop import kernel
from tests.runs import proposals, result, run_of

KERNELS, WIDTHS = (3, 5, 7), (8, 16)


def a_run(count, reward, seed=0):
    """Return a run of random networks of two blocks; `reward` is a function of their choices."""
    random = np.random.default_rng(seed)
    results = []
    for trial in range(count):
        first, second, width = random.integers(0, (3, 3, 2))
        blocks = (
            Block(kernel=KERNELS[first], stride=2, filters=8),
            Block(kernel=KERNELS[second], stride=1, filters=WIDTHS[width]),
        )
        architecture = Architecture(blocks, resolution=8, stem=4, head=8, classes=10)
        value = float(reward(first, second, width, random))
        results.append(result(trial, value, architecture=architecture.to_dict()))
    return run_of([proposals([[n] for n in range(count)]), *results])


def found(run):
    return importances(run, decisions(run, []))


def test_intervals_hold_the_standard_deviations_of_main_effects():
    run = a_run(300, lambda a, b, w, random: 0.5 + 0.02 * a + 0.1 * w + random.normal(0, 0.01))
    by_name = {item.name: item for item in found(run).items}
    # 0.02 · (-1, 0, 1) and 0.1 · (-1, 1) / 2
    truth = {"stage 1 kernel": 0.02 * (2 / 3) ** 0.5, "stage 2 filters": 0.05}
    for name, value in truth.items():
        item = by_name[name]
        assert item.low < value < item.high < 1.3 * value and item.low > 0.7 * value
        assert item.low < item.median < item.high
    assert by_name["stage 2 kernel"].high < 0.006
    assert found(run).items[0].name == "stage 2 filters"


def test_a_preference_of_the_search_is_no_effect():
    # Networks of width 16 have kernel 7 more often, and only the width matters.
    def reward(first, second, width, random):
        return 0.5 + 0.1 * width + random.normal(0, 0.005)

    whole = a_run(400, reward)
    kept = [
        r
        for r in whole.results
        if r.reward < 0.55 or r.architecture["blocks"][0].split("_")[1] == "k7" or r.trial % 6 == 0
    ]
    run = run_of([proposals([[n] for n in range(400)]), *kept])
    kernels = next(d for d in decisions(run, []) if d.name == "stage 1 kernel")
    assert kernels.spread > 0.02  # of the means of the networks that the search took
    by_name = {item.name: item for item in found(run).items}
    assert by_name["stage 1 kernel"].high < 0.01 < 0.04 < by_name["stage 2 filters"].low


def test_noise_widens_the_intervals_and_is_said():
    def noisy(std):
        return a_run(120, lambda a, b, w, random: 0.5 + 0.02 * a + random.normal(0, std))

    exact, blurred = found(noisy(0.001)), found(noisy(0.05))
    one, other = (
        next(item for item in each.items if item.name == "stage 1 kernel")
        for each in (exact, blurred)
    )
    assert exact.noise < 0.05 < 0.5 < blurred.noise
    assert other.high - other.low > 3 * (one.high - one.low)


def test_covariance_of_a_main_effect_is_that_of_the_kernel():
    counts, amplitude = (2, 3, 4), 1.7
    every = np.array(list(itertools.product(*map(range, counts))))
    agreement = (every[:, None] == every[None]).mean(-1)
    covariance = kernel.covariance(agreement, amplitude)
    for d, count in enumerate(counts):
        for value in range(count):
            effect = covariance[every[:, d] == value].mean(0) - covariance.mean(0)
            expected = weights(counts, amplitude)[d] * ((every[:, d] == value) - 1 / count)
            assert effect == pytest.approx(expected)


def test_codes_are_indices_of_the_values():
    run = a_run(20, lambda a, b, w, random: 0.5)
    every = decisions(run, [])
    codes = coded(every, run.results)
    place = [decision.name for decision in every].index("stage 2 filters")
    for row, network in zip(codes, run.results, strict=True):
        width = network.architecture["blocks"][1].split("_o")[1].split("_")[0]
        assert every[place].values[row[place]] == width


def test_a_long_search_is_thinned_and_few_or_equal_networks_have_no_importance():
    many = found(a_run(LARGEST + 300, lambda a, b, w, random: a + random.normal()))
    assert many.networks == LARGEST
    assert found(a_run(LEAST - 1, lambda a, b, w, random: a)) is None
    assert found(a_run(LEAST + 9, lambda a, b, w, random: 0.5)) is None


def test_importances_are_the_same_in_every_call():
    run = a_run(30, lambda a, b, w, random: a + random.normal())
    assert found(run) == found(run)
