"""Random search: uniform decisions, and the statistics of its summary."""

from functools import partial

import jax
import numpy as np
import pytest

from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from mnas.controller import Proposals
from mnas.controllers.random_search import RandomSearch
from mnas.space import OneOf, Space

# Nine networks; of three decisions the third is active for two layers.
SPACE = Space(
    "conditional",
    partial(
        Architecture,
        blocks=(
            partial(
                Block,
                kernel=OneOf(3, 5, 7),
                repeats=OneOf(1, 2),
                skip=OneOf("identity", "none", when={"repeats": [2]}),
                filters=24,
                stride=2,
            ),
        ),
    ),
)


CONTROLLER = RandomSearch().build(SPACE)


def state_after(*batches):
    """Return the state after batches with these rewards."""
    state = CONTROLLER.init(jax.random.key(0))
    for rewards in batches:
        proposals = Proposals(
            np.zeros((len(rewards), 3), np.int32), np.zeros(len(rewards), np.float32)
        )
        state = CONTROLLER.tell(state, proposals, np.array(rewards, np.float32))
    return state


def test_every_active_decision_is_uniform():
    n = 6_000
    decisions, log_probs = CONTROLLER.ask(state_after(), jax.random.key(0), n)
    # One layer: 1/3 · 1/2. Two layers, with or without skip: 1/3 · 1/2 · 1/2.
    expected = {(kernel, 0, 0): 1 / 6 for kernel in range(3)}
    expected |= {(kernel, 1, skip): 1 / 12 for kernel in range(3) for skip in range(2)}
    seen = dict.fromkeys(expected, 0)
    for vector, log_prob in zip(map(tuple, decisions.tolist()), log_probs.tolist(), strict=True):
        seen[vector] += 1
        assert log_prob == pytest.approx(np.log(expected[vector]), rel=1e-5)
    for vector, p in expected.items():  # five standard errors
        assert abs(seen[vector] / n - p) < 5 * np.sqrt(p * (1 - p) / n)


def test_proposals_do_not_depend_on_rewards():
    first, last = state_after(), state_after([0.1, 0.9], [0.5, 0.4])
    one, other = (CONTROLLER.ask(state, jax.random.key(5), 6_000) for state in (first, last))
    jax.tree.map(np.testing.assert_array_equal, one, other)


def test_summary_is_the_best_finite_reward_and_the_number_of_updates():
    def summary(*batches):
        return CONTROLLER.summary(state_after(*batches))

    assert summary() == {"best": 0.0, "updates": 0.0}
    assert summary([-0.5, -0.25]) == {"best": -0.25, "updates": 1.0}
    assert summary([-0.5, -0.25], [-1.0, -2.0]) == {"best": -0.25, "updates": 2.0}
    assert summary([-0.5, np.inf], [np.nan, 0.75], [-np.inf, 0.5]) == {"best": 0.75, "updates": 3.0}
    assert summary([np.nan, np.inf]) == {"best": 0.0, "updates": 0.0}
    assert summary([-0.5, np.nan], [np.nan, np.inf]) == {"best": -0.5, "updates": 1.0}
