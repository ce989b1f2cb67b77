"""Latency on this device for one image, of single blocks and of whole networks, in milliseconds.

BatchNorm is folded, as in `mnas.nn.inference`. Each call is waited for. The result is the median of
calls that take at least `MIN_SECONDS` in all, after `WARM_UP_CALLS` calls.
"""

import itertools
import math
import statistics
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from mnas.architecture.architecture import Architecture
from mnas.nn.inference import fold, predict
from mnas.nn.network import Shape, blocks_with_inputs, init_variables
from mnas.training.child import inference

WARM_UP_CALLS = 3
# 30 calls of a program of 0.05 ms end before any other process gets the core.
MIN_SECONDS = 0.1
# A block that is called repeatedly finds its weights in the core's cache; within a network, the
# weights of all other blocks evict them between two calls. A single block is therefore called with
# a cycle of copies of its weights, more than such a cache holds.
COLD_BYTES, MAX_COPIES = 16 << 20, 256


def median_ms(call: Callable[[], jax.Array], repeats: int) -> float:
    """Return the median over `repeats` calls, or over as many as take `MIN_SECONDS`."""
    for _ in range(WARM_UP_CALLS):
        call().block_until_ready()
    seconds: list[float] = []
    while len(seconds) < repeats or sum(seconds) < MIN_SECONDS:
        start = time.perf_counter()
        call().block_until_ready()
        seconds.append(time.perf_counter() - start)
    return 1000 * statistics.median(seconds)


def call_ms(repeats: int = 200) -> float:
    """Return the latency of calling a compiled program that computes almost nothing."""
    negative, one = jax.jit(lambda x: -x), jax.device_put(np.float32(1))
    return median_ms(lambda: negative(one), repeats)


def network_ms(architecture: Architecture, repeats: int = 30) -> float:
    """Return the latency of a whole network, compiled as one program."""
    folded = jax.device_put(fold(architecture, init_variables(architecture, 0)))
    image = _noise((1, architecture.resolution, architecture.resolution, 3))
    return median_ms(lambda: predict(architecture, folded, image), repeats)


def block_ms(architecture: Architecture, index: int, repeats: int = 30) -> float:
    """Return the latency of block number `index` of a network, with the call of its program."""
    name, block, input_shape = blocks_with_inputs(architecture, images=1)[index]
    params = fold(architecture, init_variables(architecture, 0))[name]
    size = sum(leaf.nbytes for leaf in jax.tree.leaves(params))
    count = min(MAX_COPIES, math.ceil(COLD_BYTES / size))
    copies = itertools.cycle(
        [{name: {"params": jax.tree.map(jnp.array, params)}} for _ in range(count)]
    )
    x = _noise(input_shape)
    infer = inference([(name, block)], {name: {"params": params}}, x.shape)
    return median_ms(lambda: infer(next(copies), x), max(repeats, count))


def _noise(shape: Shape) -> jax.Array:
    """Return an input of standard normal values."""
    return jax.device_put(np.random.default_rng(0).standard_normal(shape, np.float32))
