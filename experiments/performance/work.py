"""Flops and bytes of every operation of a training step, in closed form.

Each operation is counted as if run by itself, reading each map as often as its definition asks for.
A multiply-add is two flops, float32 has 4 bytes, filter taps that touch only padding don't count,
an exponential counts as one. BatchNorm reads its input twice, because the statistics come first;
its gradient reads two maps twice. BatchNorm and the activation after it are one operation, as in
the code. Shapes: [N, H, W, C].
"""

import dataclasses
from collections.abc import Iterator

import jax
import numpy as np
from flax import linen as nn

from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Layer
from mnas.architecture.cost import downscaled
from mnas.nn import ops
from mnas.nn.blocks import BatchNorm, Convolution, DepthwiseConvolution, SqueezeExcite
from mnas.nn.network import variable_shapes

FLOAT_BYTES = 4


@dataclasses.dataclass(frozen=True)
class Work:
    """Floating-point operations of one program, and bytes it moves to and from memory."""

    flops: float
    bytes: float


@dataclasses.dataclass(frozen=True)
class Operation:
    """One operation of a network.

    layer      of the network, such as "stage3_layer1"
    shape      of its input, [N, H, W, C]; of the optimizer [parameters]
    forward    None for the optimizer
    module     Flax module; None for the addition of the skip connection and for the optimizer
    """

    kind: str
    layer: str
    shape: tuple[int, ...]
    forward: Work | None
    backward: Work | None
    module: nn.Module | None = None


# --- a training step ----------------------------------------------------------------------------


def operations(architecture: Architecture, batch: int) -> Iterator[Operation]:
    """Yield the operations of a step in forward order, then the optimizer's, block by block."""
    activation, size = architecture.activation, downscaled(architecture.resolution, 2)
    image = (batch, architecture.resolution, architecture.resolution, 3)
    yield stem(image, architecture.stem)
    yield norm("stem", (batch, size, size, architecture.stem), activation)
    filters = architecture.stem
    for s, stage in enumerate(architecture.stages(), start=1):
        for n, layer in enumerate(stage, start=1):
            yield from block(f"stage{s}_layer{n}", layer, batch, size, activation)
            size, filters = downscaled(size, layer.stride), layer.filters
    yield pointwise("head", (batch, size, size, filters), architecture.head)
    last = (batch, size, size, architecture.head)
    yield norm("head", last, activation)
    yield classifier(last, architecture.classes)
    for name, variables in variable_shapes(architecture).items():
        count = sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
        # Reads weight, gradient and two moments, writes all but the gradient.
        update = Work(12 * count, 7 * FLOAT_BYTES * count)
        yield Operation("optimizer", name, (count,), None, update)


def block(name: str, layer: Layer, batch: int, size: int, activation: str) -> Iterator[Operation]:
    """Yield the operations of one MBConv block with an input of `size` × `size` pixels."""
    expanded = layer.expanded_filters
    if layer.expand_ratio != 1:
        yield pointwise(name, (batch, size, size, layer.in_filters), expanded)
        yield norm(name, (batch, size, size, expanded), activation)
    yield depthwise(name, (batch, size, size, expanded), layer.kernel, layer.stride)
    size = downscaled(size, layer.stride)
    inner, outer = (batch, size, size, expanded), (batch, size, size, layer.filters)
    yield norm(name, inner, activation)
    if layer.se_filters:
        yield squeeze_excite(name, inner, layer.se_filters, activation)
    yield pointwise(name, inner, layer.filters)
    yield norm(name, outer, None)
    if layer.skip == "identity":
        elements = element_count(outer)
        add = Work(elements, 3 * FLOAT_BYTES * elements)
        yield Operation("skip", name, outer, add, add)


# --- single operations --------------------------------------------------------------------------


def element_count(shape: tuple[int, ...]) -> int:
    """Return the number of elements of an array of this shape."""
    return int(np.prod(shape))


