"""Limits of one core: peak of matrix products, bandwidth of copies and triads by array size."""

import dataclasses
import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from mnas.experiments.performance.work import FLOAT_BYTES, Work

MIB = 2**20
MATRIX_SIZES = (512, 1024, 2048)
ARRAY_MIB = (0.25, 1, 4, 16, 64, 256)  # from a core's own cache to main memory


@dataclasses.dataclass(frozen=True)
class Limits:
    """Limits of one core with one thread.

    gflops       of XLA's matrix product, float32, the best of `MATRIX_SIZES`
    copy, triad  GB/s of b = a and of c = a + 2 b, by MiB of all arrays together
    """

    gflops: float
    copy: dict[float, float]
    triad: dict[float, float]

    def seconds(self, work: Work) -> float:
        """Return the roof of a program: max(flops / peak, bytes / bandwidth), seconds."""
        fitting = [mib for mib in self.triad if mib * MIB >= work.bytes]
        bandwidth = self.triad[min(fitting, default=max(self.triad))]
        return max(work.flops / self.gflops, work.bytes / bandwidth) / 1e9


def median_seconds(call: Callable[[], Any], min_seconds: float) -> float:
    """Return the median time of a call, over at least five calls and `min_seconds` in all.

    Two calls before these compile and warm up.
    """
    jax.block_until_ready(call())
    jax.block_until_ready(call())
    times: list[float] = []
    while len(times) < 5 or sum(times) < min_seconds:
        began = time.perf_counter()
        jax.block_until_ready(call())
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def measure_limits(min_seconds: float) -> Limits:
    """Measure the limits, each program for at least `min_seconds`."""
    return Limits(
        gflops=max(product_gflops(size, min_seconds) for size in MATRIX_SIZES),
        copy={mib: bandwidth(_copy, 2, mib, min_seconds) for mib in ARRAY_MIB},
        triad={mib: bandwidth(_triad, 3, mib, min_seconds) for mib in ARRAY_MIB},
    )


def product_gflops(size: int, min_seconds: float) -> float:
    """Return the GFLOP/s of a product of two square matrices of this size."""
    product, a = jax.jit(jnp.matmul), jnp.ones((size, size))
    return 2 * size**3 / median_seconds(lambda: product(a, a), min_seconds) / 1e9


def bandwidth(
    function: Callable[..., jax.Array], arrays: int, mib: float, min_seconds: float
) -> float:
    """Return the GB/s of `function` over `arrays` arrays of `mib` MiB together.

    The output goes to a donated buffer: fresh pages would cost more than the copying.
    """
    program = jax.jit(function, donate_argnums=arrays - 1)
    count = int(mib * MIB / FLOAT_BYTES / arrays)
    inputs = [jnp.ones(count) for _ in range(arrays - 1)]
    out = jnp.zeros(count)

    def call() -> jax.Array:
        nonlocal out
        out = program(*inputs, out)
        return out

    return arrays * count * FLOAT_BYTES / median_seconds(call, min_seconds) / 1e9


def _copy(a: jax.Array, out: jax.Array) -> jax.Array:
    return a + 1


def _triad(a: jax.Array, b: jax.Array, out: jax.Array) -> jax.Array:
    return a + 2 * b
