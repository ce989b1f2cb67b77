"""Compiled programs of single blocks for scores without training (`mnas.training.zero_cost`).

Compiled and kept as those of a training are (`mnas.training.programs`): once per block and shape of
its input, for all children together.
"""

import functools
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from mnas.nn import ops
from mnas.nn.blocks import BasicLayer, BatchNorm, BottleneckLayer, Stem
from mnas.nn.network import Shape, block_shapes
from mnas.runtime.program_cache import Program, ProgramSet
from mnas.training.programs import MAX_BLOCKS, compiled, signature_of

Measure = Literal["saliency", "norm"]


def code_program(block: nn.Module, shape: Shape) -> tuple[Program, Shape]:
    """Return the program from params and x of `shape` to y and agreement, and y's shape.

    The agreement, float32 [N, N], is the number of the block's ReLU units that are active for both
    of two images or for neither. BatchNorm normalises by the batch. ReLUs of squeeze-and-excitation
    don't count.
    """
    (program,), output = _codes(block, shape, ops.default_implementation()).load()
    return program, output


def gradient_programs(
    block: nn.Module, shape: Shape, measure: Measure
) -> tuple[Program, Program, Shape]:
    """Return two programs, and the shape of y for x of `shape`.

        forward   params, x      → y, log scale
        backward  params, x, dy  → sum, dx (None for the stem), log scale

    measure   'norm': the sum is that of the Euclidean norms of the kernels' gradients, with
              BatchNorm by the batch. 'saliency': that of |θ · dθ| over the kernels' weights θ,
              without BatchNorm; y and dx are divided by their largest value, exp(log scale), which
              products over many layers would overflow without
    """
    cached = _gradients(block, shape, measure, ops.default_implementation())
    (forward, backward), output = cached.load()
    return forward, backward, output


# `implementation` only extends the keys: traced code reads it itself.


@functools.lru_cache(maxsize=MAX_BLOCKS)
def _codes(block: nn.Module, shape: Shape, implementation: str) -> ProgramSet:
    def compile_all() -> tuple[list[Program], Shape]:
        params = block_shapes(block, shape)[0]["params"]
        x = jax.ShapeDtypeStruct(shape, np.float32)
        program, (y, _) = compiled(functools.partial(_agreement, block), params, x)
        return [program], y.shape

    return ProgramSet(signature_of("codes", block, shape, implementation), compile_all)


@functools.lru_cache(maxsize=MAX_BLOCKS)
def _gradients(block: nn.Module, shape: Shape, measure: Measure, implementation: str) -> ProgramSet:
    def compile_all() -> tuple[list[Program], Shape]:
        params = block_shapes(block, shape)[0]["params"]
        x = jax.ShapeDtypeStruct(shape, np.float32)
        forward, (y, _) = compiled(functools.partial(_forward, block, measure), params, x)
        backward, _ = compiled(functools.partial(_backward, block, measure), params, x, y)
        return [forward, backward], y.shape

    signature = signature_of("gradients", block, shape, measure, implementation)
    return ProgramSet(signature, compile_all)


def _is_activated(module: nn.Module, method: str) -> bool:
    return isinstance(module, BatchNorm) and module.activation is not None and method == "__call__"


def _agreement(block: nn.Module, params, x):
    y, written = block.apply(
        {"params": params},
        x,
        True,
        capture_intermediates=_is_activated,
        mutable=["batch_stats", "intermediates"],
    )
    outputs = jax.tree.leaves(written.get("intermediates", {}))
    if isinstance(block, BasicLayer | BottleneckLayer):
        outputs.append(y)  # their last activation follows the skip connection
    agreement = jnp.zeros((len(x), len(x)), jnp.float32)
    for output in outputs:
        codes = (output > 0).reshape(len(x), -1).astype(jnp.float32)
        active = codes.sum(1)
        # Both active, plus neither: c·c' + (1 - c)·(1 - c').
        both = jnp.matmul(codes, codes.T, precision=jax.lax.Precision.HIGHEST)
        agreement += 2 * both - active[:, None] - active + codes.shape[1]
    return y, agreement


def _apply(block: nn.Module, measure: Measure, params, x):
    if measure == "saliency":  # BatchNorm without statistics adds its bias, 0
        return block.apply({"params": params}, x, False)
    return block.apply({"params": params}, x, True, mutable=["batch_stats"])[0]


def _scaled(measure: Measure, x):
    """Return values divided by the largest of them, and its logarithm; unchanged for 'norm'."""
    if measure == "norm":
        return x, jnp.zeros(())
    largest = x.max()
    return x / largest, jnp.log(largest)


def _forward(block: nn.Module, measure: Measure, params, x):
    return _scaled(measure, _apply(block, measure, params, x))


def _backward(block: nn.Module, measure: Measure, params, x, dy):
    _, vjp = jax.vjp(functools.partial(_apply, block, measure), params, x)
    gradients, dx = vjp(dy)
    total = jnp.zeros(())
    flat, _ = jax.tree_util.tree_flatten_with_path(gradients)
    for (path, gradient), weight in zip(flat, jax.tree.leaves(params), strict=True):
        if path[-1].key == "kernel":
            norm = jnp.sqrt((gradient * gradient).sum())
            total += norm if measure == "norm" else jnp.abs(weight * gradient).sum()
    if isinstance(block, Stem):
        return total, None, jnp.zeros(())
    return total, *_scaled(measure, dx)
