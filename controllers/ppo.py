"""Proximal policy optimisation (Schulman et al., arXiv 1707.06347) over a policy network.

The update of NASNet's controller (arXiv 1707.07012, appendix A): several gradient steps on the same
batch, in which a proposal takes no more part once its probability has changed by the clip in the
direction of its advantage. A whole vector of decisions counts as one action. Baseline, scale of the
advantages and Adam are those of `mnas.controllers.reinforce`.

Shapes: N proposals, D decisions.
"""

import dataclasses
import math
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax
from mnas.controllers.core.advantage import advantages as advantages_of
from mnas.controllers.core.policy import Params, factorized, lstm

from mnas.controller import Controller, Proposals
from mnas.errors import UsageError
from mnas.space import Space

# Good from 250 to 1,000 samples in batches of 16 with 4 epochs each (28 decisions, noisy rewards).
# Larger ones are ahead at first and end at worse networks.
LEARNING_RATES = {"lstm": 0.0015, "factorized": 0.15}

# min(r A, clip(r) A) has no bound where A < 0. Proposals with a larger ratio than this, as those of
# another controller may have, teach nothing (the idea of dual-clip PPO, arXiv 1912.09729).
_LARGEST_RATIO = 10.0


class PpoState(NamedTuple):
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
class Ppo:
    """Clipped policy gradient, several Adam steps a batch."""

    policy: Literal["lstm", "factorized"] = "lstm"
    """lstm: each choice sees the earlier ones (NASNet); factorized: independent choices (TuNAS)."""
    learning_rate: float | None = None
    """Of Adam; where not given, 0.0015 for lstm and 0.15 for factorized. NASNet has 0.00035."""
    b1: float = 0.0
    """Adam's decay of the gradient."""
    b2: float = 0.999
    """Adam's decay of the squared gradient."""
    epochs: int = 4
    """Steps a batch, each with all of it. NNI has 4 epochs of 4 minibatches."""
    clip: float = 0.2
    """ε: nothing is gained by ratios of new to old probability beyond 1 ± ε. 0.2 in the paper."""
    entropy_weight: float = 0.0
    """Bonus for a nat of entropy, where advantages have root mean square 1. NASNet has 0.00001."""
    baseline_decay: float = 0.5
    """Of the moving average of rewards, once a batch; 0: the batch's own mean. NASNet has 0.95."""
    gradient_norm: float = 5.0
    """Longer gradients are scaled down to it. NNI has 0.5."""
    hidden: int = 100
    """Units of the LSTM."""
    embedding: int = 32
    """Width of the LSTM's embeddings."""

    def __post_init__(self) -> None:
        def check(name: str, good: bool, accepted: str) -> None:
            if not good:
                raise UsageError(f"ppo: {name} = {getattr(self, name)!r}; accepted: {accepted}")

        check("policy", self.policy in LEARNING_RATES, ", ".join(LEARNING_RATES))
        rate = self.learning_rate
        check("learning_rate", rate is None or 0 < rate < math.inf, "a number above 0")
        for name in ("b1", "b2", "baseline_decay"):
            check(name, 0 <= getattr(self, name) < 1, "0 or more, below 1")
        check("clip", 0 < self.clip < 1, "above 0, below 1")
        check("entropy_weight", 0 <= self.entropy_weight < math.inf, "0 or more")
        check("gradient_norm", 0 < self.gradient_norm < math.inf, "a number above 0")
        for name in ("epochs", "hidden", "embedding"):
            check(
                name, isinstance(getattr(self, name), int) and getattr(self, name) > 0, "1 or more"
            )

    def build(self, space: Space) -> Controller:
        """The controller of this space.

        `tell` learns from every batch by the ratio to the `log_probs` it came with. Proposals whose
        reward or log-probability is NaN or infinite count for nothing; a batch that has no other
        leaves the state as it is.
        """
        policy = lstm(space, self.hidden, self.embedding)
        if self.policy == "factorized":
            policy = factorized(space)
        rate = self.learning_rate or LEARNING_RATES[self.policy]
        adam = optax.chain(
            optax.clip_by_global_norm(self.gradient_norm),
            optax.adam(rate, b1=self.b1, b2=self.b2, eps=1e-8),
        )

        def init(key: jax.Array) -> PpoState:
            params = policy.init(key)
            uniform = sum(math.log(size) for size in space.sizes)
            zero = jnp.zeros((), jnp.float32)
            return PpoState(
                params, adam.init(params), zero, zero + uniform, jnp.zeros((), jnp.int32)
            )

        def ask(state: PpoState, key: jax.Array, n: int) -> Proposals:
            return Proposals(*policy.sample(state.params, key, n))

        def learn(
            state: PpoState, proposals: Proposals, rewards: jax.Array, weights: jax.Array
        ) -> PpoState:
            def mean(values: jax.Array) -> jax.Array:
                return (weights * values).sum()

            advantages, baseline = advantages_of(
                rewards, weights, state.baseline, state.updates, self.baseline_decay
            )

            def loss(params: Params) -> tuple[jax.Array, jax.Array]:
                log_probs, entropies = policy.evaluate(params, proposals.decisions)
                # r = π(a) / π_old(a)
                change = log_probs - proposals.log_probs
                ratios = jnp.exp(jnp.minimum(change, math.log(_LARGEST_RATIO)))
                # L = -mean min(r A, clip(r, 1 - ε, 1 + ε) A) - entropy_weight · mean H
                limited = jnp.clip(ratios, 1 - self.clip, 1 + self.clip)
                gain = jnp.minimum(ratios * advantages, limited * advantages)
                entropy = mean(entropies)
                return -mean(gain) - self.entropy_weight * entropy, entropy

            def epoch(carry: Any, _: None) -> tuple[Any, Any]:
                params, optimizer = carry
                gradients, entropy = jax.grad(loss, has_aux=True)(params)
                steps, optimizer = adam.update(gradients, optimizer)
                return (optax.apply_updates(params, steps), optimizer), entropy

            learned, entropy = jax.lax.scan(
                epoch, (state.params, state.optimizer), length=self.epochs
            )
            return PpoState(*learned, baseline, entropy[0], state.updates + 1)

        def tell(state: PpoState, proposals: Proposals, rewards: jax.Array) -> PpoState:
            decisions = jnp.asarray(proposals.decisions, jnp.int32)
            log_probs = jnp.asarray(proposals.log_probs, jnp.float32)
            rewards = jnp.asarray(rewards, jnp.float32)
            if decisions.shape != (*rewards.shape, len(space.sizes)) or rewards.ndim != 1:
                raise UsageError(
                    f"ppo: decisions of shape {decisions.shape} and rewards of shape "
                    f"{rewards.shape}; accepted: [N, {len(space.sizes)}] and [N]"
                )
            good = jnp.isfinite(rewards) & jnp.isfinite(log_probs)
            count = good.sum().astype(jnp.float32)
            weights = good.astype(jnp.float32) / jnp.maximum(count, 1.0)
            known = Proposals(decisions, jnp.where(good, log_probs, 0.0))
            return jax.lax.cond(
                count > 0,
                lambda: learn(state, known, jnp.where(good, rewards, 0.0), weights),
                lambda: state,
            )

        def summary(state: PpoState) -> dict[str, float]:
            return {
                "baseline": float(state.baseline),
                "entropy": float(state.entropy),
                "updates": float(state.updates),
            }

        return Controller(jax.jit(init), jax.jit(ask, static_argnums=2), jax.jit(tell), summary)
