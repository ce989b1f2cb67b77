"""Networks with folded BatchNorm against the unfolded networks."""

import functools

import jax
import numpy as np
import pytest

from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from mnas.nn import inference, ops
from mnas.nn.inference import fold, predict
from mnas.nn.network import Network, init_variables, network_variables
from tests.compiling import quick_jit

SETTINGS = {"stem": 8, "head": 24, "classes": 5, "resolution": 20}
MBCONV = Architecture(
    (
        Block(kernel=3, stride=1, filters=8, se_ratio=0.25),
        Block(kernel=5, stride=2, filters=16, expand_ratio=3, repeats=2, skip="pool"),
        Block(op="conv", kernel=3, stride=2, filters=16, repeats=2, se_ratio=0.5),
    ),
    **SETTINGS,
)
RESNET = Architecture(
    (
        Block(op="basic", kernel=3, stride=1, filters=8, repeats=2, skip="projection"),
        Block(op="bottleneck", kernel=3, stride=2, filters=32, expand_ratio=4, repeats=2,
              skip="projection"),
        Block(op="separable", kernel=3, stride=1, filters=16),
    ),
    **{**SETTINGS, "head": 0},
    activation="relu", stem_kernel=7, stem_pool=True, padding="symmetric", bn_epsilon=1e-5,
)  # fmt: skip
IMAGES = np.random.default_rng(1).standard_normal((3, 20, 20, 3), np.float32)


def random_variables(architecture):
    """Return variables in which no BatchNorm is the identity."""
    rng = np.random.default_rng(0)

    def perturbed(path, leaf):
        noise = rng.uniform(0.5, 1.5, leaf.shape).astype(np.float32)
        return leaf * noise if path[-1].key in ("kernel", "var") else leaf + noise - 1

    return jax.tree_util.tree_map_with_path(perturbed, init_variables(architecture, 0))


@functools.cache
def network_logits(architecture):
    variables = network_variables(random_variables(architecture))
    return np.asarray(quick_jit(Network(architecture).apply)(variables, IMAGES))


@pytest.mark.parametrize("architecture", [MBCONV, RESNET], ids=["mbconv", "resnet"])
@pytest.mark.parametrize("threshold", [1, 1 << 30], ids=["rows-image-by-image", "kernels-batched"])
def test_folded_network_has_the_logits_of_the_network(architecture, threshold, monkeypatch):
    monkeypatch.setattr(inference, "MIN_WEIGHTS", threshold)
    monkeypatch.setattr(inference, "LARGE_RESOLUTION", threshold)
    expected = network_logits(architecture)
    # Another name makes JAX trace again, since the thresholds are not part of its key.
    renamed = architecture.replace(name=f"threshold-{threshold}")
    logits = predict(renamed, fold(renamed, random_variables(architecture)), IMAGES)
    scale = np.abs(expected).max()
    assert scale > 0.1
    np.testing.assert_allclose(logits / scale, expected / scale, atol=2e-6)


def test_fold_leaves_only_the_bias_of_batch_norms():
    folded = fold(MBCONV, random_variables(MBCONV))
    norms = [
        params for block in folded.values() for name, params in block.items() if "norm" in name
    ]
    assert norms
    assert all(set(params) == {"bias"} for params in norms)


def test_missing_block_is_named_in_the_error():
    variables = random_variables(MBCONV)
    del variables["stage2_layer1"]
    with pytest.raises(ValueError, match="no block 'stage2_layer1'"):
        fold(MBCONV, variables)


@pytest.mark.parametrize("padding", ["same", "symmetric"])
@pytest.mark.parametrize(("kernel_size", "stride"), [(1, 1), (3, 1), (3, 2), (5, 2)])
def test_convolution_by_rows_equals_convolution(kernel_size, stride, padding):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 6, 6, 4), np.float32)
    kernel = rng.standard_normal((kernel_size, kernel_size, 4, 8), np.float32)

    @quick_jit
    def both(x, kernel):
        rows = kernel.reshape(-1, 8).T
        by_rows = ops.convolution_by_rows(x, rows, kernel_size, stride, padding)
        return by_rows, ops.convolution(x, kernel, stride, padding)

    by_rows, expected = both(x, kernel)
    np.testing.assert_allclose(by_rows, expected, atol=1e-4)
