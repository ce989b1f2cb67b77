"""Measure children per hour of one worker and of one for each core, pinned and not.

Command   python -m mnas.experiments.performance.worker_scaling [--children 24] [--json]
Cost      an hour on 2 cores; 14 to 25 minutes with --children 8 --epochs 2
Expect    two pinned workers near twice the children of one; two tables, or one JSON object
Results   docs/results/workers.md

Ray actors train the same networks around B0 on the embedded digits in each arrangement of workers
and threads. Arrangements take turns over the rounds; ratios are to one pinned worker in the same
round. A first round, which is not counted, compiles. The limit of the machine is measured first:
processes that share nothing compute matrix products, and copy arrays that fit a core's own cache,
a shared one, or neither.
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
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mnas.cli.arguments import parse
from mnas.cli.command import run_command
from mnas.controllers.random_search import RandomSearch
from mnas.data.images import DataConfig
from mnas.engines.config import EngineConfig
from mnas.engines.drive import drive
from mnas.engines.environment import prepare_driver
from mnas.errors import require_whole
from mnas.evaluators.proxy import ProxyConfig
from mnas.experiments import digits
from mnas.experiments.performance.harness import in_new_process, table
from mnas.experiments.performance.limits import Limits, measure_limits
from mnas.loop.config import SearchConfig
from mnas.loop.journal import Journal
from mnas.loop.records import Record, ResultRecord
from mnas.loop.search import Search
from mnas.reports.terminal import plain_console
from mnas.runtime.pinning import allowed_cores, pin
from mnas.training.config import TrainingConfig


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Extent of the measurements."""

    children: int = 24
    """Children trained by each arrangement of workers in each round."""
    rounds: int = 5
    """Rounds in which the arrangements take turns."""
    epochs: int = 5
    """Passes over the training images."""
    images: int = 1200
    """Training images."""
    json: bool = False
    """Print one JSON object on standard output."""

    def __post_init__(self) -> None:
        for name in ("children", "rounds", "epochs", "images"):
            require_whole("worker_scaling", name, getattr(self, name))


@dataclasses.dataclass(frozen=True)
class Arrangement:
    """Workers on the cores of this machine."""

    workers: int
    threads: int = 1
    pinned: bool = True


@dataclasses.dataclass(frozen=True)
class Round:
    """One arrangement in one round.

    children_per_hour   from the first child's start to the last one's end
    seconds             mean of a child on its worker
    idle                fraction of the workers' time without a child
    """

    children_per_hour: float
    seconds: float
    idle: float


@dataclasses.dataclass(frozen=True)
class Rate:
    """One arrangement over all rounds.

    children_per_hour          median
    ratio, lowest, highest     to one pinned worker in the same round: median and range
    seconds                    mean of a child on its worker
    idle                       median fraction of the workers' time without a child
    """

    workers: int
    threads: int
    pinned: bool
    children_per_hour: float
    ratio: float
    lowest: float
    highest: float
    seconds: float
    idle: float


@dataclasses.dataclass(frozen=True)
class Ceiling:
    """Throughput of independent processes on all cores, relative to one on an idle machine."""

    work: str
    cores: int
    ratio: float


def ceilings(seconds: float = 0.3) -> list[Ceiling]:
    """Measure the ceilings of matrix products, and of copies in own cache, shared cache, memory."""
    cores = len(allowed_cores())
    (alone,) = limits_at_once(1, seconds)
    together = limits_at_once(cores, seconds)
    works: dict[str, Callable[[Limits], float]] = {
        "matrix products": lambda limits: limits.gflops,
        "copies within 1 MiB": lambda limits: limits.copy[1],
        "copies within 16 MiB": lambda limits: limits.copy[16],
        "copies within 64 MiB": lambda limits: limits.copy[64],
    }
    return [
        Ceiling(work, cores, sum(map(rate, together)) / rate(alone)) for work, rate in works.items()
    ]


def limits_at_once(processes: int, seconds: float) -> list[Limits]:
    """Measure the limits of several processes at the same time, each pinned to its own core."""
    context = multiprocessing.get_context("spawn")
    prepare = functools.partial(prepare_driver, EngineConfig())
    with concurrent.futures.ProcessPoolExecutor(processes, context, prepare) as pool:
        return list(pool.map(_pinned_limits, [seconds] * processes))


def _pinned_limits(seconds: float) -> Limits:
    pin(1)
    return measure_limits(seconds)


