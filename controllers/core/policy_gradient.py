"""State, `init`, `ask` and `summary` common to REINFORCE and PPO; they differ in `tell`.

Shapes: N proposals.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Generic, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import optax

from mnas.controller import Proposals
from mnas.controllers.core.policy import Params, Policy
from mnas.errors import (
    require_at_least,
    require_fraction,
    require_one_of,
    require_positive,
    require_whole,
)
from mnas.space import Space

Config = TypeVar("Config")


class PolicyGradientState(NamedTuple):
    """All that a search has learned.

    params     of the policy
    optimizer  Adam's moments
    baseline   float32 [], moving average of the rewards; 0 before the first
    entropy    float32 [], nats: mean over the latest batch, under the policy before its update;
               before the first, that of uniform choices with every decision active
    updates    int32 [], batches learned from
    """

    params: Params
    optimizer: Any
    baseline: jax.Array
    entropy: jax.Array
    updates: jax.Array


@dataclasses.dataclass(frozen=True)
class Spec(Generic[Config]):
    """Static arguments of a policy-gradient controller's functions.

    space, config  what the controller was built from
    policy         distribution over the space's decision vectors
    optimizer      of the policy's parameters
    """

    space: Space
    config: Config
    policy: Policy
    optimizer: optax.GradientTransformation


def require_settings(owner: str, config: Any, learning_rates: Mapping[str, float]) -> None:
    """Check the settings that REINFORCE and PPO have in common.

    learning_rates  default learning rate of every accepted policy
    Raises UsageError for the first setting out of range.
    """
    require_one_of(owner, "policy", config.policy, tuple(learning_rates))
    if config.learning_rate is not None:
        require_positive(owner, "learning_rate", config.learning_rate, most=1000)
    for field in ("b1", "b2", "baseline_decay"):
        require_fraction(owner, field, getattr(config, field))
    require_at_least(owner, "entropy_weight", config.entropy_weight, 0, most=1000)
    for field in ("hidden", "embedding"):
        require_whole(owner, field, getattr(config, field), most=16_384)


def init(spec: Spec[Any], key: jax.Array) -> PolicyGradientState:
    """Return the state before the first batch."""
    params = spec.policy.init(key)
    uniform = sum(math.log(size) for size in spec.space.sizes)
    zero = jnp.zeros((), jnp.float32)
    return PolicyGradientState(
        params=params,
        optimizer=spec.optimizer.init(params),
        baseline=zero,
        entropy=zero + uniform,
        updates=jnp.zeros((), jnp.int32),
    )


def ask(spec: Spec[Any], state: PolicyGradientState, key: jax.Array, n: int) -> Proposals:
    """Return n samples of the policy."""
    return Proposals(*spec.policy.sample(state.params, key, n))


def summary(spec: Spec[Any], state: PolicyGradientState) -> dict[str, float]:
    """Return baseline, entropy in nats and number of updates."""
    return {
        "baseline": float(state.baseline),
        "entropy": float(state.entropy),
        "updates": float(state.updates),
    }


def mean_weights(valid: jax.Array) -> jax.Array:
    """Return float32 [N]: 1 over their number for valid proposals (bool [N]), 0 for the others."""
    count = valid.sum().astype(jnp.float32)
    return valid.astype(jnp.float32) / jnp.maximum(count, 1.0)
