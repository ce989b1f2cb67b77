"""Conformance of a controller (`mnas.controller`). Shapes: N proposals, D decisions."""

import pickle
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mnas.controller import Controller, ControllerConfig, Proposals, State
from mnas.space import Space

BATCH = 12


def check_controller(config: ControllerConfig, space: Space, batch: int = BATCH) -> None:
    """Check a controller on a space with an artificial reward.

    config  the controller's configuration; small settings make the check fast
    batch   proposals per batch, N

    Raises AssertionError naming the violated requirement.
    """
    controller = config.build(space)
    check_proposals(controller, space, batch)
    check_state(controller, batch)
    check_determinism(controller, batch)
    check_purity(controller, batch)
    check_order_invariance(controller, batch)
    check_checkpoint(controller, batch)
    check_foreign_proposals(controller, space, batch)
    check_bad_rewards(controller, space, batch)
    check_summary(controller, batch)


def check_proposals(controller: Controller, space: Space, batch: int = BATCH) -> None:
    """Check types, shapes and values of proposals, before and after updates."""
    for updates in (0, 2):
        state = _updated(controller, controller.init(_key(0)), range(updates), batch)
        proposals = controller.ask(state, _key(1), batch)
        assert isinstance(proposals, Proposals), f"ask returned {type(proposals).__name__}"
        expected = ((batch, len(space.sizes)), jnp.int32), ((batch,), jnp.float32)
        for name, array, (shape, dtype) in zip(Proposals._fields, proposals, expected, strict=True):
            assert array.shape == shape and array.dtype == dtype, (
                f"{name}: {array.dtype} {array.shape}; {dtype.__name__} {shape} expected"
            )
        decisions = np.asarray(proposals.decisions)
        assert np.array_equal(space.canonical(decisions), decisions), (
            "decisions are not canonical: inactive ones must be 0"
        )
        log_probs = np.asarray(proposals.log_probs)
        assert np.isfinite(log_probs).all() and (log_probs <= 1e-6).all(), (
            f"log_probs are no logarithms of probabilities: {log_probs}"
        )


def check_state(controller: Controller, batch: int = BATCH) -> None:
    """Check that the state is a pytree of arrays whose structure and shapes never change."""
    first = controller.init(_key(0))
    last = _updated(controller, first, range(2), batch)
    structures: list[Any] = [jax.tree.structure(state) for state in (first, last)]
    assert structures[0] == structures[1], "tell changes the structure of the state"
    for before, after in zip(jax.tree.leaves(first), jax.tree.leaves(last), strict=True):
        for leaf in (before, after):
            assert isinstance(leaf, jax.Array), f"the state holds a {type(leaf).__name__}"
        assert (before.shape, before.dtype) == (after.shape, after.dtype), (
            f"tell changes a leaf of the state from {before.dtype} {before.shape} "
            f"to {after.dtype} {after.shape}"
        )
    _assert_finite(last, "after two updates")


def check_determinism(controller: Controller, batch: int = BATCH) -> None:
    """Check that equal keys and rewards give equal states and proposals."""
    one, other = (_updated(controller, controller.init(_key(5)), range(3), batch) for _ in range(2))
    _assert_same(one, other, "two runs with the same keys have different states")
    _assert_same(
        controller.ask(one, _key(9), batch),
        controller.ask(other, _key(9), batch),
        "two runs with the same keys have different proposals",
    )


def check_purity(controller: Controller, batch: int = BATCH) -> None:
    """Check that ask and tell leave the state passed to them unchanged."""
    state = _updated(controller, controller.init(_key(0)), range(2), batch)
    before = jax.tree.map(np.array, state)
    proposals = controller.ask(state, _key(2), batch)
    _updated(controller, state, range(2), batch)
    _assert_same(state, before, "ask or tell modifies the state passed to it")
    again = controller.ask(state, _key(2), batch)
    _assert_same(again, proposals, "ask depends on something besides state and key")


def check_order_invariance(controller: Controller, batch: int = BATCH) -> None:
    """Check that the order of a batch has no effect, up to rounding."""
    state = _updated(controller, controller.init(_key(0)), range(2), batch)
    proposals = controller.ask(state, _key(7), batch)
    rewards, order = _rewards(proposals), np.random.default_rng(0).permutation(batch)
    shuffled = Proposals(*(leaf[order] for leaf in proposals))
    one = controller.tell(state, proposals, rewards)
    other = controller.tell(state, shuffled, rewards[order])
    _assert_close(one, other, "the state depends on the order of a batch")


