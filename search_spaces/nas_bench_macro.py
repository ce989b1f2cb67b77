"""The space of NAS-Bench-Macro (Su et al., CVPR 2021, arXiv 2103.11922): 8 layers of 3 choices.

A stem of 32 filters and stride 1, stages of 2, 3 and 3 layers with 64, 128 and 256 filters, whose
first layers have stride 2, and a head of 1280 filters. Each layer is one of

    0  identity: no layer, or a 1×1 convolution with BatchNorm where the shape changes
    1  MBConv with expand ratio 3 and kernel size 3
    2  MBConv with expand ratio 6 and kernel size 5

without squeeze-and-excitation, with ReLU. The benchmark trained each network on CIFAR-10 for 50
epochs with three seeds. Its names of networks, such as 02011120, are the decisions.

The 3^8 = 6,561 vectors of decisions build 3,969 networks: the last two layers of a stage are equal
ones or identities, of which only the first one's place does not matter.
"""

import dataclasses
from functools import partial

from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from mnas.space import OneOf, Space

# Filters and number of layers of each stage.
STAGES = ((64, 2), (128, 3), (256, 3))


@dataclasses.dataclass(frozen=True)
class NasBenchMacroSpace:
    """Networks of 8 layers, each an identity, MBConv 3×3 or MBConv 5×5."""

    resolution: int = 32
    """Resolution of the input images, pixels."""
    classes: int = 10
    """Number of classes."""

    def build(self) -> Space:
        """Return the space."""
        blocks = tuple(
            _layer(filters, stride=2 if index == 0 else 1)
            for filters, layers in STAGES
            for index in range(layers)
        )
        return Space(
            "nas-bench-macro",
            partial(
                Architecture,
                blocks=blocks,
                resolution=self.resolution,
                stem=32,
                stem_stride=1,
                head=1280,
                classes=self.classes,
                activation="relu",
                padding="symmetric",
                bn_epsilon=1e-5,
            ),
        )


def _layer(filters: int, stride: int) -> OneOf:
    """Return the choice of one layer."""
    return OneOf(
        Block(kernel=1, stride=stride, filters=filters, op="identity"),
        Block(kernel=3, stride=stride, filters=filters, expand_ratio=3),
        Block(kernel=5, stride=stride, filters=filters, expand_ratio=6),
    )
