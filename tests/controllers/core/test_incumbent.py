"""The incumbent and agreement with it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mnas.controllers.core import gaussian_process
from mnas.controllers.core.gaussian_process import indicator_features, posterior_samples
from mnas.controllers.core.incumbent import Incumbent, agreement, incumbent_of, undefined
from tests.controllers.spaces import NETWORKS, SPACE

pytestmark = pytest.mark.promotes_dtypes  # the mean of the model does


def test_agreement_is_the_weight_of_equal_decisions():
    incumbent = Incumbent(jnp.array([0, 1, 2]), jnp.array([2.0, 0.5, 0.25]))
    networks = jnp.array([[0, 1, 2], [0, 0, 2], [1, 1, 0], [1, 0, 0]])
    assert agreement(incumbent, networks).tolist() == [2.75, 2.25, 0.5, 0.0]


def test_no_network_agrees_with_an_undefined_incumbent():
    assert agreement(undefined(SPACE), jnp.asarray(NETWORKS)).tolist() == [0.0] * 27


def incumbent_after(rewards):
    """The incumbent after rewards of all 27 networks."""
    features = indicator_features(SPACE)
    model = gaussian_process.empty(SPACE, 32)
    rewards = jnp.asarray(rewards, jnp.float32)
    model = gaussian_process.append(model, jnp.asarray(NETWORKS), rewards)
    model = gaussian_process.fit(model, features)
    _, mean = posterior_samples(jax.random.key(0), 1, model, features)
    return incumbent_of(SPACE, features, model, mean)


def test_decisions_are_weighted_by_their_effect():
    """The kernel counts most, the op a little, and the others nothing."""
    incumbent = incumbent_after(0.5 + 0.1 * (NETWORKS[:, 2] == 1) + 0.01 * (NETWORKS[:, 0] == 1))
    op, _, kernel, _, _ = incumbent.decisions.tolist()
    assert (op, kernel) == (1, 1)
    np.testing.assert_allclose(incumbent.weights.mean(), 1, rtol=1e-5)
    op, expand, kernel, layers, skip = incumbent.weights.tolist()
    assert kernel > 3 > 1 > op > max(expand, layers, skip)


def test_decisions_weigh_the_same_where_none_has_an_effect():
    assert incumbent_after(np.full(27, 0.5)).weights.tolist() == [1.0] * 5
