"""Every layer decides for itself: the space without the factorized hierarchy, for ablations.

MnasNet (arXiv 1807.11626, section 4.1) makes all layers of a stage alike, which leaves about 10^13
networks where choosing layer by layer would leave about 10^39. Here each layer has its own expand
ratio, kernel and SE. Layers that differ can't stand in one block string, so each is a stage of its
own with one repeat; filters, strides and the number of layers are EfficientNet-B0's. The surrogate
knows no such networks: this space is for proxy training.
"""

import dataclasses
from functools import partial

from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from mnas.architecture.published import PUBLISHED
from mnas.space import OneOf, Space


@dataclasses.dataclass(frozen=True)
class PerLayerSpace:
    """Three decisions for each of B0's 16 layers."""

    resolution: int = 224
    """Side of the input image, pixels."""
    classes: int = 1000
    """Outputs of the classifier."""

    def build(self) -> Space:
        layers = PUBLISHED["efficientnet-b0"].layers()
        return Space(
            "per-layer",
            partial(
                Architecture,
                blocks=tuple(
                    partial(
                        Block,
                        expand_ratio=OneOf(1, 3, 6),
                        kernel=OneOf(3, 5),
                        se_ratio=OneOf(0.0, 0.25),
                        filters=layer.filters,
                        stride=layer.stride,
                    )
                    for layer in layers
                ),
                resolution=self.resolution,
                classes=self.classes,
            ),
        )
