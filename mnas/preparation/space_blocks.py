"""Enumerate the distinct blocks of a search space."""

import dataclasses
import functools
import itertools
import math
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from typing import Any

import numpy as np

from mnas.architecture.architecture import Architecture
from mnas.architecture.signatures import block_keys
from mnas.space import Space

SAMPLES = 500  # networks by which it is judged how often a block is used


MOST = 20_000  # vectors of decisions that are looked at for one stage


@dataclasses.dataclass(frozen=True)
class SpaceBlock:
    """A block of a space, as the one at place `index` of a network that has it.

    uses    share of all blocks of random networks
    """

    architecture: Architecture
    index: int
    uses: float


def space_blocks(space: Space, most: int = MOST) -> tuple[list[SpaceBlock], bool]:
    """The different blocks of all networks, those that are used most first; whether that is all.

    Where a stage has more than `most` combinations of choices, random ones stand for all.
    """
    rng = np.random.default_rng(0)
    found: dict[Hashable, tuple[Architecture, int]] = {}
    uses: Counter[Hashable] = Counter()
    for _ in range(SAMPLES):
        architecture = space.decode(space.sample(rng))
        for index, key in enumerate(block_keys(architecture)):
            uses[key] += 1
            found.setdefault(key, (architecture, index))
    complete = True
    for decisions in _independent_parts(space):
        complete &= math.prod(space.sizes[d] for d in decisions) <= most
        for vector in _combinations(space, decisions, most, rng):
            architecture = space.decode(vector)
            for index, key in enumerate(block_keys(architecture)):
                found.setdefault(key, (architecture, index))
    total = uses.total()
    blocks = [SpaceBlock(*place, uses[key] / total) for key, place in found.items()]
    return sorted(blocks, key=lambda block: -block.uses), complete


def _independent_parts(space: Space) -> Iterator[list[int]]:
    """For every stage the decisions that its blocks depend on, and those of the head."""
    template = space.template.keywords
    everywhere = {key: value for key, value in template.items() if key != "blocks"}
    around = tuple(everywhere.values())
    stages = template.get("blocks")
    if not isinstance(stages, Sequence):  # an open choice among whole tuples, or whole networks
        yield space.decisions_in((*around, stages))
        return
    strides = [_field(stage, "stride") for stage in stages]
    filters = [None, *(_field(stage, "filters") for stage in stages)]
    for s, stage in enumerate([*stages, None]):
        yield space.decisions_in((*around, *strides[:s], filters[s], stage))


def _field(stage: Any, name: str) -> Any:
    """A field of a stage's template; the whole where it is no template of a block."""
    return stage.keywords.get(name) if isinstance(stage, functools.partial) else stage


def _combinations(
    space: Space, decisions: Sequence[int], most: int, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """Vectors [D] with all combinations of some decisions, or `most` random ones of them."""
    sizes = space.sizes[list(decisions)]
    if math.prod(map(int, sizes)) <= most:
        choices = itertools.product(*map(range, sizes))
    else:
        choices = (rng.integers(0, sizes) for _ in range(most))
    for chosen in choices:
        vector = np.zeros(len(space.sizes), np.int32)
        vector[list(decisions)] = chosen
        yield space.canonical(vector)