def check_checkpoint(controller: Controller, batch: int = BATCH) -> None:
    """Check that a search continues identically from a saved state."""
    middle = _updated(controller, controller.init(_key(0)), range(2), batch)
    end = _updated(controller, middle, range(2, 4), batch)
    leaves, structure = jax.tree.flatten(middle)
    saved = pickle.dumps([np.asarray(leaf) for leaf in leaves])
    restored = jax.tree.unflatten(structure, map(jnp.asarray, pickle.loads(saved)))
    resumed = _updated(controller, restored, range(2, 4), batch)
    _assert_same(resumed, end, "a search continues differently from the arrays of its state")


def check_foreign_proposals(controller: Controller, space: Space, batch: int = BATCH) -> None:
    """Check that tell accepts batches of other sizes and from other controllers."""
    rng = np.random.default_rng(0)
    state = controller.init(_key(0))
    for n in (1, batch):
        decisions = np.stack([space.sample(rng) for _ in range(n)])
        proposals = Proposals(jnp.asarray(decisions), jnp.full(n, -30.0, jnp.float32))
        state = controller.tell(state, proposals, _rewards(proposals))
        _assert_finite(state, f"after {n} proposals of another controller")
    controller.ask(state, _key(0), batch)


def check_bad_rewards(controller: Controller, space: Space, batch: int = BATCH) -> None:
    """Check that entries with a NaN or infinite reward are ignored."""
    state = _updated(controller, controller.init(_key(0)), range(2), batch)
    proposals = controller.ask(state, _key(7), batch)
    bad = np.arange(batch) % 3 == 0
    rng = np.random.default_rng(1)
    decisions = np.array(proposals.decisions)
    decisions[bad] = [space.sample(rng) for _ in range(bad.sum())]
    others = Proposals(jnp.asarray(decisions), proposals.log_probs)
    for value in (np.nan, np.inf, -np.inf):
        rewards = jnp.where(bad, value, _rewards(proposals)).astype(jnp.float32)
        partly = controller.tell(state, proposals, rewards)
        _assert_finite(partly, f"after a batch with rewards of {value}")
        other = controller.tell(state, others, rewards)
        _assert_close(
            controller.ask(partly, _key(8), batch),
            controller.ask(other, _key(8), batch),
            f"proposals depend on the decisions of entries with a reward of {value}",
        )
        wholly = controller.tell(state, proposals, jnp.full(batch, value, jnp.float32))
        _assert_finite(wholly, f"after a batch of which all rewards are {value}")
        _assert_same(
            controller.ask(wholly, _key(8), batch),
            controller.ask(state, _key(8), batch),
            f"a batch of which all rewards are {value} changes the proposals",
        )


def check_summary(controller: Controller, batch: int = BATCH) -> None:
    """Check that summaries are finite floats by name."""
    first = controller.init(_key(0))
    for state in (first, _updated(controller, first, range(2), batch)):
        for name, value in controller.summary(state).items():
            assert type(name) is str and type(value) is float and np.isfinite(value), (
                f"summary: {name!r} is {value!r}; a finite float expected"
            )


# --- an artificial search ---


def _key(seed: int) -> jax.Array:
    return jax.random.key(seed)


def _rewards(proposals: Proposals) -> jax.Array:
    """Return smooth rewards near 0.6 to which every decision contributes, float32 [N]."""
    decisions = np.asarray(proposals.decisions)
    phases = np.arange(decisions.shape[1])  # so that the optimum is not the vector of zeros
    return jnp.asarray(0.6 + 0.01 * np.cos(decisions + phases).sum(1), jnp.float32)


def _updated(controller: Controller, state: State, seeds: Iterable[int], batch: int) -> State:
    for seed in seeds:
        proposals = controller.ask(state, _key(seed), batch)
        state = controller.tell(state, proposals, _rewards(proposals))
    return state


# --- comparisons of pytrees ---


def _assert_same(one: Any, other: Any, message: str) -> None:
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        assert np.array_equal(a, b), message


def _assert_close(one: Any, other: Any, message: str) -> None:
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        assert np.allclose(a, b, rtol=1e-3, atol=1e-5), message


def _assert_finite(state: State, when: str) -> None:
    for leaf in jax.tree.leaves(state):
        assert jnp.issubdtype(leaf.dtype, jnp.integer) or bool(jnp.isfinite(leaf).all()), (
            f"the state is not finite {when}"
        )
