"""Parameters and mult-adds of an architecture, in closed form and exact.

What is counted is what the EfficientNet and MnasNet papers call FLOPs: one multiply-add counts
once. Convolutions (SAME padding, padded taps included), both convolutions of
squeeze-and-excitation, and the classifier count; BatchNorm, activations, pooling, biases and
additions don't. Parameters are the trainable ones: BatchNorm has a scale and a bias per filter, its
running statistics are not parameters.
"""

import dataclasses
from collections.abc import Iterator

from mnas.architecture import Architecture, Layer


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
    """Side of a SAME-padded convolution's output, pixels."""
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
    outside = downscaled(resolution, layer.stride)
    if layer.op == "conv":
        total = convolution(layer.kernel, layer.in_filters, layer.filters, outside)
        if layer.se_filters:
            total += squeeze_excite(layer.filters, layer.se_filters)
        return total
    total, expanded = Cost(), layer.expanded_filters
    if layer.expand_ratio != 1:
        total += convolution(1, layer.in_filters, expanded, resolution)
    total += convolution(layer.kernel, expanded, expanded, outside, groups=expanded)
    if layer.se_filters:
        total += squeeze_excite(expanded, layer.se_filters)
    return total + convolution(1, expanded, layer.filters, outside)


def parts(architecture: Architecture) -> Iterator[PartCost]:
    """Stem, every layer of every stage, head and classifier, in order."""
    size = downscaled(architecture.resolution, 2)
    yield PartCost("stem", convolution(3, 3, architecture.stem, size), size, architecture.stem)
    filters = architecture.stem
    for s, stage in enumerate(architecture.stages(), start=1):
        for n, layer in enumerate(stage, start=1):
            cost = layer_cost(layer, size)
            size, filters = downscaled(size, layer.stride), layer.filters
            yield PartCost(f"stage{s}_layer{n}", cost, size, filters)
    head, classes = architecture.head, architecture.classes
    yield PartCost("head", convolution(1, filters, head, size), size, head)
    yield PartCost("classifier", Cost((head + 1) * classes, head * classes), 1, classes)


def network_cost(architecture: Architecture) -> Cost:
    """The whole network, for one image of the architecture's resolution."""
    return sum((part.cost for part in parts(architecture)), Cost())
