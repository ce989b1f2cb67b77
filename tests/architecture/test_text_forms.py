"""Text forms of whole networks: exact round trips, or the rejection reason."""

import dataclasses

import pytest

from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from mnas.architecture.published import PUBLISHED
from mnas.architecture.text_forms import (
    arch_def,
    block_strings,
    from_arch_def,
    from_block_strings,
    tf_block_strings,
)
from mnas.architecture.timm_strings import timm_rejection
from mnas.errors import UsageError
from tests.architecture.networks import NETWORKS, SAMPLES, settings

# Settings around the blocks that TF's code doesn't have, with the one value that it supports.
TF_ONLY = {"stem_kernel": 3, "stem_stride": 2, "stem_pool": False, "padding": "same"}

# --- round trips ---


def test_block_strings_round_trip():
    for architecture in NETWORKS:
        strings = block_strings(architecture)
        assert from_block_strings(strings, **settings(architecture)) == architecture


def test_tf_block_strings_round_trip_or_name_what_tf_lacks():
    rejected = 0
    for architecture in NETWORKS:
        unsupported = [
            i
            for i, b in enumerate(architecture.blocks)
            if b.op != "mbconv" or b.skip in ("pool", "projection")
        ]
        around = [name for name in TF_ONLY if getattr(architecture, name) != TF_ONLY[name]]
        if unsupported:
            rejected += 1
            message = rf"blocks\[{unsupported[0]}\].*no TF block string"
            with pytest.raises(UsageError, match=message):
                tf_block_strings(architecture)
        elif around:
            rejected += 1
            with pytest.raises(UsageError, match=rf"architecture: {around[0]} = .* has no TF form"):
                tf_block_strings(architecture)
        else:
            strings = tf_block_strings(architecture)
            assert "conv" not in "".join(strings) and "pool" not in "".join(strings)
            assert from_block_strings(strings, **settings(architecture)) == architecture
    assert SAMPLES < rejected < len(NETWORKS) - SAMPLES  # both branches were taken


def test_arch_def_round_trips_or_names_what_timm_lacks():
    rejected = rounded = 0
    for architecture in NETWORKS:
        unsupported = [
            i
            for i, b in enumerate(architecture.blocks)
            if b.skip in ("pool", "projection")
            or b.op in ("basic", "bottleneck", "identity")
            or (b.op == "conv" and b.se_ratio)
            or (b.op == "separable" and b.skip != "none")
        ]
        if architecture.stem_pool:
            rejected += 1
            message = "architecture: stem_pool = True has no timm form"
            with pytest.raises(UsageError, match=message):
                arch_def(architecture)
        elif architecture.stem_stride == 1:
            rejected += 1
            message = "architecture: stem_stride = 1 has no timm form"
            with pytest.raises(UsageError, match=message):
                arch_def(architecture)
        elif unsupported:
            rejected += 1
            message = rf"blocks\[{unsupported[0]}\].*no timm arch_def"
            with pytest.raises(UsageError, match=message):
                arch_def(architecture)
        elif any(timm_rejection(layer) for layer in architecture.layers()):
            rounded += 1
            with pytest.raises(UsageError, match=r"blocks\[\d+\]: .* which timm rounds to"):
                arch_def(architecture)
        else:
            assert from_arch_def(arch_def(architecture), **settings(architecture)) == architecture
    assert rounded > 0
    assert SAMPLES < rejected < len(NETWORKS) - SAMPLES


# --- published networks ---


def test_efficientnet_b0_has_the_published_strings():
    b0 = PUBLISHED["efficientnet-b0"]
    assert tf_block_strings(b0) == (
        "r1_k3_s11_e1_i32_o16_se0.25",
        "r2_k3_s22_e6_i16_o24_se0.25",
        "r2_k5_s22_e6_i24_o40_se0.25",
        "r3_k3_s22_e6_i40_o80_se0.25",
        "r3_k5_s11_e6_i80_o112_se0.25",
        "r4_k5_s22_e6_i112_o192_se0.25",
        "r1_k3_s11_e6_i192_o320_se0.25",
    )
    assert arch_def(b0) == [
        ["ds_r1_k3_s1_e1_c16_se0.25"],
        ["ir_r2_k3_s2_e6_c24_se0.25"],
        ["ir_r2_k5_s2_e6_c40_se0.25"],
        ["ir_r3_k3_s2_e6_c80_se0.25"],
        ["ir_r3_k5_s1_e6_c112_se0.25"],
        ["ir_r4_k5_s2_e6_c192_se0.25"],
        ["ir_r1_k3_s1_e6_c320_se0.25"],
    ]


