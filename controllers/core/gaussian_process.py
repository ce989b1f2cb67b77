"""Gaussian process over networks: Bayesian regression on all choices and pairs of choices.

The reward model of `mnas.controllers.dyna`. It is fitted to the latest C rewards; its posterior
mean and posterior samples are quadratic functions of a network's indicator features. The covariance
function is that of `mnas.loop.kernel`.

Shapes: N networks, D decisions, C observations (capacity), W indicator features, F functions.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mnas.controllers.core.canonical import canonical
from mnas.loop import kernel
from mnas.loop.kernel import AMPLITUDE, PAIR_FRACTION
from mnas.space import Space

Features = Callable[[jax.Array], jax.Array]  # decisions [N, D] -> float32 [N, W]

# Noise variance of an observation, in the model's unit (`Model.scale`): seed noise and effects that
# the kernel cannot represent.
NOISE = 0.05
# Factor on the standard deviation of posterior samples. Less than 1: full samples explore more than
# a search of a thousand evaluations can afford.
SAMPLE_SCALE = 0.7
# Rewards are winsorised no closer to the lower quartile than this, in the model's unit: when late
# rewards are all alike, a bad one must still look bad.
MIN_OUTLIER_DISTANCE = 1.5


class Quadratic(NamedTuple):
    """F quadratic functions of indicator features x [W]: c + m·x + xᵀ Q x.

    constant   float32 [F], c
    linear     float32 [F, W], m
    quadratic  float32 [F, W, W], Q
    """

    constant: jax.Array
    linear: jax.Array
    quadratic: jax.Array

    def __call__(self, x: jax.Array) -> jax.Array:
        """Return the values float32 [F, N] at features [N, W]."""
        crossed = jnp.einsum("nw,fwv->fnv", x, self.quadratic)
        return self.constant[:, None] + self.linear @ x.T + (crossed * x[None]).sum(-1)


class Model(NamedTuple):
    """Ring buffer of the latest C observations (number i in row i mod C) and the fit to them.

    decisions  int32 [C, D], canonical; 0 in empty rows
    rewards    float32 [C]; 0 in empty rows
    total      int32 [], observations so far, replaced ones included
    scale      float32 [], the model's unit: largest standard deviation of `rewards` so far
    targets    float32 [C], centred and winsorised rewards in that unit; 0 in empty rows
    factor     float32 [C, C], lower Cholesky factor of the targets' covariance; unit rows for
               empty ones
    """

    decisions: jax.Array
    rewards: jax.Array
    total: jax.Array
    scale: jax.Array
    targets: jax.Array
    factor: jax.Array

    @property
    def observed(self) -> jax.Array:
        """Rows that hold an observation: bool [C]."""
        return jnp.arange(len(self.rewards)) < self.total

    @property
    def best(self) -> jax.Array:
        """Decisions with the highest reward in the buffer: int32 [D]. Undefined while empty."""
        return self.decisions[jnp.argmax(jnp.where(self.observed, self.rewards, -jnp.inf))]


def empty(space: Space, capacity: int) -> Model:
    """Return the model without observations."""
    return Model(
        decisions=jnp.zeros((capacity, len(space.sizes)), jnp.int32),
        rewards=jnp.zeros(capacity, jnp.float32),
        total=jnp.zeros((), jnp.int32),
        scale=jnp.zeros((), jnp.float32),
        targets=jnp.zeros(capacity, jnp.float32),
        factor=jnp.eye(capacity, dtype=jnp.float32),
    )


def indicator_features(space: Space) -> Features:
    """Return the function from decisions [N, D] to scaled one-hot features float32 [N, W].

    A conditional decision has one level more than choices, for "inactive". Features are scaled by
    1/√D: the inner product of two networks is the fraction of decisions in which they agree.
    """
    # The last level of a conditional decision is "inactive".
    levels = space.sizes + np.array([bool(decision.conditions) for decision in space.decisions])
    first, width = np.cumsum(levels) - levels, int(levels.sum())

    def features(decisions: jax.Array) -> jax.Array:
        decisions, active = canonical(space, decisions)
        level = jnp.where(active, decisions, jnp.asarray(space.sizes)[None])
        hot = jax.nn.one_hot(level + jnp.asarray(first)[None], width, dtype=jnp.float32)
        return hot.sum(1) / math.sqrt(len(levels))

    return features


def prior_covariance(x: jax.Array) -> jax.Array:
    """Return the prior covariance [N, N] of the values of networks with features x [N, W]."""
    return kernel.covariance(x @ x.T)


def append(model: Model, decisions: jax.Array, rewards: jax.Array) -> Model:
    """Return the model with a batch appended in place of the oldest rows; the fit is not updated.

    The batch is appended from best to worst, so its order doesn't matter. NaN rewards are skipped;
    of a batch larger than the capacity, the best are kept.
    """
    capacity = len(model.rewards)
    columns = (*decisions.T[::-1], -rewards)  # best first, NaN last; equal rewards by decisions
    order = jnp.lexsort(columns)[:capacity]
    decisions, rewards = decisions[order], rewards[order]
    valid = ~jnp.isnan(rewards)
    row = (model.total + jnp.arange(len(rewards))) % capacity
    row = jnp.where(valid, row, capacity)  # out of bounds: dropped
    return model._replace(
        decisions=model.decisions.at[row].set(decisions, mode="drop"),
        rewards=model.rewards.at[row].set(rewards, mode="drop"),
        total=model.total + valid.sum(),
    )


def fit(model: Model, features: Features) -> Model:
    """Return the model fitted to its observations, of which there must be at least one."""
    observed = model.observed
    rewards = jnp.where(observed, model.rewards, jnp.nan)
    low, high = jnp.nanquantile(rewards, jnp.array([0.25, 0.75]))
    reach = kernel.OUTLIER_LIMIT * (high - low)
    reach = jnp.maximum(reach, MIN_OUTLIER_DISTANCE * model.scale)
    rewards = jnp.maximum(rewards, low - reach)
    mean = jnp.where(observed, rewards, 0.0).sum() / observed.sum()
    centred = jnp.where(observed, rewards - mean, 0.0)
    spread = jnp.sqrt((centred**2).sum() / observed.sum())
    # The unit never shrinks: late rewards, all alike, must not look as spread out as early ones.
    scale = jnp.maximum(model.scale, spread)
    floor = 1e-6 * jnp.abs(mean) + 1e-12  # below it, differences are rounding errors
    targets = centred / jnp.maximum(scale, floor)
    x = features(model.decisions)
    prior = prior_covariance(x) * (observed[:, None] & observed[None])
    factor = jnp.linalg.cholesky(prior + jnp.diag(jnp.where(observed, NOISE, 1.0)))
    return model._replace(scale=scale, targets=targets, factor=factor)


def posterior_samples(
    key: jax.Array, count: int, model: Model, features: Features
) -> tuple[Quadratic, Quadratic]:
    """Return (posterior samples, F = count; posterior mean, F = 1), by Matheron's rule.

    Wilson et al., ICML 2020: with a sample g of the prior and a sample e of the noise,

        f(x) = g(x) + k(x, X) (K + noise)⁻¹ (y - g(X) - e)

    is a sample of the posterior. g is a quadratic function with normal coefficients, hence f is
    quadratic, too. g and e are scaled by `SAMPLE_SCALE`; scaled by 0 they give the mean.
    """
    observed, x = model.observed, features(model.decisions)
    width = x.shape[1]
    keys = jax.random.split(key, 4)
    single = (AMPLITUDE * (1 - PAIR_FRACTION)) ** 0.5 * SAMPLE_SCALE
    pair = (AMPLITUDE * PAIR_FRACTION) ** 0.5 * SAMPLE_SCALE
    prior = Quadratic(
        SAMPLE_SCALE * jax.random.normal(keys[0], (count,)),
        single * jax.random.normal(keys[1], (count, width)),
        pair * jax.random.normal(keys[2], (count, width, width)),
    )
    noise = NOISE**0.5 * SAMPLE_SCALE * jax.random.normal(keys[3], (count, len(observed)))
    residuals = jnp.concatenate([model.targets[None] - prior(x) - noise, model.targets[None]])
    residuals = jnp.where(observed[None], residuals, 0.0)  # [F + 1, C]; the last row: the mean's
    weights = jax.scipy.linalg.cho_solve((model.factor, True), residuals.T).T  # 0 in empty rows
    squares = jnp.einsum("fcw,cv->fwv", weights[:, :, None] * x[None], x)
    correction = Quadratic(
        weights.sum(1),
        AMPLITUDE * (1 - PAIR_FRACTION) * weights @ x,
        AMPLITUDE * PAIR_FRACTION * squares,
    )
    samples = jax.tree.map(lambda prior, update: prior + update[:-1], prior, correction)
    return samples, jax.tree.map(lambda update: update[-1:], correction)
