"""One choice for all seven stages: the cell that is repeated, for ablations.

Searching one cell and stacking it is what NASNet did; MnasNet (arXiv 1807.11626, section 4.1 and
Table 6) argues that stages need different layers, since they differ in cost and in what they do.
This is `accel-nasbench` with one expand ratio, kernel, SE and number of layers for the whole
network, so that all of it can be put to the surrogate: 36 networks instead of 10^11.
"""

import dataclasses
from functools import partial

from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from mnas.search_spaces.accel_nasbench import STAGES
from mnas.space import OneOf, Space


@dataclasses.dataclass(frozen=True)
class SingleCellSpace:
    """Four decisions, the same for every stage; filters and strides are EfficientNet-B0's."""

    resolution: int = 224
    """Side of the input image, pixels."""
    classes: int = 1000
    """Outputs of the classifier."""

    def build(self) -> Space:
        cell = {
            "expand_ratio": OneOf(1, 4, 6),
            "kernel": OneOf(3, 5),
            "repeats": OneOf(1, 2, 3),
            "se_ratio": OneOf(0.0, 0.25),
        }
        return Space(
            "single-cell",
            partial(
                Architecture,
                blocks=tuple(
                    partial(Block, **cell, filters=filters, stride=stride)
                    for filters, stride, _ in STAGES
                ),
                resolution=self.resolution,
                classes=self.classes,
            ),
        )
