"""Strings of timm's `arch_def`: parsing, and messages for invalid ones."""

import pytest

from mnas.architecture.block import Block
from mnas.architecture.text_forms import from_arch_def
from mnas.errors import UsageError


def test_parses_fields_in_any_order_and_stages_of_several_strings():
    one = from_arch_def([["ir_r2_k5_s2_e6_c40_se0.25_noskip", "ds_r1_k3_s1_c8"]])
    assert one.blocks == (
        Block(
            kernel=5, stride=2, filters=40, expand_ratio=6, repeats=2, se_ratio=0.25, skip="none"
        ),
        Block(kernel=3, stride=1, filters=8),
    )
    assert from_arch_def([["ir_noskip_c40_se0.25_e6_s2_k5_r2", "ds_c8_r1_s1_k3"]]) == one


@pytest.mark.parametrize(
    "string, reason",
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
        ("ir_r1_k3_s1_e6_c24_c32", "duplicate field 'c'"),
        ("ir_r1_k3_s1_e6_c24_nre", "unknown field 'nre'; accepted: like"),
        ("ir_r1_k3_s1_e6_c24_skip_noskip", "both skip and noskip"),
        (None, "accepted: text like"),
    ],
)
def test_invalid_strings_are_quoted_with_the_reason(string, reason):
    with pytest.raises(UsageError, match=reason) as caught:
        from_arch_def([[string]])
    assert repr(string) in str(caught.value)
