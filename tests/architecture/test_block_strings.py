"""Reading the text forms of blocks, and what is said of those that can't be read."""

import pytest

from mnas.architecture.architecture import (
    Architecture,
    Block,
    arch_def,
    from_arch_def,
    from_block_strings,
)

# --- reading block strings ---


def block_of(string: str, **more) -> Block:
    return from_block_strings([string], **more).blocks[0]


def test_every_field_is_read():
    block = block_of("r2_k5_s22_e6_i24_o40_se0.25_noskip")
    assert block == Block(
        op="mbconv", kernel=5, stride=2, filters=40, expand_ratio=6, repeats=2, se_ratio=0.25,
        skip="none",
    )  # fmt: skip
    assert block_of("r1_k3_s11_e1_i8_o8_poolskip_conv") == Block(
        op="conv", kernel=3, stride=1, filters=8, skip="pool"
    )
    shuffled = "noskip_o40_se0.25_i24_e6_s22_r2_k5"
    assert block_of(shuffled) == block


@pytest.mark.parametrize("further", ["c0_f0_d0", "c0", "f0_p0", "cc0", "c0_f0_d0_p0_cc0"])
def test_newer_fields_are_accepted_where_they_are_not_used(further):
    plain = "r3_k5_s22_e6_i40_o80_se0.25_noskip"
    assert block_of(f"{plain}_{further}") == block_of(plain)
    assert block_of(f"{further}_{plain}") == block_of(plain)


@pytest.mark.parametrize(
    "string, named, accepted",
    [
        ("r1_k4_s11_e1_i32_o16", "kernel = 4", "an odd whole number"),
        ("r1_k0_s11_e1_i32_o16", "kernel = 0", "an odd whole number"),
        ("r1_k3_s33_e1_i32_o16", "s33", "s11, s22"),
        ("r1_k3_s12_e1_i32_o16", "s12", "s11, s22"),
        ("r1_k3_s3_e1_i32_o16", "s3", "s11, s22"),
        ("r1_k3_s2_e1_i32_o16", "s2", "s11, s22"),
        ("r1_k3_s111_e1_i32_o16", "s111", "s11, s22"),
        ("r0_k3_s11_e1_i32_o16", "repeats = 0", "at least 1"),
        ("r1_k3_s11_e0_i32_o16", "expand_ratio = 0", "at least 1"),
        ("r1_k3_s11_e1_i32_o0", "filters = 0", "at least 1"),
        ("r1_k3_s11_e1_i0_o16", "i0", "i1 or more"),
        ("r1_k3_s11_e1_i32_o16_se1.5", "se_ratio = 1.5", "0 to 1"),
        ("r1_k3_s11_e1_i32_o16_se0.2.5", "'se0.2.5'", "like r1_k3"),
        ("r1_k3_s11_e1_i32_o16_se", "'se'", "like r1_k3"),
        ("r1.5_k3_s11_e1_i32_o16", "r1.5", "a whole number"),
        ("r1_k3_s11_e1e1_i32_o16", "e1e1", "a whole number"),
        ("r1_k3_s11_e-6_i32_o16", "'e-6'", "like r1_k3"),
        ("k3_s11_e1_i32_o16", "'r' is missing", "like r1_k3"),
        ("r1_s11_e1_i32_o16", "'k' is missing", "like r1_k3"),
        ("r1_k3_e1_i32_o16", "'s' is missing", "like r1_k3"),
        ("r1_k3_s11_i32_o16", "'e' is missing", "like r1_k3"),
        ("r1_k3_s11_e1_o16", "'i' is missing", "like r1_k3"),
        ("r1_k3_s11_e1_i32", "'o' is missing", "like r1_k3"),
        ("r1_k3_k5_s11_e1_i32_o16", "'k' stands twice", "once"),
        ("r1_k3_s11_e1_i32_o16_noskip_noskip", "'noskip' stands twice", "once"),
        ("r1_k3_s11_e1_i32_o16_noskip_poolskip", "both noskip and poolskip", "one of them"),
        ("r1_k3_s11_e1_i32_o16_conv_basic", "both conv and basic", "one of them"),
        ("r1_k3_s11_e6_i32_o16_conv", "expand_ratio = 6 with op 'conv'", "1"),
        ("r1_k3_s11_e1_i32_o16_c1", r"c1 \(conv_type\)", "c0"),
        ("r1_k3_s11_e1_i32_o16_f1", r"f1 \(fused_conv\)", "f0"),
        ("r1_k3_s11_e1_i32_o16_d1", r"d1 \(space2depth\)", "d0"),
        ("r1_k3_s11_e1_i32_o16_p2", r"p2 \(super_pixel\)", "p0"),
        ("r1_k3_s11_e1_i32_o16_cc4", r"cc4 \(condconv\)", "cc0"),
        ("r1_k3_s11_e1_i32_o16_cc", "'cc'", "like r1_k3"),
        ("r1_k3_s11_e1_i32_o16_x7", "'x7'", "with noskip, poolskip, projectionskip, conv"),
        ("r1_k3__s11_e1_i32_o16", "''", "like r1_k3"),
        ("", "''", "like r1_k3"),
        (17, "17", "text like r1_k3"),
    ],
)
def test_bad_block_strings_are_named(string, named, accepted):
    with pytest.raises(ValueError, match=rf"{named}.*accepted: .*{accepted}") as caught:
        from_block_strings([string])
    assert repr(string) in str(caught.value)


