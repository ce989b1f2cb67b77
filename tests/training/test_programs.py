"""Compiled programs of blocks: one per signature, correct, and without leftovers in memory."""

import dataclasses
import gc

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mnas.architecture.block import Layer
from mnas.nn import ops
from mnas.nn.blocks import Head, Stem, layer_block
from mnas.nn.network import block_shapes
from mnas.runtime.compile_stats import Recording
from mnas.training.optimizer import Optimizer
from mnas.training.programs import forget_programs, inference_program, training_programs
from tests.compiling import quick_jit

pytestmark = pytest.mark.usefixtures("no_cache")

SHAPE = (2, 6, 6, 4)
OPTIMIZER = Optimizer()


# Few operations, for tests that compile it often.
CONV = Layer(
    op="conv",
    in_filters=4,
    filters=4,
    kernel=1,
    stride=1,
    expand_ratio=1,
    se_ratio=0.0,
    skip="identity",
)
MBCONV = dataclasses.replace(CONV, op="mbconv", kernel=3, expand_ratio=2, se_ratio=0.25)


def program_count(load) -> int:
    """Return the number of programs that JAX compiles or reads in a call."""
    recording = Recording()
    load()
    return recording.compilations.compiles + recording.compilations.cache_reads


def lowerings() -> int:
    """Return the number of live objects of JAX that hold an MLIR module."""
    gc.collect()
    return sum(type(value).__name__ == "MeshComputation" for value in gc.get_objects())


def training(block, shape=SHAPE, averaged=False, optimizer=OPTIMIZER):
    return training_programs(block, shape, optimizer, averaged=averaged)


def test_equal_signatures_share_one_compilation():
    block = layer_block(CONV, "swish")
    assert program_count(lambda: training(block)) == 2
    assert program_count(lambda: training(layer_block(CONV, "swish"))) == 0
    assert training(block).forward is training(layer_block(CONV, "swish")).forward


def test_different_signatures_have_different_programs():
    block = layer_block(CONV, "swish")
    programs = [
        training(block),
        training(layer_block(dataclasses.replace(CONV, kernel=3), "swish")),
        training(layer_block(CONV, "relu")),
        training(block, shape=(3, *SHAPE[1:])),
        training(block, averaged=True),
        training(block, optimizer=Optimizer(decay=0.8)),
        training(layer_block(CONV, "swish", drop=True)),
    ]
    assert len({id(program.backward) for program in programs}) == len(programs)


def test_inference_program_depends_on_the_structure_of_variables():
    block = layer_block(CONV, "swish")
    variables = block_shapes(block, SHAPE)[0]
    program = inference_program(block, variables, SHAPE)
    assert (
        inference_program(block, jax.tree.map(lambda leaf: np.zeros(leaf.shape), variables), SHAPE)
        is program
    )
    folded = {"params": {**variables["params"]}}
    folded["params"]["norm"] = {"bias": variables["params"]["norm"]["bias"]}
    assert inference_program(block, folded, SHAPE) is not program


def test_blocks_with_and_without_drop_share_the_inference_program():
    blocks = [layer_block(CONV, "swish", drop=drop) for drop in (True, False)]
    variables = block_shapes(blocks[1], SHAPE)[0]
    first, second = (inference_program(block, variables, SHAPE) for block in blocks)
    assert first is second


def test_implementation_is_part_of_the_signature():
    block = layer_block(CONV, "swish")
    with ops.use_implementation("lax"):
        lax = training(block)
    with ops.use_implementation("shifted"):
        assert training(block).forward is not lax.forward


def test_no_lowered_module_is_kept():
    before = lowerings()
    jitted = jax.jit(lambda x: 2 * x + 1)
    jitted(np.zeros((3, 5), np.float32))
    assert lowerings() == before + 1  # kept by `jax.jit`
    block = layer_block(CONV, "swish")
    training(block)
    inference_program(block, block_shapes(block, SHAPE)[0], SHAPE)
    assert lowerings() == before + 1


def test_forgotten_programs_are_compiled_again():
    block = layer_block(CONV, "swish")
    first = training(block)
    forget_programs()
    assert program_count(lambda: training(block)) == 2
    assert training(block).forward is not first.forward


def test_output_is_the_shape_of_y():
    strided = dataclasses.replace(CONV, stride=2, skip="none")
    assert training(Stem(4, "swish"), (2, 9, 9, 3)).output == (2, 5, 5, 4)
    assert training(layer_block(strided, "swish")).output == (2, 3, 3, 4)
    assert training(Head(0, 7, "swish")).output == (2, 7)


def test_tracing_time_is_recorded_for_new_blocks_only():
    recording = Recording()
    training(layer_block(CONV, "swish"))
    first = recording.compilations.trace_seconds
    training(layer_block(CONV, "swish"))
    assert 0 < first == recording.compilations.trace_seconds


@pytest.mark.parametrize("expand_ratio", [1, 2])
def test_residuals_contain_no_arguments_and_no_duplicates(expand_ratio):
    """A program copies an argument, or a view of one, in order to return it."""
    block = layer_block(dataclasses.replace(MBCONV, expand_ratio=expand_ratio), "swish")
    rng = np.random.default_rng(0)
    shapes = block_shapes(block, SHAPE)[0]["params"]
    params = jax.tree.map(lambda leaf: rng.standard_normal(leaf.shape, np.float32), shapes)
    x = rng.standard_normal(SHAPE, np.float32)
    _, residuals, _ = training(block).forward(params, x, None, None)
    assert len(residuals) > 3
    values = [np.ravel(leaf).tolist() for leaf in residuals]
    assert not [
        leaf.shape for leaf in [x, *jax.tree.leaves(params)] if leaf.ravel().tolist() in values
    ]
    assert len(set(map(tuple, values))) == len(values)


def test_programs_equal_vjp_and_optax():
    """One training step of a block against `jax.vjp` of the block and the Optax transformation."""
    block, optimizer = layer_block(MBCONV, "swish"), Optimizer(weight_decay=1e-3)
    rng = np.random.default_rng(0)

    def noise(leaf):
        return rng.standard_normal(leaf.shape, np.float32)

    params = jax.tree.map(noise, block_shapes(block, SHAPE)[0]["params"])
    x, gradient = (noise(np.empty(SHAPE)) for _ in range(2))
    state = optimizer.init(params)

    def apply(params, x):
        return block.apply({"params": params}, x, True, mutable=["batch_stats"])

    @quick_jit
    def reference(params, x, gradient, state):
        y, vjp, written = jax.vjp(apply, params, x, has_aux=True)
        gradients, below = vjp(gradient)
        updates, state = optimizer.build().update(gradients, state, params, learning_rate=0.1)
        params = jax.tree.map(jnp.add, params, updates)
        return y, written["batch_stats"], below, params, state

    y, statistics, below, new_params, new_state = reference(params, x, gradient, state)

    programs = training_programs(block, SHAPE, optimizer, averaged=True)
    own_y, residuals, own_statistics = programs.forward(params, x, None, None)
    own, own_state, own_average = jax.device_put((params, state, params))
    arguments = (own, x, residuals, gradient, own_state, own_average)
    updated = programs.backward(*arguments, np.float32(0.1), np.float32(0.75))
    average = jax.tree.map(lambda old, new: 0.75 * old + 0.25 * new, params, new_params)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5),
        (own_y, own_statistics, *updated),
        (y, statistics, below, new_params, new_state, average),
    )
