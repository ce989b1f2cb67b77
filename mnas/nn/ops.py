"""Convolutions and sums in a form that XLA compiles well for CPUs.

Shapes: N images, H × W pixels, C input and D output channels, kernel size k. Feature maps are NHWC.

On a CPU, XLA's depthwise convolution with its gradient takes 10 to 100 times as long as k² shifted
multiply-adds, and its sums over pixels, once fused with their producers, up to 10 times as long as
a sum over a flattened leading axis. On other devices XLA's own operations are used. The
implementation is 'shifted' or 'lax'; by default `default_implementation` decides.

Feature maps have the type of the input, float32 or bfloat16; kernels are float32 and are rounded to
that type where they are used. Sums over pixels and images, and gradients of kernels with them, are
accumulated in float32.
"""

import contextlib
import functools
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax import lax

Implementation = Literal["shifted", "lax"]
Padding = Literal["same", "symmetric"]

_forced: list[Implementation] = []


def default_implementation() -> Implementation:
    """Return 'shifted' on CPUs and 'lax' elsewhere, or the choice of `use_implementation`."""
    if _forced:
        return _forced[-1]
    return "shifted" if jax.default_backend() == "cpu" else "lax"


@contextlib.contextmanager
def use_implementation(implementation: Implementation) -> Iterator[None]:
    """Use this implementation for everything *traced* within the context.

    Functions that `jax.jit` compiled before are not affected.
    """
    _forced.append(_checked(implementation))
    try:
        yield
    finally:
        _forced.pop()


def _checked(implementation: Implementation | None) -> Implementation:
    if implementation is None:
        return default_implementation()
    if implementation not in ("shifted", "lax"):
        raise ValueError(f"implementation = {implementation!r}; accepted: 'shifted', 'lax', None")
    return implementation


def cast(x: jax.Array, dtype: Any) -> jax.Array:
    """Return x in another type; x itself, not a copy of it, if it has that type already.

    Programs of blocks leave out residuals that are their own arguments
    (`mnas.training.programs.ResidualSplit`).
    """
    return x if x.dtype == dtype else x.astype(dtype)


def at_least_float32(x: jax.Array) -> jax.Array:
    """Return x in the type in which sums are accumulated, and statistics and logits are."""
    return cast(x, jnp.promote_types(x.dtype, jnp.float32))


# --- sums ---------------------------------------------------------------------------------------


def sum_to_channels(x: jax.Array, implementation: Implementation | None = None) -> jax.Array:
    """Sum over all axes but the last, [..., C] → [C], in at least float32."""
    x = at_least_float32(x)
    if _checked(implementation) == "lax":
        return x.sum(tuple(range(x.ndim - 1)))
    # XLA's loops over two dimensions are efficient, those over four are not.
    return x.reshape(-1, x.shape[-1]).sum(0)


def _sum_pixels(x: jax.Array) -> jax.Array:
    """Sum over pixels, [N, H, W, C] → [N, C], in at least float32."""
    x = at_least_float32(x)
    if default_implementation() == "lax" or x.shape[1] * x.shape[2] == 1:
        return x.sum((1, 2))
    rows = [x[:, row] for row in range(x.shape[1])] if x.shape[1] <= 16 else [x.sum(1)]
    total = lax.optimization_barrier(functools.reduce(jnp.add, rows))
    return total.sum(1)


@jax.custom_vjp
def global_average_pool(x: jax.Array) -> jax.Array:
    """Average over pixels, [N, H, W, C] → [N, C]."""
    return (_sum_pixels(x) / (x.shape[1] * x.shape[2])).astype(x.dtype)


def _pool_forward(x):
    return global_average_pool(x), x


def _pool_backward(x, gradient):
    # Only the shape of x is used, so XLA eliminates the array.
    mean = gradient / (x.shape[1] * x.shape[2])
    return (jnp.broadcast_to(mean[:, None, None], x.shape),)


global_average_pool.defvjp(_pool_forward, _pool_backward)


