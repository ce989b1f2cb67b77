"""Random search, the baseline of every other controller (Li and Talwalkar, arXiv 1902.07638).

Every decision that is active is uniform over its choices, given the earlier ones. Where some
decisions are active only beside others, that is not uniform over networks.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from mnas.controllers.core.policy import factorized

from mnas.controller import Controller, Proposals
from mnas.errors import UsageError
from mnas.space import Space


class RandomSearchState(NamedTuple):
    """What there is to tell people; nothing is learned.

    best     float32 [], highest reward so far; 0 before the first
    updates  int32 [], batches with a reward that is a number
    """

    best: jax.Array
    updates: jax.Array


@dataclasses.dataclass(frozen=True)
class RandomSearch:
    """Uniform samples; nothing to set."""

    def build(self, space: Space) -> Controller:
        """The controller of this space. Rewards that are NaN or infinite count for nothing."""
        policy = factorized(space)
        uniform = policy.init(jax.random.key(0))  # logits all 0

        def init(key: jax.Array) -> RandomSearchState:
            del key  # every controller takes one
            return RandomSearchState(jnp.zeros((), jnp.float32), jnp.zeros((), jnp.int32))

        def ask(state: RandomSearchState, key: jax.Array, n: int) -> Proposals:
            return Proposals(*policy.sample(uniform, key, n))

        def tell(
            state: RandomSearchState, proposals: Proposals, rewards: jax.Array
        ) -> RandomSearchState:
            shape, rewards = jnp.shape(proposals.decisions), jnp.asarray(rewards, jnp.float32)
            if shape != (*rewards.shape, len(space.sizes)) or rewards.ndim != 1:
                raise UsageError(
                    f"random: decisions of shape {shape} and rewards of shape {rewards.shape}; "
                    f"accepted: [N, {len(space.sizes)}] and [N]"
                )
            good = jnp.isfinite(rewards)
            best = jnp.where(good, rewards, -jnp.inf).max(initial=-jnp.inf)
            best = jnp.where(state.updates > 0, jnp.maximum(best, state.best), best)
            return RandomSearchState(
                jnp.where(good.any(), best, state.best),
                state.updates + good.any().astype(jnp.int32),
            )

        def summary(state: RandomSearchState) -> dict[str, float]:
            return {"best": float(state.best), "updates": float(state.updates)}

        return Controller(jax.jit(init), jax.jit(ask, static_argnums=2), jax.jit(tell), summary)
