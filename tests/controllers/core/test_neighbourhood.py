"""Neighbourhoods of a decision vector."""

import jax.numpy as jnp
import numpy as np
import pytest

from mnas.controllers.core.neighbourhood import single_changes, stage_copies, stage_exchanges
from tests.controllers.spaces import LARGE, SPACE, with_stages_copied, with_stages_exchanged


def test_single_changes_replace_every_decision_by_every_choice():
    neighbours = single_changes(SPACE)(jnp.array([1, 0, 2, 0, 0]))
    expected = [
        [0, 0, 2, 0, 0],
        [1, 0, 2, 0, 0],
        [1, 0, 2, 0, 0],
        [1, 1, 2, 0, 0],
        [1, 0, 0, 0, 0],
        [1, 0, 1, 0, 0],
        [1, 0, 2, 0, 0],
        [1, 0, 2, 0, 0],
        [1, 0, 2, 1, 0],
        [1, 0, 2, 0, 0],
        [1, 0, 2, 0, 1],
    ]
    np.testing.assert_array_equal(neighbours, expected)


@pytest.mark.parametrize(
    ("neighbourhood", "expected"),
    [(stage_exchanges, with_stages_exchanged), (stage_copies, with_stages_copied)],
)
def test_stages_are_rearranged_pair_by_pair(neighbourhood, expected):
    neighbours = neighbourhood(LARGE)
    rng = np.random.default_rng(0)
    for _ in range(5):
        decisions = LARGE.sample(rng)
        np.testing.assert_array_equal(neighbours(jnp.asarray(decisions)), expected(decisions))


@pytest.mark.parametrize("neighbourhood", [stage_exchanges, stage_copies])
def test_a_space_of_one_stage_has_no_rearrangements(neighbourhood):
    assert neighbourhood(SPACE)(jnp.zeros(5, jnp.int32)).shape == (0, 5)
