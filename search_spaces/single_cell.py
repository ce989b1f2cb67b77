"""A single cell repeated in all seven stages, for ablations.

NASNet (arXiv 1707.07012) searched one cell and stacked it; MnasNet (arXiv 1807.11626, section 4.1
and Table 6) argues that stages need different layers, since they differ in cost and function. This
is `accel-nasbench` with the same expand ratio, kernel, SE and number of layers in all stages, so
the surrogate covers all of it: 36 networks instead of 10^11.
"""

import dataclasses
from functools import partial

from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from mnas.search_spaces.accel_nasbench import STAGES
from mnas.space import OneOf, Space


@dataclasses.dataclass(frozen=True)
class SingleCellSpace:
    """Four decisions shared by all stages; filters and strides are EfficientNet-B0's."""

    resolution: int = 224
    """Resolution of the input images, pixels."""
    classes: int = 1000
    """Number of classes."""

    def build(self) -> Space:
        """Return the space."""
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