def rates(arguments: Arguments, log: Callable[[str], None]) -> list[Rate]:
    """Measure all arrangements of workers on this machine's cores, in turns; `log` each round."""
    cores = len(allowed_cores())
    arrangements = [
        Arrangement(workers=1),
        Arrangement(workers=cores),
        Arrangement(workers=cores, pinned=False),
        Arrangement(workers=1, threads=cores),
    ]
    rounds: dict[Arrangement, list[Round]] = {arrangement: [] for arrangement in arrangements}
    for number in range(arguments.rounds + 1):
        for arrangement in rounds:
            measured = in_new_process(train_children, arrangement, arguments)
            if number == 0:
                continue  # compiles
            rounds[arrangement].append(measured)
            log(
                f"round {number}: {arrangement.workers} workers of {arrangement.threads} threads, "
                f"{'pinned' if arrangement.pinned else 'not pinned'}: "
                f"{measured.children_per_hour:.0f} children/hour"
            )
    baseline = [measured.children_per_hour for measured in rounds[arrangements[0]]]
    return [rate(arrangement, measured, baseline) for arrangement, measured in rounds.items()]


def rate(arrangement: Arrangement, rounds: Sequence[Round], baseline: Sequence[float]) -> Rate:
    """Summarise the rounds of one arrangement; `baseline` has the children/hour to compare with."""
    hourly = [measured.children_per_hour for measured in rounds]
    ratios = [own / base for own, base in zip(hourly, baseline, strict=True)]
    return Rate(
        workers=arrangement.workers,
        threads=arrangement.threads,
        pinned=arrangement.pinned,
        children_per_hour=statistics.median(hourly),
        ratio=statistics.median(ratios),
        lowest=min(ratios),
        highest=max(ratios),
        seconds=statistics.fmean(measured.seconds for measured in rounds),
        idle=statistics.median(measured.idle for measured in rounds),
    )


def train_children(arrangement: Arrangement, arguments: Arguments) -> Round:
    """Train the children in one arrangement; call it in a process of its own."""
    engine = EngineConfig(
        workers=arrangement.workers, threads=arrangement.threads, pin=arrangement.pinned
    )
    prepare_driver(engine)
    evaluator = ProxyConfig(
        data=DataConfig(source="digits", train_images=arguments.images),
        training=TrainingConfig(epochs=arguments.epochs),
    )
    ends: list[tuple[float, float]] = []

    def observe(record: Record) -> None:
        if isinstance(record, ResultRecord) and record.duplicate_of is None:
            if record.error is not None:
                raise RuntimeError(f"a child failed: {record.error}")
            ends.append((time.perf_counter(), record.seconds))

    space = digits.EXPERIMENT.space.build()
    controller = RandomSearch().build(space)
    # A single batch, so that workers wait at only one barrier.
    config = SearchConfig(trials=arguments.children, batch=arguments.children)
    with (
        tempfile.TemporaryDirectory() as directory,
        Journal(Path(directory) / "journal") as journal,
    ):
        reward = digits.EXPERIMENT.reward
        search = Search(space, controller, reward, config, journal, (observe,))
        drive(search, evaluator, engine)
    began = min(end - seconds for end, seconds in ends)
    elapsed = max(end for end, _ in ends) - began
    busy = sum(seconds for _, seconds in ends)
    return Round(
        children_per_hour=3600 * len(ends) / elapsed,
        seconds=busy / len(ends),
        idle=1 - busy / (arrangement.workers * elapsed),
    )


def main(flags: list[str]) -> int:
    """Measure and print; return the exit status."""
    arguments = parse(Arguments, "mnas.experiments.performance.worker_scaling", flags, Arguments())
    console = plain_console(stderr=True)
    limits = ceilings()
    console.print(table(limits))
    measured = rates(arguments, console.print)
    if arguments.json:
        groups: dict[str, list[Any]] = {"ceilings": limits, "children_per_hour": measured}
        print(json.dumps({k: [dataclasses.asdict(row) for row in v] for k, v in groups.items()}))
    else:
        console.print(table(measured))
    return 0


if __name__ == "__main__":
    # New processes unpickle functions by the module's importable name.
    from mnas.experiments.performance.worker_scaling import main

    sys.exit(run_command("mnas.experiments.performance.worker_scaling", lambda: main(sys.argv[1:])))
