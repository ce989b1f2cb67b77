"""The space of Accel-NASBench (Ahmad et al., DAC 2024, arXiv 2404.08005): 28 decisions.

EfficientNet-B0's filters, strides and identity skips; for each of the seven stages an expand ratio
(1, 4, 6), a kernel (3, 5), a number of layers (1, 2, 3; in the sixth stage also 4) and
squeeze-and-excitation or none: 36^6 · 48 = 104,485,552,128 networks.

The decisions run stage by stage; within a stage in the benchmark's order e, k, l, se.
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
    """28 decisions around EfficientNet-B0; 4,623 members have been trained on ImageNet."""

    resolution: int = 224
    """Side of the input image, pixels."""
    classes: int = 1000
    """Outputs of the classifier."""

    def build(self) -> Space:
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
