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
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import linen as nn

from mnas.architecture.block import Layer
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


def _weight(
    module: nn.Module, name: str, initial: Callable[..., jax.Array], shape: tuple[int, ...]
) -> jax.Array:
    """`module.param` that, where there is such a weight, does not trace `initial` for its shape.

    That is a tenth of the time that tracing takes; a process traces every block it meets.
    """
    if not module.has_variable("params", name):
        return module.param(name, initial, shape)
    weight = module.get_variable("params", name)
    if weight.shape != shape:
        path = "/".join((*module.path, name))
        raise ValueError(f"weight {path} of shape {weight.shape}; accepted: {shape}")
    return weight


class Convolution(nn.Module):
    """Padded, kernel [k, k, C, filters]; bias only where asked for."""

    filters: int
    kernel: int = 1
    stride: int = 1
    padding: ops.Padding = "same"
    bias: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        if self.has_variable("params", "rows"):  # of `mnas.nn.inference`
            rows = self.get_variable("params", "rows")
            return ops.convolution_by_rows(x, rows, self.kernel, self.stride, self.padding)
        shape = (self.kernel, self.kernel, x.shape[-1], self.filters)
        kernel = _weight(self, "kernel", _convolution_init, shape)
        y = ops.convolution(x, kernel, self.stride, self.padding)
        if self.bias:
            y = y + _weight(self, "bias", nn.initializers.zeros, (self.filters,))
        return y


class DepthwiseConvolution(nn.Module):
    """Padded, kernel [k, k, 1, C]."""

    kernel: int
    stride: int
    padding: ops.Padding = "same"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (self.kernel, self.kernel, 1, x.shape[-1])
        kernel = _weight(self, "kernel", _depthwise_init, shape)
        return ops.depthwise_conv(x, kernel, self.stride, padding=self.padding)


class BatchNorm(nn.Module):
    """BatchNorm and the activation behind it (`norm.batch_norm`).

    Without statistics it is one folded into the convolution before (`mnas.nn.inference`), of which
    the bias is left.
    """

    activation: str | None = None
    epsilon: float = norm.BATCH_NORM_EPSILON

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        channels = x.shape[-1:]
        if not train and not self.has_variable("batch_stats", "mean"):
            bias = _weight(self, "bias", nn.initializers.zeros, channels)
            return norm.activate(x + bias, self.activation)
        scale = _weight(self, "scale", nn.initializers.ones, channels)
        bias = _weight(self, "bias", nn.initializers.zeros, channels)
        if train:
            y, mean, variance = norm.batch_norm(x, scale, bias, self.activation, self.epsilon)
            self.put_variable("batch_stats", "mean", mean)
            self.put_variable("batch_stats", "var", variance)
            return y
        statistics = [self.get_variable("batch_stats", name) for name in ("mean", "var")]
        return norm.batch_norm_inference(x, scale, bias, *statistics, self.activation, self.epsilon)


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
    """Convolution of stride 2, BatchNorm, activation: [N, H, W, 3] → [N, H/2, W/2, filters].

    pool    a 3×3 max pooling of stride 2 behind them, so that H/4 and W/4 come out (ResNet,
            arXiv 1512.03385, Table 1)
    """

    filters: int
    activation: str
    kernel: int = 3
    pool: bool = False
    padding: ops.Padding = "same"
    epsilon: float = norm.BATCH_NORM_EPSILON

    @nn.compact
    def __call__(self, x, train, keep=None, key=None):
        x = Convolution(self.filters, self.kernel, 2, self.padding, name="conv")(x)
        x = BatchNorm(self.activation, self.epsilon, name="norm")(x, train)
        return ops.max_pool(x, 2, self.padding) if self.pool else x


class LayerBlock(nn.Module):
    """One layer of a stage, [N, H, W, C] → [N, H/s, W/s, D]; what all kinds of layers are told.

    drop    whether, in training, the branch beside the skip connection is dropped at times
    """

    layer: Layer
    activation: str
    drop: bool = False
    padding: ops.Padding = "same"
    epsilon: float = norm.BATCH_NORM_EPSILON


class MBConv(LayerBlock):
    """Expansion, depthwise convolution, squeeze-and-excitation, linear projection, skip connection.

    MobileNetV2 (arXiv 1801.04381, Fig. 4d) with the squeeze-and-excitation of MnasNet
    (arXiv 1807.11626, Fig. 7). Where the layer's op is 'separable' the projection has an activation
    too (MobileNetV1, arXiv 1704.04861, Fig. 3).
    """

    @nn.compact
    def __call__(self, x, train, keep=None, key=None):
        layer, y = self.layer, x
        if layer.expand_ratio != 1:
            y = Convolution(layer.expanded_filters, name="expand")(y)
            y = BatchNorm(self.activation, self.epsilon, name="expand_norm")(y, train)
        y = DepthwiseConvolution(layer.kernel, layer.stride, self.padding, name="depthwise")(y)
        y = BatchNorm(self.activation, self.epsilon, name="depthwise_norm")(y, train)
        if layer.se_filters:
            y = SqueezeExcite(layer.se_filters, self.activation, name="squeeze_excite")(y)
        y = Convolution(layer.filters, name="project")(y)
        activation = self.activation if layer.op == "separable" else None
        y = BatchNorm(activation, self.epsilon, name="project_norm")(y, train)
        return _skip(self, x, y, train, keep, key)


