"""Enumerate the distinct blocks of a search space."""

import dataclasses
import functools
import itertools
import math
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from mnas.architecture.architecture import Architecture
from mnas.architecture.signatures import block_keys
from mnas.space import Space

RANDOM_NETWORKS = 500  # for the frequencies of blocks
MAX_COMBINATIONS = 20_000  # decision vectors enumerated per stage


@dataclasses.dataclass(frozen=True)
class SpaceBlock:
    """A block of a space, as block number `index` of a network that contains it.

    frequency  fraction of the blocks of random networks that equal this one
    """

    architecture: Architecture
    index: int
    frequency: float


def space_blocks(
    space: Space, max_combinations: int = MAX_COMBINATIONS
) -> tuple[list[SpaceBlock], bool]:
    """Return the distinct blocks of all networks, most frequent first, and whether they are all.

    A stage whose decisions have more than `max_combinations` combinations is represented by that
    many random ones.
    """
    rng = np.random.default_rng(0)
    first_use: dict[Hashable, tuple[Architecture, int]] = {}
    counts: Counter[Hashable] = Counter()
    for _ in range(RANDOM_NETWORKS):
        architecture = space.decode(space.sample(rng))
        for index, key in enumerate(block_keys(architecture)):
            counts[key] += 1
            first_use.setdefault(key, (architecture, index))
    complete = True
    for decisions in _independent_parts(space):
        complete &= math.prod(space.sizes[d] for d in decisions) <= max_combinations
        for vector in _combinations(space, decisions, max_combinations, rng):
            architecture = space.decode(vector)
            for index, key in enumerate(block_keys(architecture)):
                first_use.setdefault(key, (architecture, index))
    total = counts.total()
    blocks = [
        SpaceBlock(architecture, index, counts[key] / total)
        for key, (architecture, index) in first_use.items()
    ]
    return sorted(blocks, key=lambda block: -block.frequency), complete


def _independent_parts(space: Space) -> Iterator[list[int]]:
    """Yield the decisions that the blocks of each stage depend on, and those of the head."""
    template = space.template.keywords
    shared = tuple(value for key, value in template.items() if key != "blocks")
    stages = template.get("blocks")
    if not isinstance(stages, Sequence):  # a choice among whole tuples of stages
        yield space.decisions_in((*shared, stages))
        return
    strides = [_field(stage, "stride") for stage in stages]
    in_filters = [None, *(_field(stage, "filters") for stage in stages)]
    for s, stage in enumerate([*stages, None]):  # None: the head, after the last stage
        yield space.decisions_in((*shared, *strides[:s], in_filters[s], stage))


def _field(stage: Any, name: str) -> Any:
    """Return a field of a stage's template; the whole template where it is not a partial block."""
    return stage.keywords.get(name) if isinstance(stage, functools.partial) else stage


def _combinations(
    space: Space, decisions: Sequence[int], max_combinations: int, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """Yield canonical decision vectors [D] with all combinations of `decisions`.

    Where these are more than `max_combinations`, yields that many random ones.
    """
    sizes = space.sizes[list(decisions)]
    combinations: Iterable[Sequence[int] | np.ndarray]
    if math.prod(map(int, sizes)) <= max_combinations:
        combinations = itertools.product(*map(range, sizes))
    else:
        combinations = (rng.integers(0, sizes) for _ in range(max_combinations))
    for combination in combinations:
        vector = np.zeros(len(space.sizes), np.int32)
        vector[list(decisions)] = combination
        yield space.canonical(vector)
