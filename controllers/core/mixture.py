"""Uniform mixture of policies: parameters are those of one policy with a leading axis of members.

Shapes: N vectors, D decisions, H members.
"""

import math

import jax
import jax.numpy as jnp

from mnas.controllers.core.policy import Params, Policy


def init(policy: Policy, key: jax.Array, members: int) -> Params:
    """Return the initial parameters of the members, [H, ...] each."""
    return jax.vmap(policy.init)(jax.random.split(key, members))


def sample(policy: Policy, params: Params, key: jax.Array, members: int, each: int) -> jax.Array:
    """Return canonical decisions int32 [H · each, D], member by member."""
    keys = jax.random.split(key, members)
    decisions, _ = jax.vmap(policy.sample, (0, 0, None))(params, keys, each)
    return decisions.reshape(-1, decisions.shape[-1])


def log_probs(policy: Policy, params: Params, decisions: jax.Array, members: int) -> jax.Array:
    """Return the mixture's log-probabilities float32 [N] of decisions [N, D]."""
    # log π(a) = log mean_h π_h(a)
    each = jax.vmap(lambda p: policy.evaluate(p, decisions)[0])(params)
    return jnp.minimum(jax.nn.logsumexp(each, 0) - math.log(members), 0.0)  # may round to above 0


def mean_entropy(policy: Policy, params: Params, decisions: jax.Array) -> jax.Array:
    """Return the members' mean entropy [] in nats at decisions [N, D]."""
    return jax.vmap(lambda p: policy.evaluate(p, decisions)[1].mean())(params).mean()
