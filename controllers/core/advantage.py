"""Advantages around a moving-average baseline, for policy gradients.

Shapes: N proposals.
"""

import jax
import jax.numpy as jnp

# Advantages below this fraction of the baseline are rounding errors and must not be scaled up.
_ROUNDING = 1e-6


def weighted_mean(values: jax.Array, weights: jax.Array) -> jax.Array:
    """Return the mean [] of values [N] under weights [N], which sum to 1."""
    return (weights * values).sum()


def advantages(
    rewards: jax.Array, weights: jax.Array, baseline: jax.Array, updates: jax.Array, decay: float
) -> tuple[jax.Array, jax.Array]:
    """Return (advantages float32 [N] of root mean square 1, updated baseline float32 []).

    rewards   float32 [N], finite
    weights   float32 [N], which sum to 1; 0 for proposals to be ignored
    baseline  float32 [], before this batch
    updates   int32 [], batches before this one
    decay     of the baseline, applied once per batch
    """
    # b_t = (1 - d) / (1 - d^t) · Σ_i d^(t-i) · mean R_i,  i = 1 … t
    # Includes this batch, which only scales the expected gradient (by 1 - the weight of a sample in
    # its own baseline; Adam is invariant to it) and defines the baseline of the first batch.
    d = jnp.float32(decay)
    step_size = (1 - d) / (1 - d ** (updates + 1).astype(jnp.float32))
    baseline = baseline + step_size * (weighted_mean(rewards, weights) - baseline)

    # A = (R - b) / sqrt(mean (R - b)²)
    # Normalised, so that an entropy weight has the same meaning at any reward scale and one failed
    # child doesn't dominate Adam's second moment.
    centred = rewards - baseline
    size = jnp.sqrt(weighted_mean(centred**2, weights))
    return centred / (size + _ROUNDING * jnp.abs(baseline) + 1e-12), baseline
