"""Compiled programs of single blocks, of which children are chains (`mnas.training.child`).

    forward     params, x, …                       → y, residuals, batch statistics
    backward    params, x, residuals, dy, state, … → dx, updated params and optimizer state
    statistics  params, x                          → y, batch statistics
    inference   variables, x                       → y

Compiled ahead of time, once per signature: the block's module, shape and type of its input and the
optimizer. Only the programs are kept, on disk and in memory (`mnas.runtime.program_cache`);
`jax.jit` would also keep the MLIR module of each (sizes: `docs/results/memory.md`).
"""

import dataclasses
import functools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, cast

import jax
import numpy as np
import optax
from flax import linen as nn

from mnas.nn import ops
from mnas.nn.blocks import Stem, without_drop
from mnas.nn.network import Shape, Variables, block_shapes
from mnas.runtime.compile_stats import record_tracing
from mnas.runtime.program_cache import Program, ProgramSet, evict_all, source_digest
from mnas.training.optimizer import Optimizer

# Signatures remembered, more than most spaces have. Without a cache on disk all of their programs
# stay in memory, up to 3 GB.
MAX_BLOCKS = 512

# Packages whose sources decide what a program computes, hence part of its signature on disk.
TRACED_PACKAGES = ("architecture", "nn", "training")


class TrainingPrograms(NamedTuple):
    """Training programs of one block, for inputs of one shape.

    forward    params, x [B, H, W, C], keep, key → y, residuals, batch statistics
    backward   params, x, residuals, dy, optimizer state, averaged params, learning rate, EMA decay
               → dx (None for the first block), params, state, averaged params
    output     shape of y

    `keep` and `key` are None for blocks that cannot drop anything, averaged params are None if
    there is no average. `backward` donates params, state and averages: the arrays passed to it are
    deleted.
    """

    forward: Program
    backward: Program
    output: Shape


def training_programs(
    block: nn.Module,
    shape: Shape,
    optimizer: Optimizer,
    *,
    averaged: bool,
    dtype: str = "float32",
) -> TrainingPrograms:
    """Return the programs that train a block with input of `shape`, [B, H, W, C].

    dtype  of the input and of its gradient; params, optimizer state and statistics are float32
    """
    cached = _training(block, shape, optimizer, averaged, dtype, ops.default_implementation())
    (forward, backward), output = cached.load()
    return TrainingPrograms(forward, backward, output)


def statistics_program(block: nn.Module, shape: Shape) -> tuple[Program, Shape]:
    """Return the program from params and x of `shape` to y and batch statistics, and y's shape.

    In float32, with nothing dropped: for children whose training programs are of another type.
    """
    cached = _statistics(without_drop(block), shape, ops.default_implementation())
    (program,), output = cached.load()
    return program, output


def inference_program(block: nn.Module, variables: Any, shape: Shape) -> Program:
    """Return the inference program for variables with the structure and shapes of `variables`."""
    leaves, tree = jax.tree.flatten(variables)
    shapes = tuple(leaf.shape for leaf in leaves)
    cached = _inference(without_drop(block), tree, shapes, shape, ops.default_implementation())
    (program,), _ = cached.load()
    return program


def forget_programs() -> None:
    """Release the memory of all cached programs; those held by callers stay usable."""
    _training.cache_clear()
    _statistics.cache_clear()
    _inference.cache_clear()
    evict_all()


# `implementation` only extends the keys: traced code reads it itself.


@functools.lru_cache(maxsize=MAX_BLOCKS)
def _training(
    block: nn.Module,
    shape: Shape,
    optimizer: Optimizer,
    averaged: bool,
    dtype: str,
    implementation: str,
) -> ProgramSet:
    signature = signature_of("training", block, shape, optimizer, averaged, dtype, implementation)
    return ProgramSet(
        signature, lambda: _compile_training(block, shape, optimizer, averaged, dtype)
    )


def _compile_training(
    block: nn.Module, shape: Shape, optimizer: Optimizer, averaged: bool, dtype: str
) -> tuple[list[Program], Shape]:
    """Return [forward, backward] and the shape of the output."""
    whole = without_drop(block)  # tracing a block that drops would need a key
    weights = block_shapes(whole, shape)[0]["params"]
    number = jax.ShapeDtypeStruct((), np.float32)
    drops = whole is not block
    random = (number, jax.ShapeDtypeStruct((2,), np.uint32)) if drops else (None, None)
    x = jax.ShapeDtypeStruct(shape, dtype)
    split = ResidualSplit()
    forward, (y, residuals, _) = compiled(
        functools.partial(_forward, block, split), weights, x, *random
    )
    average = weights if averaged else None
    arguments = (weights, x, residuals, y, optimizer.shapes(weights), average, number, number)
    update = functools.partial(_backward, split, optimizer)
    backward, _ = compiled(update, *arguments, donate=(0, 4, 5))
    return [forward, backward], y.shape


