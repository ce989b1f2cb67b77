"""A child as a chain of separately compiled blocks: its update, calibration and inference.

Every child is a new program, and compiling it whole would take as long as training it. Each block
is therefore compiled by itself, once per signature (`mnas.training.programs`):

    forward    params, x         → y, residuals, batch statistics
    backward   residuals, dy     → dx, updated params      (gradient and optimizer in one program)

After a few children, a new one compiles next to nothing. Learning rates and keep probabilities are
arguments of the programs, so schedules do not recompile them.

BatchNorm has no moving averages: its statistics are computed after training, with the final
weights, over some batches of training images ('calibration').
"""

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import linen as nn

from mnas.architecture.architecture import Architecture
from mnas.nn import ops
from mnas.nn.network import Shape, Variables, init_variables, network_blocks
from mnas.runtime import memory
from mnas.runtime.compile_stats import Recording
from mnas.training.loss import cross_entropy
from mnas.training.optimizer import Optimizer
from mnas.training.programs import (
    TrainingPrograms,
    inference_program,
    statistics_program,
    training_programs,
)

Blocks = Sequence[tuple[str, nn.Module]]
Inference = Callable[[Mapping[str, Variables], jax.Array], jax.Array]


class BlockState(NamedTuple):
    """A block in training: its params and the state of its optimizer."""

    params: Any
    optimizer: Any


@functools.partial(jax.jit, static_argnums=0)
def _loss(label_smoothing: float, logits, targets):
    """Return the mean label-smoothed cross-entropy, [], and its gradient, [B, classes]."""

    def mean_loss(logits):
        return cross_entropy(logits, targets, label_smoothing)

    return jax.value_and_grad(mean_loss)(logits)


def compile_loss(label_smoothing: float, classes: int, targets: jax.Array) -> None:
    """Compile the loss for logits [B, classes] and targets like these."""
    logits = np.zeros((len(targets), classes), np.float32)
    _loss(label_smoothing, jax.device_put(logits), targets)


class Child:
    """A network in training: its blocks with their params and optimizer states.

    ema_decay      decay of the moving average of weights, 0 for none
    drop_path      stochastic depth: drop rate of the last layer, rising linearly from 0
    dropout        dropout rate before the classifier
    zero_residual  residual branches start at 0
    initial        variables to start from, {block: {'params', ...}}; by default new ones
    start          params and optimizer state of every block, those of a weight bank, in place of
                   `initial`. A step deletes them: `states` are the ones after it
    precision      type of activations and their gradients; the rest is float32, and so are
                   calibration and inference
    """

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
        start: Sequence[BlockState] | None = None,
        precision: str = "float32",
    ) -> None:
        self._precision = precision
        self.blocks = network_blocks(architecture, drop_path=drop_path > 0, dropout=dropout > 0)
        self._optimizer, self._label_smoothing = optimizer, label_smoothing
        self._ema_decay = ema_decay
        if start is None:
            if initial is None:
                initial = init_variables(architecture, seed, zero_residual=zero_residual)
            weights = [initial[name]["params"] for name, _ in self.blocks]
            start = [BlockState(params, optimizer.init(params)) for params in weights]
        self._params = [jax.device_put(block.params) for block in start]
        self._states = [jax.device_put(block.optimizer) for block in start]
        self._averages = jax.device_put([b.params if ema_decay else None for b in start])
        self._keeps = keep_probabilities([block for _, block in self.blocks], drop_path, dropout)
        self._chains: dict[Shape, list[TrainingPrograms]] = {}
        self._drop_rng = np.random.default_rng([seed, *b"drop"])

    def step(
        self, images: jax.Array, targets: jax.Array, learning_rate: float, step: int
    ) -> jax.Array:
        """Update the params on images [B, R, R, 3]; return the loss, which may be pending.

        `targets` are labels [B] or, of mixed images, class probabilities [B, classes].
        `step`, counted from 0, limits the decay of the moving average to (1 + step)/(10 + step)
        (TensorFlow's ExponentialMovingAverage).
        """
        programs = self._programs(images.shape)
        x, inputs = ops.cast(images, self._precision), []
        for program, params, keep in zip(programs, self._params, self._keeps, strict=True):
            key = None if keep is None else self._drop_rng.integers(0, 2**32, 2, np.uint32)
            y, residuals, _ = program.forward(params, x, keep, key)
            inputs.append((x, residuals))
            x = y
        del residuals
        loss, gradient = _loss(self._label_smoothing, x, targets)
        rate = np.float32(learning_rate)
        ema_decay = np.float32(min(self._ema_decay, (1 + step) / (10 + step)))
        for index in reversed(range(len(self.blocks))):
            updated = programs[index].backward(
                self._params[index],
                *inputs.pop(),  # frees them as soon as possible: residuals are most of the memory
                gradient,
                self._states[index],
                self._averages[index],
                rate,
                ema_decay,
            )
            gradient, self._params[index], self._states[index], self._averages[index] = updated
        return loss

    def states(self) -> list[BlockState]:
        """Return params and optimizer state of every block, which the next step deletes."""
        return list(map(BlockState, self._params, self._states))

    def variables(self, batches: Iterable[jax.Array]) -> dict[str, Variables]:
        """Return {block: {'params', 'batch_stats'}} for inference, as NumPy arrays.

        The weights are the moving averages if there are any. BatchNorm's statistics are those of
        all pixels of `batches` (images [B, R, R, 3], equal B), each batch normalised by its own
        statistics, with nothing dropped.
        """
        weights = self._averages if self._ema_decay else self._params
        statistics: list[list[Variables]] = []
        chain: list[Callable[..., Any]] = []
        for x in batches:
            written = []
            chain = chain or self._statistics_chain(x.shape)
            for run, params in zip(chain, weights, strict=True):
                x, batch_stats = run(params, x)
                written.append(batch_stats)
            statistics.append(written)
        return inference_variables([name for name, _ in self.blocks], weights, statistics)

    def inference(self, variables: Mapping[str, Variables], shape: Shape) -> Inference:
        """Return the compiled inference of the network (`inference`)."""
        return inference(self.blocks, variables, shape)

    def _statistics_chain(self, shape: Shape) -> list[Callable[..., Any]]:
        """Return functions of params and x to y and batch statistics, for images of `shape`.

        In float32 they are the training programs, with keep probability 1, so that nothing is
        dropped: nothing else need be compiled.
        """
        if self._precision == "float32":
            keep_all = np.float32(1), np.zeros(2, np.uint32)
            return [
                functools.partial(_statistics, program, (None, None) if keep is None else keep_all)
                for program, keep in zip(self._programs(shape), self._keeps, strict=True)
            ]
        chain: list[Callable[..., Any]] = []
        for _, block in self.blocks:
            program, shape = statistics_program(block, shape)
            chain.append(program)
        return chain

    def _programs(self, shape: Shape) -> list[TrainingPrograms]:
        """Return the training programs of all blocks, for images of `shape`."""
        if shape not in self._chains:
            chain: list[TrainingPrograms] = []
            recording = Recording()
            averaged = self._ema_decay > 0
            for _, block in self.blocks:
                below = chain[-1].output if chain else shape
                chain.append(
                    training_programs(
                        block, below, self._optimizer, averaged=averaged, dtype=self._precision
                    )
                )
            self._chains[shape] = chain
            if recording.compilations.compiles or recording.compilations.cache_reads:
                memory.release_freed_memory()
        return self._chains[shape]


