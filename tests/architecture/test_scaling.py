"""Scaling: rounding, the published family, the formula, one dimension alone, target costs."""

import math

import pytest

from mnas.architecture.cost import network_cost
from mnas.architecture.published import PUBLISHED
from mnas.architecture.scaling import (
    DIMENSIONS,
    VARIANTS,
    Coefficients,
    dimension_multipliers,
    find_variant,
    implied_phi,
    multipliers,
    multiply,
    round_filters,
    round_repeats,
    scale,
    scale_published,
    scale_to,
    scale_width_to,
)
from mnas.architecture.text_forms import from_arch_def, from_block_strings
from mnas.errors import UsageError

B0 = PUBLISHED["efficientnet-b0"]
ODD = from_block_strings(["r2_k3_s22_e1_i12_o20"], resolution=33, head=100, name="odd")


@pytest.mark.parametrize(
    "filters, width, expected",
    [
        (32, 1.0, 32),
        (32, 1.1, 32),  # 35.2 -> 32 >= 0.9 · 35.2 = 31.68
        (32, 1.2, 40),  # 38.4 + 4 -> 40
        (16, 1.1, 16),  # 17.6 -> 16 >= 15.84
        (16, 1.2, 24),  # 19.2 -> 16 < 17.28, so one divisor more
        (320, 1.4, 448),
        (1280, 2.0, 2560),
        (4, 1.0, 8),  # at least one divisor
        (16, 0.5, 8),
    ],
)
def test_round_filters_agrees_with_hand_computed_values(filters, width, expected):
    assert round_filters(filters, width) == expected


def test_round_filters_with_another_divisor():
    assert round_filters(10, 1.15, 2) == 12  # 11.5 + 1 -> 12
    assert round_filters(10, 1.15, 1) == 12  # 11.5 + 0.5 -> 12


@pytest.mark.parametrize("repeats, depth, expected", [(1, 1.0, 1), (1, 1.1, 2), (4, 3.1, 13)])
def test_round_repeats_agrees_with_hand_computed_values(repeats, depth, expected):
    assert round_repeats(repeats, depth) == expected


def test_round_repeats_has_the_floating_point_result_of_the_authors_code():
    assert round_repeats(25, 2.2) == math.ceil(2.2 * 25) == 56


def test_multipliers_of_one_change_nothing():
    for network in (*PUBLISHED.values(), ODD):
        assert multiply(network) == network
        assert scale(network, 0).canonical_hash() == network.canonical_hash()


@pytest.mark.parametrize("variant", VARIANTS)
def test_b0_scales_to_the_published_family(variant):
    network = PUBLISHED[f"efficientnet-{variant}"]
    assert network == scale_published(B0, variant)
    assert network.name == f"efficientnet-{variant}"
    assert network.resolution == find_variant(variant).resolution
    # Dropout is no field of an architecture; the table holds it.
    assert find_variant(variant).dropout == {"b0": 0.2, "b4": 0.4, "b7": 0.5}.get(
        variant, find_variant(variant).dropout
    )


def test_formula_and_published_family_differ():
    # φ = 1 gives depth 1.2, width 1.1 and 1.15 · 224 = 257.6 pixels: B2, except for 2 pixels.
    assert multipliers(1) == {"depth": 1.2, "width": 1.1, "resolution": 1.15}
    first, b2 = scale(B0, 1), PUBLISHED["efficientnet-b2"]
    assert first.resolution == 258
    assert first.replace(resolution=260).canonical_hash() == b2.canonical_hash()
    assert network_cost(first).params == 9_109_994
    b4 = implied_phi("b4")
    # ln 1.8 / ln 1.2, ln 1.4 / ln 1.1, ln(380/224) / ln 1.15
    assert [round(value, 2) for value in b4.values()] == [3.22, 3.53, 3.78]
    assert set(implied_phi("b0").values()) == {0.0}


def test_scale_with_other_coefficients():
    network = scale(B0, 2, alpha=1.0, beta=1.5, gamma=1.0)
    assert network.resolution == 224 and len(network.layers()) == len(B0.layers())
    assert (network.stem, network.head) == (72, 2880)  # 2.25 times 32 and 1280
    assert network.name == "efficientnet-b0-phi2"
    assert scale(B0, 0.5).resolution == 240


def test_published_multipliers_scale_other_networks():
    small = scale_published(ODD, "B4")
    assert small.name == "odd-b4"
    assert small.resolution == 56  # 33 · 380 / 224 = 55.98
    assert small.blocks[0].repeats == 4 and small.blocks[0].filters == 32  # 20 · 1.4 = 28 -> 32
    assert (small.stem, small.head) == (16, 144)  # 16.8 and 140 -> 144


def test_scaling_one_dimension_keeps_the_others():
    deep, wide, sharp = (multiply(ODD, **dimension_multipliers(name, 1)) for name in DIMENSIONS[:3])
    assert deep.replace(blocks=ODD.blocks, name=ODD.name) == ODD
    assert [block.repeats for block in deep.blocks] == [4]
    assert [block.repeats for block in wide.blocks] == [2] and wide.resolution == 33
    assert wide.blocks[0].filters == 32  # 20 · sqrt(2) = 28.3 -> 32
    assert sharp.blocks == ODD.blocks and sharp.stem == ODD.stem and sharp.resolution == 47
    assert dimension_multipliers("compound", 2) == multipliers(2)


