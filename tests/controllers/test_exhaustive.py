"""Exhaustive search: every network once, in lexicographic order."""

import itertools
from functools import partial

import jax
import numpy as np
import pytest

from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from mnas.controller import Proposals
from mnas.controllers.exhaustive import Exhaustive
from mnas.space import OneOf, Space

# Three kernels; one layer, or two layers with one of three skips: 3 · (1 + 3) = 12 networks.
SPACE = Space(
    "conditional",
    partial(
        Architecture,
        blocks=(
            partial(
                Block,
                kernel=OneOf(3, 5, 7),
                repeats=OneOf(1, 2),
                skip=OneOf("identity", "none", "pool", when={"repeats": [2]}),
                filters=24,
                stride=2,
            ),
        ),
    ),
)
KEY = jax.random.key(0)


CONTROLLER = Exhaustive().build(SPACE)


def in_order():
    """Return all canonical vectors in lexicographic order."""
    raw = itertools.product(*(range(size) for size in SPACE.sizes))
    return sorted({tuple(SPACE.canonical(np.array(vector)).tolist()) for vector in raw})


def search(batch, batches):
    """Return the proposals of a search in which every evaluation succeeds."""
    state, seen = CONTROLLER.init(KEY), []
    for _ in range(batches):
        proposals = CONTROLLER.ask(state, KEY, batch)
        seen += map(tuple, np.asarray(proposals.decisions).tolist())
        state = CONTROLLER.tell(state, proposals, np.ones(batch, np.float32))
    return seen


@pytest.mark.parametrize("batch", [1, 3, 12])
def test_every_network_is_proposed_once_in_order(batch):
    assert SPACE.cardinality() == 12
    assert search(batch, 12 // batch) == in_order()


def test_order_restarts_after_the_last_network():
    assert search(5, 4) == (in_order() * 2)[:20]


def test_networks_without_a_reward_are_proposed_again():
    state = CONTROLLER.init(KEY)
    proposals = CONTROLLER.ask(state, KEY, 4)
    rewards = np.array([0.5, 0.5, np.nan, 0.5], np.float32)
    state = CONTROLLER.tell(state, proposals, rewards)
    assert CONTROLLER.summary(state) == {"evaluated": 2.0}
    assert CONTROLLER.ask(state, KEY, 1).decisions[0].tolist() == list(in_order()[2])


def test_networks_ahead_do_not_advance_the_position():
    state = CONTROLLER.init(KEY)
    ahead = np.array(in_order()[5:8], np.int32)
    state = CONTROLLER.tell(state, Proposals(ahead, np.zeros(3)), np.ones(3, np.float32))
    assert CONTROLLER.ask(state, KEY, 1).decisions[0].tolist() == [0, 0, 0]
