"""Inference of whole networks: one program, and weights in the form that it runs fastest with.

A network that answers has fixed statistics, so BatchNorm is a factor and an offset for each filter,
and the factor can as well be part of the convolution before it:

    scale · (w ∗ x - mean) / sqrt(var + ε) + bias  =  (factor · w) ∗ x + (bias - factor · mean)
    factor = scale / sqrt(var + ε)

which is the same up to rounding. `mnas.nn.blocks` builds these networks, too: a BatchNorm without
statistics only adds its bias, and a convolution with `rows` in place of a kernel is computed by
`ops.convolution_by_rows`.

Children of a search are inferred block by block instead (`mnas.training.child.infer`), as compiling each
of them whole would take longer than it saves.
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

# Where a kernel's own form is faster, measured on CPUs with 1 to 2 MB of cache a core: ResNet-50's
# last stage takes 17 ms in place of 27, and smaller kernels or more pixels gain nothing.
MOST_PIXELS, LEAST_WEIGHTS = 64, 1 << 19
# From so many pixels a side on, a batch is answered image by image; at 224 that saves B0 a fifth.
LARGE_IMAGE = 128


def fold(architecture: Architecture, variables: Mapping[str, Variables]) -> Variables:
    """What `predict` takes, from variables block by block, {block: {'params', 'batch_stats'}}.

    {block: params}, NumPy arrays in float32. ValueError where a block is missing.
    """
    folded = {}
    for (name, _), part in zip(network_blocks(architecture), parts(architecture), strict=False):
        if name not in variables:
            raise ValueError(f"variables: no block {name!r}; accepted: all of the architecture's")
        block = variables[name]
        params = _fold(block["params"], block.get("batch_stats", {}), architecture.bn_epsilon)
        if part.resolution**2 <= MOST_PIXELS and ops.default_implementation() == "shifted":
            params = {key: _in_rows(value) for key, value in params.items()}
        folded[name] = params
    return folded


def predict(architecture: Architecture, folded: Variables, images: jax.Array) -> jax.Array:
    """Logits [N, classes] of normalised images [N, R, R, 3] by what `fold` gave."""
    return _predict(architecture, folded, images, np.float32(1))


@functools.partial(jax.jit, static_argnums=0)
def _predict(architecture, folded, images, one):
    small = architecture.resolution < LARGE_IMAGE or len(images) == 1
    if small or ops.default_implementation() == "lax":
        return _network(architecture, folded, images, one)
    # One after the other: a core's cache holds the maps of an image, not those of many.
    alone = images[:, None]
    return lax.map(lambda image: _network(architecture, folded, image, one), alone)[:, 0]


def _network(architecture, folded, x, one):
    for name, block in network_blocks(architecture):
        # By a number that the compiler doesn't know: divisions are dear, so their results are kept.
        # A chain of residual sums would otherwise be added up anew in every one of its readers, a
        # sixth of ResNet-152's time; `lax.optimization_barrier` doesn't keep XLA from that.
        x = block.apply({"params": folded[name]}, x, False) / one
    return x


def _fold(params: Mapping[str, Any], statistics: Mapping[str, Any], epsilon: float) -> Variables:
    """The params of one block; of a BatchNorm only its bias is left."""
    folded = jax.tree.map(lambda leaf: np.asarray(leaf, np.float32), dict(params))
    for name, moments in statistics.items():
        mean, variance, scale, bias = (
            np.asarray(value, np.float64)
            for value in (
                moments["mean"],
                moments["var"],
                *map(params[name].get, ("scale", "bias")),
            )
        )
        factor = scale / np.sqrt(variance + epsilon)
        before = _convolution_before(name)
        kernel = np.asarray(params[before]["kernel"], np.float64) * factor  # filters come last
        folded[before] = {**folded[before], "kernel": kernel.astype(np.float32)}
        folded[name] = {"bias": (bias - factor * mean).astype(np.float32)}
    return folded


def _convolution_before(norm: str) -> str:
    """By the names of `mnas.nn.blocks`: 'expand' before 'expand_norm', 'conv1' before 'norm1'."""
    return norm.removesuffix("_norm") if norm.endswith("_norm") else norm.replace("norm", "conv")


def _in_rows(convolution: Any) -> Any:
    """A large convolution with a row for each filter, [k, k, C, D] → [D, k·k·C]; others as is."""
    kernel = convolution.get("kernel") if isinstance(convolution, dict) else None
    if kernel is None or set(convolution) != {"kernel"} or kernel.size < LEAST_WEIGHTS:
        return convolution
    if kernel.shape[2] == 1:  # depthwise
        return convolution
    return {"rows": np.ascontiguousarray(kernel.reshape(-1, kernel.shape[-1]).T)}
