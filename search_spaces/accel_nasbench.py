"""The space of Accel-NASBench (Ahmad et al., DAC 2024, arXiv 2404.08005): 28 decisions.

Filters, strides and skips are EfficientNet-B0's. Each of the seven stages has an expand ratio
(1, 4, 6), a kernel size (3, 5), a number of layers (1, 2, 3; also 4 in the sixth stage) and
squeeze-and-excitation (none, 0.25): 36^6 · 48 = 104,485,552,128 networks.

The decisions are in the benchmark's order: stage by stage, and e, k, l, se within a stage.
"""

import dataclasses
from functools import partial

from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from mnas.space import OneOf, Space

# Filters, stride and layers of each stage.
STAGES = (
    (16, 1, (1, 2, 3)),
    (24, 2, (1, 2, 3)),
    (40, 2, (1, 2, 3)),
    (80, 2, (1, 2, 3)),
    (112, 1, (1, 2, 3)),
    (192, 2, (1, 2, 3, 4)),
    (320, 1, (1, 2, 3)),
)


@dataclasses.dataclass(frozen=True)
class AccelNasbenchSpace:
    """EfficientNet-B0 with 28 open decisions; 4,623 of the networks were trained on ImageNet."""

    resolution: int = 224
    """Resolution of the input images, pixels."""
    classes: int = 1000
    """Number of classes."""

    def build(self) -> Space:
        """Return the space."""
        return Space(
            "accel-nasbench",
            partial(
                Architecture,
                blocks=tuple(
                    partial(
                        Block,
                        expand_ratio=OneOf(1, 4, 6),
                        kernel=OneOf(3, 5),
                        repeats=OneOf(*layers),
                        se_ratio=OneOf(0.0, 0.25),
                        filters=filters,
                        stride=stride,
                    )
                    for filters, stride, layers in STAGES
                ),
                resolution=self.resolution,
                classes=self.classes,
            ),
        )
