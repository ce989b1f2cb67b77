"""Regularized (aging) evolution (Real et al., arXiv 1802.01548, algorithm 1).

The population is the last P networks that were evaluated. A child is the mutation of the best of S
members drawn at random; for every newcomer the oldest member dies, however good it is. So luck with
one reward doesn't last: what is to stay must be found good again in the children.

Shapes: N proposals, D decisions, P members, S members of a tournament.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from mnas.controllers.core.policy import canonical

from mnas.controller import Controller, Proposals
from mnas.errors import UsageError
from mnas.space import Space


class EvolutionState(NamedTuple):
    """The population, a ring: the newcomer of number i stands at row i mod P.

    decisions  int32 [P, D], canonical; 0 where nobody has stood yet
    rewards    float32 [P]; 0 where nobody has stood yet
    count      int32 [], newcomers so far
    """

    decisions: jax.Array
    rewards: jax.Array
    count: jax.Array


@dataclasses.dataclass(frozen=True)
class Evolution:
    """Tournaments, one mutation a child, the oldest dies."""

    population: int = 50
    """Members; as many random samples come first. Real et al. have 100 for 20,000 samples."""
    tournament: int = 10
    """Members drawn, with replacement, of which the best is the parent. Real et al. have 25."""

    def __post_init__(self) -> None:
        def check(name: str, good: bool, accepted: str) -> None:
            if not good:
                raise UsageError(
                    f"evolution: {name} = {getattr(self, name)!r}; accepted: {accepted}"
                )

        for name in ("population", "tournament"):
            check(
                name, isinstance(getattr(self, name), int) and getattr(self, name) > 0, "1 or more"
            )
        check("tournament", self.tournament <= self.population, f"1 to {self.population} (all)")

    def build(self, space: Space) -> Controller:
        """The controller of this space.

        `ask` samples as `RandomSearch` does until P networks have been told; then all of a batch
        are children of the same population. There is no policy: `log_probs` are those of uniform
        samples all the time.

        `tell` takes the networks of a batch for equally old. Where only some of them are to die,
        or the batch is larger than the population, the better ones stay. Networks with a reward
        that is NaN or infinite never become members.
        """
        sizes, size = jnp.asarray(space.sizes), self.population
        count = len(space.sizes)

        def init(key: jax.Array) -> EvolutionState:
            del key  # every controller takes one
            return EvolutionState(
                jnp.zeros((size, count), jnp.int32),
                jnp.zeros(size, jnp.float32),
                jnp.zeros((), jnp.int32),
            )

        def mutate(key: jax.Array, parents: jax.Array, uniform: jax.Array) -> jax.Array:
            """Parents [N, D] with one decision changed and what that wakes up from `uniform`."""
            which, to = jax.random.split(key)
            active = canonical(space, parents)[1]
            open_to_change = active & (sizes > 1)[None]
            logits = jnp.where(open_to_change, 0.0, -jnp.inf)
            rows, d = jnp.arange(len(parents)), jax.random.categorical(which, logits)
            # Uniform over the other choices: 1 to M - 1 places on, in a circle of M.
            steps = jax.random.randint(to, d.shape, 1, jnp.maximum(sizes[d], 2))
            changed = (parents[rows, d] + steps) % sizes[d]
            # Of the decisions that were inactive, `canonical` keeps those that are so no longer.
            return jnp.where(active, parents, uniform).at[rows, d].set(changed)

        def ask(state: EvolutionState, key: jax.Array, n: int) -> Proposals:
            uniform_key, draw_key, mutate_key = jax.random.split(key, 3)
            uniform = jax.random.randint(uniform_key, (n, count), 0, sizes[None])
            drawn = jax.random.randint(draw_key, (n, self.tournament), 0, size)
            best = jnp.argmax(state.rewards[drawn], -1)
            parents = state.decisions[drawn[jnp.arange(n), best]]
            children = mutate(mutate_key, parents, uniform)
            decisions, active = canonical(space, jnp.where(state.count >= size, children, uniform))
            # log p = -Σ log M over the active decisions
            log_probs = -jnp.where(active, jnp.log(sizes.astype(jnp.float32))[None], 0.0).sum(-1)
            return Proposals(decisions, log_probs)

        def tell(state: EvolutionState, proposals: Proposals, rewards: jax.Array) -> EvolutionState:
            decisions = jnp.asarray(proposals.decisions, jnp.int32)
            rewards = jnp.asarray(rewards, jnp.float32)
            if decisions.shape != (*rewards.shape, count) or rewards.ndim != 1:
                raise UsageError(
                    f"evolution: decisions of shape {decisions.shape} and rewards of shape "
                    f"{rewards.shape}; accepted: [N, {count}] and [N]"
                )
            decisions, _ = canonical(space, decisions)

            # The batch in an order of its own: by reward, equal rewards by decisions. (A stable
            # sort by one column after the other, the last of them counting most.)
            def sort(order: jax.Array, column: jax.Array) -> tuple[jax.Array, None]:
                return order[jnp.argsort(column[order])], None

            order, _ = jax.lax.scan(sort, jnp.arange(len(rewards)), decisions.T, reverse=True)
            order, _ = sort(order, rewards)
            decisions, rewards = decisions[order], rewards[order]

            good = jnp.isfinite(rewards)
            rank, newcomers = jnp.cumsum(good) - 1, good.sum()
            stays = good & (rank >= newcomers - size)  # the last P of the batch
            row = jnp.where(stays, (state.count + rank) % size, size)  # row P: nowhere
            return EvolutionState(
                state.decisions.at[row].set(decisions, mode="drop"),
                state.rewards.at[row].set(rewards, mode="drop"),
                state.count + newcomers,
            )

        def summary(state: EvolutionState) -> dict[str, float]:
            members = min(int(state.count), size)
            rewards = state.rewards[:members] if members else jnp.zeros(1)
            return {
                "members": float(members),
                "mean": float(rewards.mean()),
                "best": float(rewards.max()),
            }

        return Controller(jax.jit(init), jax.jit(ask, static_argnums=2), jax.jit(tell), summary)
