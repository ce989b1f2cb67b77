"""Regularized evolution: selection of parents, mutation, replacement of the oldest members."""

import collections
import functools
from functools import partial

import jax
import numpy as np
import pytest

from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from mnas.controller import Proposals
from mnas.controllers.evolution import Evolution
from mnas.search_spaces.accel_nasbench import AccelNasbenchSpace
from mnas.search_spaces.efficientnet import EfficientNetSpace
from mnas.space import OneOf, Space
from tests.controllers.spaces import conditional

SPACE = conditional(stride=OneOf(2))  # a sixth decision, with one choice


def key(seed):
    return jax.random.key(seed)


def tell(controller, state, decisions, rewards):
    decisions = np.array(decisions, np.int32)
    log_probs = np.zeros(len(decisions), np.float32)
    return controller.tell(state, Proposals(decisions, log_probs), np.array(rewards, np.float32))


@functools.cache  # building compiles
def build(population, tournament, space=SPACE):
    """Return a controller and its initial state."""
    controller = Evolution(population=population, tournament=tournament).build(space)
    return controller, controller.init(key(0))


def full(decisions, rewards, space=SPACE, tournament=1):
    """Return a controller and its state with this population."""
    controller, state = build(len(decisions), tournament, space)
    return controller, tell(controller, state, decisions, rewards)


def frequencies(decisions):
    counts = collections.Counter(map(tuple, np.asarray(decisions).tolist()))
    return {vector: count / len(decisions) for vector, count in counts.items()}


def assert_frequencies(seen, expected, n):
    assert set(seen) == set(expected)
    for vector, p in expected.items():  # five standard errors
        assert abs(seen[vector] - p) < 5 * np.sqrt(p * (1 - p) / n), (vector, seen[vector], p)


# --- mutation ---


def test_mutation_by_hand():
    controller, state = full([[0, 1, 2, 0, 0, 0]], [0.5])
    n = 4_000
    # Four decisions may change, each in a quarter of the children: op (expand ratio becomes
    # inactive), expand ratio, kernel (two other choices), layers (the skip becomes active).
    expected = {
        (1, 0, 2, 0, 0, 0): 1 / 4,
        (0, 0, 2, 0, 0, 0): 1 / 4,
        (0, 1, 0, 0, 0, 0): 1 / 8,
        (0, 1, 1, 0, 0, 0): 1 / 8,
        (0, 1, 2, 1, 0, 0): 1 / 8,
        (0, 1, 2, 1, 1, 0): 1 / 8,
    }
    assert_frequencies(frequencies(controller.ask(state, key(1), n).decisions), expected, n)


def test_mutation_changes_exactly_one_active_decision():
    space = EfficientNetSpace().build()
    parent = space.sample(np.random.default_rng(0))
    controller, state = full([parent], [0.5], space)
    children = np.asarray(controller.ask(state, key(0), 1_000).decisions)
    np.testing.assert_array_equal(children, space.canonical(children))
    both = space.active(parent) & space.active(children)
    differs = both & (children != parent)
    np.testing.assert_array_equal(differs.sum(1), 1)
    open_to_change = space.active(parent) & (space.sizes > 1)
    np.testing.assert_array_equal(differs.any(0), open_to_change)


def test_child_of_the_only_network_is_the_network():
    space = Space(
        "one", partial(Architecture, blocks=(partial(Block, kernel=3, filters=8, stride=OneOf(2)),))
    )
    controller, state = full([[0]], [0.5], space)
    proposals = controller.ask(state, key(0), 3)
    assert proposals.decisions.tolist() == [[0]] * 3 and proposals.log_probs.tolist() == [0.0] * 3


# --- tournament ---


def test_parents_are_the_best_of_their_tournament():
    # P(best of S samples of 4 members has rank ≤ k) = (k / 4)^S. For S = 2, ranks 1 to 4 (worst to
    # best) are parents with probabilities 1/16, 3/16, 5/16, 7/16.
    space = AccelNasbenchSpace().build()
    members = np.zeros((4, 28), np.int32)
    for row, decisions in enumerate((slice(0), slice(0, 10), slice(10, 20), slice(20, 28))):
        members[row, decisions] = 1  # far apart: a child's parent is the nearest
    controller, state = full(members, [0.1, 0.9, 0.3, 0.5], space, tournament=2)
    n = 4_000
    children = np.asarray(controller.ask(state, key(2), n).decisions)
    parents = (children[:, None] != members).sum(-1).argmin(1)
    expected = {(0,): 1 / 16, (1,): 7 / 16, (2,): 3 / 16, (3,): 5 / 16}
    assert_frequencies(frequencies(parents[:, None]), expected, n)


def test_negative_rewards_compete_among_members_only():
    # Empty rows hold reward 0 and must not win a tournament.
    parent = [1, 0, 2, 1, 1, 0]
    controller, state = full([parent] * 3, [-0.5, -0.5, -0.25], tournament=3)
    children = np.asarray(controller.ask(state, key(0), 4_000).decisions)
    # mbconv instead of conv activates the expand ratio; one layer deactivates the skip.
    assert (children != parent).sum(1).max() == 2


# --- the random phase ---


