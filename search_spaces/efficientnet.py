"""A factorized hierarchical MBConv space around EfficientNet-B0 (arXiv 1905.11946, Table 1).

According to the EfficientNet paper, B0 was found in MnasNet's space, but the published grid does
not contain it (`mnas.search_spaces.mnasnet`). This space does: seven stages, B0's strides, and for
each stage

    expand ratio  1, 3, 6
    kernel        3, 5
    SE            none, 0.25
    layers        MobileNetV2's +0, -1, +1, at least one
    skip          identity, none; active if the stage has a second layer
    filters       B0's and one step below and above; or B0's alone (`filters="b0"`), which reduces
                  the number of different blocks from thousands to a few hundred

Neighbouring stages never have equal filters at stride 1, so every active decision changes the
network. With `activation="relu"` the space contains MnasNet-A1 and B1.
"""

import dataclasses
from functools import partial
from typing import Literal

from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from mnas.architecture.scaling import round_filters
from mnas.errors import rejected, require_positive
from mnas.space import OneOf, Space

# Filters of the stem; filters, layers and stride of each stage.
STEM = 32
STAGES = (
    ((8, 16, 24), (1, 2), 1),
    ((16, 24, 32), (1, 2, 3), 2),
    ((32, 40, 48), (2, 3, 4), 2),
    ((72, 80, 88), (3, 4, 5), 2),
    ((96, 112, 128), (2, 3, 4), 1),
    ((160, 192, 224), (2, 3, 4), 2),
    ((256, 320, 384), (1, 2), 1),
)


@dataclasses.dataclass(frozen=True)
class EfficientNetSpace:
    """Seven MBConv stages around EfficientNet-B0."""

    resolution: int = 224
    """Resolution of the input images, pixels."""
    classes: int = 1000
    """Number of classes."""
    filters: Literal["around-b0", "b0"] = "around-b0"
    """Filters of each stage: B0's and one step below and above, or B0's alone (fewer blocks)."""
    head: int = 1280
    """Filters of the 1×1 convolution before the classifier."""
    activation: Literal["swish", "relu"] = "swish"
    """Activation of all layers: swish as in EfficientNet, relu as in MnasNet."""
    stem_stride: Literal[1, 2] = 2
    """Stride of the stem: B0's 2, or 1 for small images."""
    width: float = 1.0
    """Factor on the filters of stem, stages and head, rounded as in compound scaling; with
    filters = 'b0' only, since steps of 8 filters would coincide."""

    def __post_init__(self) -> None:
        require_positive("space", "width", self.width, most=64)
        if self.width != 1 and self.filters != "b0":
            raise rejected("space", "width", self.width, "1, or filters = 'b0'")

    def build(self) -> Space:
        """Return the space."""
        return Space(
            "efficientnet",
            partial(
                Architecture,
                blocks=tuple(map(self._stage, STAGES)),
                resolution=self.resolution,
                classes=self.classes,
                stem=self._scaled(STEM),
                head=self._scaled(self.head),
                activation=self.activation,
                stem_stride=self.stem_stride,
            ),
        )

    def _stage(self, stage: tuple[tuple[int, ...], tuple[int, ...], int]) -> partial:
        filters, layers, stride = stage
        return partial(
            Block,
            expand_ratio=OneOf(1, 3, 6),
            kernel=OneOf(3, 5),
            se_ratio=OneOf(0.0, 0.25),
            repeats=OneOf(*layers),
            skip=OneOf("identity", "none", when={"repeats": [n for n in layers if n > 1]}),
            filters=OneOf(*filters) if self.filters == "around-b0" else self._scaled(filters[1]),
            stride=stride,
        )

    def _scaled(self, filters: int) -> int:
        return filters if self.width == 1 else round_filters(filters, self.width)
