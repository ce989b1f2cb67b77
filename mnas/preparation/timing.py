"""Measured latency on this device, for one image: of blocks alone and of networks compiled whole.

As in `mnas.nn.inference`, BatchNorm is folded. Every call is waited for; the median of the calls of
a tenth of a second at least, after a few that warm up. All in milliseconds.
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
from mnas.architecture.cost import parts
from mnas.nn.inference import fold, predict
from mnas.nn.network import init_variables, network_blocks
from mnas.training.child import inference

WARM_UP = 3
# A program of 0.05 ms is through with 30 calls before anything else on the machine is.
LEAST_SECONDS = 0.1
# A block called again and again keeps its weights in the core's own cache; between two calls within
# a network, those of all others have passed through there. So a block alone is called with one
# copy of its weights after the other, so many that they are more than such a cache holds.
COLD_BYTES, MOST_COPIES = 16 << 20, 256


def median_ms(call: Callable[[], jax.Array], repeats: int) -> float:
    """Median of `repeats` calls, or of as many more as fill `LEAST_SECONDS`."""
    for _ in range(WARM_UP):
        call().block_until_ready()
    seconds: list[float] = []
    while len(seconds) < repeats or sum(seconds) < LEAST_SECONDS:
        start = time.perf_counter()
        call().block_until_ready()
        seconds.append(time.perf_counter() - start)
    return 1000 * statistics.median(seconds)


def call_ms(repeats: int = 200) -> float:
    """What calling a compiled program costs that has next to nothing to compute."""
    negative, one = jax.jit(lambda x: -x), jax.device_put(np.float32(1))
    return median_ms(lambda: negative(one), repeats)


def network_ms(architecture: Architecture, repeats: int = 30) -> float:
    """A whole network as one program."""
    folded = jax.device_put(fold(architecture, init_variables(architecture, 0)))
    image = _noise(architecture.resolution, 3)
    return median_ms(lambda: predict(architecture, folded, image), repeats)


def block_ms(architecture: Architecture, index: int, repeats: int = 30) -> float:
    """One block of a network by its place in it, with the call of its program."""
    name, block = network_blocks(architecture)[index]
    side, filters = architecture.resolution, 3
    if index:
        below = list(parts(architecture))[index - 1]
        side, filters = below.resolution, below.filters
    params = fold(architecture, init_variables(architecture, 0))[name]
    size = sum(leaf.nbytes for leaf in jax.tree.leaves(params))
    count = min(MOST_COPIES, math.ceil(COLD_BYTES / size))
    copies = itertools.cycle(
        [{name: {"params": jax.tree.map(jnp.array, params)}} for _ in range(count)]
    )
    x = _noise(side, filters)
    infer = inference([(name, block)], {name: {"params": params}}, x.shape)
    return median_ms(lambda: infer(next(copies), x), max(repeats, count))


def _noise(side: int, filters: int) -> jax.Array:
    shape = (1, side, side, filters)
    return jax.device_put(np.random.default_rng(0).standard_normal(shape, np.float32))