def _statistics(
    program: TrainingPrograms, keep: tuple[Any, Any], params: Any, x: jax.Array
) -> tuple[jax.Array, Variables]:
    y, _, batch_stats = program.forward(params, x, *keep)
    return y, batch_stats


def inference_variables(
    names: Sequence[str], weights: Sequence[Any], statistics: Sequence[Sequence[Variables]]
) -> dict[str, Variables]:
    """Return {block: {'params', 'batch_stats'}} as NumPy arrays.

    weights     params of each block
    statistics  batch statistics of each block, {} where it has none, for each batch
    """
    pooled = jax.tree.map(lambda *batches: np.stack(batches), *jax.device_get(statistics))
    # Copied: `device_get` may return views of buffers that the next step donates.
    host = jax.tree.map(np.array, jax.device_get(weights))
    variables = {}
    for name, params, stats in zip(names, host, pooled, strict=True):
        variables[name] = {"params": params}
        if stats:
            variables[name]["batch_stats"] = pooled_statistics(stats)
    return variables


def inference(blocks: Blocks, variables: Mapping[str, Variables], shape: Shape) -> Inference:
    """Return a function from variables and images of `shape`, [B, R, R, 3], to logits [B, classes].

    Compiled block by block for variables with the structure and shapes of `variables`. The
    function returns before the logits are computed.
    """
    programs = []
    for name, block in blocks:
        programs.append((name, inference_program(block, variables[name], shape)))
        shape = programs[-1][1].out_info.shape

    def infer(variables: Mapping[str, Variables], x: jax.Array) -> jax.Array:
        for name, program in programs:
            x = program(variables[name], x)
        return x

    return infer


def pooled_statistics(statistics: Variables) -> Variables:
    """Return mean and variance over batches of equal size: leaves [batches, C] → [C].

    mean = E[mean_b],  var = E[var_b] + E[(mean_b - mean)²]  (= E[x²] - mean², without cancellation)
    """
    if "mean" not in statistics:
        return {name: pooled_statistics(inner) for name, inner in statistics.items()}
    means, variances = (statistics[name].astype(np.float64) for name in ("mean", "var"))
    mean = means.mean(0)
    variance = variances.mean(0) + ((means - mean) ** 2).mean(0)
    return {"mean": mean.astype(np.float32), "var": variance.astype(np.float32)}


def keep_probabilities(
    blocks: Sequence[nn.Module], drop_path: float, dropout: float
) -> list[np.float32 | None]:
    """Return the keep probability of every block, None where it cannot drop anything.

    1 - drop_path · index / layers for a layer (EfficientNet's code; stem and head do not count),
    1 - dropout for the head.
    """
    layers = len(blocks) - 2
    keeps: list[np.float32 | None] = [None]
    for index, block in enumerate(blocks[1:-1]):
        keeps.append(np.float32(1 - drop_path * index / layers) if block.drop else None)
    return [*keeps, np.float32(1 - dropout) if dropout else None]