def test_samples_are_uniform_until_the_population_is_full():
    controller, state = build(3, 3)
    state = tell(controller, state, [[0] * 6] * 3, [0.5, np.nan, 0.6])
    assert int(state.total) == 2
    n = 4_000
    decisions, log_probs = controller.ask(state, key(0), n)
    expected = {}
    for op, expand in ((0, 0), (0, 1), (1, 0)):
        for kernel in range(3):
            for layers, skip in ((0, 0), (1, 0), (1, 1)):
                p = (0.5 if op else 0.25) / 3 * (0.25 if layers else 0.5)
                expected[op, expand, kernel, layers, skip, 0] = p
    assert_frequencies(frequencies(decisions), expected, n)
    known = [np.log(expected[tuple(vector)]) for vector in decisions.tolist()]
    np.testing.assert_allclose(log_probs, known, rtol=1e-5)

    full = tell(controller, state, [[0] * 6] * 3, [0.7, 0.8, np.nan])
    changed = np.asarray(controller.ask(full, key(0), n).decisions) != 0
    # The only second change is "no skip", where the layers change to two.
    assert set(changed.sum(1)) == {1, 2} and (changed.sum(1) == 2).sum() == changed[:, 4].sum()


# --- replacement ---


def members(state):
    """Return (kernel, reward) of every row; members differ in the kernel only."""
    return list(zip(state.decisions[:, 2].tolist(), state.rewards.tolist(), strict=True))


def kernels(*choices):
    """Return networks with these kernels."""
    return [[0, 0, choice, 0, 0, 0] for choice in choices]


def test_oldest_member_is_replaced_regardless_of_its_reward():
    controller, state = build(3, 1)
    for choice, reward in ((2, 1.0), (1, 0.25), (0, 0.5)):
        state = tell(controller, state, kernels(choice), [reward])
    assert members(state) == [(2, 1.0), (1, 0.25), (0, 0.5)]
    state = tell(controller, state, kernels(1), [0.0])
    assert members(state) == [(1, 0.0), (1, 0.25), (0, 0.5)]
    state = tell(controller, state, kernels(2, 0), [0.75, 0.125])  # the worse first
    assert members(state) == [(1, 0.0), (0, 0.125), (2, 0.75)]
    assert int(state.total) == 6


def test_best_of_a_batch_larger_than_the_population_are_kept():
    controller, state = build(3, 1)
    state = tell(controller, state, kernels(1), [1.0])
    rewards = [0.5, np.nan, 0.125, 0.75, np.inf, 0.25, 0.625]
    state = tell(controller, state, kernels(0, 1, 2, 0, 1, 2, 2), rewards)
    # Members 1 to 5 by reward: 0.125, 0.25, 0.5, 0.625, 0.75; the last three are kept, in rows
    # 3, 4 and 5 modulo 3.
    assert int(state.total) == 6
    assert members(state) == [(0, 0.5), (2, 0.625), (0, 0.75)]


def test_bad_rewards_leave_the_state_unchanged():
    controller, state = full(kernels(0, 1, 2), [0.1, 0.2, 0.3])
    after = tell(controller, state, kernels(2, 2, 2), [np.nan, np.inf, -np.inf])
    jax.tree.map(np.testing.assert_array_equal, state, after)


def test_population_equals_a_queue_of_sorted_batches():
    space, rng = EfficientNetSpace().build(), np.random.default_rng(0)
    controller, state = build(7, 2, space)
    queue = collections.deque(maxlen=7)
    for n in (3, 5, 3, 12, 5, 3, 12):
        decisions = np.stack([space.sample(rng) for _ in range(n)])
        rewards = rng.choice(np.array([0.1, 0.2, 0.3, np.nan], np.float32), n)  # with ties
        state = tell(controller, state, decisions, rewards)
        batch = zip(rewards.tolist(), decisions.tolist(), strict=True)
        queue.extend(sorted(member for member in batch if np.isfinite(member[0])))
        rows = list(zip(state.rewards.tolist(), state.decisions.tolist(), strict=True))
        assert sorted(rows[: int(state.total)]) == sorted(queue)
    assert int(state.total) > 21


def test_members_are_canonical():
    _, state = full([[1, 1, 0, 0, 1, 0]], [0.5])
    assert state.decisions.tolist() == [[1, 0, 0, 0, 0, 0]]


# --- summary and settings ---


def test_summary():
    controller, state = build(3, 1)
    assert controller.summary(state) == {"members": 0.0, "mean": 0.0, "best": 0.0}
    state = tell(controller, state, kernels(0, 1), [-0.5, -0.25])
    assert controller.summary(state) == {"members": 2.0, "mean": -0.375, "best": -0.25}
    state = tell(controller, state, kernels(0, 1, 2), [0.5, 1.0, 0.75])
    assert controller.summary(state) == {"members": 3.0, "mean": 0.75, "best": 1.0}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"population": 0}, "population = 0; accepted: a whole number of at least 1"),
        ({"population": 10.0}, r"population = 10\.0; accepted: a whole number of at least 1"),
        ({"tournament": 0}, "tournament = 0; accepted: a whole number of at least 1"),
        ({"population": 10**9}, "population = 1000000000; accepted: .* at most 1,000,000"),
        ({"tournament": 51}, r"tournament = 51; accepted: 1 to 50 \(the population\)"),
    ],
)
def test_settings_out_of_range_are_rejected(settings, message):
    with pytest.raises(ValueError, match=f"evolution: {message}"):
        Evolution(**settings)
