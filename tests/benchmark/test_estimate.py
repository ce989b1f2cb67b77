"""Estimated duration of the phases."""

from mnas.benchmark.config import BenchmarkConfig
from mnas.benchmark.estimate import CHILDREN_TO_WARM_UP, Calibration, remaining_seconds
from mnas.benchmark.processes import Arrangement


def test_remaining_seconds_agree_with_hand_computed_values():
    config = BenchmarkConfig(
        contenders="ours,torch", children=20, rounds=5, batch=64, trained=100, epochs=2, images=640
    )
    arrangement = Arrangement("a process a core", processes=2, threads=1)
    calibration = Calibration(
        arrangement, start_seconds=1.0, build_seconds=3.0, images_per_second=128.0
    )
    seconds = remaining_seconds(config, {"ours": calibration, "torch": calibration})
    # A step takes 64 · 2 / 128 = 1 s, a window 1 + 2 s; ours compiles 10 children, torch 20.
    assert seconds["throughput"] == 2 * (20 * 5 * 3) + (CHILDREN_TO_WARM_UP + 20) * 3
    # 100 children · 2 epochs · 640 images at 128 images/s take 1,000 s; ours runs cold and warm.
    assert seconds["children_per_hour"] == 2 * 1001 + 10 * 3 / 2 + 1001 + 100 * 3 / 2
    assert seconds["memory"] == 2 * 4