def test_mnasnet_a1_has_the_published_strings():
    a1 = PUBLISHED["mnasnet-a1"]
    assert tf_block_strings(a1) == (
        "r1_k3_s11_e1_i32_o16_noskip",
        "r2_k3_s22_e6_i16_o24",
        "r3_k5_s22_e3_i24_o40_se0.25",
        "r4_k3_s22_e6_i40_o80",
        "r2_k3_s11_e6_i80_o112_se0.25",
        "r3_k5_s22_e6_i112_o160_se0.25",
        "r1_k3_s11_e6_i160_o320",
    )
    assert arch_def(a1)[:2] == [["ds_r1_k3_s1_e1_c16_noskip"], ["ir_r2_k3_s2_e6_c24"]]


def test_timm_strings_of_plain_convolutions_state_the_skip():
    blocks = (
        Block(op="conv", kernel=3, stride=1, filters=32),
        Block(op="conv", kernel=5, stride=2, filters=32, repeats=2, skip="none"),
    )
    architecture = Architecture(blocks)
    assert arch_def(architecture) == [["cn_r1_k3_s1_c32_skip"], ["cn_r2_k5_s2_c32"]]
    assert block_strings(architecture) == (
        "r1_k3_s11_e1_i32_o32_conv",
        "r2_k5_s22_e1_i32_o32_conv_noskip",
    )


def test_strings_of_resnets_and_mobilenet_v1():
    assert block_strings(PUBLISHED["resnet-18"])[1] == (
        "r2_k3_s22_e1_i64_o128_basic_projectionskip"
    )
    assert block_strings(PUBLISHED["resnet-50"])[1] == (
        "r4_k3_s22_e4_i256_o512_bottleneck_projectionskip"
    )
    # The arch_def of timm's own mobilenetv1_100; dsa never skips.
    v1 = PUBLISHED["mobilenet-v1"]
    assert arch_def(v1) == [
        ["dsa_r1_k3_s1_c64"],
        ["dsa_r2_k3_s2_c128"],
        ["dsa_r2_k3_s2_c256"],
        ["dsa_r6_k3_s2_c512"],
        ["dsa_r2_k3_s2_c1024"],
    ]
    assert from_arch_def(arch_def(v1), **settings(v1)) == v1
    skipping = v1.replace(blocks=(dataclasses.replace(v1.blocks[0], skip="identity"),))
    with pytest.raises(UsageError, match=r"blocks\[0\]: .*dsa never skips"):
        arch_def(skipping)


def test_stages_of_several_strings_are_kept():
    # Stages of Single-Path NAS, arXiv 1904.02877, as timm has them.
    stages = [
        ["ds_r1_k3_s1_e1_c16_noskip"],
        ["ir_r1_k5_s2_e6_c40", "ir_r3_k3_s1_e3_c40"],
        ["ir_r4_k5_s2_e6_c192"],
    ]
    network = from_arch_def(stages)
    assert network.timm_stages == (1, 2, 1) and len(network.blocks) == 4
    assert arch_def(network) == stages
    assert from_block_strings(block_strings(network)).timm_stages is None
    assert Architecture.from_dict(network.to_dict()) == network
    assert network.replace(blocks=network.blocks[:3]).timm_stages is None


# --- rejections ---


@pytest.mark.parametrize("stages", ["ds_r1_k3_s1_c16", [], [[]], ["ds_r1_k3_s1_c16"], None, 5, {}])
def test_an_arch_def_is_a_list_of_lists(stages):
    with pytest.raises(UsageError, match=r"arch_def: .*; accepted: a list of"):
        from_arch_def(stages)


@pytest.mark.parametrize(
    "change, reason",
    [
        ({"stem_kernel": 7}, "stem_kernel = 7 has no TF form: TF's stem is 3×3"),
        ({"stem_pool": True}, "stem_pool = True has no TF form"),
        ({"stem_stride": 1}, "stem_stride = 1 has no TF form: TF's stem has stride 2"),
        ({"padding": "symmetric"}, "padding = 'symmetric' has no TF form: TF pads SAME"),
        ({"head": 0}, "head = 0 has no TF form"),
    ],
)
def test_settings_that_tf_lacks_are_rejected(change, reason):
    with pytest.raises(UsageError, match=f"^architecture: {reason}"):
        tf_block_strings(PUBLISHED["efficientnet-b0"].replace(**change))


@pytest.mark.parametrize(
    ("filters", "changes", "named"),
    [
        (18, {"expand_ratio": 3}, "18 · expand_ratio 3 = 54 filters, which timm rounds to 56"),
        (30, {"se_ratio": 0.25}, "se_ratio = 0.25 of 30 filters is 7, which timm rounds to 8"),
    ],
)
def test_filters_that_timm_would_round_are_rejected(filters, changes, named):
    first = Block(kernel=3, stride=2, filters=filters)
    second = Block(kernel=3, stride=2, filters=24, **changes)
    with pytest.raises(UsageError, match=rf"blocks\[1\]: {named}"):
        arch_def(Architecture(blocks=(first, second)))
