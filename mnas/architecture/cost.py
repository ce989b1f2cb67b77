"""Parameters, mult-adds and depth of an architecture, exact and in closed form.

Mult-adds are the "FLOPs" of the EfficientNet and MnasNet papers: one multiply-add counts once.
Counted are convolutions (padded taps included), both convolutions of squeeze-and-excitation, and
the classifier; not BatchNorm, activations, pooling, biases and additions. Parameters are the
trainable ones: BatchNorm has a scale and a bias per filter, and its running statistics don't count.
"""

import dataclasses
import functools
from collections.abc import Iterator

from mnas.architecture.architecture import Architecture
from mnas.architecture.block import KEPT_STAGES, Block, Layer


@dataclasses.dataclass(frozen=True)
class Cost:
    """Trainable parameters and mult-adds for one image; costs can be added."""

    params: int = 0
    mult_adds: int = 0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.params + other.params, self.mult_adds + other.mult_adds)


@dataclasses.dataclass(frozen=True)
class PartCost:
    """Cost of one part of a network, with its output: [resolution, resolution, filters]."""

    name: str
    cost: Cost
    resolution: int
    filters: int


def depth(architecture: Architecture) -> int:
    """Return the number of layers that are no identity."""
    return sum(layer.op != "identity" for layer in architecture.layers())


def downscaled(resolution: int, stride: int) -> int:
    """Return the output resolution, pixels, of an odd kernel with 'same' or 'symmetric' padding."""
    return -(-resolution // stride)


def convolution(
    kernel: int, in_filters: int, filters: int, resolution: int, *, groups: int = 1
) -> Cost:
    """Return the cost of a bias-free convolution with BatchNorm; `resolution` is the output's."""
    weights = kernel * kernel * (in_filters // groups) * filters
    return Cost(weights + 2 * filters, weights * resolution * resolution)


def squeeze_excite(filters: int, reduced: int) -> Cost:
    """Return the cost of squeeze-and-excitation: two biased 1×1 convolutions of a 1×1 map."""
    weights = 2 * filters * reduced
    return Cost(weights + reduced + filters, weights)


def layer_cost(layer: Layer, resolution: int) -> Cost:
    """Return the cost of one layer; `resolution` is its *input's*."""
    kernel, in_filters, filters = layer.kernel, layer.in_filters, layer.filters
    out_resolution = downscaled(resolution, layer.stride)
    total = Cost()
    if layer.op in ("conv", "identity"):
        total += convolution(kernel, in_filters, filters, out_resolution)
        if layer.se_filters:
            total += squeeze_excite(filters, layer.se_filters)
    elif layer.op == "basic":
        total += convolution(kernel, in_filters, filters, out_resolution)
        total += convolution(kernel, filters, filters, out_resolution)
    elif layer.op == "bottleneck":
        inner = layer.bottleneck_filters
        total += convolution(1, in_filters, inner, resolution)
        total += convolution(kernel, inner, inner, out_resolution)
        total += convolution(1, inner, filters, out_resolution)
    else:  # mbconv, separable
        expanded = layer.expanded_filters
        if layer.expand_ratio != 1:
            total += convolution(1, in_filters, expanded, resolution)
        total += convolution(kernel, expanded, expanded, out_resolution, groups=expanded)
        if layer.se_filters:
            total += squeeze_excite(expanded, layer.se_filters)
        total += convolution(1, expanded, filters, out_resolution)
    if layer.skip == "projection":
        total += convolution(1, in_filters, filters, out_resolution)
    return total


def parts(architecture: Architecture) -> Iterator[PartCost]:
    """Yield stem, every layer of every stage, head (if any) and classifier, in order."""
    size, filters = downscaled(architecture.resolution, architecture.stem_stride), architecture.stem
    cost = convolution(architecture.stem_kernel, 3, filters, size)
    if architecture.stem_pool:
        size = downscaled(size, 2)
    yield PartCost("stem", cost, size, filters)
    for s, block in enumerate(architecture.blocks, start=1):
        stage = _stage_parts(block, filters, size, s)
        yield from stage
        size, filters = stage[-1].resolution if stage else size, block.filters
    if architecture.head:
        cost = convolution(1, filters, architecture.head, size)
        filters = architecture.head
        yield PartCost("head", cost, size, filters)
    classes = architecture.classes
    yield PartCost("classifier", Cost((filters + 1) * classes, filters * classes), 1, classes)


@functools.lru_cache(KEPT_STAGES)
def _stage_parts(
    block: Block, in_filters: int, resolution: int, number: int
) -> tuple[PartCost, ...]:
    """Return every layer of one stage; `resolution` is its input's, `number` counts from 1."""
    found = []
    for n, layer in enumerate(block.layers(in_filters), start=1):
        cost = layer_cost(layer, resolution)
        resolution = downscaled(resolution, layer.stride)
        found.append(PartCost(f"stage{number}_layer{n}", cost, resolution, layer.filters))
    return tuple(found)


def block_inputs(architecture: Architecture) -> list[tuple[int, int]]:
    """Return (resolution, filters) of the input of stem, every layer, and head, in order."""
    blocks = 2 + len(architecture.layers())
    outputs = [(part.resolution, part.filters) for part in parts(architecture)]
    return [(architecture.resolution, 3), *outputs[: blocks - 1]]


def network_cost(architecture: Architecture) -> Cost:
    """Return the cost of the whole network for one image of the architecture's resolution."""
    costs = [part.cost for part in parts(architecture)]
    return Cost(sum(cost.params for cost in costs), sum(cost.mult_adds for cost in costs))
