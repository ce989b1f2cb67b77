"""Whole networks as chains of blocks, their variables, and the initial values of these.

Variables are kept block by block, {block name: {'params': ..., 'batch_stats': ...}}, because that
is how children are trained; `network_variables` and `block_variables` convert to and from the
whole-network form of Flax, {'params': {block name: ...}, 'batch_stats': ...}.
"""

import functools
import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from mnas.architecture.architecture import Architecture
from mnas.nn import ops
from mnas.nn.blocks import Head, Stem, convolution_stddev, dense_bound, layer_block

Variables = dict[str, Any]


def network_blocks(
    architecture: Architecture, *, drop_path: bool = False, dropout: bool = False
) -> tuple[tuple[str, nn.Module], ...]:
    """(name, module) of every block in order: 'stem', 'stage1_layer1', ..., 'head'.

    drop_path, dropout    whether blocks can drop branches and the head features; how probably is
                          said when they are called
    """
    activation, padding = architecture.activation, architecture.padding
    epsilon = architecture.bn_epsilon
    pooled = architecture.stem_pool
    stem = Stem(architecture.stem, activation, architecture.stem_kernel, pooled, padding, epsilon)
    blocks: list[tuple[str, nn.Module]] = [("stem", stem)]
    for s, stage in enumerate(architecture.stages(), start=1):
        for n, layer in enumerate(stage, start=1):
            block = layer_block(layer, activation, drop_path, padding, epsilon)
            blocks.append((f"stage{s}_layer{n}", block))
    head = Head(architecture.head, architecture.classes, activation, dropout, epsilon)
    return (*blocks, ("head", head))


class Network(nn.Module):
    """The whole network as one module: images [N, R, R, 3] → logits [N, classes]."""

    architecture: Architecture

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        for name, block in network_blocks(self.architecture):
            x = block.clone(parent=self, name=name)(x, train)
        return x


def network_variables(variables: Mapping[str, Variables]) -> Variables:
    """{block: {collection: ...}} → {collection: {block: ...}}, as `Network.apply` takes it."""
    return _swapped(variables)


def block_variables(variables: Mapping[str, Variables]) -> Variables:
    """The inverse of `network_variables`."""
    return _swapped(variables)


def _swapped(nested: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    swapped: dict[str, dict[str, Any]] = {}
    for outer, inner in nested.items():
        for key, value in inner.items():
            swapped.setdefault(key, {})[outer] = value
    return swapped


def variable_shapes(architecture: Architecture) -> dict[str, Variables]:
    """Variables block by block, as `jax.ShapeDtypeStruct`s: nothing is computed or allocated."""
    shape = (1, architecture.resolution, architecture.resolution, 3)
    shapes = {}
    for name, block in network_blocks(architecture):
        shapes[name], shape = block_shapes(block, shape)
    return shapes


@functools.lru_cache(maxsize=4096)
def block_shapes(block: nn.Module, shape: tuple[int, ...]) -> tuple[Variables, tuple[int, ...]]:
    """Shapes of a block's variables and of its output. Cached: tracing takes tens of ms."""
    x = jax.ShapeDtypeStruct(shape, jnp.float32)
    with ops.use_implementation("lax"):  # fewer operations to trace; shapes are the same
        output, variables = jax.eval_shape(
            lambda x: block.init_with_output(jax.random.key(0), x, True), x
        )
    return variables, output.shape


def init_variables(architecture: Architecture, seed: int) -> dict[str, Variables]:
    """Initial variables block by block, as NumPy arrays.

    Each value depends only on the seed, the block's name and the shapes in it. Drawn by NumPy:
    drawing them by JAX would compile a program for every new shape. The distributions are those of
    the modules' own `init`; batch statistics start as mean 0, variance 1. A block without BatchNorm
    has none.
    """
    variables = {}
    for name, shapes in variable_shapes(architecture).items():
        rng = np.random.default_rng([seed, *name.encode()])
        flat, tree = jax.tree_util.tree_flatten_with_path(shapes)
        leaves = [_initial_value(rng, path, leaf.shape) for path, leaf in flat]
        variables[name] = jax.tree.unflatten(tree, leaves)
    return variables


def _initial_value(rng: np.random.Generator, path: tuple, shape: tuple[int, ...]) -> np.ndarray:
    kind = path[-1].key
    if kind == "kernel" and len(shape) == 4:
        stddev = convolution_stddev(shape, depthwise=path[-2].key == "depthwise")
        return rng.standard_normal(shape, np.float32) * np.float32(stddev)
    if kind == "kernel":
        return (2 * rng.random(shape, np.float32) - 1) * np.float32(dense_bound(shape))
    return np.full(shape, kind in ("scale", "var"), np.float32)


def count_params(variables: Mapping[str, Variables]) -> int:
    """Trainable parameters in variables block by block, or in their shapes."""
    params = [block["params"] for block in variables.values()]
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))
