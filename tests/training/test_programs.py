"""Programs of blocks are compiled once for a signature, and nothing is kept but them."""

import gc

import jax
import numpy as np
import pytest

from mnas.architecture.block import Layer
from mnas.nn import ops
from mnas.nn.blocks import Head, Stem, layer_block
from mnas.nn.network import block_shapes
from mnas.runtime.compile_stats import Recording
from mnas.training.optimizer import Optimizer
from mnas.training.programs import forget_programs, inference_program, training_programs

pytestmark = pytest.mark.usefixtures("no_cache")

SHAPE = (2, 6, 6, 4)
OPTIMIZER = Optimizer()


def layer(**changes) -> Layer:
    fields = {"op": "mbconv", "in_filters": 4, "filters": 4, "kernel": 3, "stride": 1}
    fields |= {"expand_ratio": 2, "se_ratio": 0.25, "skip": "identity"}
    return Layer(**(fields | changes))


def program_count(make) -> int:
    """Programs that JAX compiled or read for `make()`."""
    recording = Recording()
    make()
    return recording.compilations.compiles + recording.compilations.cache_reads


def lowerings() -> int:
    """How many of JAX's objects are alive that hold an MLIR module."""
    gc.collect()
    return sum(type(thing).__name__ == "MeshComputation" for thing in gc.get_objects())


def training(block, shape=SHAPE, averaged=False, optimizer=OPTIMIZER):
    return training_programs(block, shape, optimizer, averaged=averaged)


def test_a_signature_is_compiled_once():
    block = layer_block(layer(), "swish")
    assert program_count(lambda: training(block)) == 2
    assert program_count(lambda: training(layer_block(layer(), "swish"))) == 0
    assert training(block).forward is training(layer_block(layer(), "swish")).forward


@pytest.mark.parametrize(
    "other",
    [
        lambda: training(layer_block(layer(kernel=5), "swish")),
        lambda: training(layer_block(layer(), "relu")),
        lambda: training(layer_block(layer(), "swish"), shape=(3, *SHAPE[1:])),
        lambda: training(layer_block(layer(), "swish"), averaged=True),
        lambda: training(layer_block(layer(), "swish"), optimizer=Optimizer(decay=0.8)),
        lambda: training(layer_block(layer(), "swish", drop=True)),
    ],
    ids=["layer", "activation", "images", "averages", "optimizer", "drop"],
)
def test_another_signature_is_another_program(other):
    first = training(layer_block(layer(), "swish"))
    assert other().backward is not first.backward


def test_inference_is_compiled_for_the_structure_of_its_variables():
    block = layer_block(layer(), "swish")
    variables = block_shapes(block, SHAPE)[0]
    program = inference_program(block, variables, SHAPE)
    assert (
        inference_program(block, jax.tree.map(lambda leaf: np.zeros(leaf.shape), variables), SHAPE)
        is program
    )
    folded = {"params": {**variables["params"]}}
    for name in ("expand_norm", "depthwise_norm", "project_norm"):
        folded["params"][name] = {"bias": variables["params"][name]["bias"]}
    assert inference_program(block, folded, SHAPE) is not program


def test_inference_drops_nothing_and_is_compiled_once():
    blocks = [layer_block(layer(), "swish", drop=drop) for drop in (True, False)]
    variables = block_shapes(blocks[1], SHAPE)[0]
    first, second = (inference_program(block, variables, SHAPE) for block in blocks)
    assert first is second


def test_the_implementation_is_part_of_the_signature():
    block = layer_block(layer(), "swish")
    with ops.use_implementation("lax"):
        lax = training(block)
    with ops.use_implementation("shifted"):
        assert training(block).forward is not lax.forward


def test_only_the_program_is_kept():
    before = lowerings()
    kept = jax.jit(lambda x: 2 * x + 1)
    kept(np.zeros((3, 5), np.float32))
    assert lowerings() == before + 1  # what JAX keeps by itself
    block = layer_block(layer(), "swish")
    training(block)
    inference_program(block, block_shapes(block, SHAPE)[0], SHAPE)
    assert lowerings() == before + 1


def test_forgotten_programs_are_compiled_again():
    block = layer_block(layer(), "swish")
    first = training(block)
    forget_programs()
    assert program_count(lambda: training(block)) == 2
    assert training(block).forward is not first.forward


def test_the_output_is_the_next_input():
    assert training(Stem(4, "swish"), (2, 9, 9, 3)).output == (2, 5, 5, 4)
    assert training(layer_block(layer(stride=2, skip="none"), "swish")).output == (2, 3, 3, 4)
    assert training(Head(0, 7, "swish")).output == (2, 7)


def test_tracing_is_timed_where_a_block_is_new():
    recording = Recording()
    training(layer_block(layer(), "swish"))
    first = recording.compilations.trace_seconds
    training(layer_block(layer(), "swish"))
    assert 0 < first == recording.compilations.trace_seconds


@pytest.mark.parametrize("expand_ratio", [1, 2])
def test_what_forward_was_given_is_not_handed_on(expand_ratio):
    """A program that gives back an argument, or a view of one, copies it."""
    block = layer_block(layer(expand_ratio=expand_ratio), "swish")
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
    assert len(set(map(tuple, values))) == len(values)  # and nothing twice


def test_programs_compute_the_gradient_and_the_update():
    """One step of a block beside `jax.vjp` of the block itself and the Optax transformation."""
    block, optimizer = layer_block(layer(), "swish"), Optimizer(weight_decay=1e-3)
    rng = np.random.default_rng(0)

    def noise(leaf):
        return rng.standard_normal(leaf.shape, np.float32)

    params = jax.tree.map(noise, block_shapes(block, SHAPE)[0]["params"])
    x, gradient = (noise(np.empty(SHAPE)) for _ in range(2))
    state = optimizer.init(params)

    def apply(params, x):
        return block.apply({"params": params}, x, True, mutable=["batch_stats"])

    y, pull, written = jax.vjp(apply, params, x, has_aux=True)
    expected, below = pull(gradient)
    updates, new_state = optimizer.build().update(expected, state, params, learning_rate=0.1)
    new_params = jax.tree.map(np.add, params, updates)

    programs = training_programs(block, SHAPE, optimizer, averaged=True)
    found_y, residuals, found_statistics = programs.forward(params, x, None, None)
    numbers = np.float32(0.1), np.float32(0.75)
    own, own_state, own_average = jax.device_put((params, state, params))
    found = programs.backward(own, x, residuals, gradient, own_state, own_average, *numbers)
    average = jax.tree.map(lambda old, new: 0.75 * old + 0.25 * new, params, new_params)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5),
        (found_y, found_statistics, *found),
        (y, written["batch_stats"], below, new_params, new_state, average),
    )
