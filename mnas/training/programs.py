"""The compiled programs of single blocks, of which children are chains (`mnas.training.child`).

    forward     params, x, …                       → y, residuals, batch statistics
    backward    params, x, residuals, dy, state, … → dx, updated params and optimiser state
    inference   variables, x                       → y

Compiled ahead, for a signature of the block and the shape of its input, and kept as programs alone,
on disk and while they are used in memory (`mnas.runtime.program_cache`). `jax.jit` would also keep what it
compiled them from, an MLIR module in a context of its own: nearly 2 MB for the programs of a block,
of which a space has hundreds or thousands.
"""

import dataclasses
import functools
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from flax import linen as nn

from mnas.nn import ops
from mnas.nn.blocks import Stem
from mnas.nn.network import Variables, block_shapes
from mnas.runtime.compile_stats import count_tracing
from mnas.runtime.program_cache import Program, Stored, forget_ready
from mnas.training.optimizer import Optimizer

# Where there is no disk for them all are ready to run: up to 3 GB. More than most spaces have.
KEPT_BLOCKS = 512

Shape = tuple[int, ...]


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
    stored = _training(block, shape, optimizer, averaged, ops.default_implementation())
    programs, output = stored.ready()
    return TrainingPrograms(*programs, output)


def inference_program(block: nn.Module, variables: Any, shape: Shape) -> Program:
    """The program that answers, for variables of the same structure and shapes as these."""
    leaves, tree = jax.tree.flatten(variables)
    shapes = tuple(leaf.shape for leaf in leaves)
    stored = _inference(_never_dropping(block), tree, shapes, shape, ops.default_implementation())
    (program,), _ = stored.ready()
    return program


def forget_programs() -> None:
    """Frees the memory that programs of blocks take; those in use go on."""
    _training.cache_clear()
    _inference.cache_clear()
    forget_ready()


# `implementation` is only a part of the keys: what is traced asks for it by itself.


@functools.lru_cache(maxsize=KEPT_BLOCKS)
def _training(
    block: nn.Module, shape: Shape, optimizer: Optimizer, averaged: bool, implementation: str
) -> Stored:
    signature = ("training", _fields(block), shape, optimizer, averaged, implementation)
    return Stored(signature, lambda: _make_training(block, shape, optimizer, averaged))


def _make_training(
    block: nn.Module, shape: Shape, optimizer: Optimizer, averaged: bool
) -> tuple[list[Program], Shape]:
    """Forward, backward, and the shape of the output."""
    whole = _never_dropping(block)  # dropping needs a key, and has no variables
    weights = block_shapes(whole, shape)[0]["params"]
    number = jax.ShapeDtypeStruct((), np.float32)
    drops = whole is not block
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
    return [forward, backward], y.shape


@functools.lru_cache(maxsize=KEPT_BLOCKS)
def _inference(
    block: nn.Module, tree: Any, shapes: tuple[Shape, ...], shape: Shape, implementation: str
) -> Stored:
    def make() -> tuple[list[Program], None]:
        leaves = [jax.ShapeDtypeStruct(leaf, np.float32) for leaf in shapes]
        x = jax.ShapeDtypeStruct(shape, np.float32)
        infer = functools.partial(_infer, block)
        return [_compiled(infer, jax.tree.unflatten(tree, leaves), x)[0]], None

    return Stored(("inference", _fields(block), tree, shapes, shape, implementation), make)


def _never_dropping(block: nn.Module) -> nn.Module:
    """The block itself where it can't drop anything; what inference makes of both is the same."""
    return block.clone(drop=False) if getattr(block, "drop", False) else block


def _fields(block: nn.Module) -> tuple[Any, ...]:
    """A block's class and fields: what makes it equal to others."""
    fields = [f.name for f in dataclasses.fields(block) if f.name not in ("parent", "name")]
    kind = type(block)
    return f"{kind.__module__}.{kind.__name__}", [(name, getattr(block, name)) for name in fields]


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