@functools.lru_cache(maxsize=MAX_BLOCKS)
def _statistics(block: nn.Module, shape: Shape, implementation: str) -> ProgramSet:
    def compile_all() -> tuple[list[Program], Shape]:
        params = block_shapes(block, shape)[0]["params"]
        x = jax.ShapeDtypeStruct(shape, np.float32)
        program, (y, _) = compiled(functools.partial(_apply, block), params, x)
        return [program], y.shape

    signature = signature_of("statistics", block, shape, implementation)
    return ProgramSet(signature, compile_all)


@functools.lru_cache(maxsize=MAX_BLOCKS)
def _inference(
    block: nn.Module, tree: Any, shapes: tuple[Shape, ...], shape: Shape, implementation: str
) -> ProgramSet:
    def compile_all() -> tuple[list[Program], None]:
        leaves = [jax.ShapeDtypeStruct(leaf, np.float32) for leaf in shapes]
        x = jax.ShapeDtypeStruct(shape, np.float32)
        infer = functools.partial(_infer, block)
        return [compiled(infer, jax.tree.unflatten(tree, leaves), x)[0]], None

    signature = signature_of("inference", block, tree, shapes, shape, implementation)
    return ProgramSet(signature, compile_all)


def signature_of(kind: str, block: nn.Module, *settings: Any) -> tuple[Any, ...]:
    """Return the signature of programs of a kind for a block (`ProgramSet`)."""
    return (kind, _fields(block), *settings, _sources())


@functools.cache
def _sources() -> str:
    """Return the digest of the sources that programs are traced from."""
    root = Path(__file__).parents[1]
    return source_digest(root / package for package in TRACED_PACKAGES)


def _fields(block: nn.Module) -> tuple[Any, ...]:
    """Return a block's class and fields, which determine its equality."""
    fields = [f.name for f in dataclasses.fields(block) if f.name not in ("parent", "name")]
    kind = type(block)
    return f"{kind.__module__}.{kind.__name__}", [(name, getattr(block, name)) for name in fields]


def compiled(
    function: Callable[..., Any], *shapes: Any, donate: tuple[int, ...] = ()
) -> tuple[Program, Any]:
    """Return a function's program for arguments of these shapes, and the shapes of its outputs."""
    began = time.perf_counter()
    lowered = jax.jit(function, donate_argnums=donate).lower(*shapes)
    record_tracing(time.perf_counter() - began)
    outputs = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), lowered.out_info
    )
    return lowered.compile(), outputs


class ResidualSplit:
    """Residuals of a block, passed from its forward to its backward program.

    The function that `jax.vjp` returns is a pytree whose leaves are the residuals. Some leaves are
    arguments of the forward pass; a program would have to copy these to return them, so they are
    left out and taken from the arguments of the backward pass instead.
    """

    def split(self, vjp: Callable[..., Any], arguments: Any) -> list[jax.Array]:
        """Return the distinct leaves of `vjp` not in `arguments`; runs while tracing forward."""
        leaves, self._tree = jax.tree.flatten(vjp)
        arrays = jax.tree.leaves(arguments)
        count, indices = len(arrays), {id(leaf): index for index, leaf in enumerate(arrays)}
        for leaf in leaves:
            if id(leaf) not in indices:
                indices[id(leaf)] = len(arrays)
                arrays.append(leaf)
        self._indices = [indices[id(leaf)] for leaf in leaves]
        return arrays[count:]

    def merge(self, residuals: list[jax.Array], arguments: Any) -> Callable[..., Any]:
        """Return the vjp function rebuilt from residuals; runs while tracing backward."""
        arrays = [*jax.tree.leaves(arguments), *residuals]
        return jax.tree.unflatten(self._tree, [arrays[index] for index in self._indices])


def _apply(block: nn.Module, params, x, keep=None, key=None):
    y, written = block.apply({"params": params}, x, True, keep, key, mutable=["batch_stats"])
    return y, written.get("batch_stats", {})  # a head without convolution has none


def _forward(block: nn.Module, residual_split: ResidualSplit, params, x, keep, key):
    key = None if key is None else jax.random.wrap_key_data(key, impl="threefry2x32")

    def apply(params, x):
        return _apply(block, params, x, keep, key)

    if isinstance(block, Stem):  # no gradient with respect to the images
        y, vjp, statistics = jax.vjp(lambda params: apply(params, x), params, has_aux=True)
    else:
        y, vjp, statistics = jax.vjp(apply, params, x, has_aux=True)
    return y, residual_split.split(vjp, (params, x)), statistics


def _backward(
    residual_split: ResidualSplit,
    optimizer: Optimizer,
    params,
    x,
    residuals,
    gradient,
    state,
    average,
    learning_rate,
    ema_decay,
):
    gradients, *below = residual_split.merge(residuals, (params, x))(gradient)
    updates, state = optimizer.build().update(gradients, state, params, learning_rate=learning_rate)
    params = optax.apply_updates(params, updates)
    if average is not None:
        average = optax.incremental_update(params, average, 1 - ema_decay)
    return (below[0] if below else None), params, state, average


def _infer(block: nn.Module, variables: Variables, x: jax.Array) -> jax.Array:
    return cast(jax.Array, block.apply(variables, x, False))
