"""The update of a whole network: parts of a batch, frozen blocks, rates by block, precision."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from mnas.training.optimizer import Optimizer
from mnas.training.start import rate_groups, starting_variables, variables_digest
from mnas.training.step import Program, update

NETWORK = Architecture(
    (Block(kernel=3, stride=2, filters=8, expand_ratio=2),),
    resolution=8,
    stem=8,
    head=0,
    classes=4,
    activation="relu",
    name="small",
)
BLOCKS = ("stem", "stage1_layer1", "head")
VARIABLES = starting_variables(NETWORK, 0)
KEY = np.zeros(2, np.uint32)
rng = np.random.default_rng(0)
IMAGES = rng.normal(size=(8, 8, 8, 3)).astype(np.float32)
LABELS = np.arange(8, dtype=np.int32) % 4


@functools.cache
def updated(rates=(), kind="sgd", images=(0, 8), **options):
    """Return the state after one update on some of the images, and the loss."""
    groups = rate_groups(BLOCKS, dict(rates))
    trained = {name for _, names in groups for name in names}
    program = Program(NETWORK, Optimizer(kind=kind), groups, **options)
    state = program.init({name: VARIABLES[name]["params"] for name in trained})
    frozen = {name: VARIABLES[name] for name in BLOCKS if name not in trained}
    batch = slice(*images)
    numbers = np.float32(0.1), np.float32(0), KEY, np.uint32(0)
    state = jax.device_put(state)
    return update(program, state, frozen, IMAGES[batch], LABELS[batch], *numbers)


def change(state, block):
    """Return what an update has added to the params of a block."""
    return jax.tree.map(np.subtract, state.params[block], VARIABLES[block]["params"])


def assert_close(one, other, **tolerances):
    jax.tree.map(functools.partial(np.testing.assert_allclose, **tolerances), one, other)


def test_parts_of_a_batch_give_the_update_of_the_whole_where_batch_norm_is_frozen():
    rates = (("stem", 0), ("stage1_layer1", 0))
    (whole, loss), (parts, mean) = updated(rates), updated(rates, accumulation=4)
    assert mean == pytest.approx(float(loss), rel=1e-6)
    assert_close(change(parts, "head"), change(whole, "head"), rtol=1e-4, atol=1e-7)


def test_batch_norm_sees_one_part_of_a_batch():
    # Part p of two has the images p, p + 2, ...; each is as if it were a batch of its own.
    order = np.argsort(np.arange(8) % 2, kind="stable")
    program = Program(NETWORK, Optimizer(), rate_groups(BLOCKS, {}), accumulation=2)
    params = {name: VARIABLES[name]["params"] for name in BLOCKS}
    key = jax.random.key(0)

    @jax.jit
    def gradients(images, labels):
        return program.gradients(params, {}, images, labels, key)

    whole = Program(NETWORK, Optimizer(), program.groups)

    @jax.jit
    def of_part(images, labels):
        return whole.gradients(params, {}, images, labels, key)

    accumulated = gradients(IMAGES, LABELS)
    halves = [of_part(IMAGES[part], LABELS[part]) for part in np.split(order, 2)]
    mean = jax.tree.map(lambda one, other: (one + other) / 2, *halves)
    assert_close(accumulated, mean, rtol=1e-3, atol=1e-5)
    assert abs(float(of_part(IMAGES, LABELS)[0]) - float(accumulated[0])) > 1e-4


def test_frozen_blocks_have_no_params_and_no_optimizer_state():
    state, _ = updated((("stem", 0), ("stage1_layer1", 0)))
    assert [*state.params] == ["head"]
    sizes = sum(leaf.size for leaf in jax.tree.leaves(state.moments))
    assert sizes == sum(leaf.size for leaf in jax.tree.leaves(VARIABLES["head"]["params"]))


@pytest.mark.parametrize("kind", ["sgd", "rmsprop"])
def test_a_factor_on_the_rate_of_a_block_scales_its_update_only(kind):
    (plain, _), (halved, _) = updated(kind=kind), updated((("stem", 0.5),), kind=kind)
    half = jax.tree.map(lambda leaf: leaf / 2, change(plain, "stem"))
    assert_close(change(halved, "stem"), half, rtol=1e-3, atol=1e-6)
    assert_close(change(halved, "head"), change(plain, "head"), rtol=1e-4, atol=1e-7)


def test_bfloat16_keeps_weights_optimizer_state_and_loss_in_float32():
    (full, loss), (low, low_loss) = updated(), updated(dtype="bfloat16")
    assert {leaf.dtype for leaf in jax.tree.leaves((low, low_loss))} == {jnp.dtype("float32")}
    assert float(low_loss) == pytest.approx(float(loss), rel=0.02)
    assert float(low_loss) != float(loss)
    one, other = (
        np.concatenate([leaf.ravel() for leaf in jax.tree.leaves(change(state, "stem"))])
        for state in (low, full)
    )
    assert np.linalg.norm(one - other) < 0.1 * np.linalg.norm(other)


def test_unknown_blocks_negative_rates_and_nothing_to_train_are_rejected():
    with pytest.raises(ValueError, match="rates: 'body'; accepted: stem, stage1_layer1, head"):
        rate_groups(BLOCKS, {"body": 1.0})
    with pytest.raises(ValueError, match="rates: stem = -1; accepted: a number of at least 0"):
        rate_groups(BLOCKS, {"stem": -1})
    with pytest.raises(ValueError, match="rates: 0 for all blocks"):
        rate_groups(BLOCKS, dict.fromkeys(BLOCKS, 0.0))


def test_groups_are_blocks_of_equal_factors_without_the_frozen_ones():
    rates = {"stem": 0, "head": 2}
    assert rate_groups(BLOCKS, rates) == ((1.0, ("stage1_layer1",)), (2.0, ("head",)))


def test_initial_variables_of_another_network_are_rejected_by_block():
    with pytest.raises(ValueError, match="initial: head; accepted: exactly the blocks"):
        starting_variables(NETWORK, 0, {k: v for k, v in VARIABLES.items() if k != "head"})
    other = starting_variables(NETWORK.replace(classes=5), 0)
    with pytest.raises(ValueError, match=r"initial: head has .*\(5,\)"):
        starting_variables(NETWORK, 0, other)
    assert variables_digest(VARIABLES) != variables_digest(starting_variables(NETWORK, 1))
    assert variables_digest(VARIABLES) == variables_digest(
        starting_variables(NETWORK, 0, VARIABLES)
    )


def test_drawn_residual_branches_can_start_at_zero():
    network = NETWORK.replace(blocks=(Block(kernel=3, stride=1, filters=8),))
    for zero in (False, True):
        drawn = starting_variables(network, 0, zero_residual=zero)
        assert (drawn["stage1_layer1"]["params"]["project_norm"]["scale"] == 1 - zero).all()
