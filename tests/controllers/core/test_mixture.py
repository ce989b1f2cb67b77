"""Uniform mixtures of policies."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mnas.controllers.core import mixture
from mnas.controllers.core.policy import factorized
from tests.controllers.spaces import TWO

POLICY = factorized(TWO)
# p(kernel) = 3/4, 1/4 in the first member, 1/4, 3/4 in the second; layers uniform in both.
PARAMS = {"logits": jnp.zeros((2, 2, 3)).at[0, 0, 0].set(np.log(3)).at[1, 0, 1].set(np.log(3))}


def test_members_start_like_the_policy():
    params = mixture.init(POLICY, jax.random.key(0), 3)
    np.testing.assert_array_equal(params["logits"], np.zeros((3, 2, 3)))


def test_samples_are_equally_many_of_every_member():
    certain = {"logits": 50 * PARAMS["logits"]}
    decisions = mixture.sample(POLICY, certain, jax.random.key(0), members=2, each=5)
    assert decisions[:, 0].tolist() == [0] * 5 + [1] * 5


def test_log_probs_are_those_of_the_mean_probability():
    log_probs = mixture.log_probs(POLICY, PARAMS, jnp.array([[0, 0], [1, 2]]), members=2)
    np.testing.assert_allclose(log_probs, np.log(1 / 6), rtol=1e-5)  # (3/4 + 1/4) / 2 · 1/3


def test_mean_entropy_by_hand():
    entropy = mixture.mean_entropy(POLICY, PARAMS, jnp.array([[0, 0], [1, 2]]))
    # H(kernel) = 3/4 ln(4/3) + 1/4 ln 4 = 0.562335 in both members; H(layers) = ln 3 = 1.098612
    assert float(entropy) == pytest.approx(1.660947, rel=1e-5)
