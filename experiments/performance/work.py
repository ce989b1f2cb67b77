"""What each operation of a training step has to compute and to move, in closed form.

For `mnas.experiments.performance.roofline`, which says how they are counted.

Shapes: [N, H, W, C].
"""

import dataclasses
from collections.abc import Iterator

import jax
import numpy as np
from flax import linen as nn

from mnas.architecture.architecture import Architecture
from mnas.architecture.cost import downscaled
from mnas.nn import ops
from mnas.nn.blocks import BatchNorm, Convolution, DepthwiseConvolution, SqueezeExcite
from mnas.nn.network import variable_shapes

FLOAT = 4  # bytes


@dataclasses.dataclass(frozen=True)
class Work:
    """Floating-point operations, and bytes to and from memory, of one program."""

    flops: float
    bytes: float


@dataclasses.dataclass(frozen=True)
class Operation:
    """One operation of a network.

    module      Flax module; None for the skip connection's addition and the optimizer
    shape       of its input, [N, H, W, C]; of the optimizer [parameters]
    """

    kind: str
    place: str
    shape: tuple[int, ...]
    forward: Work | None
    backward: Work | None
    module: nn.Module | None = None


def operations(architecture: Architecture, batch: int) -> Iterator[Operation]:
    """Those of a training step, in the order of the forward pass; the optimizer, block by block."""
    act, side = architecture.activation, downscaled(architecture.resolution, 2)
    image = (batch, architecture.resolution, architecture.resolution, 3)
    yield stem(image, architecture.stem)
    yield norm("stem", (batch, side, side, architecture.stem), act)
    for s, stage in enumerate(architecture.stages(), start=1):
        for n, layer in enumerate(stage, start=1):
            place, expanded = f"stage{s}_layer{n}", layer.expanded_filters
            if layer.expand_ratio != 1:
                yield pointwise(place, (batch, side, side, layer.in_filters), expanded)
                yield norm(place, (batch, side, side, expanded), act)
            yield depthwise(place, (batch, side, side, expanded), layer.kernel, layer.stride)
            side = downscaled(side, layer.stride)
            inner = (batch, side, side, expanded)
            outer = (batch, side, side, layer.filters)
            yield norm(place, inner, act)
            if layer.se_filters:
                yield squeeze_excite(place, inner, layer.se_filters, act)
            yield pointwise(place, inner, layer.filters)
            yield norm(place, outer, None)
            if layer.skip == "identity":
                size = elements(outer)
                add = Work(size, 3 * FLOAT * size)
                yield Operation("skip", place, outer, add, add)
            filters = layer.filters
    yield pointwise("head", (batch, side, side, filters), architecture.head)
    last = (batch, side, side, architecture.head)
    yield norm("head", last, act)
    yield classifier(last, architecture.classes)
    for name, variables in variable_shapes(architecture).items():
        count = sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
        # Weight, gradient and two moments are read, all but the gradient written.
        update = Work(12 * count, 7 * FLOAT * count)
        yield Operation("optimizer", name, (count,), None, update)


def elements(shape: tuple[int, ...]) -> int:
    """Numbers in an array of this shape."""
    return int(np.prod(shape))


def pointwise(place: str, shape: tuple[int, ...], filters: int) -> Operation:
    """A 1×1 convolution: the product [M, K] · [K, D], and two such for the gradients."""
    rows, depth = elements(shape[:3]), shape[3]
    multiply_adds = rows * depth * filters
    maps, weights = rows * (depth + filters), depth * filters
    return Operation(
        *("1×1 convolution", place, shape),
        Work(2 * multiply_adds, FLOAT * (maps + weights)),
        Work(4 * multiply_adds, FLOAT * (2 * maps + 2 * weights)),
        Convolution(filters),
    )


def stem(shape: tuple[int, ...], filters: int) -> Operation:
    """3×3, stride 2; the images need no gradient."""
    batch, side, _, channels = shape
    multiply_adds = batch * touched(side, 3, 2) ** 2 * channels * filters
    out, weights = batch * downscaled(side, 2) ** 2 * filters, 9 * channels * filters
    work = Work(2 * multiply_adds, FLOAT * (elements(shape) + out + weights))
    return Operation("stem", "stem", shape, work, work, Convolution(filters, 3, 2))


def depthwise(place: str, shape: tuple[int, ...], kernel: int, stride: int) -> Operation:
    """k² multiply-adds an output; as many for each of the two gradients."""
    batch, side, _, channels = shape
    multiply_adds = batch * channels * touched(side, kernel, stride) ** 2
    inside, outside = elements(shape), batch * channels * downscaled(side, stride) ** 2
    weights = kernel * kernel * channels
    return Operation(
        *("depthwise", place, shape),
        Work(2 * multiply_adds, FLOAT * (inside + outside + weights)),
        Work(4 * multiply_adds, FLOAT * (2 * inside + 2 * outside + 2 * weights)),
        DepthwiseConvolution(kernel, stride),
    )


def touched(size: int, kernel: int, stride: int) -> int:
    """Pairs of an output and a tap that reads a real pixel, along one axis."""
    before, _ = ops.padding_of(size, kernel, stride, "same")
    firsts = range(-before, -before + stride * downscaled(size, stride), stride)
    return sum(min(first + kernel, size) - max(first, 0) for first in firsts)


def norm(place: str, shape: tuple[int, ...], activation: str | None) -> Operation:
    """BatchNorm: 4 flops an element for the sums, 2 for the affine map; backward 4 and 6 or so."""
    size = elements(shape)
    curve, slope = (4, 8) if activation == "swish" else (1, 1) if activation else (0, 0)
    name = f"BatchNorm, {activation}" if activation else "BatchNorm"
    return Operation(
        *(name, place, shape),
        Work((6 + curve) * size, 3 * FLOAT * size),
        Work((10 + slope) * size, 5 * FLOAT * size),
        BatchNorm(activation),
    )


def squeeze_excite(place: str, shape: tuple[int, ...], reduced: int, activation: str) -> Operation:
    """Mean, two small products, scaling; the mean must be known before anything is scaled."""
    size, products = elements(shape), shape[0] * shape[3] * reduced * 2
    weights = 2 * shape[3] * reduced
    return Operation(
        *("squeeze-excite", place, shape),
        Work(2 * size + 2 * products, FLOAT * (3 * size + weights)),
        Work(4 * size + 4 * products, FLOAT * (4 * size + 2 * weights)),
        SqueezeExcite(reduced, activation),
    )


class _Classifier(nn.Module):
    """Global average pooling and the classifier, as `mnas.nn.blocks.Head` ends."""

    classes: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return nn.Dense(self.classes)(ops.global_average_pool(x))


def classifier(shape: tuple[int, ...], classes: int) -> Operation:
    """Pooling and a product [N, C] · [C, classes]."""
    size, weights = elements(shape), shape[3] * classes
    products = shape[0] * weights
    return Operation(
        *("pool, classifier", "head", shape),
        Work(size + 2 * products, FLOAT * (size + weights)),
        Work(size + 4 * products, FLOAT * (size + 2 * weights)),
        _Classifier(classes),
    )
