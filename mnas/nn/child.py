"""A child as a chain of separately compiled blocks: its update, its calibration, its answers.

Every child is a new program, and compiling it whole would take as long as training it. So each
block of a network is compiled by itself, once for each signature (the block's module, the shape of
its input), forward and backward, and a child is a chain of such programs:

    forward    params, x         → y, residuals, batch statistics
    backward   residuals, dy     → dx, updated params      (gradient and optimiser in one program)

The residuals are `jax.vjp`'s function, which is a pytree and so may leave a jitted function. After
a few children have warmed JAX's caches up, a new one compiles next to nothing. Learning rates and
keep probabilities are arguments of the programs, so schedules don't recompile them.

BatchNorm has no moving averages: its statistics are computed after training, by the final weights,
over some batches of training images ('calibration').
"""

import dataclasses
import functools
from collections.abc import Iterable, Sequence
from typing import Any

import jax
import numpy as np
import optax
from flax import linen as nn

from mnas.architecture import Architecture
from mnas.nn.blocks import Stem
from mnas.nn.network import Variables, block_shapes, init_variables, network_blocks

Blocks = Sequence[tuple[str, nn.Module]]


@dataclasses.dataclass(frozen=True)
class Optimizer:
    """RMSProp with momentum. Compiled into the programs, so part of their signature.

    mean_squares ← decay · mean_squares + (1 - decay) · g²,  g with weight_decay · w on kernels
    velocity     ← momentum · velocity - learning_rate · g / sqrt(mean_squares + epsilon)
    w            ← w + velocity

    Learning rate inside the velocity, mean squares from 1: TensorFlow's, which the settings of
    MnasNet (arXiv 1807.11626) and EfficientNet (arXiv 1905.11946) are for.
    """

    decay: float = 0.9
    momentum: float = 0.9
    epsilon: float = 1e-3
    weight_decay: float = 0.0

    def build(self) -> optax.GradientTransformationExtraArgs:
        """As an Optax transformation; its `update` takes `learning_rate` as a further argument."""

        def scale(updates, state, params=None, *, learning_rate, **_):
            return jax.tree.map(lambda u: -learning_rate * u, updates), state

        def kernels(params):
            return jax.tree_util.tree_map_with_path(lambda p, _: p[-1].key == "kernel", params)

        # Flattened: one loop over all weights of a block compiles faster than a loop for each.
        return optax.chain(
            optax.add_decayed_weights(self.weight_decay, kernels),
            optax.flatten(
                optax.chain(
                    optax.scale_by_rms(self.decay, self.epsilon, initial_scale=1.0),
                    optax.GradientTransformationExtraArgs(lambda _: optax.EmptyState(), scale),
                    optax.trace(self.momentum),
                )
            ),
        )

    def init(self, params: Any) -> Any:
        """The state of `build()`, as NumPy arrays: ones and zeros are no reason to compile."""

        def fill(path, leaf):
            mean_squares = any(getattr(part, "name", None) == "nu" for part in path)
            return np.full(leaf.shape, float(mean_squares), leaf.dtype)

        return jax.tree_util.tree_map_with_path(fill, jax.eval_shape(self.build().init, params))


# --- what is compiled ---------------------------------------------------------------------------


@functools.partial(jax.jit, static_argnums=(0, 1))
def _forward(block: nn.Module, is_first: bool, params, x, keep, key):
    """(y, vjp, batch statistics) of one block. The first one needs no gradient to its input."""
    key = None if key is None else jax.random.wrap_key_data(key, impl="threefry2x32")

    def apply(params, x):
        y, written = block.apply({"params": params}, x, True, keep, key, mutable=["batch_stats"])
        return y, written.get("batch_stats", {})  # a head without convolution has none

    if is_first:
        return jax.vjp(lambda params: apply(params, x), params, has_aux=True)
    return jax.vjp(apply, params, x, has_aux=True)


@functools.partial(jax.jit, static_argnums=0)
def _loss(label_smoothing: float, logits, labels):
    """Mean cross-entropy with label smoothing, [], and its gradient, as logits [B, classes]."""

    def mean_loss(logits):
        targets = optax.smooth_labels(jax.nn.one_hot(labels, logits.shape[-1]), label_smoothing)
        return optax.softmax_cross_entropy(logits, targets).mean()

    return jax.value_and_grad(mean_loss)(logits)


