"""Candidates of a batch and their assignment to slots."""

import jax.numpy as jnp
import numpy as np

from mnas.controllers.core.candidates import assign_slots, candidates
from mnas.controllers.core.neighbourhood import single_changes, stage_copies
from tests.controllers.spaces import SPACE


def test_candidates_are_canonical_and_know_their_neighbourhood_and_centre():
    sampled = jnp.array([[1, 1, 0, 0, 1], [0, 1, 2, 1, 1], [0, 0, 0, 0, 0]])
    centres = jnp.array([[1, 0, 2, 0, 0], [0, 0, 0, 0, 0]])
    # The second neighbourhood is empty in a space of one stage.
    neighbourhoods = single_changes(SPACE), stage_copies(SPACE), single_changes(SPACE)
    pool = candidates(SPACE, sampled, centres, neighbourhoods)
    single = np.concatenate([single_changes(SPACE)(centre) for centre in centres])  # 11 each
    expected = SPACE.canonical(np.concatenate([sampled, single, single]))
    np.testing.assert_array_equal(pool.decisions, expected)
    assert pool.neighbourhood.tolist() == [0] * 3 + [1] * 22 + [3] * 22
    assert pool.centre.tolist() == [-1] * 3 + ([0] * 11 + [1] * 11) * 2


def test_each_slot_takes_the_best_candidate_that_is_left():
    scores = jnp.array(
        [
            [0.1, 0.9, 0.5, 0.0],
            [0.2, 0.8, 0.7, 0.0],  # candidate 1 is taken
            [0.3, 0.9, 0.8, 0.4],  # candidates 1 and 2 are taken
        ]
    )
    assert assign_slots(scores).tolist() == [1, 2, 3]
