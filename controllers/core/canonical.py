"""Canonical decision vectors and masks of active decisions, under jit.

Shapes: N vectors, D decisions, P conditions and M choices at most of one decision.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mnas.controller import Array
from mnas.space import Space


def canonical(space: Space, decisions: Array) -> tuple[jax.Array, jax.Array]:
    """Return canonical vectors int32 [N, D] and the mask of their active decisions bool [N, D].

    The jittable form of `Space.canonical` and `Space.active`, for vectors [N, D]. Values are not
    checked.
    """

    def step(carry: Any, inputs: Any) -> tuple[Any, None]:
        decisions, active = carry
        d, parents, accepted = inputs
        is_active_d = is_active(parents, accepted, decisions)
        decisions = decisions.at[:, d].set(jnp.where(is_active_d, decisions[:, d], 0))
        return (decisions, active.at[:, d].set(is_active_d)), None

    decisions = jnp.asarray(decisions, jnp.int32)
    conditional = np.flatnonzero([bool(decision.conditions) for decision in space.decisions])
    inputs = conditional, space.parents[conditional], space.accepted[conditional]
    carry = decisions, jnp.ones(decisions.shape, bool)
    return jax.lax.scan(step, carry, jax.tree.map(jnp.asarray, inputs))[0]


def is_active(parents: jax.Array, accepted: jax.Array, decisions: jax.Array) -> jax.Array:
    """Return in which of the vectors one decision is active: bool [N].

    parents    int [P], indices of the decisions that its conditions depend on
    accepted   bool [P, M], choices of each parent under which the decision is active
    decisions  int32 [N, D], canonical up to this decision
    """
    return accepted[jnp.arange(len(parents))[None], decisions[:, parents]].all(-1)
