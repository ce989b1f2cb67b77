"""Whole networks: costs, inputs of blocks, forms of variables, initial values."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from mnas.architecture.cost import network_cost
from mnas.architecture.published import PUBLISHED
from mnas.nn.count import model_cost
from mnas.nn.network import (
    Network,
    block_shapes,
    block_variables,
    blocks_with_inputs,
    init_variables,
    network_blocks,
    network_variables,
)
from tests.compiling import quick_jit
from tests.parts import registered

SPACES = registered("space")

TINY = Architecture(
    (
        Block(kernel=3, stride=1, filters=8, se_ratio=0.25),
        Block(kernel=5, stride=2, filters=12, expand_ratio=3, repeats=2),
    ),
    resolution=8,
    stem=8,
    head=16,
    classes=4,
)


@pytest.mark.parametrize(
    ("name", "params", "millions"),
    [
        ("efficientnet-b0", 5_288_548, 385.8),
        ("mnasnet-a1", 3_887_038, 311.6),
        ("mnasnet-b1", 4_383_312, 314.4),
    ],
)
def test_costs_counted_from_the_model_are_the_published_ones(name, params, millions):
    counted = model_cost(PUBLISHED[name])
    assert counted.params == params
    assert round(counted.mult_adds / 1e6, 1) == millions


@pytest.mark.parametrize(
    "name",
    ["mobilenet-v1", "mobilenet-v2", *(f"resnet-{depth}" for depth in (18, 34, 50, 101, 152))],
)
def test_closed_form_costs_of_published_networks_equal_the_models(name):
    architecture = PUBLISHED[name]
    assert model_cost(architecture) == network_cost(architecture)


@pytest.mark.parametrize("name", ["mobilenet-v1", "mobilenet-v2", "resnet-18", "resnet-50"])
def test_closed_form_costs_hold_at_other_sizes_and_paddings(name):
    small = PUBLISHED[name].replace(resolution=75, padding="same", classes=7)
    assert model_cost(small) == network_cost(small)


@pytest.mark.parametrize("config", SPACES.values(), ids=SPACES)
def test_closed_form_costs_in_every_space_equal_the_models(config):
    space = config(resolution=37, classes=7).build()
    rng = np.random.default_rng(0)
    for _ in range(2):
        architecture = space.decode(space.sample(rng))
        assert model_cost(architecture) == network_cost(architecture)


def test_blocks_with_inputs_by_hand():
    blocks = blocks_with_inputs(TINY, images=3)
    assert [(name, module) for name, module, _ in blocks] == list(network_blocks(TINY))
    assert {block.name: block.input_shape for block in blocks} == {
        "stem": (3, 8, 8, 3),
        "stage1_layer1": (3, 4, 4, 8),
        "stage2_layer1": (3, 4, 4, 8),
        "stage2_layer2": (3, 2, 2, 12),
        "head": (3, 2, 2, 12),
    }


@pytest.mark.parametrize("name", ["mobilenet-v1", "resnet-18"])
def test_input_of_a_block_is_the_output_of_the_previous_one(name):
    blocks = blocks_with_inputs(PUBLISHED[name].replace(resolution=75), images=2)
    outputs = [block_shapes(module, shape)[1] for _, module, shape in blocks]
    assert [block.input_shape for block in blocks[1:]] == outputs[:-1]


def test_network_equals_the_chain_of_its_blocks():
    variables = init_variables(TINY, seed=3)
    images = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype(np.float32)

    @quick_jit
    def both(variables, x):
        whole = Network(TINY).apply(network_variables(variables), x)
        for name, block in network_blocks(TINY):
            x = block.apply(variables[name], x, False)
        return whole, x

    whole, chained = both(variables, images)
    assert whole.shape == (2, 4)
    np.testing.assert_allclose(whole, chained, rtol=1e-6)


@pytest.mark.parametrize("op", ["mbconv", "conv", "basic", "bottleneck"])
def test_residual_branches_can_start_at_zero(op):
    network = TINY.replace(blocks=(Block(3, 1, TINY.stem, op),), activation="relu")
    name, block = network_blocks(network)[1]
    x = np.random.default_rng(0).random((2, 4, 4, TINY.stem), np.float32)  # unchanged by ReLU
    for zero in (True, False):
        variables = init_variables(network, 0, zero_residual=zero)
        y, _ = block.apply(variables[name], x, True, mutable=["batch_stats"])
        assert np.array_equal(x, y) == zero


def test_variables_convert_to_and_from_flax():
    variables = init_variables(TINY, seed=0)
    whole = network_variables(variables)
    assert set(whole) == {"params", "batch_stats"}
    key = jax.random.key(0)
    flax = jax.eval_shape(lambda: Network(TINY).init(key, jnp.ones((1, 8, 8, 3)), True))
    assert jax.tree.map(jnp.shape, whole) == jax.tree.map(lambda leaf: leaf.shape, flax)
    assert jax.tree.structure(block_variables(whole)) == jax.tree.structure(variables)
    jax.tree.map(np.testing.assert_array_equal, block_variables(whole), variables)


def test_initial_values_depend_only_on_seed_and_block_name():
    first, other_seed = init_variables(TINY, 0), init_variables(TINY, 1)
    jax.tree.map(np.testing.assert_array_equal, first, init_variables(TINY, 0))
    deeper = TINY.replace(blocks=(*TINY.blocks, Block(kernel=3, stride=1, filters=12)))
    jax.tree.map(
        np.testing.assert_array_equal,
        first["stage2_layer2"],
        init_variables(deeper, 0)["stage2_layer2"],
    )
    kernels = [v["stage2_layer2"]["params"]["project"]["kernel"] for v in (first, other_seed)]
    assert not np.array_equal(*kernels)
    layers = [first[f"stage2_layer{n}"]["params"]["depthwise"]["kernel"].ravel() for n in (1, 2)]
    assert not np.array_equal(layers[0][:100], layers[1][:100])


@pytest.mark.parametrize("generator", ["numpy", "flax"])
def test_initial_values_have_the_published_distributions(generator):
    if generator == "numpy":
        params = network_variables(init_variables(PUBLISHED["efficientnet-b0"], 0))["params"]
        block, stem, head = params["stage6_layer2"], params["stem"], params["head"]
    else:
        blocks = dict(network_blocks(PUBLISHED["efficientnet-b0"]))
        key = jax.random.key(0)

        def initial(name, channels):
            x = jnp.ones((1, 1, 1, channels))
            return quick_jit(lambda: blocks[name].init(key, x, True)["params"])()

        block, stem, head = initial("stage6_layer2", 192), initial("stem", 3), initial("head", 320)
    # sqrt(2 / (k²·out)): 1×1 to 192; depthwise 5×5, one filter per channel; 3×3 to 32.
    assert np.std(block["project"]["kernel"]) == pytest.approx(math.sqrt(2 / 192), rel=0.02)
    assert np.std(block["depthwise"]["kernel"]) == pytest.approx(math.sqrt(2 / 25), rel=0.02)
    assert np.std(stem["conv"]["kernel"]) == pytest.approx(math.sqrt(2 / 288), rel=0.1)
    # Squeeze-and-excitation: from 192 · 6 to 48.
    reduce = block["squeeze_excite"]["reduce"]
    assert reduce["kernel"].shape == (1, 1, 1152, 48)
    assert np.std(reduce["kernel"]) == pytest.approx(math.sqrt(2 / 48), rel=0.02)
    dense = np.asarray(head["kernel"])
    bound = 1 / math.sqrt(1000)
    assert 0.999 * bound < np.abs(dense).max() <= bound * (1 + 1e-6)
    assert np.std(dense) == pytest.approx(bound / math.sqrt(3), rel=0.01)
    assert not np.any(head["bias"])
    assert not np.any(reduce["bias"])
    np.testing.assert_array_equal(block["project_norm"]["scale"], np.ones(192))
