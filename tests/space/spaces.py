"""Small spaces, and all their vectors, for the tests of `mnas.space`."""

import itertools
from collections.abc import Callable
from functools import partial

import numpy as np

from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from mnas.space import OneOf, Space

SMALL = {"resolution": 32, "classes": 10}


def plain() -> Space:
    """Return the example of the module's docstring."""
    return Space(
        "plain",
        partial(
            Architecture,
            blocks=(
                partial(Block, kernel=OneOf(3, 5), stride=2, filters=OneOf(16, 24, 32)),
                partial(Block, kernel=OneOf(3, 5), stride=2, filters=40, repeats=OneOf(1, 2, 3)),
            ),
            **SMALL,
        ),
    )


def conditional() -> Space:
    """Return a space in which two decisions depend on one other each."""
    return Space(
        "conditional",
        partial(
            Architecture,
            blocks=(
                partial(
                    Block,
                    op=OneOf("mbconv", "conv"),
                    kernel=OneOf(3, 5),
                    repeats=OneOf(1, 2, 3),
                    expand_ratio=OneOf(1, 3, 6, when={"op": ["mbconv"]}),
                    skip=OneOf("identity", "none", "pool", when={"repeats": [2, 3]}),
                    stride=2,
                    filters=16,
                ),
            ),
            **SMALL,
        ),
    )


def two_conditions() -> Space:
    """Return a space in which SE depends on both the operation and the number of layers."""
    return Space(
        "two-conditions",
        partial(
            Architecture,
            blocks=(
                partial(
                    Block,
                    op=OneOf("conv", "mbconv"),
                    repeats=OneOf(1, 2, 3),
                    se_ratio=OneOf(0.0, 0.5, when={"op": ["mbconv"], "repeats": [2, 3]}),
                    kernel=3,
                    stride=2,
                    filters=OneOf(16, 24),
                ),
            ),
            **SMALL,
        ),
    )


def nested() -> Space:
    """Return a space with a chain of conditions: op -> expand ratio -> SE.

    For op 'conv' the ratio is 1, for which SE is inactive.
    """
    block = partial(
        Block,
        op=OneOf("conv", "mbconv"),
        expand_ratio=OneOf(1, 3, 6, when={"op": ["mbconv"]}),
        se_ratio=OneOf(0.0, 0.25, 0.5, when={"expand_ratio": [3, 6]}),
        kernel=3,
        stride=2,
    )
    # Both stages share the same OneOf objects: one cell, repeated.
    stages = (partial(block, filters=16), partial(block, filters=24))
    return Space("nested", partial(Architecture, blocks=stages, **SMALL))


def shared() -> Space:
    """Return a space whose stages share kernel, layers, and the skip that depends on the layers."""
    kernel, repeats = OneOf(3, 5, 7), OneOf(1, 2)
    skip = OneOf("identity", "none", when={"repeats": [2]})
    stage = partial(Block, kernel=kernel, repeats=repeats, skip=skip, stride=2)
    return Space(
        "shared",
        partial(
            Architecture,
            blocks=(partial(stage, filters=OneOf(16, 24)), partial(stage, filters=OneOf(32, 40))),
            head=OneOf(64, 128),
            **SMALL,
        ),
    )


def fixed_parent() -> Space:
    """Return a space with a condition on a fixed sibling, which always holds."""
    return Space(
        "fixed-parent",
        partial(
            Architecture,
            blocks=(
                partial(
                    Block,
                    repeats=2,
                    skip=OneOf("identity", "none", when={"repeats": [2, 3]}),
                    kernel=OneOf(3, 5),
                    stride=2,
                    filters=16,
                ),
            ),
            activation=OneOf("swish", "relu"),
            **SMALL,
        ),
    )


SPACES: list[Callable[[], Space]] = [
    plain,
    conditional,
    two_conditions,
    nested,
    shared,
    fixed_parent,
]


def every_vector(space: Space) -> np.ndarray:
    """Return all combinations of choices, int [product of sizes, D]."""
    return np.array(list(itertools.product(*map(range, space.sizes))))
