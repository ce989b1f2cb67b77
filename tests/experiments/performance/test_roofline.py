"""Roofline: the roof, measurements of single operations, tables and files."""

import pytest

from mnas.experiments.performance import roofline, work
from mnas.experiments.performance.limits import Limits
from mnas.experiments.performance.roofline import Row
from mnas.experiments.performance.work import Work

LIMITS = Limits(gflops=100.0, copy={1: 40.0, 64: 8.0}, triad={1: 50.0, 64: 10.0})


def test_roof_is_the_slower_of_compute_and_memory():
    assert LIMITS.seconds(Work(1e9, 1e5)) == pytest.approx(0.01)
    assert LIMITS.seconds(Work(1, 1e6)) == pytest.approx(1e6 / 50e9)
    assert LIMITS.seconds(Work(1, 1e9)) == pytest.approx(0.1)


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
def test_measures_forward_and_backward(operation):
    assert min(roofline.measure(operation, min_seconds=0)) > 0


def test_optimizer_has_no_forward_program():
    optimizer = work.Operation("optimizer", "", (32,), None, Work(1, 1))
    forward, backward = roofline.measure(optimizer, min_seconds=0)
    assert forward is None and backward > 0


def test_sums_by_kind_and_direction():
    rows = [
        Row("skip", "forward", "a", 1.0, 2.0, 3.0, 1.0),
        Row("skip", "forward", "b", 1.0, 2.0, 5.0, 1.0),
        Row("skip", "backward", "b", 1.0, 2.0, 5.0, 1.0),
    ]
    assert roofline.by_kind(rows) == [
        Row("skip", "forward", "2", 2.0, 4.0, 8.0, 2.0),
        Row("skip", "backward", "1", 1.0, 2.0, 5.0, 1.0),
    ]


def test_writes_a_plot(tmp_path):
    rows = [Row("skip", "forward", "a", 1.0, 2.0, 3.0, 1.0)]
    roofline.plot(rows, LIMITS, "title", tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 1000


@pytest.mark.parametrize("setting", [{"resolutions": ()}, {"resolutions": (4,)}, {"batch": 1}])
def test_rejects_settings_that_measure_nothing(setting):
    (name,) = setting
    with pytest.raises(ValueError, match=f"roofline: {name} = "):
        roofline.Arguments(**setting)
