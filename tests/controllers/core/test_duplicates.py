"""Duplicates among candidates and of evaluated vectors."""

import jax.numpy as jnp
import numpy as np

from mnas.controllers.core.duplicates import duplicates, hashes_of
from tests.controllers.spaces import LARGE, NETWORKS


def test_equal_vectors_have_equal_hashes_and_others_do_not():
    hashes = np.asarray(hashes_of(jnp.asarray(np.concatenate([NETWORKS, NETWORKS[::-1]]))))
    assert len(set(hashes.tolist())) == 27 and (hashes >= 0).all()
    np.testing.assert_array_equal(hashes[:27], hashes[:26:-1])
    rng = np.random.default_rng(0)
    many = np.unique([LARGE.sample(rng) for _ in range(2000)], axis=0)
    assert len(np.unique(hashes_of(jnp.asarray(many)))) == len(many)


def test_later_copies_and_evaluated_vectors_are_duplicates():
    candidates = NETWORKS[[4, 7, 4, 9, 7, 11]]
    evaluated, valid = NETWORKS[[9, 11]], jnp.array([True, False])
    result = duplicates(jnp.asarray(candidates), jnp.asarray(evaluated), valid)
    assert result.tolist() == [False, False, True, True, True, False]
