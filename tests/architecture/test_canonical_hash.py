"""The canonical hash: equal exactly for architectures that build the same network."""

import dataclasses

import pytest

from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from mnas.architecture.published import PUBLISHED
from tests.architecture.networks import NETWORKS, SAMPLES

BASE = Architecture(
    (
        Block(3, 1, 16, se_ratio=0.25),
        Block(5, 2, 24, expand_ratio=6, repeats=2, se_ratio=0.25),
        Block(3, 1, 24, op="conv", repeats=2, skip="pool"),
    )
)


def with_block(index: int, **changes) -> Architecture:
    blocks = list(BASE.blocks)
    blocks[index] = dataclasses.replace(blocks[index], **changes)
    return BASE.replace(blocks=tuple(blocks))


@pytest.mark.parametrize(
    "same",
    [
        BASE.replace(name="another"),
        with_block(0, skip="none"),  # no effect: 32 input filters, 16 output filters
        with_block(0, skip="pool"),
        with_block(0, se_ratio=0.26),  # 8 of 32 filters either way
        BASE.replace(  # two stages of one layer in place of one stage of two
            blocks=(
                *BASE.blocks[:2],
                Block(3, 1, 24, op="conv", skip="pool"),
                Block(3, 1, 24, op="conv", skip="pool"),
            )
        ),
    ],
)
def test_ignores_settings_without_effect(same):
    assert same != BASE
    assert same.canonical_hash() == BASE.canonical_hash()


def test_treats_minus_zero_as_zero():
    assert (
        with_block(0, se_ratio=-0.0).canonical_hash() == with_block(0, se_ratio=0).canonical_hash()
    )


def test_differs_for_every_effective_change():
    changed = [
        BASE,
        with_block(0, kernel=5),
        with_block(0, stride=2),
        with_block(0, filters=24),
        with_block(0, repeats=2),
        with_block(0, se_ratio=0.5),
        with_block(0, se_ratio=0),
        with_block(0, op="conv"),
        with_block(1, expand_ratio=3),
        with_block(1, skip="none"),
        with_block(1, skip="pool"),
        with_block(1, repeats=3),
        with_block(2, skip="identity"),
        with_block(2, skip="none"),
        with_block(2, op="mbconv"),
        BASE.replace(blocks=BASE.blocks[:2]),
        BASE.replace(resolution=225),
        BASE.replace(stem=40),
        BASE.replace(head=1281),
        BASE.replace(classes=10),
        BASE.replace(activation="relu"),
        BASE.replace(activation="relu6"),
        BASE.replace(stem_kernel=5),
        BASE.replace(stem_pool=True),
        BASE.replace(stem_stride=1),
        BASE.replace(head=0),
        BASE.replace(padding="symmetric"),
        BASE.replace(bn_epsilon=1e-5),
        with_block(0, op="separable"),
        with_block(0, skip="projection"),
        with_block(2, op="basic"),
        with_block(2, op="bottleneck"),
    ]
    hashes = [architecture.canonical_hash() for architecture in changed]
    assert len(set(hashes)) == len(changed)
    assert all(len(text) == 16 and int(text, 16) >= 0 for text in hashes)


def test_equal_hashes_imply_equal_layers():
    by_hash = {}
    for architecture in NETWORKS:
        identity = (
            [
                dataclasses.replace(la, se_ratio=float(la.se_filters))
                for la in architecture.layers()
            ],
            architecture.replace(blocks=(Block(3, 1, 1),), name="", timm_stages=None),
        )
        assert by_hash.setdefault(architecture.canonical_hash(), identity) == identity
    assert len(by_hash) > 4 * SAMPLES - 10


def test_is_stable_across_processes_and_releases():
    # Journals record it, and are searched by it.
    assert PUBLISHED["efficientnet-b0"].canonical_hash() == "63306d086bbd204a"
    assert PUBLISHED["mnasnet-a1"].canonical_hash() == "569666a23fdf2215"
    assert PUBLISHED["mnasnet-b1"].canonical_hash() == "089f22c6ec30ee90"
    assert BASE.canonical_hash() == "212428fde5c4c1da"
    assert PUBLISHED["resnet-50"].canonical_hash() == "9b505bf4dadad1d3"
