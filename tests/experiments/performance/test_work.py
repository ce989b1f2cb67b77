"""Closed forms of flops and bytes against hand-computed counts."""

from mnas.architecture.cost import network_cost
from mnas.architecture.published import PUBLISHED
from mnas.experiments.performance import work
from mnas.experiments.performance.work import Work, operations

B0 = PUBLISHED["efficientnet-b0"].replace(resolution=32, classes=10)


def test_taps_on_padding_are_not_counted():
    assert work.tap_count(4, 3, 1) == 2 + 3 + 3 + 2
    assert work.tap_count(4, 3, 2) == 3 + 2  # padded after the last pixel only
    assert work.tap_count(1, 5, 1) == 1


def test_convolutions_match_hand_computed_counts():
    pointwise = work.pointwise("", (2, 4, 4, 8), 16)
    assert pointwise.forward == Work(2 * 32 * 8 * 16, 4 * (32 * 8 + 8 * 16 + 32 * 16))
    assert pointwise.backward.flops == 2 * pointwise.forward.flops
    depthwise = work.depthwise("", (2, 4, 4, 8), 3, 1)
    assert depthwise.forward == Work(2 * 2 * 8 * 10**2, 4 * (2 * 256 + 9 * 8))


def test_operations_cover_the_whole_network():
    listed = list(operations(B0, batch=2))
    cost = network_cost(B0)
    assert sum(o.shape[0] for o in listed if o.kind == "optimizer") == cost.params
    # All products but BatchNorm's; less those on padding, which `mnas.architecture.cost` counts.
    kinds = ("1×1 convolution", "stem", "depthwise")
    products = sum(o.forward.flops for o in listed if o.kind in kinds)
    assert 0.85 < products / (2 * 2 * cost.mult_adds) < 1
    layers = sum(1 for _ in B0.layers())
    assert sum(o.kind == "depthwise" for o in listed) == layers
    assert sum(o.kind == "skip" for o in listed) == 9
    assert sum(o.kind.startswith("BatchNorm") for o in listed) == 2 + 3 * layers - 1
