"""Children per hour of one worker and of one for each core, pinned and not.

Command   python -m mnas.experiments.performance.worker_scaling [--children 24] [--rounds 5]
Takes     an hour on 2 cores at its own size; 14 to 25 minutes with --children 8 --epochs 2
Expect    two workers that do nearly twice what one does; two tables, or with --json one object

The same networks around B0, trained on the embedded digits by Ray actors in each arrangement of
workers and threads. The arrangements take turns for some rounds; `ratio` is to one pinned worker in
the same round, given as median, least and most. Whatever has to be compiled is compiled in a round
before these.

First it measures what the machine allows: processes that share nothing, in matrix products and in
copies that fit into a core's own cache or don't.

Measured on 2 cores (EPYC) with --children 8 --epochs 2: two pinned workers did 1.80 times the
children/hour of one (1.73 to 1.82 in five rounds), not pinned 1.69 (1.66 to 1.82), one worker of
two threads 1.11. The machine allowed 1.99 in products and no less in copies. On another day, three
rounds, 1.80 and 1.75, where copies within 16 MiB of the 32 that both cores share allowed only 1.23.

Before `mnas.runtime.memory` kept all memory that is given back it was 1.70 pinned (1.66 to 1.81, five
rounds of 12 children) and 1.62 not; on another machine 1.73 and 1.69. So a part of what was missing
is likely to have been fresh pages, for which processes wait in the same system.
"""

import concurrent.futures
import dataclasses
import functools
import json
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

from mnas.controllers import CONTROLLERS
from mnas.experiments import digits
from mnas.experiments.performance.engine_scaling import apart, on_disk, table
from mnas.experiments.performance.roofline import Limits, limits
from rich.console import Console

from mnas.cli.arguments import parse, report_mistakes
from mnas.data.images import DataConfig
from mnas.engines.config import EngineConfig
from mnas.engines.drive import drive
from mnas.engines.environment import prepare_driver
from mnas.errors import UsageError
from mnas.evaluators.proxy import ProxyConfig
from mnas.loop.config import SearchConfig
from mnas.loop.search import Search
from mnas.runtime.pinning import allowed_cores, pin
from mnas.training.config import TrainingConfig


@dataclasses.dataclass(frozen=True)
class Arguments:
    """How much is measured."""

    children: int = 24
    """Children that each arrangement of workers trains in each round."""
    rounds: int = 5
    """Rounds in which the arrangements take turns."""
    epochs: int = 5
    """Passes over the training images."""
    images: int = 1200
    """Training images."""
    json: bool = False
    """One JSON object on standard output."""

    def __post_init__(self) -> None:
        for name in ("children", "rounds", "epochs", "images"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} = {getattr(self, name)}; accepted: at least 1")


@dataclasses.dataclass(frozen=True)
class Rate:
    """Children per hour of one arrangement, from the first one's start to the last one's end.

    children_per_hour         median over the rounds
    ratio, least, most        to one pinned worker in the same round: median, and its range
    seconds                   a child takes its worker, mean over all
    idle                      share of the workers' time between children, and at the end
    """

    workers: int
    threads: int
    pinned: bool
    children_per_hour: float
    ratio: float
    least: float
    most: float
    seconds: float
    idle: float


@dataclasses.dataclass(frozen=True)
class Ceiling:
    """What all cores together do of `work`, of what one does while the others rest.

    Each is a process of one thread that shares nothing with the others but the machine.
    """

    work: str
    cores: int
    ratio: float


def ceilings(seconds: float = 0.3) -> list[Ceiling]:
    """Of matrix products, and of copies in a core's own cache, in a shared one and in memory."""
    cores = len(allowed_cores())
    (alone,), together = limits_at_once(1, seconds), limits_at_once(cores, seconds)
    works: dict[str, Callable[[Limits], float]] = {
        "matrix products": lambda found: found.gflops,
        "copies within 1 MiB": lambda found: found.copy[1],
        "copies within 16 MiB": lambda found: found.copy[16],
        "copies within 64 MiB": lambda found: found.copy[64],
    }
    return [
        Ceiling(work, cores, sum(map(rate, together)) / rate(alone)) for work, rate in works.items()
    ]


