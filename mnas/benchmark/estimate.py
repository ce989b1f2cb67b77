"""Estimated duration of the phases of the benchmark of training."""

import dataclasses
from collections.abc import Mapping

from mnas.benchmark.config import BenchmarkConfig
from mnas.benchmark.contender import TRAINING_CONTENDERS, ContenderSpec
from mnas.benchmark.processes import Arrangement

# Block-compiled contenders find most blocks of a child compiled after about this many children.
CHILDREN_TO_WARM_UP = 10


@dataclasses.dataclass(frozen=True)
class Calibration:
    """Measurements of one contender in the arrangement that was selected for it.

    start_seconds      start of its worker processes
    build_seconds      building the first child and its first step, compilation included
    images_per_second  of all its processes together
    """

    arrangement: Arrangement
    start_seconds: float
    build_seconds: float
    images_per_second: float


def caches(contender: ContenderSpec) -> tuple[str, ...]:
    """Return the cache states for which a contender's children/hour are measured."""
    return ("cold", "warm") if contender.compiles else ("cold",)


def remaining_seconds(
    config: BenchmarkConfig, calibrations: Mapping[str, Calibration]
) -> dict[str, float]:
    """Return estimated seconds of each phase that follows the calibration."""
    seconds = {"throughput": 0.0, "memory": 0.0, "children_per_hour": 0.0}
    for name, measured in calibrations.items():
        contender = TRAINING_CONTENDERS[name]
        speed, processes = measured.images_per_second, measured.arrangement.processes
        build = measured.build_seconds
        # One step precedes the window, and one may end after it.
        window = config.window_seconds + 2 * config.batch * processes / speed
        seconds["throughput"] += config.children * config.rounds * window
        seconds["throughput"] += build * _builds(contender, config.children)
        seconds["memory"] += measured.start_seconds + build
        for cache in caches(contender):
            count = sum(config.trained_by(name, cache))
            images = count * config.epochs * (config.images // config.batch) * config.batch
            seconds["children_per_hour"] += measured.start_seconds + images / speed
        count = sum(config.trained_by(name, "cold"))
        seconds["children_per_hour"] += build * _builds(contender, count) / processes
    return seconds


def _builds(contender: ContenderSpec, children: int) -> int:
    """Return the number of children that take the full time to build."""
    return min(children, CHILDREN_TO_WARM_UP) if contender.reuses_blocks else children
