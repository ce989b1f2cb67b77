"""Blocks of a network as Flax Linen modules: stem, layers, head.

A Linen module is a frozen dataclass, hence hashable and usable as a static argument of `jax.jit`.
The fields of a module are exactly what changes its compiled program: equal layers at different
positions, or of different children, are equal modules and share one program per input shape.

All blocks have the same signature:

    block(x, train, keep=None, key=None)

x        [N, H, W, C], float32 or bfloat16. Feature maps have its type; weights, statistics and
         logits are float32
train    if true, normalise by the batch's statistics and *write* these, not averaged, to the
         collection 'batch_stats'; if false, *read* statistics from there
keep     traced scalar for modules with `drop`: probability of keeping an image's residual branch
         (stochastic depth, arXiv 1603.09382), or, in the head, a feature (dropout)
key      JAX random key for modules with `drop`
"""

import math
from collections.abc import Callable
from typing import ClassVar

import jax
import jax.numpy as jnp
from flax import linen as nn

from mnas.architecture.block import Layer
from mnas.nn import norm, ops, pooling


def convolution_stddev(shape: tuple[int, ...], depthwise: bool = False) -> float:
    """Return sqrt(2 / fan out) of a kernel [k, k, C / groups, D], with fan out = k² · D / groups.

    A depthwise kernel, [k, k, 1, C] in C groups, has fan out k², as in EfficientNet's code
    (arXiv 1905.11946, `conv_kernel_initializer`), where its shape is [k, k, C, 1].
    """
    kernel_size, _, _, filters = shape
    return math.sqrt(2 / (kernel_size * kernel_size * (1 if depthwise else filters)))


def dense_bound(shape: tuple[int, ...]) -> float:
    """Return b = 1 / sqrt(out) of a dense kernel [in, out] ~ U(-b, b) (EfficientNet's code)."""
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
    """Return `module.param`, without tracing `initial` for its shape if the weight exists.

    Saves a tenth of the tracing time of a block.
    """
    if not module.has_variable("params", name):
        return module.param(name, initial, shape)
    weight: jax.Array = module.get_variable("params", name)
    if weight.shape != shape:
        path = "/".join((*module.path, name))
        raise ValueError(f"weight {path} has shape {weight.shape}; accepted: {shape}")
    return weight


class Convolution(nn.Module):
    """Padded convolution, [N, H, W, C] → [N, ⌈H/s⌉, ⌈W/s⌉, filters], kernel [k, k, C, filters]."""

    filters: int
    kernel: int = 1
    stride: int = 1
    padding: ops.Padding = "same"
    bias: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        if self.has_variable("params", "rows"):  # from `mnas.nn.inference.fold`
            rows: jax.Array = self.get_variable("params", "rows")
            return ops.convolution_by_rows(x, rows, self.kernel, self.stride, self.padding)
        shape = (self.kernel, self.kernel, x.shape[-1], self.filters)
        kernel = _weight(self, "kernel", _convolution_init, shape)
        y = ops.convolution(x, kernel, self.stride, self.padding)
        if self.bias:
            y = y + ops.cast(_weight(self, "bias", nn.initializers.zeros, (self.filters,)), y.dtype)
        return y


class DepthwiseConvolution(nn.Module):
    """Padded depthwise convolution, [N, H, W, C] → [N, ⌈H/s⌉, ⌈W/s⌉, C], kernel [k, k, 1, C]."""

    kernel: int
    stride: int
    padding: ops.Padding = "same"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (self.kernel, self.kernel, 1, x.shape[-1])
        kernel = _weight(self, "kernel", _depthwise_init, shape)
        return ops.depthwise_conv(x, kernel, self.stride, padding=self.padding)


