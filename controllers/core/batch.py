"""Validation of the arguments of `tell`.

Shapes: N proposals, D decisions.
"""

import jax
import jax.numpy as jnp

from mnas.controller import Proposals
from mnas.space import Space


def validated(
    owner: str, space: Space, proposals: Proposals, rewards: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return (decisions int32 [N, D], log-probabilities float32 [N], rewards float32 [N]).

    Values are not checked: they may be traced. Raises ValueError, beginning with `owner`, where the
    shapes are not these.
    """
    decisions, log_probs = proposals
    shapes = jnp.shape(decisions), jnp.shape(log_probs), jnp.shape(rewards)
    size = shapes[2][:1]
    if len(size) == 0 or shapes != ((*size, len(space.sizes)), size, size):
        raise ValueError(
            f"{owner}: decisions of shape {shapes[0]}, log-probabilities of shape {shapes[1]} and "
            f"rewards of shape {shapes[2]}; accepted: [N, {len(space.sizes)}], [N] and [N]"
        )
    return (
        jnp.asarray(decisions, jnp.int32),
        jnp.asarray(log_probs, jnp.float32),
        jnp.asarray(rewards, jnp.float32),
    )
