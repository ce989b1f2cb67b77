import dataclasses
import json

import numpy as np
import pytest
from mnas.search_spaces import SPACES

from mnas.architecture.architecture import (
    Architecture,
    Block,
    arch_def,
    block_strings,
    from_arch_def,
    from_block_strings,
    tf_block_strings,
)
from mnas.architecture.block_strings import timm_refusal
from mnas.architecture.published import PUBLISHED

SAMPLES = 150


def random_architecture(rng: np.random.Generator) -> Architecture:
    """Anything the types allow, not only what a space offers."""
    blocks = []
    for _ in range(rng.integers(1, 6)):
        op = str(rng.choice(["mbconv", "mbconv", "conv", "separable", "basic", "bottleneck"]))
        expand_ratio = int(rng.integers(1, 9)) if op in ("mbconv", "bottleneck") else 1
        se_ratios = [0, 1, 0.25, 1 / 3, 1e-5, 2.5e-7, rng.random()]
        blocks.append(
            Block(
                op=op,
                kernel=int(rng.choice([1, 3, 5, 7, 11])),
                stride=int(rng.integers(1, 3)),
                filters=int(rng.integers(1, 400)) * (expand_ratio if op == "bottleneck" else 1),
                expand_ratio=expand_ratio,
                repeats=int(rng.integers(1, 12)),
                se_ratio=0.0 if op in ("basic", "bottleneck") else float(rng.choice(se_ratios)),
                skip=str(rng.choice(["identity", "none", "pool", "projection"])),
            )
        )
    return Architecture(
        blocks=tuple(blocks),
        resolution=int(rng.integers(1, 700)),
        stem=int(rng.integers(1, 100)),
        head=int(rng.integers(0, 3000)),
        classes=int(rng.integers(1, 2000)),
        activation=str(rng.choice(["swish", "relu", "relu6"])),
        stem_kernel=int(rng.choice([3, 5, 7])),
        stem_pool=bool(rng.integers(2)),
        padding=str(rng.choice(["same", "symmetric"])),
        bn_epsilon=float(rng.choice([1e-3, 1e-5, 2.5e-7])),
        name=str(rng.integers(1_000_000)),
    )


def many() -> list[Architecture]:
    rng = np.random.default_rng(0)
    found = list(PUBLISHED.values())
    for config in SPACES.values():
        space = config().build()
        found += [space.decode(space.sample(rng)) for _ in range(SAMPLES)]
    return found + [random_architecture(rng) for _ in range(SAMPLES)]


MANY = many()


def settings(architecture: Architecture) -> dict:
    fields = dataclasses.fields(architecture)
    return {f.name: getattr(architecture, f.name) for f in fields if f.name != "blocks"}


# What TF's code can't be told around the blocks, with the one value that it has.
TF_ONLY = {"stem_kernel": 3, "stem_pool": False, "padding": "same"}


# --- round trips ---


def test_dictionaries_and_json_round_trip():
    for architecture in MANY:
        text = json.dumps(architecture.to_dict())
        assert Architecture.from_dict(json.loads(text)) == architecture


def test_block_strings_round_trip():
    for architecture in MANY:
        strings = block_strings(architecture)
        assert from_block_strings(strings, **settings(architecture)) == architecture


def test_tf_block_strings_round_trip_or_refuse():
    refused = 0
    for architecture in MANY:
        unknown = [
            i
            for i, b in enumerate(architecture.blocks)
            if b.op != "mbconv" or b.skip in ("pool", "projection")
        ]
        if unknown:
            refused += 1
            with pytest.raises(ValueError, match=rf"blocks\[{unknown[0]}\].*no TF block string"):
                tf_block_strings(architecture)
        elif around := [name for name in TF_ONLY if getattr(architecture, name) != TF_ONLY[name]]:
            refused += 1
            with pytest.raises(ValueError, match=rf"architecture: {around[0]} = .* has no TF form"):
                tf_block_strings(architecture)
        else:
            strings = tf_block_strings(architecture)
            assert "conv" not in "".join(strings) and "pool" not in "".join(strings)
            assert from_block_strings(strings, **settings(architecture)) == architecture
    assert SAMPLES < refused < len(MANY) - SAMPLES  # both branches were taken