class BatchNorm(nn.Module):
    """BatchNorm followed by an activation (`norm.batch_norm`).

    Without statistics it is a BatchNorm folded into the preceding convolution
    (`mnas.nn.inference`), of which only the bias is left.
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
        mean = self.get_variable("batch_stats", "mean")
        variance = self.get_variable("batch_stats", "var")
        return norm.batch_norm_inference(
            x, scale, bias, mean, variance, self.activation, self.epsilon
        )


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
    """Convolution of stride s, BatchNorm, activation: [N, H, W, 3] → [N, ⌈H/s⌉, ⌈W/s⌉, filters].

    pool    append 3×3 max pooling of stride 2 (ResNet, arXiv 1512.03385, Table 1)
    """

    filters: int
    activation: str
    kernel: int = 3
    pool: bool = False
    padding: ops.Padding = "same"
    epsilon: float = norm.BATCH_NORM_EPSILON
    stride: int = 2

    @nn.compact
    def __call__(
        self,
        x: jax.Array,
        train: bool,
        keep: jax.Array | None = None,
        key: jax.Array | None = None,
    ) -> jax.Array:
        x = Convolution(self.filters, self.kernel, self.stride, self.padding, name="conv")(x)
        x = BatchNorm(self.activation, self.epsilon, name="norm")(x, train)
        return pooling.max_pool(x, 2, self.padding) if self.pool else x


class LayerBlock(nn.Module):
    """Base class and common fields of all layers of stages, [N, H, W, C] → [N, ⌈H/s⌉, ⌈W/s⌉, D].

    drop    apply stochastic depth to the residual branch in training

    `last_norm` is the name of the last BatchNorm of the residual branch.
    """

    last_norm: ClassVar[str]
    layer: Layer
    activation: str
    drop: bool = False
    padding: ops.Padding = "same"
    epsilon: float = norm.BATCH_NORM_EPSILON


class MBConv(LayerBlock):
    """Expansion, depthwise convolution, squeeze-and-excitation, linear projection, skip connection.

    MobileNetV2 (arXiv 1801.04381, Fig. 4d) with the squeeze-and-excitation of MnasNet
    (arXiv 1807.11626, Fig. 7). For the op 'separable', the projection has an activation as well
    (MobileNetV1, arXiv 1704.04861, Fig. 3).
    """

    last_norm = "project_norm"

    @nn.compact
    def __call__(
        self,
        x: jax.Array,
        train: bool,
        keep: jax.Array | None = None,
        key: jax.Array | None = None,
    ) -> jax.Array:
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
    """k×k convolution, BatchNorm, activation, squeeze-and-excitation, skip connection.

    For the op 'identity' without activation.
    """

    last_norm = "norm"

    @nn.compact
    def __call__(
        self,
        x: jax.Array,
        train: bool,
        keep: jax.Array | None = None,
        key: jax.Array | None = None,
    ) -> jax.Array:
        layer = self.layer
        y = Convolution(layer.filters, layer.kernel, layer.stride, self.padding, name="conv")(x)
        activation = None if layer.op == "identity" else self.activation
        y = BatchNorm(activation, self.epsilon, name="norm")(y, train)
        if layer.se_filters:
            y = SqueezeExcite(layer.se_filters, self.activation, name="squeeze_excite")(y)
        return _skip(self, x, y, train, keep, key)


class BasicLayer(LayerBlock):
    """Two k×k convolutions; the second activation follows the skip connection.

    ResNet (arXiv 1512.03385, Fig. 5 left).
    """

    last_norm = "norm2"

    @nn.compact
    def __call__(
        self,
        x: jax.Array,
        train: bool,
        keep: jax.Array | None = None,
        key: jax.Array | None = None,
    ) -> jax.Array:
        layer = self.layer
        y = Convolution(layer.filters, layer.kernel, layer.stride, self.padding, name="conv1")(x)
        y = BatchNorm(self.activation, self.epsilon, name="norm1")(y, train)
        y = Convolution(layer.filters, layer.kernel, name="conv2")(y)
        y = BatchNorm(epsilon=self.epsilon, name="norm2")(y, train)
        return norm.activate(_skip(self, x, y, train, keep, key), self.activation)


class BottleneckLayer(LayerBlock):
    """1×1 reduction, k×k convolution, 1×1 expansion; the last activation follows the skip.

    ResNet (arXiv 1512.03385, Fig. 5 right), version 1.5: the k×k convolution has the stride, not
    the first 1×1 convolution.
    """

    last_norm = "norm3"

    @nn.compact
    def __call__(
        self,
        x: jax.Array,
        train: bool,
        keep: jax.Array | None = None,
        key: jax.Array | None = None,
    ) -> jax.Array:
        layer, inner = self.layer, self.layer.bottleneck_filters
        y = Convolution(inner, name="conv1")(x)
        y = BatchNorm(self.activation, self.epsilon, name="norm1")(y, train)
        y = Convolution(inner, layer.kernel, layer.stride, self.padding, name="conv2")(y)
        y = BatchNorm(self.activation, self.epsilon, name="norm2")(y, train)
        y = Convolution(layer.filters, name="conv3")(y)
        y = BatchNorm(epsilon=self.epsilon, name="norm3")(y, train)
        return norm.activate(_skip(self, x, y, train, keep, key), self.activation)


def _skip(
    block: LayerBlock,
    x: jax.Array,
    y: jax.Array,
    train: bool,
    keep: jax.Array | None,
    key: jax.Array | None,
) -> jax.Array:
    """Return branch y plus the layer's skip connection from x, with stochastic depth on y."""
    layer = block.layer
    if layer.skip == "none":
        return y
    if block.drop and train:
        assert keep is not None and key is not None
        # Rescaled in training, so that inference needs no scaling.
        kept = jax.random.bernoulli(key, keep, (len(y), 1, 1, 1))
        y = jnp.where(kept, y / keep, 0).astype(y.dtype)
    if layer.skip == "pool":
        x = pooling.average_pool(x, layer.stride, block.padding)
    if layer.skip == "projection":
        x = Convolution(layer.filters, stride=layer.stride, name="shortcut")(x)
        x = BatchNorm(epsilon=block.epsilon, name="shortcut_norm")(x, train)
    return y + x


