"""`check_controller` finds violations of the contract."""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from mnas.controller import Controller, Proposals
from mnas.space import OneOf, Space
from mnas.testing import check_controller

SPACE = Space(
    "conditional",
    partial(
        Architecture,
        blocks=(
            partial(
                Block,
                op=OneOf("mbconv", "conv"),
                expand_ratio=OneOf(1, 3, 6, when={"op": ["mbconv"]}),
                kernel=OneOf(3, 5, 7),
                filters=OneOf(16, 24, 32),
                stride=2,
            ),
        ),
    ),
)


class State(NamedTuple):
    """The best network so far and its reward."""

    decisions: jax.Array
    reward: jax.Array


def init(space: Space, key) -> State:
    return State(jnp.zeros(len(space.sizes), jnp.int32), jnp.zeros((), jnp.float32))


def ask(space: Space, state: State, key, n: int) -> Proposals:
    """Propose random networks, and the best one first."""
    rng = np.random.default_rng(int(jax.random.randint(key, (), 0, 2**31 - 1)))
    decisions = np.stack([space.sample(rng) for _ in range(n)])
    decisions[0] = state.decisions
    return Proposals(jnp.asarray(decisions), jnp.full(n, -3.0, jnp.float32))


def tell(space: Space, state: State, proposals: Proposals, rewards) -> State:
    rewards = jnp.where(jnp.isfinite(rewards), rewards, -1.0)
    best = jnp.argmax(rewards)
    better = rewards[best] > state.reward
    return State(
        jnp.where(better, proposals.decisions[best], state.decisions),
        jnp.where(better, rewards[best], state.reward),
    )


def summary(space: Space, state: State) -> dict[str, float]:
    return {"best": float(state.reward)}


@dataclasses.dataclass(frozen=True)
class Config:
    """The best of random samples; tests replace one function by a broken one."""

    init: Callable = init
    ask: Callable = ask
    tell: Callable = tell
    summary: Callable = summary

    def build(self, space: Space) -> Controller:
        return Controller(*(partial(getattr(self, name), space) for name in Controller._fields))


def test_a_valid_controller_passes():
    check_controller(Config(), SPACE)


def ask_not_canonical(space, state, key, n):
    decisions = jax.random.randint(key, (n, len(space.sizes)), 0, jnp.asarray(space.sizes)[None])
    return Proposals(decisions.astype(jnp.int32), jnp.full(n, -3.0, jnp.float32))


def ask_too_few(space, state, key, n):
    proposals = ask(space, state, key, n)
    return Proposals(proposals.decisions[1:], proposals.log_probs)


def ask_probabilities(space, state, key, n):
    proposals = ask(space, state, key, n)
    return proposals._replace(log_probs=jnp.exp(proposals.log_probs))


def ask_tuple(space, state, key, n):
    return tuple(ask(space, state, key, n))


def ask_from_global_generator(space, state, key, n):
    decisions = np.stack([space.sample(GENERATOR) for _ in range(n)])
    return Proposals(jnp.asarray(decisions), jnp.full(n, -3.0, jnp.float32))


GENERATOR = np.random.default_rng(0)


def tell_nan_is_best(space, state, proposals, rewards):
    best = jnp.argmax(rewards)  # NaN is the largest to argmax
    return State(proposals.decisions[best], jnp.nan_to_num(rewards[best]))


def tell_stores_nan(space, state, proposals, rewards):
    return state._replace(reward=rewards.mean())


def tell_last(space, state, proposals, rewards):
    finite = np.flatnonzero(np.isfinite(rewards))
    if not len(finite):
        return state
    return State(proposals.decisions[finite[-1]], rewards[finite[-1]])


def tell_changes_dtype(space, state, proposals, rewards):
    return state._replace(decisions=state.decisions.astype(jnp.float32))


def tell_python_float(space, state, proposals, rewards):
    return tell(space, state, proposals, rewards)._replace(reward=0.5)


def tell_fixed_batch(space, state, proposals, rewards):
    if len(rewards) != 12:
        raise AssertionError("only batches of 12")
    return tell(space, state, proposals, rewards)


def tell_failed_batch_counts(space, state, proposals, rewards):
    """Forget the best network after a batch without any valid reward."""
    if np.isfinite(rewards).any():
        return tell(space, state, proposals, rewards)
    return init(space, None)


def summary_of_arrays(space, state):
    return {"best": state.reward}


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ({"ask": ask_not_canonical}, "decisions are not canonical"),
        ({"ask": ask_too_few}, r"decisions: int32 \(11, 4\); int32 \(12, 4\) expected"),
        ({"ask": ask_probabilities}, "log_probs are no logarithms"),
        ({"ask": ask_tuple}, "ask returned tuple"),
        ({"ask": ask_from_global_generator}, "two runs with the same keys"),
        ({"tell": tell_nan_is_best}, "depend on the decisions of entries with a reward of nan"),
        ({"tell": tell_stores_nan}, "not finite after a batch with rewards of nan"),
        ({"tell": tell_last}, "the state depends on the order of a batch"),
        ({"tell": tell_changes_dtype}, r"tell changes a leaf of the state from int32 \(4,\)"),
        ({"tell": tell_python_float}, "the state holds a float"),
        ({"tell": tell_fixed_batch}, "only batches of 12"),
        ({"tell": tell_failed_batch_counts}, "all rewards are nan changes the proposals"),
        ({"summary": summary_of_arrays}, "summary: 'best' is"),
    ],
    ids=lambda value: next(iter(value.values())).__name__ if isinstance(value, dict) else "",
)
def test_broken_controllers_are_found(broken, message):
    with pytest.raises(AssertionError, match=message):
        check_controller(Config(**broken), SPACE)


def test_a_state_outside_the_pytree_is_found():
    """The best reward is kept in a variable of the closure, so a checkpoint lacks it."""
    calls = []

    def counting_ask(space, state, key, n):
        calls.append(key)
        return ask(space, state, jax.random.fold_in(key, len(calls)), n)

    with pytest.raises(AssertionError, match="two runs with the same keys"):
        check_controller(Config(ask=counting_ask), SPACE)