def limits_at_once(processes: int, seconds: float) -> list[Limits]:
    """What so many processes can do, each on a core of its own and all at the same time."""
    context = multiprocessing.get_context("spawn")
    prepare = functools.partial(prepare_driver, EngineConfig())
    with concurrent.futures.ProcessPoolExecutor(processes, context, prepare) as pool:
        return list(pool.map(_pinned_limits, [seconds] * processes))


def _pinned_limits(seconds: float) -> Limits:
    pin(1)
    return limits(seconds)


def rates(chosen: Arguments, say: Callable[[str], None]) -> list[Rate]:
    """All arrangements of workers on this machine's cores, in turns."""
    cores = len(allowed_cores())
    tried = [
        EngineConfig(workers=1, pin=True),
        EngineConfig(workers=cores, pin=True),
        EngineConfig(workers=cores, pin=False),
        EngineConfig(workers=1, threads=cores, pin=True),
    ]
    tried = list(dict.fromkeys(tried))
    runs: dict[EngineConfig, list[tuple[float, float, float]]] = {config: [] for config in tried}
    for number in range(chosen.rounds + 1):
        for config in tried:
            found = apart(trained, config, chosen)
            if number == 0:
                continue  # it compiled
            runs[config].append(found)
            say(
                f"round {number}: {config.workers} workers of {config.threads} threads, "
                f"{'pinned' if config.pin else 'not pinned'}: {found[0]:.0f} children/hour"
            )
    rows = []
    for config, measured in runs.items():
        hourly, seconds, idle = zip(*measured, strict=True)
        base = [found[0] for found in runs[tried[0]]]
        ratios = [a / b for a, b in zip(hourly, base, strict=True)]
        middle = statistics.median(hourly), statistics.median(ratios), min(ratios), max(ratios)
        means = statistics.fmean(seconds), statistics.median(idle)
        rows.append(Rate(config.workers, config.threads, config.pin, *middle, *means))
    return rows


def trained(engine: EngineConfig, chosen: Arguments) -> tuple[float, float, float]:
    """Children/hour, a child's seconds, idle share; call it in a process of its own."""
    prepare_driver(engine)
    evaluator = ProxyConfig(
        data=DataConfig(source="digits", train_images=chosen.images),
        training=TrainingConfig(epochs=chosen.epochs),
    )
    ends: list[tuple[float, float]] = []

    def observe(record: dict[str, Any]) -> None:
        if record["kind"] == "result" and record["duplicate_of"] is None:
            if record["error"] is not None:
                raise RuntimeError(f"a child failed: {record['error']}")
            ends.append((time.perf_counter(), record["seconds"]))

    space = digits.EXPERIMENT.space.build()
    controller = CONTROLLERS["random"]().build(space)
    # One batch: what waits at the end of it is waited for only once.
    config = SearchConfig(trials=chosen.children, batch=chosen.children)
    with tempfile.TemporaryDirectory() as directory, on_disk(directory, "journal") as journal:
        reward = digits.EXPERIMENT.reward
        search = Search(space, controller, reward, config, journal, (observe,))
        drive(search, evaluator, engine)
    begun = min(end - seconds for end, seconds in ends)
    whole = max(end for end, _ in ends) - begun
    busy = sum(seconds for _, seconds in ends)
    return 3600 * len(ends) / whole, busy / len(ends), 1 - busy / (engine.workers * whole)


def main(flags: list[str]) -> int:
    """Measures and prints."""
    chosen = parse(Arguments, "mnas.experiments.performance.worker_scaling", flags, Arguments())
    console = Console(stderr=True, highlight=False)
    roofs = ceilings()
    console.print(table(roofs))
    rows = rates(chosen, console.print)
    if chosen.json:
        found = {"ceilings": roofs, "children_per_hour": rows}
        print(json.dumps({k: [dataclasses.asdict(row) for row in v] for k, v in found.items()}))
    else:
        console.print(table(rows))
    return 0


if __name__ == "__main__":
    # By its importable name, which is how a process started anew knows `trained`.
    from mnas.experiments.performance.worker_scaling import main

    sys.exit(
        report_mistakes("mnas.experiments.performance.worker_scaling", lambda: main(sys.argv[1:]))
    )
