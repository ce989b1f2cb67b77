"""Independent choices for every layer: the space without factorized hierarchy, for ablations.

MnasNet (arXiv 1807.11626, section 4.1) makes all layers of a stage equal, which reduces about 10^39
networks to 10^13. Here each layer has its own expand ratio, kernel and SE; filters, strides and the
number of layers are EfficientNet-B0's. Layers of one block string are equal, so each layer is a
stage of its own with one repeat. The surrogate does not cover such networks: this space is for
proxy training.
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
    """Resolution of the input images, pixels."""
    classes: int = 1000
    """Number of classes."""

    def build(self) -> Space:
        """Return the space."""
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