@pytest.mark.parametrize("dimension", DIMENSIONS)
@pytest.mark.parametrize("factor", [1, 2, 8])
def test_scale_to_comes_nearest_to_the_target(dimension, factor):
    target = factor * network_cost(B0).mult_adds
    network = scale_to(B0, dimension, target)
    deviation = abs(network_cost(network).mult_adds / target - 1)
    assert deviation < (0.2 if dimension in ("depth", "compound") else 0.06)
    # No multiplier of a dense grid comes nearer.
    phis = [0.053 * step for step in range(100)]
    others = [
        network_cost(multiply(B0, **dimension_multipliers(dimension, phi))).mult_adds
        for phi in phis
    ]
    assert deviation <= min(abs(madds / target - 1) for madds in others) + 0.005


def test_default_coefficients_are_the_papers():
    assert Coefficients() == (1.2, 1.1, 1.15)
    assert Coefficients().product == pytest.approx(1.92, abs=0.001)


MISTAKES = [
    (lambda: scale(B0, -1), ["phi = -1", "at least 0"]),
    (lambda: scale(B0, math.nan), ["phi = nan"]),
    (lambda: scale(B0, 1, alpha=0.99), ["alpha = 0.99", "at least 1"]),
    (lambda: scale(B0, 1, gamma=math.inf), ["gamma = inf"]),
    (lambda: scale(B0, 50), ["depth = 9100.44", "at most 64"]),
    (lambda: scale(B0, 1e9), ["phi = 1000000000.0", "at most 64"]),
    (lambda: multiply(B0, width=0), ["width = 0", "above 0"]),
    (lambda: multiply(B0, resolution=224), ["resolution = 224", "factor", "at most 64"]),
    (lambda: multiply(B0, divisor=0), ["divisor = 0", "at least 1"]),
    (lambda: scale_published(B0, "b8"), ["published = 'b8'", "b7"]),
    (lambda: dimension_multipliers("length", 1), ["dimension = 'length'", "depth, width"]),
    (lambda: scale_to(B0, "width", 1e15), ["width to", "accepted: fewer"]),
    (lambda: scale_to(B0, "compound", 1e9, Coefficients(1, 1, 1)), ["changes nothing"]),
]


@pytest.mark.parametrize(("call", "expected"), MISTAKES)
def test_invalid_arguments_are_named(call, expected):
    with pytest.raises(UsageError) as caught:
        call()
    assert "\n" not in str(caught.value)
    assert all(text in str(caught.value) for text in expected), caught.value


def test_variants_with_a_fixed_head_or_stem_have_the_published_params():
    v2 = PUBLISHED["mobilenet-v2"]
    # timm's mobilenetv2_050, _140, and _120d, which keeps stem, head and end stages.
    for factors, fixed, params in (
        ({"width": 0.5}, "head", 1_968_680),
        ({"width": 1.4}, "head", 6_108_776),
        ({"width": 1.2, "depth": 1.4}, "head-stem", 5_831_144),
    ):
        assert network_cost(multiply(v2, **factors, fixed=fixed)).params == params
    half = multiply(v2, width=0.5)
    assert (half.stem, half.head) == (16, 640)
    assert multiply(v2, width=0.5, fixed="head-stem").stem == 32
    assert multiply(PUBLISHED["mobilenet-v1"], width=0.5, fixed="head").head == 0
    with pytest.raises(UsageError, match="fixed = 'stem'; accepted: none, head, head-stem"):
        multiply(v2, width=0.5, fixed="stem")


def test_layers_of_a_stage_of_several_blocks_are_scaled_together():
    network = from_arch_def([["ds_r1_k3_s1_c16"], ["ir_r1_k5_s2_e6_c40", "ir_r3_k3_s1_e3_c40"]])
    # ⌈1.2 · 4⌉ = 5 layers, of which round(3/4 · 5) = 4 are the last block's.
    scaled = multiply(network, depth=1.2)
    assert [block.repeats for block in scaled.blocks] == [2, 1, 4]
    assert scaled.timm_stages == (1, 2)


@pytest.mark.parametrize("target", [3e6, 5.7e6, 20e6])
def test_width_is_scaled_to_mult_adds_up_and_down(target):
    base = B0.replace(resolution=32, classes=10)
    scaled = scale_width_to(base, target)
    assert network_cost(scaled).mult_adds == pytest.approx(target, rel=0.02)
    assert [block.repeats for block in scaled.blocks] == [block.repeats for block in B0.blocks]
    assert scaled.resolution == 32


def test_width_is_unchanged_for_its_own_mult_adds_and_limited():
    assert scale_width_to(B0, network_cost(B0).mult_adds + 1) == B0
    with pytest.raises(UsageError, match="width of efficientnet-b0 to 1,000 mult-adds; accepted: "):
        scale_width_to(B0, 1000)
