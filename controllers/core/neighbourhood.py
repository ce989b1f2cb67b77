"""Neighbourhoods of a decision vector: single changes, stage exchanges, stage copies.

Each function takes a space and returns a `Neighbourhood`, a jittable function from one vector [D]
to all its neighbours [K, D]. Neighbours need not be canonical, and some may equal the vector.

A stage (or layer) is an index in the names of decisions: in `blocks[3].kernel`, stage 3 of
`blocks`.

Shapes: D decisions, K neighbours.
"""

import itertools
import re
from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np

from mnas.space import Space

Neighbourhood = Callable[[jax.Array], jax.Array]


def single_changes(space: Space) -> Neighbourhood:
    """Return the neighbourhood of one replaced choice: K = Σ sizes, ordered by decision and choice.

    The vector itself occurs once per decision.
    """
    sizes = np.array(space.sizes)
    decision = np.repeat(np.arange(len(sizes)), sizes)
    choice = np.concatenate([np.arange(size) for size in sizes])
    rows = np.arange(len(choice))

    def neighbours(decisions: jax.Array) -> jax.Array:
        return jnp.tile(decisions[None], (len(rows), 1)).at[rows, decision].set(choice)

    return neighbours


def stage_exchanges(space: Space) -> Neighbourhood:
    """Return the neighbourhood in which two stages have exchanged their choices: one per pair.

    A choice index beyond the last of its new decision is clipped to the last.
    """
    sources = []
    for own, first, second in _stage_pairs(space):
        own[first], own[second] = second, first
        sources.append(own)
    return _gather(space, sources)


def stage_copies(space: Space) -> Neighbourhood:
    """Return the neighbourhood in which one stage has the choices of another: two per pair.

    A choice index beyond the last of its new decision is clipped to the last.
    """
    sources = []
    for own, first, second in _stage_pairs(space):
        to_first, to_second = own.copy(), own.copy()
        to_first[first], to_second[second] = second, first
        sources += [to_first, to_second]
    return _gather(space, sources)


def _stage_pairs(space: Space) -> Iterator[tuple[np.ndarray, list[int], list[int]]]:
    """Yield (arange(D), decisions of one stage, matching decisions of another) for every pair."""
    stages: dict[tuple[str, int], dict[str, int]] = {}
    for index, decision in enumerate(space.decisions):
        if match := re.fullmatch(r"(.*?)\[(\d+)\](.*)", decision.name):
            sequence, stage, field = match.groups()
            stages.setdefault((sequence, int(stage)), {})[field] = index
    for ((a, _), first), ((b, _), second) in itertools.combinations(stages.items(), 2):
        if a == b:
            fields = sorted(first.keys() & second.keys())
            own = np.arange(len(space.sizes))
            yield own, [first[field] for field in fields], [second[field] for field in fields]


def _gather(space: Space, sources: list[np.ndarray]) -> Neighbourhood:
    """Return the neighbourhood of rows that take decision d's choice from `sources[row][d]`."""
    index = np.array(sources, int).reshape(-1, len(space.sizes))
    last = np.array(space.sizes)[None] - 1
    return lambda decisions: jnp.minimum(decisions[index], last)
