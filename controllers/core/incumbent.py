"""The incumbent, and agreement with it in the decisions that matter.

Shapes: N networks, D decisions.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mnas.controllers.core.gaussian_process import Features, Model, Quadratic
from mnas.controllers.core.neighbourhood import single_changes
from mnas.space import Space


class Incumbent(NamedTuple):
    """Network of the highest measured reward, and the weights of its decisions.

    decisions  int32 [D]
    weights    float32 [D], how much each decision counts in the agreement with another network, 1
               on average; 0 before the first observation
    """

    decisions: jax.Array
    weights: jax.Array


def undefined(space: Space) -> Incumbent:
    """Return the incumbent before the first observation, with which no network agrees."""
    count = len(space.sizes)
    return Incumbent(jnp.zeros(count, jnp.int32), jnp.zeros(count, jnp.float32))


def incumbent_of(space: Space, features: Features, model: Model, mean: Quadratic) -> Incumbent:
    """Return the best observed network, its decisions weighted by their effect.

    mean  the posterior mean of the model, F = 1

    The weight of a decision is proportional to the mean absolute change of the posterior mean over
    its other choices: a difference without an effect is no difference.
    """
    sizes = np.array(space.sizes)
    changed = single_changes(space)(model.best)
    values = mean(features(changed))[0]
    change = jnp.abs(values - mean(features(model.best[None]))[0])
    total = jnp.zeros(len(sizes)).at[np.repeat(np.arange(len(sizes)), sizes)].add(change)
    weights = total / np.maximum(sizes - 1, 1)
    average = weights.mean()
    weights = jnp.where(average > 1e-6, weights / jnp.maximum(average, 1e-6), 1.0)
    return Incumbent(model.best, weights)


def agreement(incumbent: Incumbent, decisions: jax.Array) -> jax.Array:
    """Return the weighted number of decisions [N, D] equal to the incumbent's: float32 [N]."""
    equal = decisions == incumbent.decisions[None]
    return jnp.where(equal, incumbent.weights[None], 0.0).sum(-1)
