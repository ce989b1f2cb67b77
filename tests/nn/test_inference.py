"""Folded networks give what the networks they were made of give."""

import jax
import numpy as np
import pytest

from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from mnas.nn import inference, ops
from mnas.nn.inference import fold, predict
from mnas.nn.network import Network, init_variables, network_variables

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


def random_variables(architecture):
    """Variables in which every BatchNorm does something."""
    rng = np.random.default_rng(0)

    def moved(path, leaf):
        noise = rng.uniform(0.5, 1.5, leaf.shape).astype(np.float32)
        return leaf * noise if path[-1].key in ("kernel", "var") else leaf + noise - 1

    return jax.tree_util.tree_map_with_path(moved, init_variables(architecture, 0))


@pytest.mark.parametrize("architecture", [MBCONV, RESNET], ids=["mbconv", "resnet"])
@pytest.mark.parametrize(("least", "large"), [(1, 1), (1 << 30, 1 << 30)], ids=["on", "off"])
def test_folded_logits_are_those_of_the_network(architecture, least, large, monkeypatch):
    jax.clear_caches()  # the settings are no part of the program's key
    monkeypatch.setattr(inference, "LEAST_WEIGHTS", least)
    monkeypatch.setattr(inference, "LARGE_IMAGE", large)
    variables = random_variables(architecture)
    images = np.random.default_rng(1).standard_normal((3, 20, 20, 3), np.float32)
    expected = Network(architecture).apply(network_variables(variables), images)
    found = predict(architecture, fold(architecture, variables), images)
    scale = np.abs(expected).max()
    assert scale > 0.1
    np.testing.assert_allclose(found / scale, expected / scale, atol=2e-6)


def test_no_batch_norm_is_left():
    variables = fold(MBCONV, random_variables(MBCONV))
    norms = [key for block in variables.values() for key in block if "norm" in key]
    assert norms
    assert all(set(block[key]) == {"bias"} for block in variables.values() for key in block
               if "norm" in key)  # fmt: skip


def test_a_missing_block_is_named():
    variables = random_variables(MBCONV)
    del variables["stage2_layer1"]
    with pytest.raises(ValueError, match="no block 'stage2_layer1'"):
        fold(MBCONV, variables)


@pytest.mark.parametrize("padding", ["same", "symmetric"])
@pytest.mark.parametrize(("side", "stride"), [(1, 1), (3, 1), (3, 2), (5, 2)])
def test_convolution_by_rows_is_the_convolution(side, stride, padding):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 6, 6, 4), np.float32)
    kernel = rng.standard_normal((side, side, 4, 8), np.float32)
    rows = kernel.reshape(-1, 8).T
    found = ops.convolution_by_rows(x, rows, side, stride, padding)
    np.testing.assert_allclose(found, ops.convolution(x, kernel, stride, padding), atol=1e-4)
