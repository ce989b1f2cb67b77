"""Regularized (aging) evolution (Real et al., arXiv 1802.01548, algorithm 1).

The population holds the last P evaluated networks. A child is a mutation of the best of S members
sampled at random; each new member replaces the oldest one, regardless of its reward. So a network
that was lucky once is forgotten unless its children confirm it.

Shapes: N proposals, D decisions, P members of the population, S members of a tournament.
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
from mnas.errors import rejected, require_whole
from mnas.space import Space


class EvolutionState(NamedTuple):
    """The population, a ring buffer: member number i is in row i mod P.

    decisions  int32 [P, D], canonical; 0 in empty rows
    rewards    float32 [P]; 0 in empty rows
    total      int32 [], members so far, replaced ones included
    """

    decisions: jax.Array
    rewards: jax.Array
    total: jax.Array


@dataclasses.dataclass(frozen=True)
class Evolution:
    """Tournament selection, one mutation per child, the oldest member is replaced."""

    population: int = 50
    """Population size; the search begins with as many random samples. Real et al.: 100, for 20,000
    samples."""
    tournament: int = 10
    """Tournament size: members sampled with replacement, of which the best is the parent. Real et
    al.: 25."""

    def __post_init__(self) -> None:
        for field in ("population", "tournament"):
            require_whole("evolution", field, getattr(self, field), most=10**6)
        if self.tournament > self.population:
            accepted = f"1 to {self.population} (the population)"
            raise rejected("evolution", "tournament", self.tournament, accepted)

    def build(self, space: Space) -> Controller:
        """Return regularized evolution over `space`.

        `ask` samples uniformly until P networks have been evaluated; from then on all proposals of
        a batch are children of the same population. Log-probabilities are those of uniform choices
        throughout.

        `tell` treats the networks of a batch as equally old; where only some are to be replaced, or
        the batch is larger than the population, the better ones are kept. Networks with a NaN or
        infinite reward are not added.
        """
        return bind(Spec(space, self), init, ask, tell, summary)


@dataclasses.dataclass(frozen=True)
class Spec:
    """Static arguments of the functions below."""

    space: Space
    config: Evolution


def init(spec: Spec, key: jax.Array) -> EvolutionState:
    """Return the empty population, whatever the key."""
    size = spec.config.population
    return EvolutionState(
        decisions=jnp.zeros((size, len(spec.space.sizes)), jnp.int32),
        rewards=jnp.zeros(size, jnp.float32),
        total=jnp.zeros((), jnp.int32),
    )


def ask(spec: Spec, state: EvolutionState, key: jax.Array, n: int) -> Proposals:
    """Return n children, or n uniform samples while the population is not full."""
    space, size = spec.space, spec.config.population
    sizes = jnp.asarray(space.sizes)
    uniform_key, tournament_key, mutation_key = jax.random.split(key, 3)
    uniform = jax.random.randint(uniform_key, (n, len(sizes)), 0, sizes[None])
    rows = jax.random.randint(tournament_key, (n, spec.config.tournament), 0, size)  # [N, S]
    best = jnp.argmax(state.rewards[rows], -1)
    parents = state.decisions[rows[jnp.arange(n), best]]
    children = mutate(space, mutation_key, parents, uniform)
    decisions, active = canonical(space, jnp.where(state.total >= size, children, uniform))
    return Proposals(decisions, uniform_log_probs(space, active))


def mutate(space: Space, key: jax.Array, parents: jax.Array, uniform: jax.Array) -> jax.Array:
    """Return parents [N, D] with one active decision changed to another of its choices.

    Decisions that are inactive in the parent have the values of `uniform` [N, D]; the result is not
    canonical. A network without an open decision is returned as it is.
    """
    sizes = jnp.asarray(space.sizes)
    decision_key, choice_key = jax.random.split(key)
    _, active = canonical(space, parents)
    logits = jnp.where(active & (sizes > 1)[None], 0.0, -jnp.inf)
    rows, d = jnp.arange(len(parents)), jax.random.categorical(decision_key, logits)
    # Uniform over the other choices: 1 to M - 1 steps ahead, modulo M.
    steps = jax.random.randint(choice_key, d.shape, 1, jnp.maximum(sizes[d], 2))
    changed = (parents[rows, d] + steps) % sizes[d]
    return jnp.where(active, parents, uniform).at[rows, d].set(changed)


def tell(
    spec: Spec, state: EvolutionState, proposals: Proposals, rewards: jax.Array
) -> EvolutionState:
    """Return the population with a batch in place of its oldest members."""
    decisions, _, rewards = validated("evolution", spec.space, proposals, rewards)
    decisions, _ = canonical(spec.space, decisions)
    size = spec.config.population
    order = batch_order(decisions, rewards)
    decisions, rewards = decisions[order], rewards[order]
    finite = jnp.isfinite(rewards)
    rank, added = jnp.cumsum(finite) - 1, finite.sum()
    kept = finite & (rank >= added - size)  # the best P of the batch
    row = jnp.where(kept, (state.total + rank) % size, size)  # out of bounds: dropped
    return EvolutionState(
        decisions=state.decisions.at[row].set(decisions, mode="drop"),
        rewards=state.rewards.at[row].set(rewards, mode="drop"),
        total=state.total + added,
    )


def batch_order(decisions: jax.Array, rewards: jax.Array) -> jax.Array:
    """Return int32 [N], the permutation that sorts by reward, equal rewards by decisions [N, D]."""

    # Stable sorts by one column after the other, the most significant one last.
    def sort(order: jax.Array, column: jax.Array) -> tuple[jax.Array, None]:
        return order[jnp.argsort(column[order])], None

    order, _ = jax.lax.scan(sort, jnp.arange(len(rewards)), decisions.T, reverse=True)
    order, _ = sort(order, rewards)
    return order


def summary(spec: Spec, state: EvolutionState) -> dict[str, float]:
    """Return the population's number of members, mean reward and highest reward."""
    members = min(int(state.total), spec.config.population)
    rewards = state.rewards[:members] if members else jnp.zeros(1)
    return {
        "members": float(members),
        "mean": float(rewards.mean()),
        "best": float(rewards.max()),
    }
