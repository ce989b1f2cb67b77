"""Proximal policy optimisation (Schulman et al., arXiv 1707.06347) with a policy network.

NASNet's update (arXiv 1707.07012, appendix A): several gradient steps on the same batch, in which a
proposal has no gradient once its probability ratio has left 1 ± ε in the direction of its
advantage. A whole decision vector is one action. Baseline, normalisation of advantages and Adam are
those of `mnas.controllers.reinforce`.

Shapes: N proposals.
"""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import optax

from mnas.controller import Controller, Proposals
from mnas.controllers.core.advantage import advantages, weighted_mean
from mnas.controllers.core.batch import validated
from mnas.controllers.core.binding import bind
from mnas.controllers.core.policy import Params, PolicyName, build_policy
from mnas.controllers.core.policy_gradient import (
    PolicyGradientState,
    Spec,
    ask,
    init,
    mean_weights,
    require_settings,
    summary,
)
from mnas.errors import require_open_fraction, require_positive, require_whole
from mnas.space import Space

# Tuned for 250 to 1,000 samples in batches of 16 with 4 epochs each (28 decisions, noisy rewards).
# Higher rates are ahead at first and end at worse networks.
LEARNING_RATES = {"lstm": 0.0015, "factorized": 0.15}

# min(r A, clip(r) A) is unbounded below where A < 0. Proposals with a larger ratio, as those of
# another controller may have, have no gradient (the idea of dual-clip PPO, arXiv 1912.09729).
_MAX_RATIO = 10.0


@dataclasses.dataclass(frozen=True)
class Ppo:
    """Clipped policy gradient, several Adam steps per batch."""

    policy: PolicyName = "lstm"
    """Policy network. lstm: each choice depends on the earlier ones (NASNet); factorized:
    independent choices (TuNAS)."""
    learning_rate: float | None = None
    """Adam's learning rate; None: 0.0015 for lstm, 0.15 for factorized. NASNet: 0.00035."""
    b1: float = 0.0
    """Adam's decay of the gradient's moving average."""
    b2: float = 0.999
    """Adam's decay of the squared gradient's moving average."""
    epochs: int = 4
    """Gradient steps per batch, each on the whole batch. NNI: 4 epochs of 4 minibatches."""
    clip: float = 0.2
    """Clip range ε: probability ratios beyond 1 ± ε gain nothing. 0.2 in the paper."""
    entropy_weight: float = 0.0
    """Entropy bonus per nat, for advantages of root mean square 1. NASNet: 0.00001."""
    baseline_decay: float = 0.5
    """Decay of the rewards' moving average per batch; 0: the batch mean. NASNet: 0.95."""
    gradient_norm: float = 5.0
    """Global norm to which longer gradients are clipped. NNI: 0.5."""
    hidden: int = 100
    """Units of the LSTM."""
    embedding: int = 32
    """Width of the LSTM's embeddings."""

    def __post_init__(self) -> None:
        require_settings("ppo", self, LEARNING_RATES)
        require_whole("ppo", "epochs", self.epochs, most=10_000)
        require_open_fraction("ppo", "clip", self.clip)
        require_positive("ppo", "gradient_norm", self.gradient_norm, most=10**6)

    def build(self, space: Space) -> Controller:
        """Return PPO over `space`.

        `tell` compares with the log-probabilities of the proposals it is passed. Proposals whose
        reward or log-probability is NaN or infinite are ignored; a batch without others leaves the
        state as it is.
        """
        rate = self.learning_rate or LEARNING_RATES[self.policy]
        spec = Spec(
            space,
            self,
            policy=build_policy(self.policy, space, self.hidden, self.embedding),
            optimizer=optax.chain(
                optax.clip_by_global_norm(self.gradient_norm),
                optax.adam(rate, b1=self.b1, b2=self.b2, eps=1e-8),
            ),
        )
        return bind(spec, init, ask, tell, summary)


def tell(
    spec: Spec[Ppo], state: PolicyGradientState, proposals: Proposals, rewards: jax.Array
) -> PolicyGradientState:
    """Return the state after `epochs` gradient steps on a batch."""
    decisions, log_probs, rewards = validated("ppo", spec.space, proposals, rewards)
    valid = jnp.isfinite(rewards) & jnp.isfinite(log_probs)
    log_probs = jnp.where(valid, log_probs, 0.0)
    rewards, weights = jnp.where(valid, rewards, 0.0), mean_weights(valid)
    return jax.lax.cond(
        valid.any(),
        lambda: update(spec, state, decisions, log_probs, rewards, weights),
        lambda: state,
    )


def update(
    spec: Spec[Ppo],
    state: PolicyGradientState,
    decisions: jax.Array,
    old_log_probs: jax.Array,
    rewards: jax.Array,
    weights: jax.Array,
) -> PolicyGradientState:
    """Return the state after `epochs` gradient steps on decisions [N, D].

    old_log_probs  float32 [N], finite: log π_old(a)
    rewards        float32 [N], finite
    weights        float32 [N], which sum to 1; 0 for proposals to be ignored
    """
    config = spec.config
    advantage, baseline = advantages(
        rewards, weights, state.baseline, state.updates, config.baseline_decay
    )

    def loss(params: Params) -> tuple[jax.Array, jax.Array]:
        log_probs, entropies = spec.policy.evaluate(params, decisions)
        # r = π(a) / π_old(a)
        change = log_probs - old_log_probs
        ratios = jnp.exp(jnp.minimum(change, math.log(_MAX_RATIO)))
        # L = -mean min(r A, clip(r, 1 - ε, 1 + ε) A) - entropy_weight · mean H
        clipped = jnp.clip(ratios, 1 - config.clip, 1 + config.clip)
        gain = jnp.minimum(ratios * advantage, clipped * advantage)
        entropy = weighted_mean(entropies, weights)
        return -weighted_mean(gain, weights) - config.entropy_weight * entropy, entropy

    def epoch(carry: Any, _: None) -> tuple[Any, jax.Array]:
        params, optimizer = carry
        gradients, entropy = jax.grad(loss, has_aux=True)(params)
        steps, optimizer = spec.optimizer.update(gradients, optimizer)
        return (optax.apply_updates(params, steps), optimizer), entropy

    carry = state.params, state.optimizer
    (params, optimizer), entropies = jax.lax.scan(epoch, carry, length=config.epochs)
    return PolicyGradientState(params, optimizer, baseline, entropies[0], state.updates + 1)
