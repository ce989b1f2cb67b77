"""Inference of whole networks: one program, with weights in the form that it runs fastest with.

With fixed statistics BatchNorm is an affine map per filter, whose factor can be folded into the
preceding convolution:

    scale · (w ∗ x - mean) / sqrt(var + ε) + bias  =  (factor · w) ∗ x + (bias - factor · mean)
    factor = scale / sqrt(var + ε)

which is equal up to rounding. The modules of `mnas.nn.blocks` run folded networks as well: a
BatchNorm without statistics only adds its bias, and a convolution with `rows` in place of a kernel
is computed by `ops.convolution_by_rows`.

Children of a search are evaluated block by block instead (`mnas.training.child.inference`), since
compiling each of them whole would take longer than it saves.
"""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax import lax

from mnas.architecture.architecture import Architecture
from mnas.architecture.cost import parts
from mnas.nn import ops
from mnas.nn.network import Variables, network_blocks

# Convolutions with at most so many output pixels and at least so many weights store a row per
# filter. On CPUs with 1 to 2 MB of cache per core, ResNet-50's last stage then takes 17 ms instead
# of 27; smaller kernels or more pixels gain nothing.
MAX_PIXELS, MIN_WEIGHTS = 64, 1 << 19
# From this resolution on, a batch is computed image by image; at 224 this saves B0 a fifth.
LARGE_RESOLUTION = 128


def fold(architecture: Architecture, variables: Mapping[str, Variables]) -> Variables:
    """Return the folded params, {block: params}, of {block: {'params', 'batch_stats'}}.

    NumPy arrays, float32, in the form that `predict` takes. Raises ValueError for a missing block.
    """
    folded = {}
    # `parts` has the classifier as a further part.
    for (name, _), part in zip(network_blocks(architecture), parts(architecture), strict=False):
        if name not in variables:
            raise ValueError(f"variables: no block {name!r}; accepted: all of the architecture's")
        block = variables[name]
        params = _fold(block["params"], block.get("batch_stats", {}), architecture.bn_epsilon)
        if part.resolution**2 <= MAX_PIXELS and ops.default_implementation() == "shifted":
            params = {key: _in_rows(value) for key, value in params.items()}
        folded[name] = params
    return folded


def predict(architecture: Architecture, folded: Variables, images: jax.Array) -> jax.Array:
    """Return logits [N, classes] of normalised images [N, R, R, 3], given params from `fold`."""
    return _predict(architecture, folded, images, np.float32(1))


@functools.partial(jax.jit, static_argnums=0)
def _predict(architecture, folded, images, one):
    small = architecture.resolution < LARGE_RESOLUTION or len(images) == 1
    if small or ops.default_implementation() == "lax":
        return _network(architecture, folded, images, one)
    # Sequentially: a core's cache holds the feature maps of one image, not of many.
    singles = images[:, None]
    return lax.map(lambda image: _network(architecture, folded, image, one), singles)[:, 0]


def _network(architecture, folded, x, one):
    for name, block in network_blocks(architecture):
        # Division by a number unknown to the compiler makes XLA store the result, as it does not
        # duplicate divisions. Otherwise every consumer would recompute a whole chain of residual
        # sums, a sixth of ResNet-152's time; `lax.optimization_barrier` does not prevent that.
        x = block.apply({"params": folded[name]}, x, False) / one
    return x


def _fold(params: Mapping[str, Any], statistics: Mapping[str, Any], epsilon: float) -> Variables:
    """Return the params of one block with BatchNorms reduced to their biases."""
    folded = jax.tree.map(lambda leaf: np.asarray(leaf, np.float32), dict(params))
    for name, moments in statistics.items():
        mean, variance = (np.asarray(moments[key], np.float64) for key in ("mean", "var"))
        scale, bias = (np.asarray(params[name][key], np.float64) for key in ("scale", "bias"))
        factor = scale / np.sqrt(variance + epsilon)
        before = _convolution_before(name)
        kernel = np.asarray(params[before]["kernel"], np.float64) * factor  # last axis: filters
        folded[before] = {**folded[before], "kernel": kernel.astype(np.float32)}
        folded[name] = {"bias": (bias - factor * mean).astype(np.float32)}
    return folded


def _convolution_before(norm: str) -> str:
    """Return the convolution before a BatchNorm: 'expand' of 'expand_norm', 'conv1' of 'norm1'."""
    return norm.removesuffix("_norm") if norm.endswith("_norm") else norm.replace("norm", "conv")


def _in_rows(convolution: Any) -> Any:
    """Return a large convolution's kernel [k, k, C, D] as rows [D, k·k·C]; others unchanged."""
    kernel = convolution.get("kernel") if isinstance(convolution, dict) else None
    if kernel is None or set(convolution) != {"kernel"} or kernel.size < MIN_WEIGHTS:
        return convolution
    if kernel.shape[2] == 1:  # depthwise
        return convolution
    return {"rows": np.ascontiguousarray(kernel.reshape(-1, kernel.shape[-1]).T)}
