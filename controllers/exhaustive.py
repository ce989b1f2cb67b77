"""Exhaustive (grid) search: every network of a small space once, in lexicographic order.

With `search.trials` None a search ends after all networks of the space.

Shapes: N proposals, D decisions.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

from mnas.controller import Controller, Proposals
from mnas.controllers.core.batch import validated
from mnas.controllers.core.binding import bind
from mnas.controllers.core.canonical import canonical
from mnas.controllers.core.policy import uniform_log_probs
from mnas.space import Space


class ExhaustiveState(NamedTuple):
    """Position in the grid.

    next       int32 [D], canonical: the first vector without a reward; after the last vector, the
               first one again
    evaluated  int32 [], vectors before it
    """

    next: jax.Array
    evaluated: jax.Array


@dataclasses.dataclass(frozen=True)
class Exhaustive:
    """Grid search. No settings."""

    def build(self, space: Space) -> Controller:
        """Return exhaustive search over `space`.

        `ask` proposes the vectors from the position on, whatever its key. `tell` advances the
        position past vectors of the batch; other networks change nothing. A vector whose reward is
        NaN or infinite is proposed again. Log-probabilities are those of uniform choices.
        """
        return bind(space, init, ask, tell, summary)


def init(space: Space, key: jax.Array) -> ExhaustiveState:
    """Return the position of the first vector, whatever the key."""
    return ExhaustiveState(jnp.zeros_like(jnp.asarray(space.sizes)), jnp.zeros((), jnp.int32))


def ask(space: Space, state: ExhaustiveState, key: jax.Array, n: int) -> Proposals:
    """Return the next n vectors of the grid, whatever the key."""
    _, decisions = jax.lax.scan(
        lambda vector, _: (successor(space, vector), vector), state.next, length=n
    )
    _, active = canonical(space, decisions)
    return Proposals(decisions, uniform_log_probs(space, active))


def tell(
    space: Space, state: ExhaustiveState, proposals: Proposals, rewards: jax.Array
) -> ExhaustiveState:
    """Return the position advanced past the vectors of a batch that have a finite reward."""
    decisions, _, rewards = validated("exhaustive", space, proposals, rewards)
    finite = jnp.isfinite(rewards)
    decisions, _ = canonical(space, decisions)

    def advance(_: int, state: ExhaustiveState) -> ExhaustiveState:
        known = ((decisions == state.next[None]).all(-1) & finite).any()
        return ExhaustiveState(
            next=jnp.where(known, successor(space, state.next), state.next),
            evaluated=state.evaluated + known.astype(jnp.int32),
        )

    return jax.lax.fori_loop(0, len(rewards), advance, state)


def successor(space: Space, vector: jax.Array) -> jax.Array:
    """Return the canonical vector [D] after a canonical one [D]; after the last, the first."""
    # The last active decision that can be incremented is, and all later ones restart at 0. Whether
    # a decision is active depends on earlier ones only, which are unchanged.
    sizes, index = jnp.asarray(space.sizes), jnp.arange(len(space.sizes))
    _, active = canonical(space, vector[None])
    can_increment = active[0] & (vector < sizes - 1)
    incremented = jnp.where(can_increment, index, -1).max()  # -1: all restart
    later = jnp.where(index == incremented, vector + 1, 0)
    return jnp.where(index < incremented, vector, later)


def summary(space: Space, state: ExhaustiveState) -> dict[str, float]:
    """Return the number of evaluated networks."""
    return {"evaluated": float(state.evaluated)}