def pointwise(layer: str, shape: tuple[int, ...], filters: int) -> Operation:
    """Count a 1×1 convolution: the product [M, K] · [K, D], and two such for the gradients."""
    rows, depth = element_count(shape[:3]), shape[3]
    multiply_adds = rows * depth * filters
    maps, weights = rows * (depth + filters), depth * filters
    return Operation(
        "1×1 convolution",
        layer,
        shape,
        forward=Work(2 * multiply_adds, FLOAT_BYTES * (maps + weights)),
        backward=Work(4 * multiply_adds, FLOAT_BYTES * (2 * maps + 2 * weights)),
        module=Convolution(filters),
    )


def stem(shape: tuple[int, ...], filters: int) -> Operation:
    """Count the stem's 3×3 convolution of stride 2; the images need no gradient."""
    batch, size, _, channels = shape
    multiply_adds = batch * tap_count(size, 3, 2) ** 2 * channels * filters
    out, weights = batch * downscaled(size, 2) ** 2 * filters, 9 * channels * filters
    work = Work(2 * multiply_adds, FLOAT_BYTES * (element_count(shape) + out + weights))
    return Operation("stem", "stem", shape, work, work, Convolution(filters, 3, 2))


def depthwise(layer: str, shape: tuple[int, ...], kernel: int, stride: int) -> Operation:
    """Count a depthwise convolution: k² multiply-adds an output, as many for each gradient."""
    batch, size, _, channels = shape
    multiply_adds = batch * channels * tap_count(size, kernel, stride) ** 2
    maps = element_count(shape) + batch * channels * downscaled(size, stride) ** 2
    weights = kernel * kernel * channels
    return Operation(
        "depthwise",
        layer,
        shape,
        forward=Work(2 * multiply_adds, FLOAT_BYTES * (maps + weights)),
        backward=Work(4 * multiply_adds, FLOAT_BYTES * (2 * maps + 2 * weights)),
        module=DepthwiseConvolution(kernel, stride),
    )


def tap_count(size: int, kernel: int, stride: int) -> int:
    """Count the pairs of an output and a filter tap on a real pixel, along one axis."""
    before, _ = ops.padding_of(size, kernel, stride, "same")
    firsts = range(-before, -before + stride * downscaled(size, stride), stride)
    return sum(min(first + kernel, size) - max(first, 0) for first in firsts)


def norm(layer: str, shape: tuple[int, ...], activation: str | None) -> Operation:
    """Count BatchNorm and its activation.

    Forward 4 flops an element for the sums and 2 for the affine map, backward about 4 and 6.
    """
    elements = element_count(shape)
    forward, backward = 6, 10
    if activation == "swish":
        forward, backward = 10, 18
    elif activation:
        forward, backward = 7, 11
    return Operation(
        f"BatchNorm, {activation}" if activation else "BatchNorm",
        layer,
        shape,
        forward=Work(forward * elements, 3 * FLOAT_BYTES * elements),
        backward=Work(backward * elements, 5 * FLOAT_BYTES * elements),
        module=BatchNorm(activation),
    )


def squeeze_excite(layer: str, shape: tuple[int, ...], reduced: int, activation: str) -> Operation:
    """Count the mean, two small products and the scaling, which must wait for the mean."""
    elements, products = element_count(shape), shape[0] * shape[3] * reduced * 2
    weights = 2 * shape[3] * reduced
    return Operation(
        "squeeze-excite",
        layer,
        shape,
        forward=Work(2 * elements + 2 * products, FLOAT_BYTES * (3 * elements + weights)),
        backward=Work(4 * elements + 4 * products, FLOAT_BYTES * (4 * elements + 2 * weights)),
        module=SqueezeExcite(reduced, activation),
    )


class _Classifier(nn.Module):
    """Global average pooling and the classifier, the end of `mnas.nn.blocks.Head`."""

    classes: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return nn.Dense(self.classes)(ops.global_average_pool(x))


def classifier(shape: tuple[int, ...], classes: int) -> Operation:
    """Count the pooling and the product [N, C] · [C, classes]."""
    elements, weights = element_count(shape), shape[3] * classes
    products = shape[0] * weights
    return Operation(
        "pool, classifier",
        "head",
        shape,
        forward=Work(elements + 2 * products, FLOAT_BYTES * (elements + weights)),
        backward=Work(elements + 4 * products, FLOAT_BYTES * (elements + 2 * weights)),
        module=_Classifier(classes),
    )
