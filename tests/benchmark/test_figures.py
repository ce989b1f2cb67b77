"""Ratios, medians and spreads against hand-computed values."""

import pytest

from mnas.benchmark import figures
from mnas.benchmark.children import random_children


def test_throughput_agrees_with_hand_computed_values():
    first, second, third = random_children(3, 32, seed=0)
    rows = [
        figures.child_row(first, {"ours": [200.0, 100.0, 300.0], "flax": [100.0, 100.0, 100.0]}),
        figures.child_row(second, {"ours": [800.0, 400.0, 300.0], "flax": [100.0, 100.0, 100.0]}),
        figures.child_row(third, {"ours": [100.0, 100.0, 100.0]}),
    ]
    assert rows[0]["ratios"] == {"flax": 2.0} and rows[1]["ratios"] == {"flax": 4.0}
    result = figures.throughput(rows, ("ours", "flax", "torch"))
    # Rounds: sqrt(2 · 8) = 4, sqrt(1 · 4) = 2, sqrt(3 · 3) = 3. The third child has no peer.
    ratio = result["ratios"]["flax"]
    assert ratio["ratio"] == pytest.approx(3) and ratio["spread"] == pytest.approx([2, 4])
    assert (ratio["child_min"], ratio["child_max"], ratio["children"]) == (2, 4, 2)
    assert list(result["ratios"]) == ["flax"]
    assert result["images_per_second"]["flax"] == pytest.approx(100)
    assert result["images_per_second"]["ours"] == pytest.approx((200 * 400 * 100) ** (1 / 3))


def test_children_per_hour_agrees_with_hand_computed_values():
    children = random_children(2, 32, seed=0)
    answers = [
        {"seconds": 30.0, "compile_seconds": 15.0, "trace_seconds": 8.0, "accuracy": 0.5},
        {"seconds": 10.0, "compile_seconds": 5.0, "accuracy": 1.0},
    ]
    cold = figures.trained(children, answers, [(1, 26.0), (1, 10.0)], 700.0)
    assert cold["trace_fraction"] == 0.2 and cold["peak_memory_mb"] == 700
    assert cold["children_per_hour"] == 200 and cold["compile_fraction"] == 0.5
    assert cold["busy_seconds"] == 40 and cold["mean_accuracy"] == 0.75
    assert cold["children_per_hour_in_rounds"][1] == 360
    warm = figures.trained(children, answers, [(1, 8.0), (1, 10.0)], 700.0)
    slow = figures.trained(children, answers, [(1, 52.0), (1, 20.0)], 900.0)
    result = figures.children_per_hour(
        {
            "ours": {"cold": cold, "warm": warm},
            "flax": {"cold": slow, "warm": cold},
            "torch": {"cold": slow},
            "torch-compile": {},
        }
    )
    assert result["ratios"] == {
        "flax": {
            "cold": {"ratio": 2, "spread": [2, 2]},
            "warm": {"ratio": 2, "spread": [1, 3.25]},
        },
        "torch": {
            "cold": {"ratio": 2, "spread": [2, 2]},
            "warm": {"ratio": 4, "spread": [2, 6.5]},
        },
    }
    assert list(result["contenders"]) == ["ours", "flax", "torch"]


def test_ratio_with_a_peer_that_trains_fewer_children():
    (child,) = random_children(1, 32, seed=0)
    answers = [{"seconds": 1.0, "compile_seconds": 0.0, "accuracy": 0.5}]
    ours = figures.trained([child] * 6, answers * 6, [(4, 4.0), (2, 2.0)], 1.0)
    torch = figures.trained([child] * 2, answers * 2, [(1, 2.0), (1, 4.0)], 1.0)
    result = figures.children_per_hour({"ours": {"cold": ours}, "torch": {"cold": torch}})
    assert result["ratios"]["torch"]["cold"] == {"ratio": 3, "spread": [2, 4]}


def test_fewer_children_are_compared_with_the_time_that_they_took_us():
    (child,) = random_children(1, 32, seed=0)

    def answer(seconds, compiling=0.0):
        return {"seconds": seconds, "compile_seconds": compiling, "accuracy": 0.5}

    # The peer trains only the first child of each round, which took us longest, also to compile.
    ours = [answer(16.0, 10.0), answer(2.0), answer(6.0), answer(4.0), answer(2.0, 2.0)]
    ours = figures.trained([child] * 5, ours, [(2, 18.0), (3, 12.0)], 1.0)
    peer = figures.trained([child] * 2, [answer(24.0), answer(12.0)], [(1, 24.0), (1, 12.0)], 1.0)
    assert ours["steady_seconds_in_rounds"] == [[6, 2], [6, 4, 0]]
    result = figures.children_per_hour({"ours": {"cold": ours}, "torch": {"cold": peer}})
    # Rounds: 6/8 of 18 s against 24 s, 6/10 of 12 s against 12 s. Total: 12/18 of 30 s against 36.
    ratio = result["ratios"]["torch"]["cold"]
    assert ratio["ratio"] == pytest.approx(36 / 20)
    assert ratio["spread"] == pytest.approx([12 / 7.2, 24 / 13.5])
