"""Spaces so small that what a controller does can be worked out by hand."""

from functools import partial

import numpy as np

from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from mnas.space import OneOf, Space

# Two decisions, of 2 and of 3 choices; under uniform ones every network has probability 1/6.
TWO = Space(
    "two",
    partial(
        Architecture,
        blocks=(partial(Block, kernel=OneOf(3, 5), stride=2, filters=24, repeats=OneOf(1, 2, 3)),),
    ),
)


def conditional(stride=2) -> Space:
    """27 networks; two of the five decisions don't always matter.

    They are: op, expand ratio (beside mbconv), kernel, layers, skip (beside two layers).
    """
    block = partial(
        Block,
        op=OneOf("mbconv", "conv"),
        expand_ratio=OneOf(1, 6, when={"op": ["mbconv"]}),
        kernel=OneOf(3, 5, 7),
        repeats=OneOf(1, 2),
        skip=OneOf("identity", "none", when={"repeats": [2]}),
        stride=stride,
        filters=24,
    )
    return Space("conditional", partial(Architecture, blocks=(block,)))


SPACE = conditional()
NETWORKS = np.array(
    [
        [op, expand, kernel, repeats, skip]
        for op, expand in ((0, 0), (0, 1), (1, 0))
        for kernel in range(3)
        for repeats, skip in ((0, 0), (1, 0), (1, 1))
    ],
    np.int32,
)


def kinds(network):
    """What each decision comes to: its choice, or that it doesn't matter."""
    op, expand, kernel, repeats, skip = network
    return [op, expand if op == 0 else "off", kernel, repeats, skip if repeats == 1 else "off"]
