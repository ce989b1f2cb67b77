"""Costs by hand, of published networks, and of networks with independently computed costs."""

import math

import numpy as np
import pytest

from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block, Layer
from mnas.architecture.cost import (
    Cost,
    convolution,
    downscaled,
    layer_cost,
    network_cost,
    parts,
    squeeze_excite,
)
from mnas.architecture.published import PUBLISHED
from tests.parts import registered

SPACES = registered("space")


def layer(**changes) -> Layer:
    plain = {
        "op": "mbconv", "in_filters": 16, "filters": 24, "kernel": 3, "stride": 1,
        "expand_ratio": 1, "se_ratio": 0.0, "skip": "none",
    }  # fmt: skip
    return Layer(**{**plain, **changes})


# --- single layers, by hand ---


def test_convolution_counts_weights_and_batchnorm():
    # 3·3·3·32 weights at 112² outputs; a scale and a bias for each of 32 filters.
    assert convolution(3, 3, 32, 112) == Cost(864 + 64, 864 * 12544)
    assert convolution(5, 8, 8, 10, groups=8) == Cost(200 + 16, 20000)


def test_squeeze_excite_counts_both_convolutions_and_biases():
    # 96 -> 4 -> 96, with biases of 4 and 96.
    assert squeeze_excite(96, 4) == Cost(384 + 4 + 384 + 96, 768)


def test_separable_convolution_has_no_expansion():
    # depthwise 9·16 at 8², pointwise 16·24 at 8².
    assert layer_cost(layer(), 8) == Cost((144 + 32) + (384 + 48), (144 + 384) * 64)


def test_mbconv_expands_at_the_input_and_strides_in_the_middle():
    # expansion 16·96 at 9²; depthwise 25·96 and projection 96·24 at 5².
    assert layer_cost(layer(expand_ratio=6, kernel=5, stride=2), 9) == Cost(
        (1536 + 192) + (2400 + 192) + (2304 + 48), 1536 * 81 + (2400 + 2304) * 25
    )


def test_mbconv_reduces_to_a_fraction_of_the_input_filters():
    # 0.25 of the 16 input filters, not of the 96 expanded ones: 96 -> 4 -> 96.
    plain = layer_cost(layer(expand_ratio=6), 8)
    assert layer_cost(layer(expand_ratio=6, se_ratio=0.25), 8) == plain + Cost(868, 768)


def test_convolution_with_squeeze_excite():
    # 3·3·16·24 at 4² (from 7², stride 2), then SE 24 -> 4 -> 24.
    assert layer_cost(layer(op="conv", stride=2, se_ratio=0.25), 7) == Cost(
        (3456 + 48) + (96 + 4 + 96 + 24), 3456 * 16 + 192
    )
    assert layer_cost(layer(op="conv", stride=2), 7) == Cost(3456 + 48, 3456 * 16)


def test_the_last_activation_of_separable_is_free():
    assert layer_cost(layer(op="separable"), 8) == layer_cost(layer(), 8)


def test_basic_adds_the_cost_of_a_projection():
    # 3·3·16·24 and 3·3·24·24, both at 4² (from 7², stride 2); projection 16·24 at 4².
    basic = layer_cost(layer(op="basic", stride=2), 7)
    assert basic == Cost((3456 + 48) + (5184 + 48), (3456 + 5184) * 16)
    projected = layer_cost(layer(op="basic", stride=2, skip="projection"), 7)
    assert projected == basic + Cost(384 + 48, 384 * 16)


def test_bottleneck_strides_in_the_middle():
    # 16·6 at 7², 3·3·6·6 and 6·24 at 4².
    assert layer_cost(layer(op="bottleneck", stride=2, expand_ratio=4), 7) == Cost(
        (96 + 12) + (324 + 12) + (144 + 48), 96 * 49 + (324 + 144) * 16
    )


