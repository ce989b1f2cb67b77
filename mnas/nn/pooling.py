"""Pooling over 3×3 windows; shapes and implementations as in `mnas.nn.ops`."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from mnas.nn.ops import Padding, default_implementation, depthwise_conv, padding_of


def average_pool(x: jax.Array, stride: int, padding: Padding = "same") -> jax.Array:
    """Average 3×3 windows, padding excluded: [N, H, W, C] → [N, ⌈H/stride⌉, ⌈W/stride⌉, C]."""
    ones = jnp.ones((1, *x.shape[1:3], 1), x.dtype)
    if default_implementation() == "lax":
        total, count = (_windows(a, 0.0, lax.add, stride, padding) for a in (x, ones))
    else:
        kernels = [jnp.ones((3, 3, 1, a.shape[-1]), x.dtype) for a in (x, ones)]
        total = depthwise_conv(x, kernels[0], stride, "shifted", padding)
        count = depthwise_conv(ones, kernels[1], stride, "shifted", padding)
    return total / count


def max_pool(x: jax.Array, stride: int, padding: Padding = "same") -> jax.Array:
    """Take the maximum of 3×3 windows: [N, H, W, C] → [N, ⌈H/stride⌉, ⌈W/stride⌉, C].

    The implementations distribute the gradient differently among several equal maxima.
    """
    if default_implementation() == "lax":
        return _windows(x, -jnp.inf, lax.max, stride, padding)
    # Rows, then columns: fewer operations than over windows, above all in the gradient.
    for axis in (1, 2):
        size = x.shape[axis]
        pads = [(0, 0, 0)] * 4
        pads[axis] = (*padding_of(size, 3, stride, padding), 0)
        padded = lax.pad(x, jnp.array(-jnp.inf, x.dtype), pads)
        end = stride * (-(-size // stride) - 1) + 1
        taps = [lax.slice_in_dim(padded, d, d + end, stride, axis) for d in range(3)]
        x = functools.reduce(jnp.maximum, taps)
    return x


def _windows(
    x: jax.Array, start: float, reduce: Callable[..., Any], stride: int, padding: Padding
) -> jax.Array:
    """Reduce 3×3 windows, starting from `start`, which is also the value of padding."""
    pads = [padding_of(size, 3, stride, padding) for size in x.shape[1:3]]
    window, strides = (1, 3, 3, 1), (1, stride, stride, 1)
    return lax.reduce_window(x, start, reduce, window, strides, ((0, 0), *pads, (0, 0)))
