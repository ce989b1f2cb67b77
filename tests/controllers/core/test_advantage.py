"""Advantages and baseline by hand."""

import jax.numpy as jnp
import numpy as np
import pytest

from mnas.controllers.core.advantage import advantages


def test_first_batch_defines_the_baseline():
    rewards, weights = jnp.array([0.5, 0.5, 0.5, 0.9]), jnp.full(4, 0.25)
    result, baseline = advantages(rewards, weights, jnp.float32(0), jnp.int32(0), decay=0.9)
    assert float(baseline) == pytest.approx(0.6)
    # R - b = -0.1, -0.1, -0.1, 0.3; root mean square sqrt(0.12 / 4) = 0.173205
    np.testing.assert_allclose(result, [-0.57735, -0.57735, -0.57735, 1.732051], rtol=1e-4)


def test_baseline_is_a_bias_corrected_moving_average():
    rewards, weights = jnp.array([0.8, 1.0]), jnp.full(2, 0.5)
    result, baseline = advantages(rewards, weights, jnp.float32(0.6), jnp.int32(1), decay=0.5)
    # b = (1 - 0.5) / (1 - 0.5²) · (0.5 · 0.6 + 0.9) = 0.8; R - b = 0, 0.2
    assert float(baseline) == pytest.approx(0.8)
    np.testing.assert_allclose(result, [0, 1.414214], atol=1e-5)


def test_proposals_of_weight_0_do_not_count():
    rewards, weights = jnp.array([0.5, 100.0, 0.7]), jnp.array([0.5, 0.0, 0.5])
    result, baseline = advantages(rewards, weights, jnp.float32(0), jnp.int32(0), decay=0.5)
    assert float(baseline) == pytest.approx(0.6)
    np.testing.assert_allclose(result[jnp.array([0, 2])], [-1, 1], rtol=1e-5)


@pytest.mark.parametrize("reward", [0.1, 1 / 3, 0.7, 0.0])
def test_equal_rewards_have_no_advantage_despite_rounding(reward):
    rewards, weights = jnp.full(7, reward, jnp.float32), jnp.full(7, 1 / 7, jnp.float32)
    result, _ = advantages(rewards, weights, jnp.float32(0), jnp.int32(0), decay=0.5)
    assert np.abs(result).max() < 0.2