@functools.partial(jax.jit, static_argnums=0, donate_argnums=(3, 4, 5))
def _backward(optimizer, vjp, gradient, params, state, average, learning_rate, ema_decay):
    """(gradient to the block's input or None, params, optimiser state, averaged params)."""
    gradients, *below = vjp(gradient)
    updates, state = optimizer.build().update(gradients, state, params, learning_rate=learning_rate)
    params = optax.apply_updates(params, updates)
    if average is not None:
        average = optax.incremental_update(params, average, 1 - ema_decay)
    return (below[0] if below else None), params, state, average


@functools.partial(jax.jit, static_argnums=0)
def _infer(block: nn.Module, variables, x):
    return block.apply(variables, x, False)


# --- compiling ahead: the programs are run on zeros, called just as `Child` calls them -----------


def compile_training(
    block: nn.Module, shape: tuple[int, ...], optimizer: Optimizer, *, averaged: bool
) -> None:
    """All programs of one block whose input has this shape, [B, H, W, C]; see `Child`."""
    weights = _variable_shapes(block, shape)["params"]
    params, average = _zeros(weights), _zeros(weights) if averaged else None
    state = jax.device_put(optimizer.init(weights))
    dropping = getattr(block, "drop", False)
    certain = (np.float32(1), np.zeros(2, np.uint32)) if dropping else (None, None)
    x = _zeros(jax.ShapeDtypeStruct(shape, np.float32))
    y, vjp, _ = _forward(block, isinstance(block, Stem), params, x, *certain)
    _backward(optimizer, vjp, y, params, state, average, np.float32(0), np.float32(0))
    compile_inference(block, shape)


def compile_inference(block: nn.Module, shape: tuple[int, ...]) -> None:
    """The program that answers, of one block whose input has this shape, [B, H, W, C]."""
    variables = _zeros(_variable_shapes(block, shape))
    _infer(block, variables, _zeros(jax.ShapeDtypeStruct(shape, np.float32)))


def compile_loss(label_smoothing: float, shape: tuple[int, int]) -> None:
    """The loss of logits of this shape, [B, classes]."""
    logits, labels = np.zeros(shape, np.float32), np.zeros(shape[:1], np.int32)
    _loss(label_smoothing, *jax.device_put((logits, labels)))


def _variable_shapes(block: nn.Module, shape: tuple[int, ...]) -> Variables:
    if getattr(block, "drop", False):
        block = block.clone(drop=False)  # dropping needs a key, and has no variables
    return block_shapes(block, shape)[0]


def _zeros(shapes: Any) -> Any:
    return jax.device_put(jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes))


# --- a child ------------------------------------------------------------------------------------


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
        self._drop_rng = np.random.default_rng([seed, *b"drop"])

    def step(
        self, images: jax.Array, labels: jax.Array, learning_rate: float, step: int
    ) -> jax.Array:
        """One update by images [B, R, R, 3] and labels [B]; the loss, which may not be ready yet.

        `step`, counted from 0, warms the averaging up: its decay is at most (1 + step)/(10 + step)
        (TensorFlow's ExponentialMovingAverage).
        """
        x, vjps = images, []
        for index, keep in enumerate(self._keeps):
            key = None if keep is None else self._drop_rng.integers(0, 2**32, 2, np.uint32)
            x, vjp, _ = self._forward(index, self._params, x, keep, key)
            vjps.append(vjp)
        loss, gradient = _loss(self._label_smoothing, x, labels)
        rate = np.float32(learning_rate)
        ema_decay = np.float32(min(self._ema_decay, (1 + step) / (10 + step)))
        for index in reversed(range(len(self.blocks))):
            gradient, self._params[index], self._states[index], self._averages[index] = _backward(
                self._optimizer,
                vjps.pop(),  # not kept alive: residuals are most of the memory
                gradient,
                self._params[index],
                self._states[index],
                self._averages[index],
                rate,
                ema_decay,
            )
        return loss

    def _forward(self, index, weights, x, keep, key):
        return _forward(self.blocks[index][1], index == 0, weights[index], x, keep, key)

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
            for index, keep in enumerate(self._keeps):
                # The very program of training; kept with probability 1, nothing is dropped.
                certain = (None, None) if keep is None else (np.float32(1), np.zeros(2, np.uint32))
                x, _, batch_stats = self._forward(index, weights, x, *certain)
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


def infer(blocks: Blocks, variables: dict[str, Variables], x: jax.Array) -> jax.Array:
    """Logits [B, classes] of images [B, R, R, 3], which may not be computed yet."""
    for name, block in blocks:
        x = _infer(block, variables[name], x)
    return x


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
