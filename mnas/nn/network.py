"""Whole networks as chains of blocks, their variables, and initial values.

Variables are kept block by block, {block name: {'params': ..., 'batch_stats': ...}}, the form in
which children are trained. `network_variables` and `block_variables` convert to and from Flax's
whole-network form, {'params': {block name: ...}, 'batch_stats': {block name: ...}}.
"""

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from mnas.architecture.architecture import Architecture
from mnas.architecture.cost import block_inputs
from mnas.nn import ops
from mnas.nn.blocks import (
    Head,
    LayerBlock,
    Stem,
    convolution_stddev,
    dense_bound,
    layer_block,
)

Variables = dict[str, Any]
Shape = tuple[int, ...]


class PlacedBlock(NamedTuple):
    """A block at its position in a network: name, module, shape of its input [N, H, W, C]."""

    name: str
    module: nn.Module
    input_shape: Shape


def network_blocks(
    architecture: Architecture, *, drop_path: bool = False, dropout: bool = False
) -> tuple[tuple[str, nn.Module], ...]:
    """Return (name, module) of every block in order: 'stem', 'stage1_layer1', ..., 'head'.

    drop_path, dropout    build modules that drop branches or head features, with a probability
                          passed to them when called
    """
    activation, padding = architecture.activation, architecture.padding
    epsilon = architecture.bn_epsilon
    stem = Stem(
        architecture.stem,
        activation,
        architecture.stem_kernel,
        architecture.stem_pool,
        padding,
        epsilon,
        architecture.stem_stride,
    )
    blocks: list[tuple[str, nn.Module]] = [("stem", stem)]
    for s, stage in enumerate(architecture.stages(), start=1):
        for n, layer in enumerate(stage, start=1):
            block = layer_block(layer, activation, drop_path, padding, epsilon)
            blocks.append((f"stage{s}_layer{n}", block))
    head = Head(architecture.head, architecture.classes, activation, dropout, epsilon)
    return (*blocks, ("head", head))


def blocks_with_inputs(
    architecture: Architecture,
    images: int,
    *,
    drop_path: bool = False,
    dropout: bool = False,
) -> tuple[PlacedBlock, ...]:
    """Return every block in order with the shape of its input for a batch of `images` images."""
    blocks = network_blocks(architecture, drop_path=drop_path, dropout=dropout)
    return tuple(
        PlacedBlock(name, module, (images, resolution, resolution, filters))
        for (name, module), (resolution, filters) in zip(
            blocks, block_inputs(architecture), strict=True
        )
    )


class Network(nn.Module):
    """Whole network as one module: images [N, R, R, 3] → logits [N, classes]."""

    architecture: Architecture

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        for name, block in network_blocks(self.architecture):
            x = block.clone(parent=self, name=name)(x, train)
        return x


def network_variables(variables: Mapping[str, Variables]) -> Variables:
    """Convert {block: {collection: ...}} to {collection: {block: ...}}, the form of `Network`."""
    return _swapped(variables)


def block_variables(variables: Mapping[str, Variables]) -> Variables:
    """Convert {collection: {block: ...}} to {block: {collection: ...}}."""
    return _swapped(variables)


def _swapped(nested: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    swapped: dict[str, dict[str, Any]] = {}
    for outer, inner in nested.items():
        for key, value in inner.items():
            swapped.setdefault(key, {})[outer] = value
    return swapped


def variable_shapes(architecture: Architecture) -> dict[str, Variables]:
    """Return variables block by block as `jax.ShapeDtypeStruct`s, without computing anything."""
    return {
        name: block_shapes(block, shape)[0]
        for name, block, shape in blocks_with_inputs(architecture, images=1)
    }


@functools.lru_cache(maxsize=4096)
def block_shapes(block: nn.Module, shape: Shape) -> tuple[Variables, Shape]:
    """Return shapes of a block's variables and output. Cached: tracing takes tens of ms."""
    x = jax.ShapeDtypeStruct(shape, jnp.float32)
    with ops.use_implementation("lax"):  # fewer operations to trace, same shapes
        output, variables = jax.eval_shape(
            lambda x: block.init_with_output(jax.random.key(0), x, True), x
        )
    return variables, output.shape


def init_variables(
    architecture: Architecture, seed: int, *, zero_residual: bool = False
) -> dict[str, Variables]:
    """Return initial variables block by block, as NumPy arrays.

    zero_residual  the last BatchNorm of each residual branch starts at scale 0, so that the layer
                   is its skip connection (arXiv 1706.02677, section 5.1)

    Values depend only on the seed, the block's name and its shapes. They come from NumPy's
    generator, since JAX would compile a program for every new shape; distributions are those of
    the modules' `init`. Batch statistics start at mean 0, variance 1; a block without BatchNorm
    has none.
    """
    return {
        name: init_block(block, shape, [seed, *name.encode()], zero_residual=zero_residual)
        for name, block, shape in blocks_with_inputs(architecture, images=1)
    }


def init_block(
    block: nn.Module, shape: Shape, seed: Sequence[int], *, zero_residual: bool = False
) -> Variables:
    """Return initial variables of one block for an input of `shape` (`init_variables`).

    seed  of NumPy's generator: whole numbers
    """
    rng = np.random.default_rng(seed)
    flat, tree = jax.tree_util.tree_flatten_with_path(block_shapes(block, shape)[0])
    leaves = [_initial_value(rng, path, leaf.shape) for path, leaf in flat]
    variables: Variables = jax.tree.unflatten(tree, leaves)
    if zero_residual and isinstance(block, LayerBlock) and block.layer.skip != "none":
        variables["params"][block.last_norm]["scale"][:] = 0
    return variables


def _initial_value(rng: np.random.Generator, path: tuple[Any, ...], shape: Shape) -> np.ndarray:
    kind = path[-1].key
    if kind == "kernel" and len(shape) == 4:
        stddev = convolution_stddev(shape, depthwise=path[-2].key == "depthwise")
        return rng.standard_normal(shape, np.float32) * np.float32(stddev)
    if kind == "kernel":
        uniform = 2 * rng.random(shape, np.float32) - 1
        return np.multiply(uniform, np.float32(dense_bound(shape)))
    return np.full(shape, kind in ("scale", "var"), np.float32)


def count_params(variables: Mapping[str, Variables]) -> int:
    """Return the number of trainable params of variables, or of their shapes, block by block."""
    params = [block["params"] for block in variables.values()]
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))
