"""Small spaces for hand-computed expectations, and a large one made of stages.

Shapes: D decisions.
"""

import itertools
from functools import partial

import numpy as np

from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from mnas.search_spaces.accel_nasbench import AccelNasbenchSpace
from mnas.space import OneOf, Space

# Two decisions, of 2 and of 3 choices: every network has probability 1/6 under uniform choices.
TWO = Space(
    "two",
    partial(
        Architecture,
        blocks=(partial(Block, kernel=OneOf(3, 5), stride=2, filters=24, repeats=OneOf(1, 2, 3)),),
    ),
)


def conditional(stride=2) -> Space:
    """Return a space of 27 networks and five decisions, of which two are conditional.

    They are: op, expand ratio (active for mbconv), kernel, layers, skip (active for two layers).
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


def one_block(**choices) -> Space:
    """Return a space of one block with these open choices."""
    return Space(
        "one block",
        partial(Architecture, blocks=(partial(Block, filters=24, stride=2, **choices),)),
    )


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

LARGE = AccelNasbenchSpace().build()  # 28 unconditional decisions: 4 in each of 7 stages


def levels(network):
    """Return the choice of each decision of `SPACE`, "inactive" for inactive ones."""
    op, expand, kernel, repeats, skip = network
    inactive = "inactive"
    return [
        op,
        expand if op == 0 else inactive,
        kernel,
        repeats,
        skip if repeats == 1 else inactive,
    ]


def _stages(decisions):
    return np.reshape(decisions, (7, 4)).tolist()


def _network(stages):
    # The sixth stage has a fourth number of layers, which is clipped to the third elsewhere.
    return np.minimum(np.ravel(stages), np.array(LARGE.sizes) - 1).tolist()


def with_stages_exchanged(decisions):
    """Return the vectors of `LARGE` with two stages exchanged, one per pair."""
    vectors = []
    for a, b in itertools.combinations(range(7), 2):
        stages = _stages(decisions)
        stages[a], stages[b] = stages[b], stages[a]
        vectors.append(_network(stages))
    return vectors


def with_stages_copied(decisions):
    """Return the vectors of `LARGE` with one stage copied to another, two per pair."""
    vectors = []
    for a, b in itertools.combinations(range(7), 2):
        for target, source in ((a, b), (b, a)):
            stages = _stages(decisions)
            stages[target] = stages[source]
            vectors.append(_network(stages))
    return vectors
