"""Space of four small networks."""

from functools import partial

from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from mnas.space import OneOf, Space

TINY = Space(
    "tiny",
    partial(
        Architecture,
        resolution=8,
        classes=10,
        stem=4,
        head=8,
        blocks=(
            partial(Block, kernel=3, stride=2, filters=OneOf(4, 8)),
            partial(Block, kernel=3, stride=1, filters=8, repeats=OneOf(1, 2)),
        ),
    ),
)
