"""The model of the rewards against kernel regression by hand, and what it remembers."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from mnas.controllers.core import gaussian_process
from mnas.controllers.core.gaussian_process import Function, Memory

from tests.controllers.spaces import NETWORKS, SPACE, kinds


@pytest.fixture(autouse=True)
def strict():
    with jax.numpy_rank_promotion("raise"):  # optax itself needs dtype promotion
        yield


def key(seed):
    return jax.random.key(seed)


# --- the model ---


def agreement(networks, others):
    """Shares of the five decisions that come to the same."""
    return np.array(
        [
            [sum(a == b for a, b in zip(kinds(x), kinds(y), strict=True)) / 5 for y in others]
            for x in networks
        ]
    )


def kernel(networks, others):
    share = agreement(networks, others)
    return 1 + 4 * 0.7 * share + 4 * 0.3 * share**2


indicators = gaussian_process.indicators_of(SPACE)
append, fit = (
    jax.jit(gaussian_process.append),
    jax.jit(partial(gaussian_process.fit, indicators=indicators)),
)


def empty(capacity):
    return Memory(
        jnp.zeros((capacity, 5), jnp.int32),
        jnp.zeros(capacity, jnp.float32),
        jnp.zeros((), jnp.int32),
        jnp.zeros((), jnp.float32),
        jnp.zeros(capacity, jnp.float32),
        jnp.eye(capacity, dtype=jnp.float32),
    )


def remembering(decisions, rewards):
    """A memory of 8 rows, fitted."""
    return fit(append(empty(8), jnp.array(decisions), jnp.array(rewards, jnp.float32)))


@jax.jit
def draw(memory):
    """Values [4000, 27] of all networks by that many draws."""
    return gaussian_process.draw(key(1), 4000, memory, indicators)[0](indicators(NETWORKS))


def test_indicators_of_two_networks_multiply_to_the_share_of_decisions_that_agree():
    x = np.asarray(indicators(NETWORKS))
    assert x.shape == (27, 2 + 3 + 3 + 2 + 3)  # a level more where a decision may be inactive
    np.testing.assert_allclose(x @ x.T, agreement(NETWORKS, NETWORKS), atol=1e-6)
    every = np.array([[1, 1, 2, 0, 1], [1, 0, 2, 0, 0]])  # the second is the first's canonical one
    np.testing.assert_array_equal(*indicators(every))


def test_covariance_by_hand():
    x = indicators(np.array([[0, 0, 0, 0, 0], [0, 0, 0, 1, 0]]))
    # The layers differ, so the skip matters in one only: s = 3/5.
    # 1 + 2.8 · 0.6 + 1.2 · 0.36 = 3.112; of a network with itself, 1 + 2.8 + 1.2 = 5
    np.testing.assert_allclose(gaussian_process.covariance(x), [[5, 3.112], [3.112, 5]], rtol=1e-6)


def test_function_is_a_plain_sum():
    rng = np.random.default_rng(0)
    constant, linear, quadratic = rng.normal(size=2), rng.normal(size=(2, 3)), rng.normal(size=18)
    quadratic, x = quadratic.reshape(2, 3, 3), rng.normal(size=(5, 3))
    expected = np.zeros((2, 5))
    for f in range(2):
        for n in range(5):
            expected[f, n] = constant[f]
            for v in range(3):
                expected[f, n] += linear[f, v] * x[n, v]
                for w in range(3):
                    expected[f, n] += x[n, v] * quadratic[f, v, w] * x[n, w]
    function = Function(*(jnp.asarray(part, jnp.float32) for part in (constant, linear, quadratic)))
    np.testing.assert_allclose(function(jnp.asarray(x, jnp.float32)), expected, rtol=1e-4)


def assert_moments(drawn, mean, covariance):
    """Within five standard errors, of means and of covariances."""
    drawn, variance = np.asarray(drawn, np.float64), covariance.diagonal()
    assert np.all(np.abs(drawn.mean(0) - mean) < 5 * np.sqrt(variance / len(drawn)))
    error = np.sqrt((covariance**2 + np.outer(variance, variance)) / len(drawn))
    assert np.all(np.abs(np.cov(drawn.T) - covariance) < 5 * error)


@pytest.mark.parametrize("count", [5, 8])  # a memory with rows to spare, and a full one
def test_draws_have_the_mean_and_covariance_of_the_posterior(count):
    measured = NETWORKS[[0, 16, 21, 26, 16, 5, 9, 12]][:count]  # one of them twice
    rewards = np.array([0.65, 0.63, 0.62, 0.61, 0.60, 0.58, 0.57, 0.54])[:count]
    memory = remembering(measured, rewards)
    assert memory.known.tolist() == [True] * count + [False] * (8 - count)
    targets = (rewards - rewards.mean()) / rewards.std()
    inner = np.linalg.inv(kernel(measured, measured) + 0.05 * np.eye(count))
    outer = kernel(NETWORKS, measured)
    mean = outer @ inner @ targets
    covariance = kernel(NETWORKS, NETWORKS) - outer @ inner @ outer.T
    assert np.ptp(mean) > 1 and np.ptp(covariance.diagonal()) > 1
    assert_moments(draw(memory), mean, 0.7**2 * covariance)
    _, of_model = gaussian_process.draw(key(2), 1, memory, indicators)
    np.testing.assert_allclose(of_model(indicators(NETWORKS))[0], mean, atol=1e-4)


def test_draws_that_remember_nothing_are_those_of_the_prior():
    assert_moments(draw(empty(8)), np.zeros(27), 0.7**2 * kernel(NETWORKS, NETWORKS))


def test_a_failed_child_is_drawn_in():
    rewards = np.array([0.62, 0.60, 0.59, 0.61, 0.58, 0.0])
    memory = remembering(NETWORKS[:6], rewards)
    # In order 0, 0.58, 0.59, 0.60, 0.61, 0.62: quartiles at places 1.25 and 3.75 (from 0),
    # 0.5825 and 0.6075. 0.5825 - 3 · 0.025 = 0.5075 instead of 0.
    drawn_in = np.array([0.62, 0.61, 0.60, 0.59, 0.58, 0.5075])
    targets = (drawn_in - drawn_in.mean()) / drawn_in.std()
    np.testing.assert_allclose(memory.targets, [*targets, 0, 0], rtol=1e-4)
    assert float(memory.scale) == pytest.approx(drawn_in.std(), rel=1e-4)
    np.testing.assert_allclose(memory.rewards[:6], sorted(rewards)[::-1], rtol=1e-6)  # as they were


def test_the_unit_never_shrinks():
    rewards = np.array([0.60, 0.59, 0.57, 0.56, 0.55, 0.53, 0.52, 0.50], np.float32)
    first, narrow, wide = rewards, 0.6 + 0.1 * (rewards - 0.55), 0.6 + 2 * (rewards - 0.55)
    memory = remembering(NETWORKS[:8], first)
    assert float(memory.scale) == pytest.approx(first.std(), rel=1e-4)
    memory = fit(append(memory, jnp.array(NETWORKS[8:16]), narrow))  # in place of the first eight
    assert float(memory.scale) == pytest.approx(first.std(), rel=1e-4)
    np.testing.assert_allclose(memory.targets, (narrow - narrow.mean()) / first.std(), atol=1e-4)
    memory = fit(append(memory, jnp.array(NETWORKS[16:24]), wide))
    assert float(memory.scale) == pytest.approx(wide.std(), rel=1e-4)


def test_equal_rewards_are_no_news_whatever_the_rounding():
    for reward in (0.1, 0.3, 1 / 3, 0.7, 0.0):
        memory = remembering(NETWORKS[:7], [reward] * 7)
        assert np.abs(memory.targets).max() < 0.2 and np.isfinite(memory.factor).all()


# --- the memory ---


def remember(memory, choices, rewards):
    """With networks of these kernels, which tell them apart."""
    decisions = jnp.array([[0, 0, choice, 0, 0] for choice in choices], jnp.int32)
    return append(memory, decisions, jnp.array(rewards, jnp.float32))


def rows(memory):
    """(kernel, reward) of the rows where something stands."""
    pairs = zip(memory.decisions[:, 2].tolist(), memory.rewards.tolist(), strict=True)
    return [pair for pair, known in zip(pairs, memory.known.tolist(), strict=True) if known]


def test_the_oldest_rows_are_written_over():
    memory = remember(empty(4), [1, 2, 0], [0.25, 0.5, 0.125])
    assert rows(memory) == [(2, 0.5), (1, 0.25), (0, 0.125)] and int(memory.count) == 3
    memory = remember(memory, [0, 1], [0.75, 1.0])
    assert rows(memory) == [(0, 0.75), (1, 0.25), (0, 0.125), (1, 1.0)] and int(memory.count) == 5


def test_nan_is_left_out():
    memory = remember(empty(4), [1, 2, 0], [0.25, np.nan, 0.5])
    assert rows(memory) == [(0, 0.5), (1, 0.25)] and int(memory.count) == 2
    memory = remember(memory, [2, 2], [np.nan, np.nan])
    assert rows(memory) == [(0, 0.5), (1, 0.25)] and int(memory.count) == 2
    assert np.isfinite(memory.rewards).all()


def test_of_a_batch_larger_than_the_memory_the_best_stay():
    memory = remember(empty(3), [1], [1.0])
    memory = remember(memory, [0, 1, 2, 0, 1, 2], [0.5, np.nan, 0.125, 0.75, 0.25, 0.625])
    # Numbers 1, 2, 3: 0.75, 0.625, 0.5 at rows 1, 2, 0.
    assert rows(memory) == [(0, 0.5), (0, 0.75), (2, 0.625)] and int(memory.count) == 4


def test_the_order_of_a_batch_does_not_matter():
    choices, rewards = [1, 2, 0, 2, 1], [0.5, 0.5, np.nan, 0.25, 0.5]
    one = remember(empty(8), choices, rewards)
    other = remember(empty(8), choices[::-1], rewards[::-1])
    assert rows(one) == rows(other) == [(1, 0.5), (1, 0.5), (2, 0.5), (2, 0.25)]
