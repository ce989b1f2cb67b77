"""A Gaussian process over networks: Bayesian regression on all choices and pairs of choices.

The model that `mnas.controllers.dyna` practises on. It is fitted to the rewards remembered, and what is
asked of it are its mean and *draws* of its posterior, each a quadratic function of a network.

Shapes: N networks, D decisions, C rewards remembered, W indicators, F functions.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from mnas.controllers.core.policy import canonical

from mnas.space import Space

# The model's prior, in its own unit (`Memory.scale`): variance of a network's value, share of it
# that pairs of choices have, and variance of a measurement (a seed's noise and what the model can't
# express). Twice as much or half of any of them changes little.
AMPLITUDE, PAIR_SHARE, NOISE = 4.0, 0.3, 0.05
# Draws keep this share of the posterior's standard deviation: whole ones explore more than a
# thousand samples can pay for.
DEVIATION = 0.7
# A reward further below the quartile than so many interquartile ranges counts as that far: a failed
# child says that it is bad, not how bad. So many units count in any case: when late rewards are all
# alike, what is bad must still look bad.
OUTLIER, LEAST_OUTLIER = 3.0, 1.5


class Function(NamedTuple):
    """F functions of a network, each quadratic in its indicators x [W]: c + m·x + xᵀ Q x."""

    constant: jax.Array  # [F]
    linear: jax.Array  # [F, W]
    quadratic: jax.Array  # [F, W, W]

    def __call__(self, x: jax.Array) -> jax.Array:
        """Values [F, N] of indicators [N, W]."""
        crossed = jnp.einsum("nw,fwv->fnv", x, self.quadratic)
        return self.constant[:, None] + self.linear @ x.T + (crossed * x[None]).sum(-1)


class Memory(NamedTuple):
    """The last C rewards, a ring (number i stands at row i mod C), and the model of them.

    decisions  int32 [C, D], canonical; 0 where nothing stands yet
    rewards    float32 [C]; 0 where nothing stands yet
    count      int32 [], rewards so far
    scale      float32 [], largest standard deviation that `rewards` have had: the model's unit
    targets    float32 [C], rewards in that unit around their mean, outliers drawn in; 0 for none
    factor     float32 [C, C], lower Cholesky factor of the targets' covariance; unit rows for none
    """

    decisions: jax.Array
    rewards: jax.Array
    count: jax.Array
    scale: jax.Array
    targets: jax.Array
    factor: jax.Array

    @property
    def known(self) -> jax.Array:
        """The rows where something stands: bool [C]."""
        return jnp.arange(len(self.rewards)) < self.count

    @property
    def best(self) -> jax.Array:
        """Decisions of the best network: int32 [D]. Of no meaning while nothing is known."""
        return self.decisions[jnp.argmax(jnp.where(self.known, self.rewards, -jnp.inf))]


def indicators_of(space: Space) -> Callable[[jax.Array], jax.Array]:
    """(decisions [N, D] -> float32 [N, W]): which choice each decision made, or that it is off,
    so scaled that two networks' product is the share of the decisions in which they agree.
    """
    # A conditional decision has one level more than choices, the last: inactive.
    levels = space.sizes + np.array([bool(decision.conditions) for decision in space.decisions])
    first, width = np.cumsum(levels) - levels, int(levels.sum())

    def indicators(decisions: jax.Array) -> jax.Array:
        decisions, active = canonical(space, decisions)
        level = jnp.where(active, decisions, jnp.asarray(space.sizes)[None])
        hot = jax.nn.one_hot(level + jnp.asarray(first)[None], width, dtype=jnp.float32)
        return hot.sum(1) / math.sqrt(len(levels))

    return indicators


def covariance(x: jax.Array) -> jax.Array:
    """Prior covariance [N, N] of the values of networks with indicators x [N, W]."""
    # k(x, y) = 1 + a (1 - p) s + a p s²,  s = x·y: the share of decisions that agree
    agree = x @ x.T
    return 1 + AMPLITUDE * ((1 - PAIR_SHARE) * agree + PAIR_SHARE * agree**2)


def append(memory: Memory, decisions: jax.Array, rewards: jax.Array) -> Memory:
    """The memory with a batch written over its oldest rows, from best to worst; its model is as it
    was. NaN is left out; of a batch larger than the memory, the best stay.
    """
    capacity = len(memory.rewards)
    columns = (*decisions.T[::-1], -rewards)  # best first, NaN last; equals in order of decisions
    order = jnp.lexsort(columns)[:capacity]
    decisions, rewards = decisions[order], rewards[order]
    good = ~jnp.isnan(rewards)
    row = (memory.count + jnp.arange(len(rewards))) % capacity
    row = jnp.where(good, row, capacity)  # out of bounds: dropped
    return memory._replace(
        decisions=memory.decisions.at[row].set(decisions, mode="drop"),
        rewards=memory.rewards.at[row].set(rewards, mode="drop"),
        count=memory.count + good.sum(),
    )


def fit(memory: Memory, indicators: Callable[[jax.Array], jax.Array]) -> Memory:
    """The memory with its model fitted to its rewards, of which there is one at least."""
    known = memory.known
    rewards = jnp.where(known, memory.rewards, jnp.nan)
    low, high = jnp.nanquantile(rewards, jnp.array([0.25, 0.75]))
    reach = jnp.maximum(OUTLIER * (high - low), LEAST_OUTLIER * memory.scale)
    rewards = jnp.maximum(rewards, low - reach)
    mean = jnp.where(known, rewards, 0.0).sum() / known.sum()
    centred = jnp.where(known, rewards - mean, 0.0)
    spread = jnp.sqrt((centred**2).sum() / known.sum())
    # The unit only grows, so late rewards, all alike, don't look as spread out as early ones.
    scale = jnp.maximum(memory.scale, spread)
    targets = centred / jnp.maximum(scale, 1e-6 * jnp.abs(mean) + 1e-12)  # not rounding errors
    x = indicators(memory.decisions)
    prior = covariance(x) * (known[:, None] & known[None])
    factor = jnp.linalg.cholesky(prior + jnp.diag(jnp.where(known, NOISE, 1.0)))
    return memory._replace(scale=scale, targets=targets, factor=factor)


def draw(
    key: jax.Array, count: int, memory: Memory, indicators: Callable[[jax.Array], jax.Array]
) -> tuple[Function, Function]:
    """That many draws of the posterior, by Matheron's rule (Wilson et al., ICML 2020); its mean.

    A draw of the prior, corrected by what it gets wrong: with prior draw g and noise draw e,
    f(x) = g(x) + k(x, X) (K + noise)⁻¹ (y - g(X) - e). The prior is that of a quadratic function
    with normal coefficients, so the draw is a quadratic function, too. What is random about it, g
    and e, is shrunk by `DEVIATION`; without any it is the mean (F = 1), which costs next to nothing
    more.
    """
    known, x = memory.known, indicators(memory.decisions)
    width = x.shape[1]
    keys = jax.random.split(key, 4)
    single = (AMPLITUDE * (1 - PAIR_SHARE)) ** 0.5 * DEVIATION
    pair = (AMPLITUDE * PAIR_SHARE) ** 0.5 * DEVIATION
    prior = Function(
        DEVIATION * jax.random.normal(keys[0], (count,)),
        single * jax.random.normal(keys[1], (count, width)),
        pair * jax.random.normal(keys[2], (count, width, width)),
    )
    noise = NOISE**0.5 * DEVIATION * jax.random.normal(keys[3], (count, len(known)))
    wrong = jnp.concatenate([memory.targets[None] - prior(x) - noise, memory.targets[None]])
    wrong = jnp.where(known[None], wrong, 0.0)  # [F + 1, C]
    weights = jax.scipy.linalg.cho_solve((memory.factor, True), wrong.T).T  # 0 for none
    squares = jnp.einsum("fcw,cv->fwv", weights[:, :, None] * x[None], x)
    correction = Function(
        weights.sum(1),
        AMPLITUDE * (1 - PAIR_SHARE) * weights @ x,
        AMPLITUDE * PAIR_SHARE * squares,
    )
    draws = jax.tree.map(lambda drawn, wrong: drawn + wrong[:-1], prior, correction)
    return draws, jax.tree.map(lambda wrong: wrong[-1:], correction)