class Head(nn.Module):
    """1×1 convolution, BatchNorm, activation, global average pooling, dropout, classifier.

    [N, H, W, C] → logits [N, classes]. With 0 filters, starts at the pooling.
    """

    filters: int
    classes: int
    activation: str
    drop: bool = False
    epsilon: float = norm.BATCH_NORM_EPSILON

    @nn.compact
    def __call__(
        self,
        x: jax.Array,
        train: bool,
        keep: jax.Array | None = None,
        key: jax.Array | None = None,
    ) -> jax.Array:
        if self.filters:
            x = Convolution(self.filters, name="conv")(x)
            x = BatchNorm(self.activation, self.epsilon, name="norm")(x, train)
        x = ops.global_average_pool(ops.at_least_float32(x))
        if self.drop and train:
            assert keep is not None and key is not None
            x = jnp.where(jax.random.bernoulli(key, keep, x.shape), x / keep, 0).astype(x.dtype)
        kernel = _weight(self, "kernel", _dense_init, (x.shape[-1], self.classes))
        return x @ kernel + _weight(self, "bias", nn.initializers.zeros, (self.classes,))


LAYERS: dict[str, type[LayerBlock]] = {
    "mbconv": MBConv,
    "separable": MBConv,
    "conv": ConvLayer,
    "basic": BasicLayer,
    "bottleneck": BottleneckLayer,
    "identity": ConvLayer,
}


def layer_block(
    layer: Layer,
    activation: str,
    drop: bool = False,
    padding: ops.Padding = "same",
    epsilon: float = norm.BATCH_NORM_EPSILON,
) -> LayerBlock:
    """Return the module of a layer, with fields that do not affect it normalised.

    `drop` needs a skip connection, and `padding` only matters with a stride: equal programs thus
    have equal modules.
    """
    drop = drop and layer.skip != "none"
    return LAYERS[layer.op](
        layer, activation, drop, padding if layer.stride > 1 else "same", epsilon
    )


def without_drop(block: nn.Module) -> nn.Module:
    """Return a block with `drop` off, the block itself if it cannot drop anything."""
    return block.clone(drop=False) if getattr(block, "drop", False) else block
