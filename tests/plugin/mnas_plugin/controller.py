"""Hill climbing: neighbours of the best network so far."""

import dataclasses
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mnas import Controller, Proposals, Space


class State(NamedTuple):
    """Best network so far: decisions int32 [D] and its reward."""

    best: jax.Array
    reward: jax.Array


@dataclasses.dataclass(frozen=True)
class HillClimbing:
    """Each decision of the best network is drawn anew with probability `rate`."""

    rate: float = 0.5
    """Probability of change."""

    def build(self, space: Space) -> Controller:
        sizes = jnp.asarray(space.sizes)
        log_prob = -math.log(space.cardinality())

        def init(key: jax.Array) -> State:
            return State(jnp.zeros(len(sizes), jnp.int32), jnp.float32(-jnp.inf))

        def ask(state: State, key: jax.Array, n: int) -> Proposals:
            change, choice = jax.random.split(key)
            changed = jax.random.bernoulli(change, self.rate, (n, len(sizes)))
            choices = jax.random.randint(choice, (n, len(sizes)), 0, sizes[None])
            decisions = space.canonical(np.asarray(jnp.where(changed, choices, state.best[None])))
            return Proposals(jnp.asarray(decisions), jnp.full(n, log_prob, jnp.float32))

        def tell(state: State, proposals: Proposals, rewards: jax.Array) -> State:
            rewards = jnp.where(jnp.isfinite(rewards), jnp.asarray(rewards, jnp.float32), -jnp.inf)
            if len(rewards) == 0 or rewards.max() <= state.reward:
                return state
            return State(jnp.asarray(proposals.decisions)[rewards.argmax()], rewards.max())

        def summary(state: State) -> dict[str, float]:
            return {"best": float(state.reward) if jnp.isfinite(state.reward) else 0.0}

        return Controller(init, ask, tell, summary)
