"""The blocks of a network as Flax Linen modules: stem, layers, head.

A Linen module is a frozen dataclass, so it is hashable and makes its own key for `jax.jit`
(`static_argnums`). These hold only what changes the compiled program: equal layers at different
places, or of different children, are equal modules and share one program for each input shape.

All blocks are called alike:

    block(x, train, keep=None, key=None)

x        [N, H, W, C]
train    normalise by the batch's statistics and *write* these, just so, to the collection
         'batch_stats' (the caller averages); otherwise *read* them from there
keep     traced scalar, used where the module's `drop` is true: probability of keeping an image's
         residual branch (stochastic depth, arXiv 1603.09382), or in the head a feature (dropout)
key      a JAX random key, where `drop` is true
"""

import math

import jax
import jax.numpy as jnp
from flax import linen as nn

from mnas.architecture import Layer
from mnas.nn import norm, ops


def convolution_stddev(shape: tuple[int, ...], depthwise: bool = False) -> float:
    """sqrt(2 / fan out) of a kernel [k, k, C / groups, D], with fan out = k² · D / groups.

    For a depthwise kernel, [k, k, 1, C] in C groups, the fan out is k²: so EfficientNet's code
    (arXiv 1905.11946, `conv_kernel_initializer`), where its shape is [k, k, C, 1].
    """
    side, _, _, filters = shape
    return math.sqrt(2 / (side * side * (1 if depthwise else filters)))


def dense_bound(shape: tuple[int, int]) -> float:
    """U(±1/sqrt(out)) for a dense kernel [in, out] (EfficientNet's code)."""
    return 1 / math.sqrt(shape[1])


def _convolution_init(key: jax.Array, shape: tuple[int, ...], dtype=jnp.float32) -> jax.Array:
    return convolution_stddev(shape) * jax.random.normal(key, shape, dtype)


def _depthwise_init(key: jax.Array, shape: tuple[int, ...], dtype=jnp.float32) -> jax.Array:
    return convolution_stddev(shape, depthwise=True) * jax.random.normal(key, shape, dtype)


def _dense_init(key: jax.Array, shape: tuple[int, int], dtype=jnp.float32) -> jax.Array:
    bound = dense_bound(shape)
    return jax.random.uniform(key, shape, dtype, -bound, bound)


class Convolution(nn.Module):
    """SAME-padded, kernel [k, k, C, filters]; bias only where asked for."""

    filters: int
    kernel: int = 1
    stride: int = 1
    bias: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (self.kernel, self.kernel, x.shape[-1], self.filters)
        y = ops.convolution(x, self.param("kernel", _convolution_init, shape), self.stride)
        if self.bias:
            y = y + self.param("bias", nn.initializers.zeros, (self.filters,))
        return y


class DepthwiseConvolution(nn.Module):
    """SAME-padded, kernel [k, k, 1, C]."""

    kernel: int
    stride: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (self.kernel, self.kernel, 1, x.shape[-1])
        return ops.depthwise_conv(x, self.param("kernel", _depthwise_init, shape), self.stride)


class BatchNorm(nn.Module):
    """BatchNorm and the activation behind it (`norm.batch_norm`).

    Without statistics it is one folded into the convolution before (`mnas.nn.inference`), of which
    the bias is left.
    """

    activation: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        channels = x.shape[-1:]
        if not train and not self.has_variable("batch_stats", "mean"):
            bias = self.param("bias", nn.initializers.zeros, channels)
            return norm.activate(x + bias, self.activation)
        scale = self.param("scale", nn.initializers.ones, channels)
        bias = self.param("bias", nn.initializers.zeros, channels)
        if train:
            y, mean, variance = norm.batch_norm(x, scale, bias, self.activation)
            self.put_variable("batch_stats", "mean", mean)
            self.put_variable("batch_stats", "var", variance)
            return y
        statistics = [self.get_variable("batch_stats", name) for name in ("mean", "var")]
        return norm.batch_norm_inference(x, scale, bias, *statistics, self.activation)


