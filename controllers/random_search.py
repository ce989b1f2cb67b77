"""Random search, the baseline of every other controller (Li and Talwalkar, arXiv 1902.07638).

Every active decision is uniform over its choices, given the earlier ones. Where a space has
conditional decisions, that is not uniform over networks.

Shapes: N proposals.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

from mnas.controller import Controller, Proposals
from mnas.controllers.core.batch import validated
from mnas.controllers.core.binding import bind
from mnas.controllers.core.policy import Params, Policy, factorized
from mnas.space import Space


class RandomSearchState(NamedTuple):
    """Statistics for `summary`; nothing is learned.

    best     float32 [], highest finite reward so far; 0 before the first
    updates  int32 [], batches with at least one finite reward
    """

    best: jax.Array
    updates: jax.Array


@dataclasses.dataclass(frozen=True)
class RandomSearch:
    """Uniform samples. No settings."""

    def build(self, space: Space) -> Controller:
        """Return random search over `space`. NaN and infinite rewards are ignored."""
        policy = factorized(space)
        spec = Spec(space, policy, params=policy.init(jax.random.key(0)))
        return bind(spec, init, ask, tell, summary)


@dataclasses.dataclass(frozen=True)
class Spec:
    """Static arguments of the functions below.

    policy, params  the uniform distribution
    """

    space: Space
    policy: Policy
    params: Params


def init(spec: Spec, key: jax.Array) -> RandomSearchState:
    """Return the state before the first batch, whatever the key."""
    return RandomSearchState(jnp.zeros((), jnp.float32), jnp.zeros((), jnp.int32))


def ask(spec: Spec, state: RandomSearchState, key: jax.Array, n: int) -> Proposals:
    """Return n uniform samples, whatever the state."""
    return Proposals(*spec.policy.sample(spec.params, key, n))


def tell(
    spec: Spec, state: RandomSearchState, proposals: Proposals, rewards: jax.Array
) -> RandomSearchState:
    """Return the statistics with a batch included."""
    _, _, rewards = validated("random", spec.space, proposals, rewards)
    finite = jnp.isfinite(rewards)
    best = jnp.where(finite, rewards, -jnp.inf).max(initial=-jnp.inf)
    best = jnp.where(state.updates > 0, jnp.maximum(best, state.best), best)
    return RandomSearchState(
        best=jnp.where(finite.any(), best, state.best),
        updates=state.updates + finite.any().astype(jnp.int32),
    )


def summary(spec: Spec, state: RandomSearchState) -> dict[str, float]:
    """Return the highest reward and the number of updates."""
    return {"best": float(state.best), "updates": float(state.updates)}
