"""TF block strings: parsing, and messages for invalid ones."""

import pytest

from mnas.architecture.block import Block
from mnas.architecture.text_forms import from_block_strings
from mnas.errors import UsageError


def block_of(string: str, **more) -> Block:
    return from_block_strings([string], **more).blocks[0]


def test_parses_every_field_in_any_order():
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
def test_accepts_newer_tf_fields_that_are_zero(further):
    plain = "r3_k5_s22_e6_i40_o80_se0.25_noskip"
    assert block_of(f"{plain}_{further}") == block_of(plain)
    assert block_of(f"{further}_{plain}") == block_of(plain)


@pytest.mark.parametrize(
    "string, reason, accepted",
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
        ("r1_k3_k5_s11_e1_i32_o16", "duplicate field 'k'", "once"),
        ("r1_k3_s11_e1_i32_o16_noskip_noskip", "duplicate field 'noskip'", "once"),
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
def test_invalid_strings_are_quoted_with_the_reason(string, reason, accepted):
    with pytest.raises(UsageError, match=rf"{reason}.*accepted: .*{accepted}") as caught:
        from_block_strings([string])
    assert repr(string) in str(caught.value)


def test_input_filters_must_equal_the_output_of_the_block_before():
    strings = ["r1_k3_s11_e1_i32_o16", "r2_k3_s22_e6_i24_o24"]
    with pytest.raises(UsageError, match=r"'r2_k3_s22_e6_i24_o24': i24, but 16.*accepted: i16"):
        from_block_strings(strings)
    with pytest.raises(UsageError, match="i32, but 40 filters come in; accepted: i40"):
        from_block_strings(strings[:1], stem=40)
    assert from_block_strings(["r1_k3_s11_e1_i48_o16"]).stem == 48


def test_block_strings_must_be_a_nonempty_list():
    with pytest.raises(UsageError, match="accepted: a list of block strings"):
        from_block_strings("r1_k3_s11_e1_i32_o16")
    with pytest.raises(UsageError, match=r"blocks = \[\]; accepted: a list of block strings"):
        from_block_strings([])
