"""MnasNet's factorized hierarchical space (arXiv 1807.11626, section 4.1 and Fig. 4).

Seven stages, each with its own operation, kernel, squeeze-and-excitation, skip connection, filters
and layers, relative to MobileNetV2's (arXiv 1801.04381, Table 2):

    op      convolution, or MBConv with expand ratio 1 (the paper's separable convolution), 3 or 6
    kernel  3, 5
    SE      none, 0.25
    skip    identity, none, pool; active if the stage has a second layer, because the first layer
            of a stage changes the filters
    filters × 0.75, 1, 1.25 (exact products, all whole)
    layers  +0, -1, +1, at least one: the first and the last stage have 1 or 2

A stage has 432 variants, as the paper counts (for 5 stages: 10^13). Seven stages give
`MnasNetSpace().build().cardinality()` networks, about 4.3e17.

EfficientNet-B0 is *not* in this grid: its 112 and 192 filters are not MobileNetV2's 96 and 160
times 0.75, 1 or 1.25. Nor are the published MnasNet-A1 and B1, for the same reason; the paper does
not explain the difference. `published_filters=True` adds these two values, and with them A1 and B1.
"""

import dataclasses
from functools import partial

from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from mnas.space import OneOf, Space

# MobileNetV2: layers, filters and stride of each stage.
BASE = ((1, 16, 1), (2, 24, 2), (3, 32, 2), (4, 64, 2), (3, 96, 1), (3, 160, 2), (1, 320, 1))
PUBLISHED_FILTERS = {4: 112, 5: 192}  # by stage index: filters of A1 and B1 outside the grid


@dataclasses.dataclass(frozen=True)
class MnasNetSpace:
    """MnasNet's published grid of seven stages."""

    resolution: int = 224
    """Resolution of the input images, pixels."""
    classes: int = 1000
    """Number of classes."""
    published_filters: bool = False
    """Add the 112 and 192 filters of the published MnasNet-A1 and B1."""

    def build(self) -> Space:
        """Return the space."""
        name = "mnasnet-published" if self.published_filters else "mnasnet"
        return Space(
            name,
            partial(
                Architecture,
                blocks=tuple(map(self._stage, range(len(BASE)))),
                resolution=self.resolution,
                classes=self.classes,
                activation="relu",
            ),
        )

    def _stage(self, index: int) -> partial:
        layers, filters, stride = BASE[index]
        widths = [filters * quarters // 4 for quarters in (4, 3, 5)]
        if self.published_filters and index in PUBLISHED_FILTERS:
            widths.append(PUBLISHED_FILTERS[index])
        depths = [depth for depth in (layers, layers - 1, layers + 1) if depth > 0]
        return partial(
            Block,
            op=OneOf("mbconv", "conv"),
            # A plain convolution requires ratio 1, so the first choice must be 1.
            expand_ratio=OneOf(1, 3, 6, when={"op": ["mbconv"]}),
            kernel=OneOf(3, 5),
            se_ratio=OneOf(0.0, 0.25),
            repeats=OneOf(*depths),
            skip=OneOf("identity", "none", "pool", when={"repeats": [n for n in depths if n > 1]}),
            filters=OneOf(*widths),
            stride=stride,
        )
