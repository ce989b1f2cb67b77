"""Detection of duplicate decision vectors by hashing.

Shapes: M candidates, C observations, D decisions.
"""

import jax
import jax.numpy as jnp
import numpy as np


def duplicates(candidates: jax.Array, evaluated: jax.Array, valid: jax.Array) -> jax.Array:
    """Return which candidates equal an evaluated vector or an earlier candidate: bool [M].

    candidates  int32 [M, D], canonical
    evaluated   int32 [C, D], canonical
    valid       bool [C], rows of `evaluated` that count
    """
    hashes = hashes_of(candidates)
    known = jnp.where(valid, hashes_of(evaluated), -1)
    order = jnp.argsort(hashes)  # stable: the first of equal candidates stays first
    repeated = jnp.diff(hashes[order], prepend=-1) == 0
    repeated = jnp.zeros(len(hashes), bool).at[order].set(repeated)
    return repeated | (hashes[:, None] == known[None]).any(1)


def hashes_of(decisions: jax.Array) -> jax.Array:
    """Return a non-negative hash int32 [M] of each vector [M, D].

    Equal vectors have equal hashes; two different vectors collide with probability about 2⁻³¹.
    """
    factors = np.random.default_rng(0).integers(1, 2**31, decisions.shape[1], np.int64) | 1
    mixed = (decisions.astype(jnp.uint32) + 1) * jnp.asarray(factors, jnp.uint32)[None]
    return (mixed.sum(1, dtype=jnp.uint32) >> 1).astype(jnp.int32)