class SqueezeExcite(nn.Module):
    """Squeeze-and-excitation (arXiv 1709.01507): gate = sigmoid(W₂ act(W₁ mean(x) + b₁) + b₂)."""

    reduced: int
    activation: str

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        pooled = ops.global_average_pool(x)[:, None, None]
        hidden = Convolution(self.reduced, bias=True, name="reduce")(pooled)
        hidden = norm.activate(hidden, self.activation)
        gate = Convolution(x.shape[-1], bias=True, name="expand")(hidden)
        return ops.scale_channels(x, jax.nn.sigmoid(gate[:, 0, 0]))


class Stem(nn.Module):
    """3×3 convolution of stride 2, BatchNorm, activation: [N, H, W, 3] → [N, H/2, W/2, filters]."""

    filters: int
    activation: str

    @nn.compact
    def __call__(self, x, train, keep=None, key=None):
        x = Convolution(self.filters, kernel=3, stride=2, name="conv")(x)
        return BatchNorm(self.activation, name="norm")(x, train)


class MBConv(nn.Module):
    """Expansion, depthwise convolution, squeeze-and-excitation, linear projection, skip connection.

    MobileNetV2 (arXiv 1801.04381, Fig. 4d) with the squeeze-and-excitation of MnasNet
    (arXiv 1807.11626, Fig. 7).
    """

    layer: Layer
    activation: str
    drop: bool = False

    @nn.compact
    def __call__(self, x, train, keep=None, key=None):
        layer, y = self.layer, x
        if layer.expand_ratio != 1:
            y = Convolution(layer.expanded_filters, name="expand")(y)
            y = BatchNorm(self.activation, name="expand_norm")(y, train)
        y = DepthwiseConvolution(layer.kernel, layer.stride, name="depthwise")(y)
        y = BatchNorm(self.activation, name="depthwise_norm")(y, train)
        if layer.se_filters:
            y = SqueezeExcite(layer.se_filters, self.activation, name="squeeze_excite")(y)
        y = Convolution(layer.filters, name="project")(y)
        y = BatchNorm(name="project_norm")(y, train)
        return _skip(self, x, y, train, keep, key)


class ConvLayer(nn.Module):
    """k×k convolution, BatchNorm, activation, squeeze-and-excitation, skip connection."""

    layer: Layer
    activation: str
    drop: bool = False

    @nn.compact
    def __call__(self, x, train, keep=None, key=None):
        layer = self.layer
        y = Convolution(layer.filters, layer.kernel, layer.stride, name="conv")(x)
        y = BatchNorm(self.activation, name="norm")(y, train)
        if layer.se_filters:
            y = SqueezeExcite(layer.se_filters, self.activation, name="squeeze_excite")(y)
        return _skip(self, x, y, train, keep, key)


def _skip(block, x, y, train, keep, key):
    """y, with the layer's skip connection from x and, in training, whole branches y dropped."""
    layer = block.layer
    if layer.skip == "none":
        return y
    if block.drop and train:
        # Scaled up here, so that nothing needs scaling at inference.
        kept = jax.random.bernoulli(key, keep, (len(y), 1, 1, 1))
        y = jnp.where(kept, y / keep, 0).astype(y.dtype)
    return y + (x if layer.skip == "identity" else ops.average_pool(x, layer.stride))


class Head(nn.Module):
    """1×1 convolution, BatchNorm, activation, global average pooling, dropout, classifier.

    [N, H, W, C] → logits [N, classes].
    """

    filters: int
    classes: int
    activation: str
    drop: bool = False

    @nn.compact
    def __call__(self, x, train, keep=None, key=None):
        x = Convolution(self.filters, name="conv")(x)
        x = ops.global_average_pool(BatchNorm(self.activation, name="norm")(x, train))
        if self.drop and train:
            x = jnp.where(jax.random.bernoulli(key, keep, x.shape), x / keep, 0).astype(x.dtype)
        kernel = self.param("kernel", _dense_init, (self.filters, self.classes))
        return x @ kernel + self.param("bias", nn.initializers.zeros, (self.classes,))


def layer_block(layer: Layer, activation: str, drop: bool = False) -> MBConv | ConvLayer:
    """The module of a layer. `drop` is forgotten where there is no skip connection to drop to."""
    kind = MBConv if layer.op == "mbconv" else ConvLayer
    return kind(layer, activation, drop and layer.skip != "none")
