"""Scores without training against their definitions, worked out in NumPy at 1×1 pixels."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from mnas.nn.network import Network, block_shapes, init_variables, network_blocks, network_variables
from mnas.training.score_programs import code_program
from mnas.training.zero_cost import grad_norm, naswot, score_network, synflow
from tests.compiling import quick_jit

# The stem has stride 2: all layers are of one pixel, of whose 3×3 kernels only the centre counts.
BLOCK = Block(kernel=3, stride=1, filters=4, expand_ratio=2, se_ratio=0.25)
SKIP = Architecture((BLOCK,), resolution=2, stem=4, head=5, classes=3)
RELU = SKIP.replace(activation="relu", blocks=(dataclasses.replace(BLOCK, se_ratio=0.0),))
SEED = 3


def kernels(architecture, seed=SEED):
    """Return all kernels in float64 by block and name; those of layers as matrices [in, out]."""
    blocks = (dataclasses.replace(block, se_ratio=0.0) for block in architecture.blocks)
    plain = architecture.replace(blocks=tuple(blocks))
    found = {}
    for name, block in init_variables(plain, seed).items():
        parts = {key: part for key, part in block["params"].items() if isinstance(part, dict)}
        params = {key: part["kernel"] for key, part in parts.items() if "kernel" in part}
        if name == "head":
            params["classifier"] = block["params"]["kernel"][None, None]
        if "depthwise" in params:
            params["depthwise"] = np.diag(params["depthwise"][1, 1, 0])[None, None]
        found[name] = {
            key: np.float64(k[:2, :2] if name == "stem" else k[0, 0]) for key, k in params.items()
        }
    return found


def linear_sums(architecture):
    """Return the sum of the logits for an image of ones, and its part through residual branches."""
    weights = jax.tree.map(np.abs, kernels(architecture))
    x = skipped = weights.pop("stem")["conv"].sum((0, 1, 2))
    head = weights.pop("head")
    for layer in weights.values():
        x = x @ layer["expand"] @ layer["depthwise"] @ layer["project"]
    last = head["conv"] @ head["classifier"]
    return (x @ last).sum(), (skipped @ last).sum()


def test_synflow_is_the_sum_over_weights_of_what_flows_through_them():
    branch, skipped = linear_sums(SKIP)
    # Everything flows through stem, head and classifier; the three kernels of the branch have its
    # part. Neither swish nor the gate counts.
    expected = 3 * (branch + skipped) + 3 * branch
    np.testing.assert_allclose(synflow(SKIP, SEED), np.log(expected), rtol=1e-5)


def test_synflow_of_deep_networks_does_not_overflow():
    block = Block(kernel=3, stride=1, filters=64, expand_ratio=6, repeats=40, skip="none")
    deep = SKIP.replace(stem=64, blocks=(block,))
    total, _ = linear_sums(deep)
    assert np.log(total) > 89  # beyond float32
    np.testing.assert_allclose(synflow(deep, SEED), np.log(total * (3 + 3 * 40)), rtol=1e-5)


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (6, 2, 2, 3), np.uint8), np.array([0, 1, 2, 2, 1, 0])


def normalised(images):
    return ((images - images.mean((0, 1, 2))) / images.std((0, 1, 2))).astype(np.float32)


def test_naswot_is_the_log_determinant_of_agreeing_units(batch):
    x = normalised(batch[0])
    weights = kernels(RELU)
    codes = []

    def activated(z):
        z = (z - z.mean(0)) / np.sqrt(z.var(0) + 1e-3)
        codes.append(z > 0)
        return np.maximum(z, 0)

    y = stem = activated(np.einsum("nhwc,hwcd->nd", x, weights["stem"]["conv"]))
    layer = weights["stage1_layer1"]
    y = activated(activated(y @ layer["expand"]) @ layer["depthwise"]) @ layer["project"]
    y = (y - y.mean(0)) / np.sqrt(y.var(0) + 1e-3) + stem
    activated(y @ weights["head"]["conv"])
    codes = np.hstack(codes)
    assert codes.shape == (6, 4 + 8 + 8 + 5)
    kernel = (codes[:, None] == codes).sum(-1)
    expected = np.log(abs(np.linalg.det(kernel))) / 6
    np.testing.assert_allclose(naswot(RELU, SEED, x), expected, rtol=1e-6)


@pytest.mark.parametrize("op", ["basic", "bottleneck", "identity", "conv"])
def test_codes_are_of_all_rectified_units(op):
    kernel, filters = (1, 6) if op == "identity" else (3, 4)
    ratio = 2 if op == "bottleneck" else 1
    block = Block(kernel=kernel, stride=1, filters=filters, op=op, expand_ratio=ratio)
    _, module = network_blocks(RELU.replace(blocks=(block,)))[1]
    shape = (2, 3, 3, 4)
    params = block_shapes(module, shape)[0]["params"]
    params = jax.tree.map(lambda leaf: np.ones(leaf.shape, np.float32), params)
    _, agreement = code_program(module, shape)[0](params, np.ones(shape, np.float32))
    channels = {"basic": 4 + 4, "bottleneck": 2 + 2 + 4, "identity": 0, "conv": 4}[op]
    np.testing.assert_array_equal(agreement, np.full((2, 2), 9 * channels))


def test_grad_norm_is_that_of_the_whole_network(batch):
    images, labels = batch
    x = normalised(images)

    def loss(params):
        logits, _ = Network(SKIP).apply({"params": params}, x, True, mutable=["batch_stats"])
        own = jax.nn.log_softmax(logits)[jnp.arange(6), labels]
        return -own.mean()

    params = network_variables(init_variables(SKIP, SEED))["params"]
    flat, _ = jax.tree_util.tree_flatten_with_path(quick_jit(jax.grad(loss))(params))
    norms = [np.linalg.norm(leaf) for path, leaf in flat if path[-1].key == "kernel"]
    assert len(norms) == 8  # two of the gate
    np.testing.assert_allclose(grad_norm(SKIP, SEED, x, labels), np.log(sum(norms)), rtol=1e-4)


@pytest.mark.parametrize("score", ["synflow", "naswot", "grad-norm"])
def test_scores_depend_on_the_seed_alone(score, batch):
    first, again, other = (score_network(RELU, score, seed, *batch) for seed in (0, 0, 1))
    assert first == again != other


def test_naswot_of_another_activation_is_that_of_relu(batch):
    assert score_network(SKIP, "naswot", SEED, *batch) == score_network(
        SKIP.replace(activation="relu"), "naswot", SEED, *batch
    )


def test_equal_codes_have_no_score(batch):
    images = batch[0][[0, 1, 2, 3, 4, 4]]
    with pytest.raises(FloatingPointError, match=r"naswot of .* is -inf"):
        score_network(RELU, "naswot", SEED, images, batch[1])
