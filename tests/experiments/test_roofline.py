import csv

import pytest
from mnas.experiments.performance import roofline, work
from mnas.experiments.performance.roofline import Limits, Row
from mnas.experiments.performance.work import Work, operations

from mnas.architecture.cost import network_cost
from mnas.architecture.published import PUBLISHED

B0 = PUBLISHED["efficientnet-b0"].replace(resolution=32, classes=10)
ROOF = Limits(gflops=100.0, copy={1: 40.0, 64: 8.0}, triad={1: 50.0, 64: 10.0})


def test_taps_that_touch_a_pixel_by_hand():
    assert work.touched(4, 3, 1) == 2 + 3 + 3 + 2
    assert work.touched(4, 3, 2) == 3 + 2  # padded after the last pixel only
    assert work.touched(1, 5, 1) == 1


def test_work_of_the_products_by_hand():
    operation = work.pointwise("", (2, 4, 4, 8), 16)
    assert operation.forward == Work(2 * 32 * 8 * 16, 4 * (32 * 8 + 8 * 16 + 32 * 16))
    assert operation.backward.flops == 2 * operation.forward.flops
    depthwise = work.depthwise("", (2, 4, 4, 8), 3, 1)
    assert depthwise.forward == Work(2 * 2 * 8 * 10**2, 4 * (2 * 256 + 9 * 8))


def test_nothing_of_b0_is_left_out():
    found = list(operations(B0, batch=2))
    cost = network_cost(B0)
    assert sum(o.shape[0] for o in found if o.kind == "optimizer") == cost.params
    # All but BatchNorm and additions; less padding, which `mnas.architecture.cost` counts.
    kinds = ("1×1 convolution", "stem", "depthwise")
    products = sum(o.forward.flops for o in found if o.kind in kinds)
    assert 0.85 < products / (2 * 2 * cost.mult_adds) < 1
    layers = sum(1 for _ in B0.layers())
    assert sum(o.kind == "depthwise" for o in found) == layers
    assert sum(o.kind == "skip" for o in found) == 9
    assert sum(o.kind.startswith("BatchNorm") for o in found) == 2 + 3 * layers - 1


def test_the_roof_is_what_takes_longer():
    assert ROOF.seconds(Work(1e9, 1e5)) == pytest.approx(0.01)
    assert ROOF.seconds(Work(1, 1e6)) == pytest.approx(1e6 / 50e9)
    assert ROOF.seconds(Work(1, 1e9)) == pytest.approx(0.1)


@pytest.mark.parametrize(
    "operation",
    [
        work.stem((2, 8, 8, 3), 4),
        work.pointwise("", (2, 4, 4, 4), 8),
        work.depthwise("", (2, 4, 4, 4), 3, 2),
        work.norm("", (2, 4, 4, 4), "swish"),
        work.squeeze_excite("", (2, 4, 4, 4), 2, "swish"),
        work.classifier((2, 2, 2, 4), 3),
        work.Operation("skip", "", (2, 4, 4, 4), Work(1, 1), Work(1, 1)),
    ],
    ids=lambda operation: operation.kind,
)
def test_an_operation_is_measured_both_ways(operation):
    assert min(roofline.measured(operation, seconds=0)) > 0


def test_the_optimizer_goes_one_way():
    forward, backward = roofline.measured(
        work.Operation("optimizer", "", (32,), None, Work(1, 1)), seconds=0
    )
    assert forward is None and backward > 0


def test_sums_by_kind_and_files(tmp_path):
    rows = [
        Row("skip", "forward", "a", 1.0, 2.0, 3.0, 1.0),
        Row("skip", "forward", "b", 1.0, 2.0, 5.0, 1.0),
        Row("skip", "backward", "b", 1.0, 2.0, 5.0, 1.0),
    ]
    assert roofline.by_kind(rows)[0] == Row("skip", "forward", "2", 2.0, 4.0, 8.0, 2.0)
    roofline.write_csv(rows, tmp_path / "rows.csv")
    with (tmp_path / "rows.csv").open() as file:
        assert [line["place"] for line in csv.DictReader(file)] == ["a", "b", "b"]
    roofline.plot(rows, ROOF, "some", tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 1000
