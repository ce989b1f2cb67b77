"""Canonical vectors under jit."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from mnas.controllers.core.canonical import canonical
from mnas.space import OneOf
from tests.controllers.spaces import SPACE, TWO, one_block

EVERY_VECTOR = np.array(list(itertools.product(*map(range, SPACE.sizes))), np.int32)


def test_agrees_with_the_space_on_every_vector():
    decisions, active = jax.jit(partial(canonical, SPACE))(EVERY_VECTOR)
    assert decisions.dtype == jnp.int32 and active.dtype == jnp.bool_
    np.testing.assert_array_equal(decisions, SPACE.canonical(EVERY_VECTOR))
    np.testing.assert_array_equal(active, SPACE.active(EVERY_VECTOR))


def test_every_decision_is_active_without_conditions():
    decisions, active = canonical(TWO, np.array([[1, 2], [0, 1]]))
    assert decisions.tolist() == [[1, 2], [0, 1]] and bool(active.all())


def test_conditions_chain():
    space = one_block(
        op=OneOf("mbconv", "conv"),
        expand_ratio=OneOf(1, 6, when={"op": ["mbconv"]}),
        se_ratio=OneOf(0.0, 0.25, when={"op": ["mbconv"], "expand_ratio": [6]}),
        kernel=3,
    )
    # A convolution makes expand ratio 6 inactive, hence 1, and so the SE ratio as well.
    decisions, active = canonical(space, np.array([[1, 1, 1], [0, 1, 1], [0, 0, 1]]))
    assert decisions.tolist() == [[1, 0, 0], [0, 1, 1], [0, 0, 0]]
    assert active.tolist() == [[True, False, False], [True, True, True], [True, True, False]]
