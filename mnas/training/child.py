"""A child as a chain of separately compiled blocks: its update, its calibration, its answers.

Every child is a new program, and compiling it whole would take as long as training it. So each
block of a network is compiled by itself, once for each signature (the block's module, the shape of
its input), forward and backward, and a child is a chain of such programs (`mnas.training.programs`):

    forward    params, x         → y, residuals, batch statistics
    backward   residuals, dy     → dx, updated params      (gradient and optimiser in one program)

After a few children have warmed the caches up, a new one compiles next to nothing. Learning rates
and keep probabilities are arguments of the programs, so schedules don't recompile them.

BatchNorm has no moving averages: its statistics are computed after training, by the final weights,
over some batches of training images ('calibration').
"""

import functools
from collections.abc import Callable, Iterable, Sequence

import jax
import numpy as np
import optax
from flax import linen as nn

from mnas.architecture.architecture import Architecture
from mnas.nn.network import Variables, init_variables, network_blocks
from mnas.runtime import memory
from mnas.runtime.compile_stats import Recording
from mnas.training.optimizer import Optimizer
from mnas.training.programs import Shape, TrainingPrograms, inference_program, training_programs

Blocks = Sequence[tuple[str, nn.Module]]


@functools.partial(jax.jit, static_argnums=0)
def _loss(label_smoothing: float, logits, labels):
    """Mean cross-entropy with label smoothing, [], and its gradient, as logits [B, classes]."""

    def mean_loss(logits):
        targets = optax.smooth_labels(jax.nn.one_hot(labels, logits.shape[-1]), label_smoothing)
        return optax.softmax_cross_entropy(logits, targets).mean()

    return jax.value_and_grad(mean_loss)(logits)


def compile_loss(label_smoothing: float, shape: tuple[int, int]) -> None:
    """Has JAX compile the loss of logits of this shape, [B, classes]."""
    logits, labels = np.zeros(shape, np.float32), np.zeros(shape[:1], np.int32)
    _loss(label_smoothing, *jax.device_put((logits, labels)))


class Child:
    """A network in training: its blocks, and for each of them params and optimiser state.

    ema_decay   of the averaged weights, 0 for none
    drop_path   stochastic depth: drop rate at the end of the network, rising linearly from 0
    dropout     drop rate of the features before the classifier
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
    ) -> None:
        self.blocks = network_blocks(architecture, drop_path=drop_path > 0, dropout=dropout > 0)
        self._optimizer, self._label_smoothing = optimizer, label_smoothing
        self._ema_decay = ema_decay
        initial = init_variables(architecture, seed)
        weights = [initial[name]["params"] for name, _ in self.blocks]
        self._params = jax.device_put(weights)
        self._states = jax.device_put([optimizer.init(params) for params in weights])
        none = [None] * len(weights)
        self._averages = jax.device_put(weights) if ema_decay else none
        self._keeps = keep_probabilities([block for _, block in self.blocks], drop_path, dropout)
        self._chains: dict[Shape, list[TrainingPrograms]] = {}
        self._drop_rng = np.random.default_rng([seed, *b"drop"])

    def step(
        self, images: jax.Array, labels: jax.Array, learning_rate: float, step: int
    ) -> jax.Array:
        """One update by images [B, R, R, 3] and labels [B]; the loss, which may not be ready yet.

        `step`, counted from 0, warms the averaging up: its decay is at most (1 + step)/(10 + step)
        (TensorFlow's ExponentialMovingAverage).
        """
        programs = self._programs(images.shape)
        x, kept = images, []
        for program, params, keep in zip(programs, self._params, self._keeps, strict=True):
            key = None if keep is None else self._drop_rng.integers(0, 2**32, 2, np.uint32)
            y, residuals, _ = program.forward(params, x, keep, key)
            kept.append((x, residuals))
            x = y
        del residuals
        loss, gradient = _loss(self._label_smoothing, x, labels)
        rate = np.float32(learning_rate)
        ema_decay = np.float32(min(self._ema_decay, (1 + step) / (10 + step)))
        for index in reversed(range(len(self.blocks))):
            updated = programs[index].backward(
                self._params[index],
                *kept.pop(),  # not kept alive: residuals are most of the memory
                gradient,
                self._states[index],
                self._averages[index],
                rate,
                ema_decay,
            )
            gradient, self._params[index], self._states[index], self._averages[index] = updated
        return loss

    def _programs(self, shape: Shape) -> list[TrainingPrograms]:
        """Of all blocks, for images of this shape."""
        if shape not in self._chains:
            chain: list[TrainingPrograms] = []
            recording = Recording()
            averaged = self._ema_decay > 0
            for _, block in self.blocks:
                below = chain[-1].output if chain else shape
                chain.append(training_programs(block, below, self._optimizer, averaged=averaged))
            self._chains[shape] = chain
            if recording.compilations.compiles or recording.compilations.cache_reads:
                memory.give_back_freed_memory()
        return self._chains[shape]

    def variables(self, batches: Iterable[jax.Array]) -> dict[str, Variables]:
        """{block: {'params', 'batch_stats'}} to evaluate by, as NumPy arrays; see `init_variables`.

        The weights are the averaged ones where there are such. BatchNorm's statistics are those of
        all pixels of `batches` (images [B, R, R, 3], of equal size), each batch normalised by its
        own, with nothing dropped.
        """
        weights = self._averages if self._ema_decay else self._params
        statistics = []
        for x in batches:
            written = []
            chain = self._programs(x.shape)
            for program, params, keep in zip(chain, weights, self._keeps, strict=True):
                # The very program of training; kept with probability 1, nothing is dropped.
                certain = (None, None) if keep is None else (np.float32(1), np.zeros(2, np.uint32))
                x, _, batch_stats = program.forward(params, x, *certain)
                written.append(batch_stats)
            statistics.append(written)
        pooled = jax.tree.map(lambda *batches: np.stack(batches), *jax.device_get(statistics))
        # Copies: what `device_get` gives may be views of buffers that the next step gives away.
        host = jax.tree.map(np.array, jax.device_get(weights))
        variables = {}
        for (name, _), params, stats in zip(self.blocks, host, pooled, strict=True):
            variables[name] = {"params": params}
            if stats:
                variables[name]["batch_stats"] = pooled_statistics(stats)
        return variables


def inference(
    blocks: Blocks, variables: dict[str, Variables], shape: Shape
) -> Callable[[dict[str, Variables], jax.Array], jax.Array]:
    """What gives the logits [B, classes] of images of this shape, [B, R, R, 3].

    Compiled, block by block, for variables of the same structure and shapes as these. Called with
    variables and images; the logits may not be computed yet.
    """
    programs = []
    for name, block in blocks:
        programs.append((name, inference_program(block, variables[name], shape)))
        shape = programs[-1][1].out_info.shape

    def infer(variables: dict[str, Variables], x: jax.Array) -> jax.Array:
        for name, program in programs:
            x = program(variables[name], x)
        return x

    return infer


def pooled_statistics(statistics: Variables) -> Variables:
    """Mean and variance over equal batches, of those of each: leaves [batches, C] → [C].

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
    """For each layer 1 - drop_path · index / layers (EfficientNet's code), or None where nothing
    can be dropped. Stem and head are no layers; the head has dropout.
    """
    layers = len(blocks) - 2
    keeps: list[np.float32 | None] = [None]
    for index, block in enumerate(blocks[1:-1]):
        keeps.append(np.float32(1 - drop_path * index / layers) if block.drop else None)
    return [*keeps, np.float32(1 - dropout) if dropout else None]
