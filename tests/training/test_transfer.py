"""Frozen blocks and learning rates by stage."""

import pytest

from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from mnas.errors import UsageError
from mnas.training.transfer import TransferConfig, block_rates

NETWORK = Architecture(
    (
        Block(kernel=3, stride=1, filters=8),
        Block(kernel=3, stride=2, filters=16, repeats=2),
        Block(kernel=3, stride=2, filters=24),
    ),
    name="three-stages",
)
BLOCKS = ["stem", "stage1_layer1", "stage2_layer1", "stage2_layer2", "stage3_layer1", "head"]


@pytest.mark.parametrize(
    ("freeze", "trained"),
    [
        ("", BLOCKS),
        ("stem", BLOCKS[1:]),
        ("stem,1-2", ["stage3_layer1", "head"]),
        ("2", ["stem", "stage1_layer1", "stage3_layer1", "head"]),
        ("3-3, 1", ["stem", "stage2_layer1", "stage2_layer2", "head"]),
        ("head", BLOCKS[:-1]),
        ("all-but-head", ["head"]),
    ],
)
def test_freeze_names_stem_stages_and_head(freeze, trained):
    rates = block_rates(NETWORK, freeze)
    assert list(rates) == BLOCKS
    assert rates == {name: float(name in trained) for name in BLOCKS}


def test_learning_rates_decay_from_the_head_down_to_the_stem_by_stage():
    # 0.5 to the power of 4, 3, 2, 2, 1, 0: both layers of stage 2 have the same.
    expected = dict(zip(BLOCKS, [0.0625, 0.125, 0.25, 0.25, 0.5, 1.0], strict=True))
    assert block_rates(NETWORK, layer_decay=0.5) == expected
    assert block_rates(NETWORK, "stem,2", 0.5) == {
        **expected,
        **{"stem": 0, "stage2_layer1": 0, "stage2_layer2": 0},
    }


@pytest.mark.parametrize(
    "freeze",
    ["4", "0", "2-1", "1-4", "1-2-3", "-1", "1-", "stem;1", "all", "1,,2", "²", "9" * 5000, "Stem"],
)
def test_unknown_stages_are_named_with_those_there_are(freeze):
    with pytest.raises(UsageError, match=r"freeze = '.*accepted: stem, head, stages 1 to 3 as in"):
        block_rates(NETWORK, freeze)


def test_a_network_frozen_as_a_whole_is_rejected():
    with pytest.raises(UsageError, match="freeze = 'stem,1-3,head' leaves nothing to train"):
        block_rates(NETWORK, "stem,1-3,head")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"layer_decay": 0}, "layer_decay = 0; accepted: a factor above 0, at most 1"),
        ({"layer_decay": 1.5}, "layer_decay = 1.5; accepted"),
        ({"layer_decay": float("nan")}, "layer_decay = nan; accepted"),
        ({"layer_decay": True}, "layer_decay = True; accepted"),
        ({"freeze": 3, "init": "w"}, "freeze = 3; accepted: text"),
        ({"freeze": "1"}, r"freeze = '1'; accepted: with initial weights \(--init\)"),
        ({"new_head": True}, "new_head = True; accepted: with initial weights"),
        ({"layer_decay": 0.5}, "layer_decay = 0.5; accepted: with initial weights"),
    ],
)
def test_settings_are_checked(settings, message):
    with pytest.raises(UsageError, match=message):
        TransferConfig(**settings)