def test_input_filters_continue_the_chain():
    strings = ["r1_k3_s11_e1_i32_o16", "r2_k3_s22_e6_i24_o24"]
    with pytest.raises(ValueError, match=r"'r2_k3_s22_e6_i24_o24': i24, but 16.*accepted: i16"):
        from_block_strings(strings)
    with pytest.raises(ValueError, match="i32, but 40 filters come in; accepted: i40"):
        from_block_strings(strings[:1], stem=40)
    assert from_block_strings(["r1_k3_s11_e1_i48_o16"]).stem == 48


def test_block_strings_come_as_a_list():
    with pytest.raises(ValueError, match="accepted: a list of strings"):
        from_block_strings("r1_k3_s11_e1_i32_o16")
    with pytest.raises(ValueError, match=r"blocks = \(\); accepted: one Block or more"):
        from_block_strings([])


# --- reading timm's arch_def ---


def test_timm_fields_in_any_order_and_stages_of_several_strings():
    one = from_arch_def([["ir_r2_k5_s2_e6_c40_se0.25_noskip", "ds_r1_k3_s1_c8"]])
    assert one.blocks == (
        Block(
            kernel=5, stride=2, filters=40, expand_ratio=6, repeats=2, se_ratio=0.25, skip="none"
        ),
        Block(kernel=3, stride=1, filters=8),
    )
    assert from_arch_def([["ir_noskip_c40_se0.25_e6_s2_k5_r2"], ["ds_r1_k3_s1_c8"]]) == one


@pytest.mark.parametrize(
    "string, named",
    [
        ("er_r1_k3_s1_e4_c24", "type 'er'; accepted: ds, ir, cn, dsa"),
        ("ir_r1_k3_s1_c24", "'e' is missing"),
        ("ir_r1_k3_s1_e1_c24", "e1; accepted: e2 or more, or type ds"),
        ("ds_r1_k3_s1_e6_c24", "e6; accepted: e1, or type ir"),
        ("cn_r1_k3_s1_e6_c24", "e6; accepted: e1, or type ir"),
        ("cn_r1_k3_s1_c24_se0.25", "se0.25; accepted: no se"),
        ("dsa_r1_k3_s1_c24_skip", "skip; accepted: no skip with type dsa"),
        ("dsa_r1_k3_s1_e6_c24", "e6; accepted: e1, or type ir"),
        ("ir_r1_k3_s3_e6_c24", "stride = 3; accepted: 1, 2"),
        ("ir_r1_k4_s1_e6_c24", "kernel = 4; accepted: an odd"),
        ("ir_r1_k3_s1_e6", "'c' is missing"),
        ("ir_r1_k3.5_s1_e6_c24", "k3.5; accepted: k and a whole number"),
        ("ir_r1_k3_s1_e6_c24_c32", "'c' stands twice"),
        ("ir_r1_k3_s1_e6_c24_nre", "unknown field 'nre'; accepted: like"),
        ("ir_r1_k3_s1_e6_c24_skip_noskip", "both skip and noskip"),
        (None, "accepted: text like"),
    ],
)
def test_bad_timm_strings_are_named(string, named):
    with pytest.raises(ValueError, match=named) as caught:
        from_arch_def([[string]])
    assert repr(string) in str(caught.value)


# --- what timm would build otherwise ---


@pytest.mark.parametrize(
    ("filters", "changes", "named"),
    [
        (18, {"expand_ratio": 3}, "18 · expand_ratio 3 = 54 filters, which timm rounds to 56"),
        (30, {"se_ratio": 0.25}, "se_ratio = 0.25 of 30 filters is 7, which timm rounds to 8"),
    ],
)
def test_what_timm_rounds_has_no_arch_def(filters, changes, named):
    first = Block(kernel=3, stride=2, filters=filters)
    second = Block(kernel=3, stride=2, filters=24, **changes)
    with pytest.raises(ValueError, match=rf"blocks\[1\]: {named}"):
        arch_def(Architecture(blocks=(first, second)))
