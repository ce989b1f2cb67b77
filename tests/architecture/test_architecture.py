"""`Architecture`: accepted fields, dictionaries, resolved layers."""

import dataclasses
import json

import pytest

from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from mnas.architecture.published import PUBLISHED
from mnas.errors import UsageError
from tests.architecture.networks import NETWORKS

# --- fields ---


@pytest.mark.parametrize(
    "field, value, accepted",
    [
        ("blocks", (), "one Block or more"),
        ("blocks", ("r1_k3_s11_e1_i32_o16",), "one Block or more"),
        ("resolution", 0, "at least 1"),
        ("resolution", 224.0, "whole number"),
        ("stem", 0, "at least 1"),
        ("head", -1, "at least 0"),
        ("classes", 0, "at least 1"),
        ("activation", "gelu", "swish, relu"),
        ("stem_kernel", 4, "odd whole number"),
        ("stem_pool", 1, "True, False"),
        ("stem_stride", 3, "1, 2"),
        ("padding", "valid", "same, symmetric"),
        ("bn_epsilon", 0.0, "above 0"),
        ("bn_epsilon", True, "above 0"),
        ("bn_epsilon", "1e-5", "above 0"),
        ("bn_epsilon", float("nan"), "above 0"),
        ("name", None, "text"),
    ],
)
def test_invalid_fields_are_named(field, value, accepted):
    good = {"blocks": (Block(3, 1, 16),)}
    with pytest.raises(UsageError, match=rf"^architecture: {field} = .*; accepted: .*{accepted}"):
        Architecture(**{**good, field: value})


def test_is_frozen_and_hashable():
    b0 = PUBLISHED["efficientnet-b0"]
    for thing, field in ((b0, "head"), (b0.blocks[0], "kernel"), (b0.layers()[0], "kernel")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(thing, field, 5)
    assert isinstance(Architecture(list(b0.blocks)).blocks, tuple)
    assert {b0: 1}[b0.replace()] == 1  # hashable


# --- dictionaries ---


def test_json_round_trips():
    for architecture in NETWORKS:
        text = json.dumps(architecture.to_dict())
        assert Architecture.from_dict(json.loads(text)) == architecture


def test_a_dictionary_holds_every_field():
    network = PUBLISHED["mnasnet-b1"]
    assert network.to_dict() == {
        "name": "mnasnet-b1",
        "blocks": [
            "r1_k3_s11_e1_i32_o16_noskip",
            "r3_k3_s22_e3_i16_o24",
            "r3_k5_s22_e3_i24_o40",
            "r3_k5_s22_e6_i40_o80",
            "r2_k3_s11_e6_i80_o96",
            "r4_k5_s22_e6_i96_o192",
            "r1_k3_s11_e6_i192_o320_noskip",
        ],
        "resolution": 224,
        "stem": 32,
        "head": 1280,
        "classes": 1000,
        "activation": "relu",
        "stem_kernel": 3,
        "stem_pool": False,
        "padding": "same",
        "bn_epsilon": 1e-3,
    }


def test_missing_keys_take_their_defaults():
    block = Block(kernel=3, stride=1, filters=16)
    short = Architecture.from_dict({"blocks": ["r1_k3_s11_e1_i48_o16"]})
    assert short == Architecture((block,), stem=48)


def test_invalid_dictionaries_are_named():
    good = PUBLISHED["mnasnet-b1"].to_dict()
    with pytest.raises(
        UsageError, match=r"unknown architecture field 'head_'; did you mean head\?"
    ):
        Architecture.from_dict({**good, "head_": 1})
    for blocks in (None, [], "r1_k3_s11_e1_i32_o16"):
        with pytest.raises(UsageError, match=r"blocks = .*; accepted: a list of block strings"):
            Architecture.from_dict({**good, "blocks": blocks})
    with pytest.raises(UsageError, match="head = '1280'; accepted: a whole number"):
        Architecture.from_dict({**good, "head": "1280"})
    with pytest.raises(UsageError, match="accepted: a dictionary"):
        Architecture.from_dict([good])


# --- layers ---


def test_resolved_layers_of_b0():
    layers = PUBLISHED["efficientnet-b0"].layers()
    assert len(layers) == 16
    assert [layer.in_filters for layer in layers] == [
        32, 16, 24, 24, 40, 40, 80, 80, 80, 112, 112, 112, 192, 192, 192, 192,
    ]  # fmt: skip
    assert [layer.stride for layer in layers] == [1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1]
    # The first layer of each stage strides or changes the filters; only the others can skip.
    assert [layer.skip == "identity" for layer in layers] == [
        False, False, True, False, True, False, True, True, False, True, True, False, True, True,
        True, False,
    ]  # fmt: skip
    assert [layer.se_filters for layer in layers[:4]] == [8, 4, 6, 6]
    assert [layer.expanded_filters for layer in layers[:4]] == [32, 96, 144, 144]


def test_skip_connections_apply_where_shapes_allow():
    def skips(skip, stride, stem=16):
        architecture = Architecture((Block(3, stride, 16, repeats=2, skip=skip),), stem=stem)
        return [layer.skip for layer in architecture.layers()]

    assert skips("identity", stride=1) == ["identity", "identity"]
    assert skips("identity", stride=2) == ["none", "identity"]
    assert skips("identity", stride=1, stem=8) == ["none", "identity"]
    assert skips("pool", stride=2) == ["pool", "pool"]
    assert skips("pool", stride=2, stem=8) == ["none", "pool"]
    assert skips("none", stride=1) == ["none", "none"]
    assert skips("projection", stride=1) == ["identity", "identity"]
    assert skips("projection", stride=2) == ["projection", "identity"]
    assert skips("projection", stride=1, stem=8) == ["projection", "identity"]


def test_se_filters_are_at_least_one_and_round_down():
    def se_filters(stem, ratio):
        return Architecture((Block(3, 1, 8, se_ratio=ratio),), stem=stem).layers()[0].se_filters

    assert [se_filters(3, 0.25), se_filters(7, 0.25), se_filters(8, 0.25)] == [1, 1, 2]
    assert se_filters(8, 0.0) == 0


def test_network_for_the_images_of_another_keeps_its_stages():
    block = Block(kernel=3, stride=1, filters=8)
    one = Architecture((block,), resolution=64, stem=16, classes=5)
    other = Architecture((block, block), resolution=32, stem_stride=1, classes=10)
    changed = Architecture((block,), resolution=32, stem=16, stem_stride=1, classes=10)
    assert one.for_images_of(other) == changed
