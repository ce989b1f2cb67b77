"""Optimizers: RMSProp with TensorFlow's definition, SGD with Nesterov momentum, Muon."""

import dataclasses
import functools
import operator
from collections.abc import Mapping
from typing import Any, Literal

import jax
import numpy as np
import optax
import optax.contrib

from mnas.training.config import TrainingConfig

# Of the polynomial by which Muon's iteration drives all singular values towards 1, as published.
MUON_COEFFICIENTS = (3.4445, -4.7750, 2.0315)


@dataclasses.dataclass(frozen=True)
class Optimizer:
    """An optimizer with momentum; a static argument of the compiled programs.

    g ← gradient + weight_decay · w   (kernels only)

    kind 'rmsprop', which the settings of MnasNet (arXiv 1807.11626) and EfficientNet
    (arXiv 1905.11946) assume, in TensorFlow's form: the learning rate is inside the velocity, and
    mean squares start at 1.

        mean_squares ← decay · mean_squares + (1 - decay) · g²
        velocity     ← momentum · velocity - learning_rate · g / sqrt(mean_squares + epsilon)
        w            ← w + velocity

    kind 'sgd', with Nesterov momentum in PyTorch's form, as CIFAR recipes assume it:

        velocity ← momentum · velocity + g
        w        ← w - learning_rate · (g + momentum · velocity)

    kind 'muon' (Jordan, 2024), for kernels of convolutions other than depthwise ones, as matrices
    [k·k·C, D]; the other weights are updated by 'sgd':

        mean ← momentum · mean + (1 - momentum) · g
        w    ← w - learning_rate · sqrt(max(1, D / (k·k·C))) · orthogonalised(Nesterov's mean)

    norm_bias_rate multiplies the steps of BatchNorm's biases, which is a factor on their learning
    rate.
    """

    decay: float = 0.9
    momentum: float = 0.9
    epsilon: float = 1e-3
    weight_decay: float = 0.0
    kind: Literal["rmsprop", "sgd", "muon"] = "rmsprop"
    norm_bias_rate: float = 1.0

    def build(self) -> optax.GradientTransformationExtraArgs:
        """Return the Optax transformation; `update` takes `learning_rate` as an extra argument."""

        def scale(updates, state, params=None, *, learning_rate, **_):
            return jax.tree.map(lambda u: -learning_rate * u, updates), state

        def kernels(params):
            return jax.tree_util.tree_map_with_path(lambda p, _: p[-1].key == "kernel", params)

        descent = optax.GradientTransformationExtraArgs(lambda _: optax.EmptyState(), scale)
        if self.kind == "rmsprop":
            squares = optax.scale_by_rms(self.decay, self.epsilon, initial_scale=1.0)
            steps = [squares, descent, optax.trace(self.momentum)]
        else:
            steps = [optax.trace(self.momentum, nesterov=True), descent]
        # Flattened: one loop over all weights of a block compiles faster than one per weight.
        rule = optax.flatten(optax.chain(*steps))
        if self.kind == "muon":
            muon = optax.contrib.scale_by_muon(
                MUON_COEFFICIENTS, beta=self.momentum, weight_dimension_numbers=_as_matrices
            )
            orthogonal = optax.chain(muon, optax.stateless(_scaled_by_shape), descent)
            rule = optax.chain(
                optax.masked(orthogonal, _convolutions),
                optax.masked(rule, lambda p: jax.tree.map(operator.not_, _convolutions(p))),
            )
        update = [optax.add_decayed_weights(self.weight_decay, kernels), rule]
        if self.norm_bias_rate != 1:
            update.append(optax.masked(optax.scale(self.norm_bias_rate), _norm_biases))
        return optax.chain(*update)

    def shapes(self, params: Any) -> Any:
        """Return the shapes of the state of `build()`, given params or their shapes."""
        leaves, tree = jax.tree.flatten(params)
        return _shapes(self, tree, tuple((leaf.shape, leaf.dtype) for leaf in leaves))

    def init(self, params: Any) -> Any:
        """Return the initial state of `build()` as NumPy arrays, without compiling anything."""

        def fill(path, leaf):
            names = {getattr(part, "name", None) for part in path}
            if "ns_coeffs" in names:
                return np.array(MUON_COEFFICIENTS, leaf.dtype)
            return np.full(leaf.shape, float("nu" in names), leaf.dtype)  # mean squares are 1

        return jax.tree_util.tree_map_with_path(fill, self.shapes(params))


def _convolutions(params: Any) -> Any:
    """Return which leaves are kernels [k, k, C, D] of convolutions other than depthwise ones."""
    return jax.tree.map(lambda leaf: leaf.ndim == 4 and leaf.shape[2] > 1, params)


def _as_matrices(kernels: Any) -> Any:
    """Return the axes of kernels [k, k, C, D] that are rows and columns of matrices [k·k·C, D]."""
    return jax.tree.map(lambda _: optax.contrib.MuonDimensionNumbers((0, 1, 2), 3), kernels)


def _scaled_by_shape(updates: Any, params: Any = None) -> Any:
    """Return steps of kernels [k, k, C, D] times sqrt(max(1, D / (k·k·C)))."""

    def scaled(step):
        return step * np.float32(max(1, step.shape[3] / np.prod(step.shape[:3])) ** 0.5)

    return jax.tree.map(scaled, updates)


def _norm_biases(params: Any) -> Any:
    """Return which leaves are biases of BatchNorm: those beside a scale."""
    if not isinstance(params, Mapping):
        return False
    return {
        name: _norm_biases(inner) or (name == "bias" and "scale" in params)
        for name, inner in params.items()
    }


@functools.lru_cache(maxsize=4096)
def _shapes(optimizer: Optimizer, tree: Any, leaves: tuple[Any, ...]) -> Any:
    # Cached: tracing Optax takes milliseconds, and every child has some twenty blocks.
    params = jax.tree.unflatten(tree, [jax.ShapeDtypeStruct(*leaf) for leaf in leaves])
    return jax.eval_shape(optimizer.build().init, params)


def optimizer_of(config: TrainingConfig) -> Optimizer:
    """Return the optimizer that a training configuration describes."""
    return Optimizer(
        config.rms_decay,
        config.momentum,
        config.epsilon,
        config.weight_decay,
        config.optimizer,
        config.norm_bias_rate,
    )