@jax.custom_vjp
def scale_channels(x: jax.Array, gate: jax.Array) -> jax.Array:
    """Multiply every channel of every image by its gate: [N, H, W, C], [N, C] → [N, H, W, C]."""
    return x * gate[:, None, None]


def _scale_forward(x, gate):
    return scale_channels(x, gate), (x, gate)


def _scale_backward(residuals, gradient):
    x, gate = residuals
    products = at_least_float32(gradient) * at_least_float32(x)
    return gradient * gate[:, None, None], cast(_sum_pixels(products), gate.dtype)


scale_channels.defvjp(_scale_forward, _scale_backward)


# --- convolutions -------------------------------------------------------------------------------


def padding_of(size: int, kernel: int, stride: int, padding: Padding) -> tuple[int, int]:
    """Return padding (before, after) along one axis for ⌈size / stride⌉ outputs.

    padding    'same': TensorFlow's and XLA's, an odd pixel comes after; 'symmetric': PyTorch's,
               (kernel - 1) / 2 before, and after only as many pixels as are read

    Raises ValueError for another padding.
    """
    if padding not in ("same", "symmetric"):
        raise ValueError(f"padding = {padding!r}; accepted: 'same', 'symmetric'")
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    before = total // 2 if padding == "same" else kernel // 2
    return before, max(0, total - before)