@pytest.mark.parametrize("skip", ["identity", "pool"])
def test_identity_and_pool_skips_are_free(skip):
    same = {"filters": 16}
    assert layer_cost(layer(skip=skip, **same), 8) == layer_cost(layer(**same), 8)


@pytest.mark.parametrize("resolution, half", [(1, 1), (2, 1), (3, 2), (224, 112), (225, 113)])
def test_strides_round_the_resolution_up(resolution, half):
    assert downscaled(resolution, 2) == half
    assert downscaled(resolution, 1) == resolution


def test_costs_are_whole_numbers():
    cost = network_cost(PUBLISHED["mnasnet-a1"])
    assert type(cost.params) is int and type(cost.mult_adds) is int


# --- published networks ---


@pytest.mark.parametrize(
    "name, params, millions",
    [
        ("efficientnet-b0", 5_288_548, "385.8"),
        ("mnasnet-a1", 3_887_038, "311.6"),
        ("mnasnet-b1", 4_383_312, "314.4"),
    ],
)
def test_published_costs_of_b0_and_mnasnet(name, params, millions):
    cost = network_cost(PUBLISHED[name])
    assert cost.params == params
    assert f"{cost.mult_adds / 1e6:.1f}" == millions


@pytest.mark.parametrize(
    "name, cost, billions",
    [
        # arXiv 1704.04861, Table 4; arXiv 1801.04381, Table 4.
        ("mobilenet-v1", Cost(4_231_976, 568_740_352), 0.569),
        ("mobilenet-v2", Cost(3_504_872, 300_774_272), 0.300),
        # arXiv 1512.03385, Table 1; for bottlenecks, which stride elsewhere in the paper, the
        # usual figures of version 1.5.
        ("resnet-18", Cost(11_689_512, 1_814_073_344), 1.8),
        ("resnet-34", Cost(21_797_672, 3_663_761_408), 3.6),
        ("resnet-50", Cost(25_557_032, 4_089_184_256), 4.1),
        ("resnet-101", Cost(44_549_160, 7_801_405_440), 7.8),
        ("resnet-152", Cost(60_192_808, 11_513_626_624), 11.5),
    ],
)
def test_published_costs_of_mobilenets_and_resnets(name, cost, billions):
    assert network_cost(PUBLISHED[name]) == cost
    assert cost.mult_adds / 1e9 == pytest.approx(billions, rel=0.02)


@pytest.mark.parametrize("name", ["mobilenet-v2", "resnet-50"])
def test_padding_and_epsilon_cost_nothing(name):
    network = PUBLISHED[name].replace(resolution=99)
    for padding, epsilon in (("same", 1e-3), ("symmetric", 1e-5)):
        assert network_cost(network.replace(padding=padding, bn_epsilon=epsilon)) == network_cost(
            network
        )