class ConvLayer(LayerBlock):
    """k×k convolution, BatchNorm, activation, squeeze-and-excitation, skip connection."""

    @nn.compact
    def __call__(self, x, train, keep=None, key=None):
        layer = self.layer
        y = Convolution(layer.filters, layer.kernel, layer.stride, self.padding, name="conv")(x)
        y = BatchNorm(self.activation, self.epsilon, name="norm")(y, train)
        if layer.se_filters:
            y = SqueezeExcite(layer.se_filters, self.activation, name="squeeze_excite")(y)
        return _skip(self, x, y, train, keep, key)


class BasicLayer(LayerBlock):
    """Two k×k convolutions, the skip connection, and only then the second activation.

    ResNet (arXiv 1512.03385, Fig. 5 left).
    """

    @nn.compact
    def __call__(self, x, train, keep=None, key=None):
        layer = self.layer
        y = Convolution(layer.filters, layer.kernel, layer.stride, self.padding, name="conv1")(x)
        y = BatchNorm(self.activation, self.epsilon, name="norm1")(y, train)
        y = Convolution(layer.filters, layer.kernel, name="conv2")(y)
        y = BatchNorm(epsilon=self.epsilon, name="norm2")(y, train)
        return norm.activate(_skip(self, x, y, train, keep, key), self.activation)


class BottleneckLayer(LayerBlock):
    """1×1 to fewer filters, k×k, 1×1 back, the skip connection, and only then the activation.

    ResNet (arXiv 1512.03385, Fig. 5 right); the k×k convolution strides, not the first one, as in
    what is called version 1.5.
    """

    @nn.compact
    def __call__(self, x, train, keep=None, key=None):
        layer, inner = self.layer, self.layer.bottleneck_filters
        y = Convolution(inner, name="conv1")(x)
        y = BatchNorm(self.activation, self.epsilon, name="norm1")(y, train)
        y = Convolution(inner, layer.kernel, layer.stride, self.padding, name="conv2")(y)
        y = BatchNorm(self.activation, self.epsilon, name="norm2")(y, train)
        y = Convolution(layer.filters, name="conv3")(y)
        y = BatchNorm(epsilon=self.epsilon, name="norm3")(y, train)
        return norm.activate(_skip(self, x, y, train, keep, key), self.activation)


def _skip(block, x, y, train, keep, key):
    """y, with the layer's skip connection from x and, in training, whole branches y dropped."""
    layer = block.layer
    if layer.skip == "none":
        return y
    if block.drop and train:
        # Scaled up here, so that nothing needs scaling at inference.
        kept = jax.random.bernoulli(key, keep, (len(y), 1, 1, 1))
        y = jnp.where(kept, y / keep, 0).astype(y.dtype)
    if layer.skip == "pool":
        x = ops.average_pool(x, layer.stride, block.padding)
    if layer.skip == "projection":
        x = Convolution(layer.filters, stride=layer.stride, name="shortcut")(x)
        x = BatchNorm(epsilon=block.epsilon, name="shortcut_norm")(x, train)
    return y + x


class Head(nn.Module):
    """1×1 convolution, BatchNorm, activation, global average pooling, dropout, classifier.

    [N, H, W, C] → logits [N, classes]. With 0 filters only what comes from the pooling on.
    """

    filters: int
    classes: int
    activation: str
    drop: bool = False
    epsilon: float = norm.BATCH_NORM_EPSILON

    @nn.compact
    def __call__(self, x, train, keep=None, key=None):
        if self.filters:
            x = Convolution(self.filters, name="conv")(x)
            x = BatchNorm(self.activation, self.epsilon, name="norm")(x, train)
        x = ops.global_average_pool(x)
        if self.drop and train:
            x = jnp.where(jax.random.bernoulli(key, keep, x.shape), x / keep, 0).astype(x.dtype)
        kernel = _weight(self, "kernel", _dense_init, (x.shape[-1], self.classes))
        return x @ kernel + _weight(self, "bias", nn.initializers.zeros, (self.classes,))


LAYERS: dict[str, type[LayerBlock]] = {
    "mbconv": MBConv,
    "separable": MBConv,
    "conv": ConvLayer,
    "basic": BasicLayer,
    "bottleneck": BottleneckLayer,
}


def layer_block(
    layer: Layer,
    activation: str,
    drop: bool = False,
    padding: ops.Padding = "same",
    epsilon: float = norm.BATCH_NORM_EPSILON,
) -> LayerBlock:
    """The module of a layer, without what makes no difference to it.

    `drop` is forgotten where there is no skip connection to drop to, and `padding` where nothing
    strides: so equal programs have equal keys.
    """
    drop = drop and layer.skip != "none"
    return LAYERS[layer.op](
        layer, activation, drop, padding if layer.stride > 1 else "same", epsilon
    )
