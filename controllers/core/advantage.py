"""The moving-average baseline of policy gradients, and advantages around it.

Shapes: N proposals.
"""

import jax
import jax.numpy as jnp

# Advantages below this share of the baseline are rounding errors, not to be scaled up.
_ROUNDING = 1e-6


def advantages(
    rewards: jax.Array, weights: jax.Array, baseline: jax.Array, updates: jax.Array, decay: float
) -> tuple[jax.Array, jax.Array]:
    """(advantages [N], baseline []) of the next batch.

    rewards   [N], finite; weights [N], which sum to 1
    baseline  [], before the batch, after `updates` others
    decay     of the baseline, once a batch
    """

    def mean(values: jax.Array) -> jax.Array:
        return (weights * values).sum()

    # b_t = (1 - d) / (1 - d^t) · Σ_i d^(t-i) · mean R_i, i = 1 … t; this batch included.
    # That only shrinks the expected gradient (by 1 - weight of a sample in its own
    # baseline, which Adam doesn't see), and the first batch needs no rule of its own.
    d = jnp.float32(decay)
    share = (1 - d) / (1 - d ** (updates + 1).astype(jnp.float32))
    baseline = baseline + share * (mean(rewards) - baseline)

    # A = (R - b) / sqrt(mean (R - b)²): an entropy bonus means the same in all
    # experiments, and one failed child doesn't fill Adam's long memory.
    centred = rewards - baseline
    size = jnp.sqrt(mean(centred**2))
    return centred / (size + _ROUNDING * jnp.abs(baseline) + 1e-12), baseline
