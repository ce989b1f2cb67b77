"""Small searches for tests of engines, and the facts of their journals."""

import functools
import json
import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from mnas.controller import Controller, Proposals
from mnas.loop.config import SearchConfig
from mnas.loop.journal import Journal, read
from mnas.loop.records import RemeasuredRecord, ResultRecord, to_json
from mnas.loop.search import Search
from mnas.reward import RewardConfig
from mnas.space import OneOf, Space

OPEN_JOURNALS: list[Journal] = []  # closed after each test


def space(filters: tuple[int, ...] = (16, 24, 32)) -> Space:
    """Return a space of 54 networks, so that a search of some dozens has duplicates."""
    return Space(
        "tiny",
        functools.partial(
            Architecture,
            name="tiny",
            resolution=32,
            blocks=(
                functools.partial(
                    Block,
                    kernel=OneOf(3, 5),
                    stride=2,
                    expand_ratio=OneOf(1, 3, 6),
                    filters=OneOf(*filters),
                    repeats=OneOf(1, 2, 3),
                ),
            ),
        ),
    )


def controller(space: Space) -> Controller:
    """Return uniform sampling whose later proposals depend on every reward and their order."""

    def ask(state, key, n):
        key = jax.random.fold_in(key, state)
        uniform = jax.random.uniform(key, (n, len(space.sizes)))
        decisions = space.canonical(np.floor(uniform * space.sizes).astype(np.int32))
        return Proposals(decisions, np.full(n, -math.log(space.cardinality()), np.float32))

    def tell(state, proposals, rewards):
        for bits in np.asarray(rewards, np.float32).view(np.uint32):
            state = (state * 1_000_003) ^ bits
        return state

    return Controller(
        init=lambda key: jnp.zeros((), jnp.uint32),
        ask=ask,
        tell=tell,
        summary=lambda state: {"state": float(state)},
    )


def build_search(path: Path, filters: tuple[int, ...] = (16, 24, 32), **config) -> Search:
    """Return a search on the journal at `path`, new or resumed."""
    config = {"trials": 22, "batch": 6, "failed_batches": 0, **config}
    tiny = space(filters)
    reward = RewardConfig(target_madds=1e6)
    journal = Journal(path)
    OPEN_JOURNALS.append(journal)
    return Search(tiny, controller(tiny), reward, SearchConfig(**config), journal)


def facts(path: Path) -> list[str]:
    """Return a journal's lines without times, with what arrives in any order by trial number.

    These are the results of a batch, and the further measurements of a round.
    """
    lines: list[str] = []
    results: list[tuple[tuple[int, int], str]] = []
    for record in read(path):
        data = to_json(record)
        for name in ("time", "seconds", "timings", "provenance"):
            data.pop(name, None)
        if isinstance(record, ResultRecord | RemeasuredRecord):
            number = record.number if isinstance(record, RemeasuredRecord) else 0
            results.append(((record.trial, number), json.dumps(data)))
        else:
            lines += [line for _, line in sorted(results)]
            lines.append(json.dumps(data))
            results = []
    return lines + [line for _, line in sorted(results)]