def test_arch_def_round_trips_or_refuses():
    refused = rounded = 0
    for architecture in MANY:
        unknown = [
            i
            for i, b in enumerate(architecture.blocks)
            if b.skip in ("pool", "projection")
            or b.op in ("basic", "bottleneck")
            or (b.op == "conv" and b.se_ratio)
            or (b.op == "separable" and b.skip != "none")
        ]
        if architecture.stem_pool:
            refused += 1
            with pytest.raises(ValueError, match="architecture: stem_pool = True has no timm form"):
                arch_def(architecture)
        elif unknown:
            refused += 1
            with pytest.raises(ValueError, match=rf"blocks\[{unknown[0]}\].*no timm arch_def"):
                arch_def(architecture)
        elif any(timm_refusal(layer) for layer in architecture.layers()):
            rounded += 1
            with pytest.raises(ValueError, match=r"blocks\[\d+\]: .* which timm rounds to"):
                arch_def(architecture)
        else:
            assert from_arch_def(arch_def(architecture), **settings(architecture)) == architecture
    assert rounded > 0
    assert SAMPLES < refused < len(MANY) - SAMPLES


def test_b0_in_all_forms():
    b0 = PUBLISHED["efficientnet-b0"]
    assert b0.to_dict() == {
        "name": "efficientnet-b0",
        "resolution": 224,
        "stem": 32,
        "blocks": [
            "r1_k3_s11_e1_i32_o16_se0.25",
            "r2_k3_s22_e6_i16_o24_se0.25",
            "r2_k5_s22_e6_i24_o40_se0.25",
            "r3_k3_s22_e6_i40_o80_se0.25",
            "r3_k5_s11_e6_i80_o112_se0.25",
            "r4_k5_s22_e6_i112_o192_se0.25",
            "r1_k3_s11_e6_i192_o320_se0.25",
        ],
        "head": 1280,
        "classes": 1000,
        "activation": "swish",
    }
    assert arch_def(b0) == [
        ["ds_r1_k3_s1_e1_c16_se0.25"],
        ["ir_r2_k3_s2_e6_c24_se0.25"],
        ["ir_r2_k5_s2_e6_c40_se0.25"],
        ["ir_r3_k3_s2_e6_c80_se0.25"],
        ["ir_r3_k5_s1_e6_c112_se0.25"],
        ["ir_r4_k5_s2_e6_c192_se0.25"],
        ["ir_r1_k3_s1_e6_c320_se0.25"],
    ]


def test_mnasnet_a1_in_both_text_forms():
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


def test_plain_convolutions_skip_in_timm_only_where_told():
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


def test_the_other_ops_in_text():
    assert block_strings(PUBLISHED["resnet-18"])[1] == (
        "r2_k3_s22_e1_i64_o128_basic_projectionskip"
    )
    assert block_strings(PUBLISHED["resnet-50"])[1] == (
        "r4_k3_s22_e4_i256_o512_bottleneck_projectionskip"
    )
    # As timm's own mobilenetv1_100 has it; dsa never skips.
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
    with pytest.raises(ValueError, match=r"blocks\[0\]: .*dsa never skips"):
        arch_def(skipping)


@pytest.mark.parametrize(
    "change, reason",
    [
        ({"stem_kernel": 7}, "stem_kernel = 7 has no TF form: TF's stem is 3×3"),
        ({"stem_pool": True}, "stem_pool = True has no TF form"),
        ({"padding": "symmetric"}, "padding = 'symmetric' has no TF form: TF pads SAME"),
        ({"head": 0}, "head = 0 has no TF form"),
    ],
)
def test_what_tf_can_not_be_told_is_refused(change, reason):
    with pytest.raises(ValueError, match=f"^architecture: {reason}"):
        tf_block_strings(PUBLISHED["efficientnet-b0"].replace(**change))


# --- the types ---


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
        ("padding", "valid", "same, symmetric"),
        ("bn_epsilon", 0.0, "above 0"),
        ("bn_epsilon", True, "above 0"),
        ("bn_epsilon", "1e-5", "above 0"),
        ("bn_epsilon", float("nan"), "above 0"),
        ("name", None, "text"),
    ],
)
def test_bad_architecture_fields_are_named(field, value, accepted):
    good = {"blocks": (Block(3, 1, 16),)}
    with pytest.raises(ValueError, match=rf"^architecture: {field} = .*; accepted: .*{accepted}"):
        Architecture(**{**good, field: value})


