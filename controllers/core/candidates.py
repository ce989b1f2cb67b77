"""Candidates of a batch, and their assignment to its slots.

Shapes: M candidates, N batch slots, D decisions, Z centres, K neighbours.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mnas.controllers.core.canonical import canonical
from mnas.controllers.core.neighbourhood import Neighbourhood
from mnas.space import Space


class Candidates(NamedTuple):
    """Networks that a batch is selected from.

    decisions      int32 [M, D], canonical
    neighbourhood  int [M], number of the neighbourhood from 1; 0: not a neighbour of a centre
    centre         int [M], index of the centre; -1: not a neighbour
    """

    decisions: jax.Array
    neighbourhood: np.ndarray
    centre: np.ndarray


def candidates(
    space: Space, sampled: jax.Array, centres: jax.Array, neighbourhoods: Sequence[Neighbourhood]
) -> Candidates:
    """Return the sampled networks [_, D] and all neighbours of all centres [Z, D]."""
    around = [jax.vmap(neighbours)(centres) for neighbours in neighbourhoods]  # [Z, K, D] each
    parts = [sampled, *(part.reshape(-1, len(space.sizes)) for part in around)]
    decisions, _ = canonical(space, jnp.concatenate(parts))
    neighbourhood = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    centre = (np.repeat(np.arange(len(centres)), part.shape[1]) for part in around)
    unrelated = np.full(len(sampled), -1)
    return Candidates(decisions, neighbourhood, np.concatenate([unrelated, *centre]))


def assign_slots(scores: jax.Array) -> jax.Array:
    """Return a different candidate for each batch slot: int [N], from scores [N, M], M ≥ N.

    Greedy, in the order of the slots: each takes the remaining candidate of its highest score.
    """

    def assign(taken: jax.Array, scores: jax.Array) -> tuple[jax.Array, jax.Array]:
        best = jnp.argmax(jnp.where(taken, -jnp.inf, scores))
        return taken.at[best].set(True), best

    _, assigned = jax.lax.scan(assign, jnp.zeros(scores.shape[1], bool), scores)
    return assigned
