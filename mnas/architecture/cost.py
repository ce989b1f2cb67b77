"""Parameters and mult-adds of an architecture, in closed form and exact.

What is counted is what the EfficientNet and MnasNet papers call FLOPs: one multiply-add counts
once. Convolutions (padded taps included), both convolutions of
squeeze-and-excitation, and the classifier count; BatchNorm, activations, pooling, biases and
additions don't. Parameters are the trainable ones: BatchNorm has a scale and a bias per filter, its
running statistics are not parameters.
"""

import dataclasses
from collections.abc import Iterator

from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Layer


@dataclasses.dataclass(frozen=True)
class Cost:
    """Parameters and mult-adds, both whole numbers; costs add up."""

    params: int = 0
    mult_adds: int = 0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.params + other.params, self.mult_adds + other.mult_adds)


@dataclasses.dataclass(frozen=True)
class PartCost:
    """Cost of one part of a network and the output it gives: `resolution` pixels a side."""

    name: str
    cost: Cost
    resolution: int
    filters: int


def downscaled(resolution: int, stride: int) -> int:
    """Side of a convolution's output, pixels; the same with either padding (odd kernels)."""
    return -(-resolution // stride)


def convolution(
    kernel: int, in_filters: int, filters: int, resolution: int, *, groups: int = 1
) -> Cost:
    """A bias-free convolution with `resolution`² outputs, and the BatchNorm behind it."""
    weights = kernel * kernel * (in_filters // groups) * filters
    return Cost(weights + 2 * filters, weights * resolution * resolution)


def squeeze_excite(filters: int, reduced: int) -> Cost:
    """Two biased 1×1 convolutions on the pooled 1×1 map."""
    weights = 2 * filters * reduced
    return Cost(weights + reduced + filters, weights)


def layer_cost(layer: Layer, resolution: int) -> Cost:
    """One layer whose *input* is `resolution` pixels a side."""
    kernel, in_filters, filters = layer.kernel, layer.in_filters, layer.filters
    outside = downscaled(resolution, layer.stride)
    total = Cost()
    if layer.op == "conv":
        total += convolution(kernel, in_filters, filters, outside)
        if layer.se_filters:
            total += squeeze_excite(filters, layer.se_filters)
    elif layer.op == "basic":
        total += convolution(kernel, in_filters, filters, outside)
        total += convolution(kernel, filters, filters, outside)
    elif layer.op == "bottleneck":
        inner = layer.bottleneck_filters
        total += convolution(1, in_filters, inner, resolution)
        total += convolution(kernel, inner, inner, outside)
        total += convolution(1, inner, filters, outside)
    else:  # mbconv, separable
        expanded = layer.expanded_filters
        if layer.expand_ratio != 1:
            total += convolution(1, in_filters, expanded, resolution)
        total += convolution(kernel, expanded, expanded, outside, groups=expanded)
        if layer.se_filters:
            total += squeeze_excite(expanded, layer.se_filters)
        total += convolution(1, expanded, filters, outside)
    if layer.skip == "projection":
        total += convolution(1, in_filters, filters, outside)
    return total


def parts(architecture: Architecture) -> Iterator[PartCost]:
    """Stem, every layer of every stage, head (where there is one) and classifier, in order."""
    size, filters = downscaled(architecture.resolution, 2), architecture.stem
    cost = convolution(architecture.stem_kernel, 3, filters, size)
    if architecture.stem_pool:
        size = downscaled(size, 2)
    yield PartCost("stem", cost, size, filters)
    for s, stage in enumerate(architecture.stages(), start=1):
        for n, layer in enumerate(stage, start=1):
            cost = layer_cost(layer, size)
            size, filters = downscaled(size, layer.stride), layer.filters
            yield PartCost(f"stage{s}_layer{n}", cost, size, filters)
    if architecture.head:
        cost = convolution(1, filters, architecture.head, size)
        filters = architecture.head
        yield PartCost("head", cost, size, filters)
    classes = architecture.classes
    yield PartCost("classifier", Cost((filters + 1) * classes, filters * classes), 1, classes)


def network_cost(architecture: Architecture) -> Cost:
    """The whole network, for one image of the architecture's resolution."""
    return sum((part.cost for part in parts(architecture)), Cost())
