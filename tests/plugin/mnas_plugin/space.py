"""A search space of two stages."""

import dataclasses
from functools import partial

from mnas import Architecture, Block, OneOf, Space


@dataclasses.dataclass(frozen=True)
class TwoStages:
    """36 networks."""

    resolution: int = 32
    """Side of the input image, pixels."""

    def build(self) -> Space:
        stages = (
            partial(Block, kernel=OneOf(3, 5), filters=OneOf(8, 16, 24), stride=2, expand_ratio=1),
            partial(Block, kernel=OneOf(3, 5), filters=OneOf(16, 24, 32), stride=2, expand_ratio=3),
        )
        return Space(
            "two-stages",
            partial(Architecture, name="two-stages", blocks=stages, resolution=self.resolution),
        )
