"""Exhaustive search: every network of the space once, in order; for spaces that are small.

The order is that of the canonical vectors as numbers, the last decision running fastest. With
`search.trials` None, a search is as long as its space is large, and this controller leaves nothing
out. (Grid search; of the controllers here the only one that draws nothing at random.)

Shapes: N proposals, D decisions.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from mnas.controllers.core.policy import canonical

from mnas.controller import Controller, Proposals
from mnas.errors import UsageError
from mnas.space import Space


class ExhaustiveState(NamedTuple):
    """Where in the space the search is.

    next  int32 [D], canonical; the first vector whose reward is not known. After the last one the
          first comes again
    told  int32 [], how many it has passed
    """

    next: jax.Array
    told: jax.Array


@dataclasses.dataclass(frozen=True)
class Exhaustive:
    """Grid order; nothing to set."""

    def build(self, space: Space) -> Controller:
        """The controller of this space.

        `ask` gives the vectors from `next` on, whatever its key. `tell` moves on past those that it
        is told of; other networks change nothing, and one whose reward is NaN or infinite counts as
        not told: it is asked for again.
        """
        sizes, places = jnp.asarray(space.sizes), jnp.arange(len(space.sizes))

        def after(vector: jax.Array) -> jax.Array:
            """The next canonical vector [D]."""
            # The last decision that can be raised is, and those behind it start again. Whether a
            # decision is active depends on earlier ones, and these stay.
            _, active = canonical(space, vector[None])
            can = active[0] & (vector < sizes - 1)
            raised = jnp.where(can, places, -1).max()  # -1, before the first: all start again
            return jnp.where(places < raised, vector, jnp.where(places == raised, vector + 1, 0))

        def init(key: jax.Array) -> ExhaustiveState:
            del key  # every controller takes one
            return ExhaustiveState(jnp.zeros_like(sizes), jnp.zeros((), jnp.int32))

        def ask(state: ExhaustiveState, key: jax.Array, n: int) -> Proposals:
            del key
            _, decisions = jax.lax.scan(
                lambda vector, _: (after(vector), vector), state.next, length=n
            )
            _, active = canonical(space, decisions)
            # log p = -Σ log M over the active decisions: that of uniform choices
            log_probs = -jnp.where(active, jnp.log(sizes.astype(jnp.float32))[None], 0.0).sum(-1)
            return Proposals(decisions, log_probs)

        def tell(
            state: ExhaustiveState, proposals: Proposals, rewards: jax.Array
        ) -> ExhaustiveState:
            decisions = jnp.asarray(proposals.decisions, jnp.int32)
            rewards = jnp.asarray(rewards, jnp.float32)
            if decisions.shape != (*rewards.shape, len(sizes)) or rewards.ndim != 1:
                raise UsageError(
                    f"exhaustive: decisions of shape {decisions.shape} and rewards of shape "
                    f"{rewards.shape}; accepted: [N, {len(sizes)}] and [N]"
                )
            good = jnp.isfinite(rewards)
            decisions, _ = canonical(space, decisions)

            def pass_over(_: int, at: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
                vector, told = at
                known = ((decisions == vector[None]).all(-1) & good).any()
                return jnp.where(known, after(vector), vector), told + known.astype(jnp.int32)

            return ExhaustiveState(*jax.lax.fori_loop(0, len(rewards), pass_over, tuple(state)))

        def summary(state: ExhaustiveState) -> dict[str, float]:
            return {"told": float(state.told)}

        return Controller(jax.jit(init), jax.jit(ask, static_argnums=2), jax.jit(tell), summary)
