"""BatchNorm and the activation behind it as one operation, with a hand-written gradient.

Letters as in `mnas.nn.ops`: N images, H and W pixels, C channels.
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax

from mnas.nn.ops import sum_to_channels

BATCH_NORM_EPSILON = 1e-3  # EfficientNet (arXiv 1905.11946), authors' TPU code


def activate(x: jax.Array, activation: str | None) -> jax.Array:
    """'swish' (x · sigmoid(x), arXiv 1710.05941), 'relu', 'relu6' (min(relu(x), 6)), None for x."""
    match activation:
        case None:
            return x
        case "swish":
            return x * jax.nn.sigmoid(x)
        case "relu":
            return jnp.maximum(x, 0)
        case "relu6":
            return jnp.clip(x, 0, 6)
    raise ValueError(f"activation = {activation!r}; accepted: 'swish', 'relu', 'relu6', None")


def _activation_slope(x: jax.Array, activation: str | None) -> jax.Array:
    if activation is None:
        return jnp.ones_like(x)
    if activation == "relu":
        return (x > 0).astype(x.dtype)
    if activation == "relu6":
        return ((x > 0) & (x < 6)).astype(x.dtype)
    gate = jax.nn.sigmoid(x)
    return gate * (1 + x * (1 - gate))


def batch_norm(
    x: jax.Array,
    scale: jax.Array,
    bias: jax.Array,
    activation: str | None = None,
    epsilon: float = BATCH_NORM_EPSILON,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """BatchNorm by the batch's own statistics, and the activation behind it.

    y = act(scale · (x - mean) / sqrt(var + epsilon) + bias)     (arXiv 1502.03167, Algorithm 1)

    x [N, H, W, C]; scale, bias [C]. Returns y, and the batch's mean and biased variance [C] in
    float32 at least; no gradient flows through those two. Only x is kept for the gradient:
    normalised values and the activation's slope are computed again, which on CPUs costs less than
    storing and loading them.
    """
    activate(scale, activation)  # refuses an unknown one
    y, mean, variance = _batch_norm(x, scale, bias, activation, epsilon)
    return y, lax.stop_gradient(mean), lax.stop_gradient(variance)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def _batch_norm(x, scale, bias, activation, epsilon):
    return _norm_forward(x, scale, bias, activation, epsilon)[0]


def _norm_forward(x, scale, bias, activation, epsilon):
    dtype = jnp.promote_types(x.dtype, jnp.float32)
    count = x.size // x.shape[-1]
    x = lax.optimization_barrier(x)  # made once, not in each of its three readers
    # E[x²] - E[x]² in one pass; some pixel of the channel taken off first, because float32 loses
    # the difference where the mean is far from zero.
    origin = x[0, 0, 0].astype(dtype)
    centred = x.astype(dtype) - origin
    offset = sum_to_channels(centred) / count
    variance = jnp.maximum(sum_to_channels(centred * centred) / count - offset * offset, 0)
    mean = origin + offset
    inverse = lax.rsqrt(variance + epsilon)
    y = activate(_affine(x, scale, bias, mean, inverse), activation).astype(x.dtype)
    return (y, mean, variance), (x, scale, bias, mean, inverse)


def _affine(x, scale, bias, mean, inverse):
    factor = scale * inverse
    return x * factor + (bias - mean * factor)


def _norm_backward(activation, epsilon, residuals, gradients):
    x, scale, bias, mean, inverse = residuals
    count = x.size // x.shape[-1]
    gradient = gradients[0].astype(mean.dtype)
    if activation is not None:
        slope = _activation_slope(_affine(x, scale, bias, mean, inverse), activation)
        gradient = lax.optimization_barrier(gradient * slope)  # once, not in each of three readers
    normalised = (x - mean) * inverse
    bias_gradient = sum_to_channels(gradient)
    scale_gradient = sum_to_channels(gradient * normalised)
    # dx = scale/σ · (dy - mean(dy) - x̂ · mean(dy · x̂))
    x_gradient = (scale * inverse) * (
        gradient - (bias_gradient + normalised * scale_gradient) / count
    )
    return (
        x_gradient.astype(x.dtype),
        scale_gradient.astype(scale.dtype),
        bias_gradient.astype(bias.dtype),
    )


_batch_norm.defvjp(_norm_forward, _norm_backward)


def batch_norm_inference(
    x: jax.Array,
    scale: jax.Array,
    bias: jax.Array,
    mean: jax.Array,
    variance: jax.Array,
    activation: str | None = None,
    epsilon: float = BATCH_NORM_EPSILON,
) -> jax.Array:
    """BatchNorm by given statistics, and the activation behind it; shapes as in `batch_norm`."""
    inverse = lax.rsqrt(variance + epsilon)
    return activate(_affine(x, scale, bias, mean, inverse), activation).astype(x.dtype)