def scaled_b0(width: float, depth: float, resolution: int) -> Architecture:
    """Return B0 scaled by EfficientNet's rounding rules, implemented independently."""

    def filters(count: int) -> int:
        exact = count * width
        rounded = max(8, int(exact + 4) // 8 * 8)
        return rounded + 8 if rounded < 0.9 * exact else rounded

    b0 = PUBLISHED["efficientnet-b0"]
    blocks = tuple(
        Block(
            kernel=block.kernel,
            stride=block.stride,
            filters=filters(block.filters),
            expand_ratio=block.expand_ratio,
            repeats=math.ceil(depth * block.repeats),
            se_ratio=block.se_ratio,
        )
        for block in b0.blocks
    )
    return Architecture(blocks, resolution, stem=filters(32), head=filters(1280))


@pytest.mark.parametrize(
    "width, depth, resolution, params, millions",
    [
        (1.0, 1.1, 240, 7_794_184, "686.8"),
        (1.1, 1.2, 260, 9_109_994, "993.6"),
        (1.2, 1.4, 300, 12_233_232, "1827"),
        (1.4, 1.8, 380, 19_341_616, "4394"),
        (1.6, 2.2, 456, 30_389_784, "10266"),
        (1.8, 2.6, 528, 43_040_704, "19068"),
        (2.0, 3.1, 600, 66_347_960, "37746"),
    ],
)
def test_published_costs_of_b1_to_b7(width, depth, resolution, params, millions):
    cost = network_cost(scaled_b0(width, depth, resolution))
    assert cost.params == params
    digits = 1 if "." in millions else 0
    assert f"{cost.mult_adds / 1e6:.{digits}f}" == millions
    named = {PUBLISHED[f"efficientnet-b{n}"].resolution: f"efficientnet-b{n}" for n in range(8)}
    ours = PUBLISHED[named[resolution]]
    assert ours.canonical_hash() == scaled_b0(width, depth, resolution).canonical_hash()


# 36 of the 4,623 networks of Accel-NASBench (Ahmad et al., DAC 2024; afzalxo/Accel-NASBench,
# Apache-2.0), spread evenly over the file. For each of seven blocks four digits: expand ratio,
# kernel, layers, SE; then parameters and mult-adds, computed from the choices independently of
# this code.
ACCEL_NASBENCH = (
    ("6310 4520 6330 6530 6520 1320 1320", 2501160, 375723888),
    ("4320 6320 6520 6310 4510 6320 1520", 2711624, 327033568),
    ("1310 1530 1310 1330 4310 4320 1510", 2299144, 101357600),
    ("1530 6520 6310 1510 6530 4320 4530", 4754864, 367952096),
    ("6510 6310 4330 1530 4520 4320 4320", 3645824, 399387360),
    ("1310 4310 6310 4310 1520 6330 1510", 2954296, 160010208),
    ("6530 1330 1510 6330 4510 6520 6320", 4554336, 545706848),
    ("4520 1330 1530 4320 1330 6530 1510", 3076272, 304018464),
    ("6510 4510 4320 1520 1530 6310 4320", 3245616, 345076544),
    ("6320 4520 4510 4330 4330 4320 6330", 5704120, 538712000),
    ("4320 1330 4310 1530 6310 4310 4320", 3217920, 271745888),
    ("1330 6530 1310 4320 1320 6320 1320", 2669072, 227901472),
    ("1510 4530 1330 4510 4330 1320 6310", 2690928, 213514288),
    ("6521 6320 1311 4520 1511 1520 4521", 3454942, 420007824),
    ("6330 4320 4310 1531 4321 6330 6310", 3705914, 448132960),
    ("1310 1520 6521 4320 1511 4510 4510", 2401060, 141675904),
    ("6310 1331 6521 6311 6330 4330 4311", 3441714, 369544704),
    ("6320 4510 6330 6520 6320 4510 4320", 3545416, 445764096),
    ("6511 4530 6330 1330 4510 1330 4520", 3252040, 408405648),
    ("1320 4521 6331 6511 1531 1520 4321", 3465522, 226244912),
    ("4511 4320 6530 6331 1330 1531 4331", 4779646, 401302064),
    ("4320 4330 6330 4530 1520 6310 1330", 2439192, 331731296),
    ("4511 1311 6530 4331 1531 6310 6311", 2924690, 296853216),
    ("4511 1330 4520 6531 4331 6511 4331", 5166250, 405655072),
    ("6520 4320 4531 6511 1330 4530 1330", 2917228, 430215616),
    ("1510 6321 4521 4511 4520 1311 1531", 2397272, 187967600),
    ("1311 6311 1310 4330 1531 1521 6331", 5831236, 265043440),
    ("4511 4311 1330 4511 4531 6531 1521", 3793054, 315636256),
    ("1320 4310 1331 6530 4331 4540 4520", 4642382, 294259808),
    ("1511 4531 4311 1310 1510 4340 4310", 3204430, 207264800),
    ("1331 6520 6311 4330 1330 6540 6511", 4286462, 293415840),
    ("6321 4310 6321 1531 4511 1340 4510", 2429002, 316168688),
    ("4320 6310 4521 1331 1311 1540 4520", 3205918, 285749552),
    ("6511 6331 6330 6311 4510 6340 1531", 3902730, 465994080),
    ("1520 6311 4330 6311 4310 1541 4320", 3297522, 211332912),
    ("1521 6530 4531 1331 4310 4541 1531", 3633820, 286601024),
)


@pytest.mark.parametrize("choices, params, mult_adds", ACCEL_NASBENCH)
def test_costs_of_accel_nasbench_networks(choices, params, mult_adds):
    values = [tuple(map(int, digits)) for digits in choices.split()]
    base = ((16, 1), (24, 2), (40, 2), (80, 2), (112, 1), (192, 2), (320, 1))
    blocks = tuple(
        Block(kernel, stride, filters, expand_ratio=ratio, repeats=layers, se_ratio=0.25 * se)
        for (filters, stride), (ratio, kernel, layers, se) in zip(base, values, strict=True)
    )
    assert network_cost(Architecture(blocks)) == Cost(params, mult_adds)


# --- costs part by part ---


def test_parts_of_a_small_network_at_an_odd_resolution():
    architecture = Architecture(
        (Block(3, 2, 8, repeats=2), Block(5, 2, 12, expand_ratio=2)),
        resolution=33,
        stem=4,
        head=20,
        classes=7,
    )
    outputs = [(p.name, p.resolution, p.filters) for p in parts(architecture)]
    assert outputs == [
        ("stem", 17, 4),
        ("stage1_layer1", 9, 8),
        ("stage1_layer2", 9, 8),
        ("stage2_layer1", 5, 12),
        ("head", 5, 20),
        ("classifier", 1, 7),
    ]
    costs = {p.name: p.cost for p in parts(architecture)}
    assert costs["stem"] == Cost(108 + 8, 108 * 17**2)
    assert costs["stage1_layer1"] == Cost(36 + 8 + 32 + 16, (36 + 32) * 9**2)
    assert costs["stage1_layer2"] == Cost(72 + 16 + 64 + 16, (72 + 64) * 9**2)
    assert costs["stage2_layer1"] == Cost(
        128 + 32 + 400 + 32 + 192 + 24, 128 * 9**2 + (400 + 192) * 5**2
    )
    assert costs["head"] == Cost(240 + 40, 240 * 5**2)
    assert costs["classifier"] == Cost(140 + 7, 140)


def test_parts_of_a_network_with_a_pooled_stem_and_no_head():
    architecture = Architecture(
        (Block(3, 1, 8, op="basic", skip="projection"),),
        resolution=33,
        stem=4,
        stem_kernel=7,
        stem_pool=True,
        head=0,
        classes=7,
    )
    outputs = [(p.name, p.resolution, p.filters) for p in parts(architecture)]
    assert outputs == [("stem", 9, 4), ("stage1_layer1", 9, 8), ("classifier", 1, 7)]
    costs = {p.name: p.cost for p in parts(architecture)}
    assert costs["stem"] == Cost(588 + 8, 588 * 17**2)  # before the pooling
    assert costs["classifier"] == Cost(56 + 7, 56)


def test_costs_of_parts_sum_to_the_networks():
    rng = np.random.default_rng(0)
    for name, config in SPACES.items():
        space = config(resolution=97).build()
        for _ in range(30):
            architecture = space.decode(space.sample(rng))
            costs = [part.cost for part in parts(architecture)]
            total = network_cost(architecture)
            assert sum(cost.params for cost in costs) == total.params, name
            assert sum(cost.mult_adds for cost in costs) == total.mult_adds, name
            assert len(costs) == len(architecture.layers()) + 3


def test_params_do_not_depend_on_the_resolution():
    b0 = PUBLISHED["efficientnet-b0"]
    assert network_cost(b0.replace(resolution=33)).params == network_cost(b0).params
    assert network_cost(b0.replace(resolution=33)).mult_adds < network_cost(b0).mult_adds / 10
