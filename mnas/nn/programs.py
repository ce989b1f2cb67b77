"""The compiled programs of single blocks, of which children are chains (`mnas.nn.child`).

    forward     params, x, …                       → y, residuals, batch statistics
    backward    params, x, residuals, dy, state, … → dx, updated params and optimiser state
    inference   variables, x                       → y

Compiled ahead, for a signature of the block and the shape of its input, and kept as programs alone.
`jax.jit` would also keep what it compiled them from, an MLIR module in a context of its own: nearly
2 MB for the programs of a block, of which a space has hundreds or thousands.
"""

import functools
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from flax import linen as nn

from mnas.compilation import count_tracing
from mnas.nn import ops
from mnas.nn.blocks import Stem
from mnas.nn.network import Variables, block_shapes
from mnas.nn.optimizer import Optimizer

# More than most spaces have. A child of a larger one has some twenty blocks, and to trace one again
# and read its programs from disk takes some tenths of a second.
KEPT_BLOCKS = 512

Shape = tuple[int, ...]
Program = jax.stages.Compiled


class TrainingPrograms(NamedTuple):
    """Of one block, for inputs of one shape.

    forward    params, x [B, H, W, C], keep, key → y, residuals, batch statistics
    backward   params, x, residuals, dy, optimiser state, averaged params, learning rate, EMA decay
               → dx (of the first block None), params, state, averaged params
    output     shape of y

    keep and key are None where the block can't drop anything, averaged params where there are none.
    The params, state and averages that backward is given are gone afterwards: it writes over them.
    """

    forward: Program
    backward: Program
    output: Shape


def training_programs(
    block: nn.Module, shape: Shape, optimizer: Optimizer, *, averaged: bool
) -> TrainingPrograms:
    """The programs that train a block whose input has this shape, [B, H, W, C]."""
    return _training(block, shape, optimizer, averaged, ops.default_implementation())


def inference_program(block: nn.Module, variables: Any, shape: Shape) -> Program:
    """The program that answers, for variables of the same structure and shapes as these."""
    leaves, tree = jax.tree.flatten(variables)
    shapes = tuple(leaf.shape for leaf in leaves)
    return _inference(block, tree, shapes, shape, ops.default_implementation())


def forget_programs() -> None:
    """Frees the memory that programs of blocks take; those in use go on."""
    _training.cache_clear()
    _inference.cache_clear()


# `implementation` is only a part of the keys: what is traced asks for it by itself.


@functools.lru_cache(maxsize=KEPT_BLOCKS)
def _training(
    block: nn.Module, shape: Shape, optimizer: Optimizer, averaged: bool, implementation: str
) -> TrainingPrograms:
    drops = getattr(block, "drop", False)
    # Dropping needs a key, and has no variables.
    weights = block_shapes(block.clone(drop=False) if drops else block, shape)[0]["params"]
    number = jax.ShapeDtypeStruct((), np.float32)
    random = (number, jax.ShapeDtypeStruct((2,), np.uint32)) if drops else (None, None)
    x = jax.ShapeDtypeStruct(shape, np.float32)
    seam = _Seam()
    forward, (y, residuals, _) = _compiled(
        functools.partial(_forward, block, seam), weights, x, *random
    )
    backward, _ = _compiled(
        functools.partial(_backward, seam, optimizer),
        *(weights, x, residuals, y, optimizer.shapes(weights), weights if averaged else None),
        *(number, number),
        donate=(0, 4, 5),
    )
    return TrainingPrograms(forward, backward, y.shape)


@functools.lru_cache(maxsize=KEPT_BLOCKS)
def _inference(
    block: nn.Module, tree: Any, shapes: tuple[Shape, ...], shape: Shape, implementation: str
) -> Program:
    leaves = [jax.ShapeDtypeStruct(leaf, np.float32) for leaf in shapes]
    x = jax.ShapeDtypeStruct(shape, np.float32)
    infer = functools.partial(_infer, block)
    return _compiled(infer, jax.tree.unflatten(tree, leaves), x)[0]


def _compiled(
    function: Callable[..., Any], *shapes: Any, donate: tuple[int, ...] = ()
) -> tuple[Program, Any]:
    """A function's program for arguments of these shapes, and the shapes of what it gives."""
    began = time.perf_counter()
    lowered = jax.jit(function, donate_argnums=donate).lower(*shapes)
    count_tracing(time.perf_counter() - began)
    given = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), lowered.out_info
    )
    return lowered.compile(), given


class _Seam:
    """Between the passes: `jax.vjp`'s function is a pytree, and its leaves are what is handed on.

    Some of these are arguments of the forward pass. A program that gave them back would have
    to copy them, so the backward pass is given them once more instead: for EfficientNet-B0, batch
    64 at 32 pixels, 85 MB are handed on in place of 107.
    """

    def cut(self, vjp: Callable[..., Any], given: Any) -> list[jax.Array]:
        """The leaves of `vjp` that are none of `given`; called in tracing the forward pass."""
        leaves, self._tree = jax.tree.flatten(vjp)
        known = jax.tree.leaves(given)
        count, places = len(known), {id(leaf): place for place, leaf in enumerate(known)}
        for leaf in leaves:
            if id(leaf) not in places:
                places[id(leaf)] = len(known)
                known.append(leaf)
        self._places = [places[id(leaf)] for leaf in leaves]
        return known[count:]

    def join(self, residuals: list[jax.Array], given: Any) -> Callable[..., Any]:
        """That function again, in tracing the backward pass."""
        known = [*jax.tree.leaves(given), *residuals]
        return jax.tree.unflatten(self._tree, [known[place] for place in self._places])


def _forward(block: nn.Module, seam: _Seam, params, x, keep, key):
    key = None if key is None else jax.random.wrap_key_data(key, impl="threefry2x32")

    def apply(params, x):
        y, written = block.apply({"params": params}, x, True, keep, key, mutable=["batch_stats"])
        return y, written.get("batch_stats", {})  # a head without convolution has none

    if isinstance(block, Stem):  # the first one needs no gradient to its input
        y, vjp, statistics = jax.vjp(lambda params: apply(params, x), params, has_aux=True)
    else:
        y, vjp, statistics = jax.vjp(apply, params, x, has_aux=True)
    return y, seam.cut(vjp, (params, x)), statistics


def _backward(
    seam, optimizer, params, x, residuals, gradient, state, average, learning_rate, ema_decay
):
    gradients, *below = seam.join(residuals, (params, x))(gradient)
    updates, state = optimizer.build().update(gradients, state, params, learning_rate=learning_rate)
    params = optax.apply_updates(params, updates)
    if average is not None:
        average = optax.incremental_update(params, average, 1 - ema_decay)
    return (below[0] if below else None), params, state, average


def _infer(block: nn.Module, variables: Variables, x: jax.Array) -> jax.Array:
    return block.apply(variables, x, False)
