"""A child as one program: what `mnas.training.child` does, compiled as a whole.

    update      state, images, targets, … → state, loss
    statistics  params, images            → batch statistics
    inference   variables, images         → logits

Every child is compiled anew, which takes longer than many a short training; the programs of other
children do not help. In return XLA optimizes across blocks, and a step is one call. Of a network
that was trained before, JAX's persistent cache has the programs. They live as long as the child: a
worker that trains thousands of children keeps none of them.

Seeds, what is dropped, and all sums are those of the chain of blocks; results differ in rounding.
"""

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

import jax
import numpy as np

from mnas.architecture.architecture import Architecture
from mnas.nn.network import Shape, Variables, init_variables
from mnas.runtime import memory
from mnas.runtime.program_cache import Program as Compiled
from mnas.training.child import Blocks, Inference, inference_variables, keep_probabilities
from mnas.training.loss import cross_entropy
from mnas.training.optimizer import Optimizer
from mnas.training.programs import compiled
from mnas.training.step import Program, State


class WholeChild:
    """A network in training; arguments and methods are those of `mnas.training.child.Child`."""

    def __init__(
        self,
        architecture: Architecture,
        seed: int,
        optimizer: Optimizer,
        *,
        label_smoothing: float = 0.0,
        ema_decay: float = 0.0,
        drop_path: float = 0.0,
        dropout: float = 0.0,
        zero_residual: bool = False,
        initial: Mapping[str, Variables] | None = None,
        precision: str = "float32",
    ) -> None:
        if initial is None:
            initial = init_variables(architecture, seed, zero_residual=zero_residual)
        self._program = Program(
            architecture=architecture,
            optimizer=optimizer,
            groups=((1.0, tuple(initial)),),
            label_smoothing=label_smoothing,
            drop_path=drop_path,
            dropout=dropout,
            averaged=ema_decay > 0,
            dtype=precision,
        )
        self.blocks, self._ema_decay = self._program.blocks, ema_decay
        params = {name: variables["params"] for name, variables in initial.items()}
        self._state: State = jax.device_put(self._program.init(params))
        modules = [block for _, block in self.blocks]
        self._drops = [keep is not None for keep in keep_probabilities(modules, drop_path, dropout)]
        self._drop_rng = np.random.default_rng([seed, *b"drop"])
        self._updates: dict[Shape, Compiled] = {}
        self._statistics: Compiled | None = None
        self._inference: dict[Shape, Inference] = {}

    def step(
        self, images: jax.Array, targets: jax.Array, learning_rate: float, step: int
    ) -> jax.Array:
        """Update the params on images [B, R, R, 3]; return the loss, which may be pending."""
        ema_decay = np.float32(min(self._ema_decay, (1 + step) / (10 + step)))
        arguments = (images, targets, np.float32(learning_rate), ema_decay, self._keys())
        if images.shape not in self._updates:
            update = functools.partial(_update, self._program)
            self._updates[images.shape] = _compiled(update, self._state, *arguments, donate=(0,))
        self._state, loss = self._updates[images.shape](self._state, *arguments)
        return cast(jax.Array, loss)

    def variables(self, batches: Iterable[jax.Array]) -> dict[str, Variables]:
        """Return {block: {'params', 'batch_stats'}} for inference, as NumPy arrays."""
        weights = self._state.params if self._state.average is None else self._state.average
        names, statistics = [name for name, _ in self.blocks], []
        for images in batches:
            if self._statistics is None:
                written = functools.partial(_statistics, self._program)
                self._statistics = _compiled(written, weights, images)
            found = self._statistics(weights, images)
            statistics.append([found[name] for name in names])
        return inference_variables(names, [weights[name] for name in names], statistics)

    def inference(self, variables: Mapping[str, Variables], shape: Shape) -> Inference:
        """Return the compiled inference of the network (`whole_inference`)."""
        if shape not in self._inference:
            self._inference[shape] = whole_inference(self.blocks, variables, shape)
        return self._inference[shape]

    def _keys(self) -> np.ndarray:
        """Return the data of each block's random key for a step, uint32 [blocks, 2]."""
        keys = np.zeros((len(self.blocks), 2), np.uint32)
        for index, drops in enumerate(self._drops):
            if drops:  # drawn as the chain of blocks draws them
                keys[index] = self._drop_rng.integers(0, 2**32, 2, np.uint32)
        return keys


def whole_inference(blocks: Blocks, variables: Mapping[str, Variables], shape: Shape) -> Inference:
    """Return a function from variables and images of `shape`, [B, R, R, 3], to logits [B, classes].

    Compiled as one program for variables with the structure and shapes of `variables`.
    """
    images = jax.ShapeDtypeStruct(shape, np.float32)
    program = _compiled(functools.partial(_infer, blocks), dict(variables), images)
    return lambda variables, x: cast(jax.Array, program(dict(variables), x))


def _compiled(
    function: Callable[..., Any], *arguments: Any, donate: tuple[int, ...] = ()
) -> Compiled:
    """Return a function's program for arguments like these."""
    shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), arguments)
    program, _ = compiled(function, *shapes, donate=donate)
    memory.release_freed_memory()
    return program


def _update(program: Program, state: State, images, targets, rate, ema_decay, keys):
    def key_of(index: int) -> jax.Array:
        return jax.random.wrap_key_data(keys[index], impl="threefry2x32")

    def loss(params):
        logits, _ = program.forward(params, {}, images.astype(program.dtype), key_of)
        return cross_entropy(logits, targets, program.label_smoothing)

    value, gradients = jax.value_and_grad(loss)(state.params)
    return program.updated(state, gradients, rate, ema_decay), value


def _statistics(program: Program, params, images):
    return program.forward(params, {}, images)[1]


def _infer(blocks: Blocks, variables, x):
    for name, block in blocks:
        x = block.apply(variables[name], x, False)
    return x
