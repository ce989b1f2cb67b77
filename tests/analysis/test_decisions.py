"""Decisions read from the networks of a run: frequencies, and rewards by choice."""

import pytest

from mnas.analysis.decisions import Effect, decisions
from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from tests.runs import proposals, result, run_of


def network(kernel: int = 3, layers: int = 1, resolution: int = 8, stages: int = 1):
    blocks = (Block(kernel=kernel, stride=2, filters=8, repeats=layers),) * stages
    return Architecture(blocks, resolution=resolution, stem=4, head=8, classes=10).to_dict()


def run_with(*networks, rewards=None, **changes):
    rewards = rewards or [0.5] * len(networks)
    results = [
        result(n, reward, architecture=each, **changes)
        for n, (each, reward) in enumerate(zip(networks, rewards, strict=True))
    ]
    return run_of([proposals([[n] for n in range(len(results))]), *results])


def test_decisions_are_the_fields_in_which_networks_differ():
    run = run_with(network(3), network(5, 2), network(11, 2, resolution=16))
    found = decisions(run, [[0, 1, 2]])
    assert [(d.name, d.values) for d in found] == [
        ("resolution", ("8", "16")),
        ("stage 1 kernel", ("3", "5", "11")),
        ("stage 1 layers", ("1", "2")),
    ]
    assert decisions(run_with(network(), network()), [[0, 1]]) == []


def test_frequencies_are_shares_of_each_group_of_trials_with_results():
    run = run_with(network(3), network(5), network(5), network(5))
    (kernel,) = decisions(run, [[0, 1], [2, 3, 99], [100]])
    assert kernel.frequencies == [[0.5, 0.5], [0.0, 1.0], [0.0, 0.0]]


def test_effect_is_the_mean_reward_minus_that_of_all_with_its_interval():
    run = run_with(network(3), network(5), network(5), rewards=[0.2, 0.6, 0.7])
    (kernel,) = decisions(run, [])
    alone, both = kernel.effects
    assert alone == Effect(1, pytest.approx(-0.3), None, None)
    # mean .65 - .5, standard deviation .0707 / √2 = .05
    assert (both.n, both.mean) == (2, pytest.approx(0.15))
    assert (both.low, both.high) == pytest.approx((0.15 - 0.098, 0.15 + 0.098), abs=1e-4)
    assert kernel.spread == pytest.approx(0.45)


def test_effects_leave_out_failed_trials_which_frequencies_count():
    run = run_with(network(3), network(5), rewards=[0.0, 0.0], accuracy=None, error="NaN")
    (kernel,) = decisions(run, [[0, 1]])
    assert kernel.effects == [None, None] and kernel.frequencies == [[0.5, 0.5]]
    assert kernel.spread == 0.0


def test_a_stage_that_networks_lack_has_the_value_none():
    run = run_with(network(stages=1), network(stages=2))
    found = {decision.name: decision for decision in decisions(run, [[0, 1]])}
    assert found["stage 2 kernel"].values == ("none", "3")
    assert found["stage 2 kernel"].frequencies == [[0.5, 0.5]]


def test_block_strings_that_cannot_be_read_have_no_decisions():
    strange = {**network(), "blocks": ["what is this"]}
    assert decisions(run_with(strange, strange), [[0, 1]]) == []
