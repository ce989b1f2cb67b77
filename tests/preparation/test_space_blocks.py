"""`space_blocks`: the distinct blocks of a space, with their frequency."""

import itertools
from functools import partial

import numpy as np
import pytest

from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from mnas.architecture.signatures import block_keys
from mnas.nn.network import block_shapes, network_blocks
from mnas.preparation.space_blocks import space_blocks
from mnas.space import OneOf, Space
from tests.preparation.spaces import TINY


def shared_and_open() -> Space:
    """Return a space in which all that a block depends on is open, with one shared decision."""
    cell = OneOf("identity", "pool", "none")
    return Space(
        "open",
        partial(
            Architecture,
            resolution=OneOf(16, 32),
            blocks=(
                partial(
                    Block,
                    op=OneOf("mbconv", "conv"),
                    kernel=3,
                    expand_ratio=OneOf(1, 3, when={"op": ("mbconv",)}),
                    stride=OneOf(1, 2),
                    filters=OneOf(16, 32),
                    skip=cell,
                ),
                Block(kernel=3, stride=1, filters=24),
                OneOf(Block(kernel=3, stride=1, filters=24), Block(kernel=5, stride=2, filters=32)),
                partial(Block, kernel=3, stride=1, filters=32, repeats=OneOf(1, 2), skip=cell),
            ),
            activation=OneOf("swish", "relu"),
        ),
    )


def whole_choice() -> Space:
    """Return a space whose only decision is among whole networks."""
    stages = [(Block(kernel=k, stride=2, filters=16),) for k in (3, 5)]
    return Space("whole", partial(Architecture, resolution=32, blocks=OneOf(*stages)))


@pytest.mark.parametrize("space", [TINY, shared_and_open(), whole_choice()], ids=lambda s: s.name)
def test_the_blocks_are_those_of_all_networks_without_duplicates(space, monkeypatch):
    monkeypatch.setattr("mnas.preparation.space_blocks.RANDOM_NETWORKS", 1)  # which show few blocks
    blocks, complete = space_blocks(space)
    keys = [block_keys(block.architecture)[block.index] for block in blocks]
    vectors = map(np.array, itertools.product(*map(range, space.sizes)))
    every = {key for vector in vectors for key in block_keys(space.decode(vector))}
    assert complete
    assert len(keys) == len(set(keys))
    assert set(keys) == every


def test_block_keys_are_equal_where_modules_and_shapes_are():
    base = Architecture(
        (
            Block(kernel=3, stride=1, filters=32, repeats=2),
            Block(kernel=3, stride=2, filters=32, op="basic", skip="projection"),
        ),
        resolution=32,
    )
    changes = ("stem_kernel", 7), ("stem_pool", True), ("padding", "symmetric"), ("head", 0)
    changes += ("bn_epsilon", 1e-5), ("activation", "relu6"), ("classes", 7), ("stem", 16)
    keys, modules = {}, {}
    for changed in [base, *(base.replace(**{field: value}) for field, value in changes)]:
        pairs = zip(block_keys(changed), network_blocks(changed), strict=True)
        shape = (1, changed.resolution, changed.resolution, 3)
        for index, (key, (_, module)) in enumerate(pairs):
            keys[changed, index], modules[changed, index] = key, (module, shape)
            shape = block_shapes(module, shape)[1]
    assert len(set(keys.values())) == len(set(modules.values())) > 12
    assert len(set(zip(keys.values(), modules.values(), strict=True))) == len(set(keys.values()))


def test_blocks_are_sorted_by_frequency():
    blocks, _ = space_blocks(TINY)
    frequencies = [block.frequency for block in blocks]
    assert frequencies == sorted(frequencies, reverse=True)
    assert sum(frequencies) == pytest.approx(1)
    # Every network has a stem and a head; and, on average, one layer from 8 to 8 filters: the first
    # of the last stage in half of the networks, the second in half.
    assert frequencies[:3] == pytest.approx([1 / 4.5] * 3, abs=0.02)
    assert frequencies[3:] == pytest.approx(
        [0.5 / 4.5] * 3, abs=0.02
    )  # both first stages; from 4 to 8


def test_a_stage_with_too_many_combinations_is_sampled():
    blocks, complete = space_blocks(shared_and_open(), max_combinations=5)
    assert not complete
    assert blocks
