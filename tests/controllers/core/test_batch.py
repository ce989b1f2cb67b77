"""Validation of `tell`'s arguments, the same in every controller."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mnas.controller import Proposals
from mnas.controllers.core.batch import validated
from tests.controllers.spaces import TWO
from tests.parts import registered


def test_arguments_become_arrays_of_the_contract():
    proposals = Proposals(np.array([[0, 2], [1, 0]]), np.array([-1.5, -0.5]))
    decisions, log_probs, rewards = validated("any", TWO, proposals, np.array([0.5, 0.25]))
    assert (decisions.dtype, log_probs.dtype, rewards.dtype) == (
        jnp.int32,
        jnp.float32,
        jnp.float32,
    )
    assert decisions.tolist() == [[0, 2], [1, 0]]
    assert log_probs.tolist() == [-1.5, -0.5] and rewards.tolist() == [0.5, 0.25]


BAD_SHAPES = {
    "fewer proposals": ((2, 2), (2,), (3,)),
    "more decisions": ((3, 5), (3,), (3,)),
    "one vector": ((2,), (2,), (2,)),
    "one reward": ((1, 2), (1,), ()),
    "column of rewards": ((3, 2), (3,), (3, 1)),
    "fewer log-probabilities": ((3, 2), (2,), (3,)),
}


@pytest.mark.parametrize("shapes", BAD_SHAPES.values(), ids=BAD_SHAPES)
def test_shapes_that_do_not_match_are_rejected(shapes):
    decisions, log_probs, rewards = (np.zeros(shape, np.float32) for shape in shapes)
    with pytest.raises(ValueError) as error:
        validated("any", TWO, Proposals(decisions.astype(int), log_probs), rewards)
    assert str(error.value) == (
        f"any: decisions of shape {shapes[0]}, log-probabilities of shape {shapes[1]} and "
        f"rewards of shape {shapes[2]}; accepted: [N, 2], [N] and [N]"
    )


@pytest.mark.parametrize("name", registered("controller"))
def test_every_controller_rejects_batches_of_other_shapes(name):
    controller = registered("controller")[name]().build(TWO)
    state = jax.eval_shape(controller.init, jax.random.key(0))
    proposals = Proposals(np.zeros((2, 2), np.int32), np.zeros(2, np.float32))
    with pytest.raises(ValueError, match=f"^{name}: decisions of shape"):
        jax.eval_shape(controller.tell, state, proposals, np.zeros(3, np.float32))