def _live_taps(size: int, kernel: int, stride: int, padding: Padding) -> range:
    """Return the taps of a padded kernel, along one axis, that read at least one pixel."""
    before, _ = padding_of(size, kernel, stride, padding)
    last = (-(-size // stride) - 1) * stride
    # Tap d reads pixels d - before, ..., d - before + last.
    return range(max(0, before - last), min(kernel, before + size))


def convolution(
    x: jax.Array, kernel: jax.Array, stride: int = 1, padding: Padding = "same"
) -> jax.Array:
    """Convolve with padding, odd k: [N, H, W, C], [k, k, C, D] → [N, ⌈H/stride⌉, ⌈W/stride⌉, D].

    Taps that only read padding are removed: at 1×1 pixels any kernel is a matrix product.
    """
    if kernel.shape[:2] == (1, 1):  # never padded
        return _pointwise(x[:, ::stride, ::stride], kernel)
    kernel_size = kernel.shape[0]
    pads = [padding_of(size, kernel_size, stride, padding) for size in x.shape[1:3]]
    if default_implementation() == "shifted":
        for axis, size in enumerate(x.shape[1:3]):
            live = _live_taps(size, kernel_size, stride, padding)
            before, after = pads[axis]
            pads[axis] = (before - live.start, after - (kernel_size - live.stop))
            kernel = lax.slice_in_dim(kernel, live.start, live.stop, axis=axis)
        if x.shape[1:3] == kernel.shape[:2] == (1, 1):
            return _pointwise(x, kernel)
    return lax.conv_general_dilated(
        x,
        cast(kernel, x.dtype),
        (stride, stride),
        pads,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def convolution_by_rows(
    x: jax.Array, rows: jax.Array, kernel_size: int, stride: int = 1, padding: Padding = "same"
) -> jax.Array:
    """Convolve as `convolution` does, with a row per filter: [N, H, W, C], [D, k·k·C].

    For few pixels and kernels larger than a core's cache. Matrix libraries copy their second
    operand into an order of their own; here that is the pixels, not the kernel.
    """
    pads = [padding_of(size, kernel_size, stride, padding) for size in x.shape[1:3]]
    x = jnp.pad(x, ((0, 0), *pads, (0, 0)))
    height, width = ((size - kernel_size) // stride + 1 for size in x.shape[1:3])
    row_span, column_span = (stride * (count - 1) + 1 for count in (height, width))
    windows = [
        x[:, top : top + row_span : stride, left : left + column_span : stride]
        for top in range(kernel_size)
        for left in range(kernel_size)
    ]
    pixels = jnp.concatenate(windows, -1).reshape(-1, rows.shape[1])
    y = lax.dot_general(rows, pixels, (((1,), (1,)), ((), ()))).T
    return y.reshape(len(x), height, width, -1)


@jax.custom_vjp
def _pointwise(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Convolve 1×1 as a product of *two-dimensional* arrays, whose gradient is fast."""
    return (x.reshape(-1, x.shape[-1]) @ cast(kernel, x.dtype)[0, 0]).reshape(*x.shape[:-1], -1)


def _pointwise_forward(x, kernel):
    # Residuals keep their shape: a block's program would have to copy reshaped arrays, even where x
    # and kernel are its own arguments (`mnas.training.programs.ResidualSplit`).
    return _pointwise(x, kernel), (x, kernel)


def _pointwise_backward(residuals, gradient):
    x, kernel = residuals
    pixels, gradients = (a.reshape(-1, a.shape[-1]) for a in (x, gradient))
    weights = cast(kernel, x.dtype)[0, 0]
    x_gradient = lax.dot_general(gradients, weights, (((1,), (1,)), ((), ())))
    kernel_gradient = lax.dot_general(
        pixels, gradients, (((0,), (0,)), ((), ())), preferred_element_type=kernel.dtype
    )
    return x_gradient.reshape(x.shape), kernel_gradient[None, None]


_pointwise.defvjp(_pointwise_forward, _pointwise_backward)


def depthwise_conv(
    x: jax.Array,
    kernel: jax.Array,
    stride: int,
    implementation: Implementation | None = None,
    padding: Padding = "same",
) -> jax.Array:
    """Convolve depthwise with padding, odd k: [N, H, W, C], [k, k, 1, C] → [N, H', W', C].

    H' = ⌈H/stride⌉, W' = ⌈W/stride⌉. Raises ValueError for an even kernel size, a stride other than
    1 and 2, or a kernel with another number of channels.
    """
    kernel_size, channels = kernel.shape[0], x.shape[-1]
    if kernel.shape != (kernel_size, kernel_size, 1, channels) or kernel_size % 2 == 0:
        raise ValueError(
            f"kernel of shape {kernel.shape}; accepted: [k, k, 1, {channels}] with k odd"
        )
    if stride not in (1, 2):
        raise ValueError(f"stride = {stride!r}; accepted: 1, 2")
    if _checked(implementation) == "shifted":
        return _shifted_depthwise(x, kernel, stride, padding)
    return lax.conv_general_dilated(
        x,
        cast(kernel, x.dtype),
        (stride, stride),
        [padding_of(size, kernel_size, stride, padding) for size in x.shape[1:3]],
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=channels,
    )


def _padded(
    x: jax.Array,
    starts: Sequence[Sequence[int]],
    stride: int,
    counts: Sequence[int],
    dilation: int = 1,
) -> tuple[jax.Array, list[list[int]]]:
    """Return x with zeros around and between its pixels, and `starts` shifted accordingly.

    `dilation` - 1 zeros between pixels; around them as many as the windows x[start + stride·j],
    j < count, along H and W, need from all starts.
    """
    pads, shifted = [(0, 0, 0)], []
    for axis, count in enumerate(counts):
        size, along = dilation * (x.shape[1 + axis] - 1) + 1, starts[axis]
        before = max(0, -min(along))
        after = max(0, max(along) + stride * (count - 1) + 1 - size)
        pads.append((before, after, dilation - 1))
        shifted.append([start + before for start in along])
    pads.append((0, 0, 0))
    if any(map(any, pads)):
        # Materialised: fused into its consumers, every read would test for the border.
        x = lax.optimization_barrier(lax.pad(x, jnp.zeros((), x.dtype), pads))
    return x, shifted


def _sum_of_taps(
    x: jax.Array, kernel: jax.Array, starts: Sequence[Sequence[int]], stride: int,
    counts: Sequence[int], taps: Sequence[Sequence[int]], dilation: int = 1,
) -> jax.Array:  # fmt: skip
    """Return Σ kernel[tap] · x[start of tap + stride·j] over taps, for j < count along H and W."""
    x, starts = _padded(x, starts, stride, counts, dilation)
    terms = []
    for row, top in zip(taps[0], starts[0], strict=True):
        for column, left in zip(taps[1], starts[1], strict=True):
            bottom, right = (
                first + stride * (count - 1) + 1
                for first, count in zip((top, left), counts, strict=True)
            )
            pixels = at_least_float32(x[:, top:bottom:stride, left:right:stride])
            terms.append(pixels * at_least_float32(kernel[row, column, 0]))
    return cast(functools.reduce(jnp.add, terms), x.dtype)


def _geometry(shape: Sequence[int], kernel_size: int, stride: int, padding: Padding):
    """Return live taps, their first pixels, output sizes and padding before, along H and W each."""
    taps = [_live_taps(size, kernel_size, stride, padding) for size in shape[1:3]]
    befores = [padding_of(size, kernel_size, stride, padding)[0] for size in shape[1:3]]
    starts = [[tap - before for tap in t] for t, before in zip(taps, befores, strict=True)]
    return taps, starts, [-(-size // stride) for size in shape[1:3]], befores


# Fits into a core's cache (1 to 2 MB) together with the gradient and their products; beyond it,
# sums over feature maps take twice as long.
_CACHE_BYTES = 512 << 10


def _images_per_chunk(x: jax.Array) -> int:
    """Return the largest divisor of the number of images that fits into a cache, at least 1."""
    count = len(x)
    fitting = _CACHE_BYTES * count // (x.size * x.dtype.itemsize)
    return next((n for n in range(min(count, fitting), 1, -1) if count % n == 0), 1)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _shifted_depthwise(x, kernel, stride, padding):
    taps, starts, counts, _ = _geometry(x.shape, kernel.shape[0], stride, padding)
    return _sum_of_taps(x, kernel, starts, stride, counts, taps)


def _shifted_forward(x, kernel, stride, padding):
    return _shifted_depthwise(x, kernel, stride, padding), (x, kernel)


def _shifted_backward(stride, padding, residuals, gradient):
    x, kernel = residuals
    kernel_size, channels = kernel.shape[0], x.shape[-1]
    taps, starts, counts, befores = _geometry(x.shape, kernel_size, stride, padding)

    # dk[d] = Σ x[o·stride + d - before] · g[o], zero for taps that only read padding. A loop over
    # taps is as fast as unrolled code and compiles in a fraction of the time.
    padded, origins = _padded(x, starts, stride, counts)
    corners = jnp.array([(top, left) for top in origins[0] for left in origins[1]], jnp.int32)
    spans = [stride * (count - 1) + 1 for count in counts]

    def sums(images):
        padded, gradient = images

        def tap_gradient(corner):
            origin = (jnp.int32(0), *corner, jnp.int32(0))
            window = lax.dynamic_slice(padded, origin, (len(padded), *spans, channels))
            window = at_least_float32(window[:, ::stride, ::stride])
            products = window * at_least_float32(gradient)
            rows = lax.optimization_barrier(products.reshape(-1, channels))
            return (jnp.ones((1, len(rows)), rows.dtype) @ rows)[0]  # sum by the matrix library

        return lax.map(tap_gradient, corners)

    # In chunks of images that stay in the core's cache for all taps.
    chunk = _images_per_chunk(padded)
    if chunk < len(x):
        chunks = [a.reshape(len(x) // chunk, chunk, *a.shape[1:]) for a in (padded, gradient)]
        live = lax.map(sums, tuple(chunks)).sum(0)
    else:
        live = sums((padded, gradient))
    live = live.reshape(len(taps[0]), len(taps[1]), 1, channels)
    outside = [(t.start, kernel_size - t.stop) for t in taps]
    kernel_gradient = jnp.pad(cast(live, kernel.dtype), (*outside, (0, 0), (0, 0)))

    # dx[i] = Σ ĝ[i + before - d] · k[d], where ĝ is g with stride - 1 zeros between its pixels.
    first = [[b - tap for tap in t] for t, b in zip(taps, befores, strict=True)]
    x_gradient = _sum_of_taps(gradient, kernel, first, 1, x.shape[1:3], taps, dilation=stride)
    return x_gradient, kernel_gradient


_shifted_depthwise.defvjp(_shifted_forward, _shifted_backward)
