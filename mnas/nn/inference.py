"""Inference of whole networks: one program, with BatchNorm folded into the convolutions.

A network that answers has fixed statistics, so BatchNorm is a factor and an offset for each filter,
and the factor can as well be part of the convolution before it:

    scale · (w ∗ x - mean) / sqrt(var + ε) + bias  =  (factor · w) ∗ x + (bias - factor · mean)
    factor = scale / sqrt(var + ε)

which is the same up to rounding. `mnas.nn.blocks` builds these networks, too: a BatchNorm without
statistics only adds its bias.

Children of a search are inferred block by block instead (`mnas.nn.child.infer`), as compiling each
of them whole would take longer than it saves.
"""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax import lax

from mnas.architecture import Architecture
from mnas.nn.network import Variables, network_blocks


def fold(architecture: Architecture, variables: Mapping[str, Variables]) -> Variables:
    """What `predict` takes, from variables block by block, {block: {'params', 'batch_stats'}}.

    {block: params}, NumPy arrays in float32. ValueError where a block is missing.
    """
    folded = {}
    for name, _ in network_blocks(architecture):
        if name not in variables:
            raise ValueError(f"variables: no block {name!r}; accepted: all of the architecture's")
        block = variables[name]
        statistics = block.get("batch_stats", {})
        folded[name] = _fold(block["params"], statistics, architecture.bn_epsilon)
    return folded


@functools.partial(jax.jit, static_argnums=0)
def predict(architecture: Architecture, folded: Variables, images: jax.Array) -> jax.Array:
    """Logits [N, classes] of normalised images [N, R, R, 3] by what `fold` gave."""
    x = images
    for name, block in network_blocks(architecture):
        # Made once: XLA would add a chain of residuals up anew in every one of its readers.
        x = lax.optimization_barrier(block.apply({"params": folded[name]}, x, False))
    return x


def _fold(params: Mapping[str, Any], statistics: Mapping[str, Any], epsilon: float) -> Variables:
    """The params of one block; a BatchNorm has only its bias left."""
    folded = {
        name: jax.tree.map(lambda leaf: np.asarray(leaf, np.float32), part)
        for name, part in params.items()
    }
    for name, moments in statistics.items():
        mean, variance, scale, bias = (
            np.asarray(value, np.float64)
            for value in (moments["mean"], moments["var"], *map(params[name].get, ("scale", "bias")))
        )
        factor = scale / np.sqrt(variance + epsilon)
        before = _convolution_before(name)
        kernel = np.asarray(params[before]["kernel"], np.float64) * factor  # filters come last
        folded[before] = {**folded[before], "kernel": kernel.astype(np.float32)}
        folded[name] = {"bias": (bias - factor * mean).astype(np.float32)}
    return folded


def _convolution_before(norm: str) -> str:
    """By the names of `mnas.nn.blocks`: 'expand_norm' is behind 'expand', 'norm1' behind 'conv1'."""
    return norm.removesuffix("_norm") if norm.endswith("_norm") else norm.replace("norm", "conv")