def test_bad_dictionaries_are_named():
    good = PUBLISHED["mnasnet-b1"].to_dict()
    with pytest.raises(ValueError, match=r"unknown key 'widht'; accepted: activation, blocks"):
        Architecture.from_dict({**good, "widht": 1})
    for blocks in (None, [], "r1_k3_s11_e1_i32_o16"):
        with pytest.raises(ValueError, match=r"blocks = .*; accepted: block strings"):
            Architecture.from_dict({**good, "blocks": blocks})
    with pytest.raises(ValueError, match="head = '1280'; accepted: a whole number"):
        Architecture.from_dict({**good, "head": "1280"})
    with pytest.raises(ValueError, match="accepted: a dictionary"):
        Architecture.from_dict([good])


def test_frozen():
    b0 = PUBLISHED["efficientnet-b0"]
    for thing, field in ((b0, "head"), (b0.blocks[0], "kernel"), (b0.layers()[0], "kernel")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(thing, field, 5)
    assert isinstance(Architecture(list(b0.blocks)).blocks, tuple)
    assert {b0: 1}[b0.replace()] == 1  # hashable


# --- layers ---


def test_layers_of_b0():
    layers = PUBLISHED["efficientnet-b0"].layers()
    assert len(layers) == 16
    assert [layer.in_filters for layer in layers] == [
        32, 16, 24, 24, 40, 40, 80, 80, 80, 112, 112, 112, 192, 192, 192, 192,
    ]  # fmt: skip
    assert [layer.stride for layer in layers] == [1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1]
    # The first of each stage strides or changes the filters; only the others can skip.
    assert [layer.skip == "identity" for layer in layers] == [
        False, False, True, False, True, False, True, True, False, True, True, False, True, True,
        True, False,
    ]  # fmt: skip
    assert [layer.se_filters for layer in layers[:4]] == [8, 4, 6, 6]
    assert [layer.expanded_filters for layer in layers[:4]] == [32, 96, 144, 144]


def test_skips_apply_where_they_can():
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


# --- the canonical hash ---

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
        with_block(0, skip="none"),  # 32 to 16 filters: no skip there anyway
        with_block(0, skip="pool"),
        with_block(0, se_ratio=0.26),  # 8 of 32 filters either way
        BASE.replace(  # one stage of two layers, or two stages of one
            blocks=(
                *BASE.blocks[:2],
                Block(3, 1, 24, op="conv", skip="pool"),
                Block(3, 1, 24, op="conv", skip="pool"),
            )
        ),
    ],
)
def test_the_hash_overlooks_what_has_no_effect(same):
    assert same != BASE
    assert same.canonical_hash() == BASE.canonical_hash()


def test_minus_zero_is_zero():
    assert (
        with_block(0, se_ratio=-0.0).canonical_hash() == with_block(0, se_ratio=0).canonical_hash()
    )


def test_the_hash_tells_effective_changes_apart():
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


def test_equal_hashes_have_equal_layers():
    by_hash = {}
    for architecture in MANY:
        identity = (
            [
                dataclasses.replace(la, se_ratio=float(la.se_filters))
                for la in architecture.layers()
            ],
            architecture.replace(blocks=(Block(3, 1, 1),), name=""),
        )
        assert by_hash.setdefault(architecture.canonical_hash(), identity) == identity
    assert len(by_hash) > 4 * SAMPLES - 10


def test_the_hash_is_the_same_in_every_process_and_release():
    # Journals of earlier runs are searched by it.
    assert PUBLISHED["efficientnet-b0"].canonical_hash() == "bfaec12e83499106"
    assert PUBLISHED["mnasnet-a1"].canonical_hash() == "5748499042a2ac5c"
    assert PUBLISHED["mnasnet-b1"].canonical_hash() == "434a5f972209accf"
    assert BASE.canonical_hash() == "cc432c55210982ab"
    assert PUBLISHED["resnet-50"].canonical_hash() == "9b505bf4dadad1d3"


def test_fields_that_came_later_are_written_where_they_differ():
    assert not {"stem_kernel", "stem_pool", "padding", "bn_epsilon"} & set(BASE.to_dict())
    later = {"padding": "symmetric", "bn_epsilon": 1e-5}
    assert BASE.replace(**later).to_dict() == BASE.to_dict() | later
