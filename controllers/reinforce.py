"""REINFORCE (Williams, Machine Learning 8, 1992) over a policy network.

The controller of NAS with reinforcement learning: NASNet's LSTM (arXiv 1707.07012, appendix A) or
TuNAS's independent logits (arXiv 2008.06120, section 3), a moving-average baseline, Adam with no
momentum (TuNAS: choices that were not active in a batch then stay where they are).

Shapes: N proposals, D decisions.
"""

import dataclasses
import math
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax
from mnas.controllers.core.advantage import advantages as advantages_of
from mnas.controllers.core.policy import Params, Policy, factorized, lstm

from mnas.controller import Controller, Proposals
from mnas.errors import UsageError
from mnas.space import Space

# Good both at 64 samples in batches of 8 and at 512 in batches of 16 (28 decisions, noisy rewards).
# So is the baseline's decay: the papers' 0.95 lags behind a search of so few batches.
LEARNING_RATES = {"lstm": 0.007, "factorized": 0.3}


class ReinforceState(NamedTuple):
    """All that a search has learned.

    params     of the policy
    optimizer  Adam's moments
    baseline   float32 [], moving average of the rewards; 0 before the first
    entropy    float32 [], nats: mean over the last batch, under the policy before it was told;
               before the first, that of uniform choices with every decision active
    updates    int32 [], batches learned from
    """

    params: Params
    optimizer: Any
    baseline: jax.Array
    entropy: jax.Array
    updates: jax.Array


@dataclasses.dataclass(frozen=True)
class Reinforce:
    """Policy gradient, one Adam step a batch."""

    policy: Literal["lstm", "factorized"] = "lstm"
    """lstm: each choice sees the earlier ones (NASNet); factorized: independent choices (TuNAS)."""
    learning_rate: float | None = None
    """Of Adam; where not given, 0.007 for lstm and 0.3 for factorized."""
    b1: float = 0.0
    """Adam's decay of the gradient."""
    b2: float = 0.999
    """Adam's decay of the squared gradient."""
    entropy_weight: float = 0.0
    """Bonus for a nat of entropy, where advantages have root mean square 1."""
    baseline_decay: float = 0.5
    """Of the moving average of rewards, once a batch; 0: the batch's own mean. NASNet has 0.95."""
    hidden: int = 100
    """Units of the LSTM."""
    embedding: int = 32
    """Width of the LSTM's embeddings."""

    def __post_init__(self) -> None:
        def check(name: str, good: bool, accepted: str) -> None:
            if not good:
                raise UsageError(
                    f"reinforce: {name} = {getattr(self, name)!r}; accepted: {accepted}"
                )

        check("policy", self.policy in LEARNING_RATES, ", ".join(LEARNING_RATES))
        rate = self.learning_rate
        check("learning_rate", rate is None or 0 < rate < math.inf, "a number above 0")
        for name in ("b1", "b2", "baseline_decay"):
            check(name, 0 <= getattr(self, name) < 1, "0 or more, below 1")
        check("entropy_weight", 0 <= self.entropy_weight < math.inf, "0 or more")
        for name in ("hidden", "embedding"):
            check(
                name, isinstance(getattr(self, name), int) and getattr(self, name) > 0, "1 or more"
            )

    def build(self, space: Space) -> Controller:
        """The controller of this space.

        `tell` learns from every batch, whoever proposed it, as if it were drawn from its own policy
        (no importance weights). Rewards that are NaN or infinite count for nothing; a batch that
        has no other leaves the state as it is.
        """
        policy = self._policy(space)
        rate = self.learning_rate or LEARNING_RATES[self.policy]
        adam = optax.adam(rate, b1=self.b1, b2=self.b2, eps=1e-8)

        def init(key: jax.Array) -> ReinforceState:
            params = policy.init(key)
            uniform = sum(math.log(size) for size in space.sizes)
            zero = jnp.zeros((), jnp.float32)
            return ReinforceState(
                params, adam.init(params), zero, zero + uniform, jnp.zeros((), jnp.int32)
            )

        def ask(state: ReinforceState, key: jax.Array, n: int) -> Proposals:
            return Proposals(*policy.sample(state.params, key, n))

        def learn(
            state: ReinforceState, decisions: jax.Array, rewards: jax.Array, weights: jax.Array
        ) -> ReinforceState:
            def mean(values: jax.Array) -> jax.Array:
                return (weights * values).sum()

            advantages, baseline = advantages_of(
                rewards, weights, state.baseline, state.updates, self.baseline_decay
            )

            # L = -mean A · log π(a) - entropy_weight · mean H
            def loss(params: Params) -> tuple[jax.Array, jax.Array]:
                log_probs, entropies = policy.evaluate(params, decisions)
                entropy = mean(entropies)
                return -mean(advantages * log_probs) - self.entropy_weight * entropy, entropy

            gradients, entropy = jax.grad(loss, has_aux=True)(state.params)
            steps, optimizer = adam.update(gradients, state.optimizer)
            params = optax.apply_updates(state.params, steps)
            return ReinforceState(params, optimizer, baseline, entropy, state.updates + 1)

        def tell(state: ReinforceState, proposals: Proposals, rewards: jax.Array) -> ReinforceState:
            decisions = jnp.asarray(proposals.decisions, jnp.int32)
            rewards = jnp.asarray(rewards, jnp.float32)
            if decisions.shape != (*rewards.shape, len(space.sizes)) or rewards.ndim != 1:
                raise UsageError(
                    f"reinforce: decisions of shape {decisions.shape} and rewards of shape "
                    f"{rewards.shape}; accepted: [N, {len(space.sizes)}] and [N]"
                )
            good = jnp.isfinite(rewards)
            count = good.sum().astype(jnp.float32)
            weights = good.astype(jnp.float32) / jnp.maximum(count, 1.0)
            return jax.lax.cond(
                count > 0,
                lambda: learn(state, decisions, jnp.where(good, rewards, 0.0), weights),
                lambda: state,
            )

        def summary(state: ReinforceState) -> dict[str, float]:
            return {
                "baseline": float(state.baseline),
                "entropy": float(state.entropy),
                "updates": float(state.updates),
            }

        return Controller(jax.jit(init), jax.jit(ask, static_argnums=2), jax.jit(tell), summary)

    def _policy(self, space: Space) -> Policy:
        if self.policy == "factorized":
            return factorized(space)
        return lstm(space, self.hidden, self.embedding)
