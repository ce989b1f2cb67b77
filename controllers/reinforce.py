"""REINFORCE (Williams, Machine Learning 8, 1992) with a policy network.

The controller of NAS by reinforcement learning: NASNet's LSTM (arXiv 1707.07012, appendix A) or
TuNAS's independent logits (arXiv 2008.06120, section 3), a moving-average baseline, and Adam
without momentum (TuNAS: logits of choices that were inactive in a batch are then unchanged by it).

Shapes: N proposals.
"""

import dataclasses

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
from mnas.space import Space

# Tuned for 64 samples in batches of 8 and for 512 in batches of 16 (28 decisions, noisy rewards),
# as was the baseline's decay: the papers' 0.95 is too slow for so few batches.
LEARNING_RATES = {"lstm": 0.007, "factorized": 0.3}


@dataclasses.dataclass(frozen=True)
class Reinforce:
    """Policy gradient, one Adam step per batch."""

    policy: PolicyName = "lstm"
    """Policy network. lstm: each choice depends on the earlier ones (NASNet); factorized:
    independent choices (TuNAS)."""
    learning_rate: float | None = None
    """Adam's learning rate; None: 0.007 for lstm, 0.3 for factorized."""
    b1: float = 0.0
    """Adam's decay of the gradient's moving average."""
    b2: float = 0.999
    """Adam's decay of the squared gradient's moving average."""
    entropy_weight: float = 0.0
    """Entropy bonus per nat, for advantages of root mean square 1."""
    baseline_decay: float = 0.5
    """Decay of the rewards' moving average per batch; 0: the batch mean. NASNet: 0.95."""
    hidden: int = 100
    """Units of the LSTM."""
    embedding: int = 32
    """Width of the LSTM's embeddings."""

    def __post_init__(self) -> None:
        require_settings("reinforce", self, LEARNING_RATES)

    def build(self, space: Space) -> Controller:
        """Return REINFORCE over `space`.

        `tell` treats every batch as sampled from its own policy (no importance weights). Proposals
        with a NaN or infinite reward are ignored; a batch without others leaves the state as it is.
        """
        rate = self.learning_rate or LEARNING_RATES[self.policy]
        spec = Spec(
            space,
            self,
            policy=build_policy(self.policy, space, self.hidden, self.embedding),
            optimizer=optax.adam(rate, b1=self.b1, b2=self.b2, eps=1e-8),
        )
        return bind(spec, init, ask, tell, summary)


def tell(
    spec: Spec[Reinforce], state: PolicyGradientState, proposals: Proposals, rewards: jax.Array
) -> PolicyGradientState:
    """Return the state after one gradient step on a batch."""
    decisions, _, rewards = validated("reinforce", spec.space, proposals, rewards)
    valid = jnp.isfinite(rewards)
    rewards, weights = jnp.where(valid, rewards, 0.0), mean_weights(valid)
    return jax.lax.cond(
        valid.any(),
        lambda: update(spec, state, decisions, rewards, weights),
        lambda: state,
    )


def update(
    spec: Spec[Reinforce],
    state: PolicyGradientState,
    decisions: jax.Array,
    rewards: jax.Array,
    weights: jax.Array,
) -> PolicyGradientState:
    """Return the state after one gradient step on decisions [N, D] with rewards [N], finite.

    weights  float32 [N], which sum to 1; 0 for proposals to be ignored
    """
    config = spec.config
    advantage, baseline = advantages(
        rewards, weights, state.baseline, state.updates, config.baseline_decay
    )

    # L = -mean A · log π(a) - entropy_weight · mean H
    def loss(params: Params) -> tuple[jax.Array, jax.Array]:
        log_probs, entropies = spec.policy.evaluate(params, decisions)
        entropy = weighted_mean(entropies, weights)
        gain = weighted_mean(advantage * log_probs, weights)
        return -gain - config.entropy_weight * entropy, entropy

    gradients, entropy = jax.grad(loss, has_aux=True)(state.params)
    steps, optimizer = spec.optimizer.update(gradients, state.optimizer)
    params = optax.apply_updates(state.params, steps)
    return PolicyGradientState(params, optimizer, baseline, entropy, state.updates + 1)
