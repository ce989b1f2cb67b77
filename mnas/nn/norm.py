"""BatchNorm with activation as one operation, with a hand-written gradient.

Shapes as in `mnas.nn.ops`: N images, H × W pixels, C channels.
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax

from mnas.nn.ops import cast, sum_to_channels

BATCH_NORM_EPSILON = 1e-3  # EfficientNet (arXiv 1905.11946), authors' TPU code


def activate(x: jax.Array, activation: str | None) -> jax.Array:
    """Apply 'swish' (x · sigmoid(x), arXiv 1710.05941), 'relu', 'relu6' (ReLU up to 6) or None."""
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


def _activation_derivative(x: jax.Array, activation: str | None) -> jax.Array:
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
    """Normalise by the batch's statistics and apply an activation.

    y = act(scale · (x - mean) / sqrt(var + epsilon) + bias)     (arXiv 1502.03167, Algorithm 1)

    x [N, H, W, C]; scale, bias [C]. Returns y, of the type of x, and the batch's mean and biased
    variance, [C], at least float32; no gradient flows through these two. Everything between x and y
    is computed in the type of the statistics. The gradient keeps x only: normalised
    values and the activation's derivative are recomputed, which on CPUs is cheaper than storing
    them. Raises ValueError for an unknown activation.
    """
    activate(scale, activation)  # rejects an unknown one
    y, mean, variance = _batch_norm(x, scale, bias, activation, epsilon)
    return y, lax.stop_gradient(mean), lax.stop_gradient(variance)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def _batch_norm(x, scale, bias, activation, epsilon):
    return _norm_forward(x, scale, bias, activation, epsilon)[0]


def _norm_forward(x, scale, bias, activation, epsilon):
    dtype = jnp.promote_types(x.dtype, jnp.float32)
    count = x.size // x.shape[-1]
    x = lax.optimization_barrier(x)  # computed once, not in each of its three consumers
    # E[x²] - E[x]² in one pass, after subtracting one pixel of the channel: in float32 the
    # difference would cancel if the mean is far from zero.
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
    return cast(x, factor.dtype) * factor + (bias - mean * factor)


def _norm_backward(activation, epsilon, residuals, gradients):
    x, scale, bias, mean, inverse = residuals
    count = x.size // x.shape[-1]
    gradient = gradients[0].astype(mean.dtype)
    if activation is not None:
        derivative = _activation_derivative(_affine(x, scale, bias, mean, inverse), activation)
        gradient = lax.optimization_barrier(gradient * derivative)  # once, not per consumer
    normalised = (cast(x, mean.dtype) - mean) * inverse
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
    """Normalise by the given statistics and apply an activation; shapes as in `batch_norm`."""
    inverse = lax.rsqrt(variance + epsilon)
    return activate(_affine(x, scale, bias, mean, inverse), activation).astype(x.dtype)
