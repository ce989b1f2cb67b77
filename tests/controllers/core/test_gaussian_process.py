"""The Gaussian process against kernel regression in NumPy, and its ring buffer."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mnas.controllers.core import gaussian_process
from mnas.controllers.core.gaussian_process import Quadratic
from tests.controllers.spaces import NETWORKS, SPACE, levels

pytestmark = pytest.mark.promotes_dtypes  # optax does


def key(seed):
    return jax.random.key(seed)


# --- the model ---


def agreement(networks, others):
    """Return the fractions of the five decisions that are equal."""
    return np.array(
        [
            [sum(a == b for a, b in zip(levels(x), levels(y), strict=True)) / 5 for y in others]
            for x in networks
        ]
    )


def kernel(networks, others):
    s = agreement(networks, others)
    return 1 + 4 * 0.7 * s + 4 * 0.3 * s**2


features = gaussian_process.indicator_features(SPACE)
append = jax.jit(gaussian_process.append)
fit = jax.jit(partial(gaussian_process.fit, features=features))


def empty(capacity):
    return gaussian_process.empty(SPACE, capacity)


def fitted(decisions, rewards):
    """Return a model of capacity 8 fitted to these observations."""
    return fit(append(empty(8), jnp.array(decisions), jnp.array(rewards, jnp.float32)))


@jax.jit
def sample(model):
    """Return the values [4000, 27] of all networks in as many posterior samples."""
    samples, _ = gaussian_process.posterior_samples(key(1), 4000, model, features)
    return samples(features(NETWORKS))


def test_inner_products_of_features_are_fractions_of_equal_decisions():
    x = np.asarray(features(NETWORKS))
    assert x.shape == (27, 2 + 3 + 3 + 2 + 3)  # one level more for conditional decisions
    np.testing.assert_allclose(x @ x.T, agreement(NETWORKS, NETWORKS), atol=1e-6)
    vector = np.array([[1, 1, 2, 0, 1]])
    np.testing.assert_array_equal(features(vector), features(SPACE.canonical(vector)))


def test_covariance_by_hand():
    x = features(np.array([[0, 0, 0, 0, 0], [0, 0, 0, 1, 0]]))
    # The layers differ, so the skip is active in one network only: s = 3/5.
    # 1 + 2.8 · 0.6 + 1.2 · 0.36 = 3.112; of a network with itself, 1 + 2.8 + 1.2 = 5
    covariance = gaussian_process.prior_covariance(x)
    np.testing.assert_allclose(covariance, [[5, 3.112], [3.112, 5]], rtol=1e-6)


def test_quadratic_is_the_sum_of_its_terms():
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
    function = Quadratic(
        *(jnp.asarray(part, jnp.float32) for part in (constant, linear, quadratic))
    )
    np.testing.assert_allclose(function(jnp.asarray(x, jnp.float32)), expected, rtol=1e-4)


def assert_moments(samples, mean, covariance):
    """Check sample means and covariances to five standard errors."""
    samples, variance = np.asarray(samples, np.float64), covariance.diagonal()
    assert np.all(np.abs(samples.mean(0) - mean) < 5 * np.sqrt(variance / len(samples)))
    error = np.sqrt((covariance**2 + np.outer(variance, variance)) / len(samples))
    assert np.all(np.abs(np.cov(samples.T) - covariance) < 5 * error)


@pytest.mark.parametrize("count", [5, 8])  # a buffer with empty rows, and a full one
def test_samples_have_the_mean_and_covariance_of_the_posterior(count):
    measured = NETWORKS[[0, 16, 21, 26, 16, 5, 9, 12]][:count]  # one is measured twice
    rewards = np.array([0.65, 0.63, 0.62, 0.61, 0.60, 0.58, 0.57, 0.54])[:count]
    model = fitted(measured, rewards)
    assert model.observed.tolist() == [True] * count + [False] * (8 - count)
    targets = (rewards - rewards.mean()) / rewards.std()
    inner = np.linalg.inv(kernel(measured, measured) + 0.05 * np.eye(count))
    outer = kernel(NETWORKS, measured)
    mean = outer @ inner @ targets
    covariance = kernel(NETWORKS, NETWORKS) - outer @ inner @ outer.T
    assert np.ptp(mean) > 1 and np.ptp(covariance.diagonal()) > 1
    assert_moments(sample(model), mean, 0.7**2 * covariance)
    _, posterior_mean = gaussian_process.posterior_samples(key(2), 1, model, features)
    np.testing.assert_allclose(posterior_mean(features(NETWORKS))[0], mean, atol=1e-4)


def test_samples_without_observations_are_those_of_the_prior():
    assert_moments(sample(empty(8)), np.zeros(27), 0.7**2 * kernel(NETWORKS, NETWORKS))


def test_outliers_are_winsorised():
    rewards = np.array([0.62, 0.60, 0.59, 0.61, 0.58, 0.0])
    model = fitted(NETWORKS[:6], rewards)
    # In order 0, 0.58, 0.59, 0.60, 0.61, 0.62: quartiles at indices 1.25 and 3.75,
    # 0.5825 and 0.6075. 0.5825 - 3 · 0.025 = 0.5075 instead of 0.
    winsorised = np.array([0.62, 0.61, 0.60, 0.59, 0.58, 0.5075])
    targets = (winsorised - winsorised.mean()) / winsorised.std()
    np.testing.assert_allclose(model.targets, [*targets, 0, 0], rtol=1e-4)
    assert float(model.scale) == pytest.approx(winsorised.std(), rel=1e-4)
    np.testing.assert_allclose(model.rewards[:6], sorted(rewards)[::-1], rtol=1e-6)  # unchanged


def test_unit_never_shrinks():
    rewards = np.array([0.60, 0.59, 0.57, 0.56, 0.55, 0.53, 0.52, 0.50], np.float32)
    first, narrow, wide = rewards, 0.6 + 0.1 * (rewards - 0.55), 0.6 + 2 * (rewards - 0.55)
    model = fitted(NETWORKS[:8], first)
    assert float(model.scale) == pytest.approx(first.std(), rel=1e-4)
    model = fit(append(model, jnp.array(NETWORKS[8:16]), narrow))  # replaces the first eight
    assert float(model.scale) == pytest.approx(first.std(), rel=1e-4)
    np.testing.assert_allclose(model.targets, (narrow - narrow.mean()) / first.std(), atol=1e-4)
    model = fit(append(model, jnp.array(NETWORKS[16:24]), wide))
    assert float(model.scale) == pytest.approx(wide.std(), rel=1e-4)


def test_equal_rewards_have_small_targets_despite_rounding():
    for reward in (0.1, 0.3, 1 / 3, 0.7, 0.0):
        model = fitted(NETWORKS[:7], [reward] * 7)
        assert np.abs(model.targets).max() < 0.2 and np.isfinite(model.factor).all()


# --- the ring buffer ---


def append_kernels(model, choices, rewards):
    """Append networks that differ in their kernel only."""
    decisions = jnp.array([[0, 0, choice, 0, 0] for choice in choices], jnp.int32)
    return append(model, decisions, jnp.array(rewards, jnp.float32))


def rows(model):
    """Return (kernel, reward) of the observed rows."""
    pairs = zip(model.decisions[:, 2].tolist(), model.rewards.tolist(), strict=True)
    return [pair for pair, observed in zip(pairs, model.observed.tolist(), strict=True) if observed]


def test_oldest_rows_are_replaced():
    model = append_kernels(empty(4), [1, 2, 0], [0.25, 0.5, 0.125])
    assert rows(model) == [(2, 0.5), (1, 0.25), (0, 0.125)] and int(model.total) == 3
    model = append_kernels(model, [0, 1], [0.75, 1.0])
    assert rows(model) == [(0, 0.75), (1, 0.25), (0, 0.125), (1, 1.0)] and int(model.total) == 5


def test_nan_rewards_are_skipped():
    model = append_kernels(empty(4), [1, 2, 0], [0.25, np.nan, 0.5])
    assert rows(model) == [(0, 0.5), (1, 0.25)] and int(model.total) == 2
    model = append_kernels(model, [2, 2], [np.nan, np.nan])
    assert rows(model) == [(0, 0.5), (1, 0.25)] and int(model.total) == 2
    assert np.isfinite(model.rewards).all()


def test_best_of_a_batch_larger_than_the_capacity_are_kept():
    model = append_kernels(empty(3), [1], [1.0])
    model = append_kernels(model, [0, 1, 2, 0, 1, 2], [0.5, np.nan, 0.125, 0.75, 0.25, 0.625])
    # Numbers 1, 2, 3: 0.75, 0.625, 0.5 at rows 1, 2, 0.
    assert rows(model) == [(0, 0.5), (0, 0.75), (2, 0.625)] and int(model.total) == 4


def test_order_of_a_batch_does_not_matter():
    choices, rewards = [1, 2, 0, 2, 1], [0.5, 0.5, np.nan, 0.25, 0.5]
    one = append_kernels(empty(8), choices, rewards)
    other = append_kernels(empty(8), choices[::-1], rewards[::-1])
    assert rows(one) == rows(other) == [(1, 0.5), (1, 0.5), (2, 0.5), (2, 0.25)]
