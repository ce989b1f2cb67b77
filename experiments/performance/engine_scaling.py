"""Measure the driver's overhead for each trial, and the utilization of workers.

Command   python -m mnas.experiments.performance.engine_scaling [--json]
          ... --engines inline --controllers random --sleepers --workers     overhead alone
          ... --engines --workers --sleepers 64 --sleeper-trials 8000        sleeping actors alone
Cost      minutes to an hour, most of it the 8,000 trials of each engine and controller
Expect    time and memory of the driver that grow no faster than the number of trials; utilization
          of 95% and more with batches of 4 to 8 times the workers
Results   docs/results/workers.md

Overhead is measured by complete searches whose children take no time. Utilization is measured with
Ray actors that sleep in place of training, and simulated for numbers of workers beyond one machine
(`mnas.experiments.performance.simulation`). `mnas.experiments.performance.worker_scaling` measures
workers that train.
"""

import contextlib
import dataclasses
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Literal

from mnas.cli.arguments import parse
from mnas.cli.command import run_command
from mnas.engines.config import EngineConfig
from mnas.engines.drive import drive
from mnas.engines.environment import prepare_driver
from mnas.experiments.performance.harness import (
    Sleep,
    in_new_process,
    new_search,
    table,
)
from mnas.experiments.performance.simulation import Utilization, simulate
from mnas.loop.journal import Journal
from mnas.loop.records import Record, ResultRecord
from mnas.reports.terminal import plain_console

Engine = Literal["inline", "ray", "tune"]
MIB = 2**20


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Extent of the measurements."""

    engines: tuple[Engine, ...] = ("inline", "ray")
    """Engines whose overhead is measured; none skips it."""
    controllers: tuple[str, ...] = ("random", "dyna")
    """Controllers whose overhead is measured."""
    marks: tuple[int, ...] = (100, 1000, 8000)
    """Numbers of trials at which time and memory are taken."""
    sleepers: tuple[int, ...] = (16,)
    """Numbers of Ray actors that sleep in place of training; each needs 250 MB of memory."""
    sleeper_controller: str = "dyna"
    """Controller of the searches with sleeping actors."""
    sleeper_trials: int = 0
    """Trials of these searches; 0 for eight an actor."""
    seconds: float = 4.0
    """Sleep for a network of the median mult-adds, in proportion for others."""
    workers: tuple[int, ...] = (8, 64, 256, 1000)
    """Numbers of simulated workers."""
    child_seconds: float = 60.0
    """Duration of a simulated child of the median mult-adds."""
    spread: float = 0.25
    """Standard deviation of the logarithm of both durations, apart from mult-adds."""
    engine_ms: float = 1.0
    """Simulated time of the engine for each trial, milliseconds."""
    json: bool = False
    """Print one JSON object on standard output."""


# --- overhead -----------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Overhead:
    """Cost of the driver for each trial since the previous mark.

    wall_ms, cpu_ms        of the driver's process
    percent_of_10_s_child  wall_ms relative to a child of 10 seconds on one worker
    rss_mib                resident memory of the process at the mark
    """

    engine: Engine
    controller: str
    trials: int
    wall_ms: float
    cpu_ms: float
    percent_of_10_s_child: float
    rss_mib: float


def overhead(engine: Engine, controller: str, marks: tuple[int, ...]) -> list[Overhead]:
    """Run a search of instantaneous children; call it in a process of its own."""
    config = EngineConfig(kind=engine, workers=2)
    prepare_driver(config)
    rows: list[Overhead] = []
    count, last = 0, (0, 0.0, 0.0)

    def observe(record: Record) -> None:
        nonlocal count, last
        if not isinstance(record, ResultRecord):
            return
        count += 1
        if count in marks:
            now = count, time.perf_counter(), time.process_time()
            trials, wall, cpu = (b - a for a, b in zip(last, now, strict=True))
            wall_ms, cpu_ms = 1000 * wall / trials, 1000 * cpu / trials
            mib = resident_mib()
            rows.append(Overhead(engine, controller, count, wall_ms, cpu_ms, wall_ms / 100, mib))
            last = now

    with tempfile.TemporaryDirectory() as directory, connected(config):
        for name, trials in (("warm-up", 32), ("measured", max(marks))):
            observers = (observe,) if name == "measured" else ()
            with Journal(Path(directory) / name) as journal:
                search = new_search(controller, trials, 16, journal, observers=observers)
                last = 0, time.perf_counter(), time.process_time()
                drive(search, Sleep(), config)
    return rows


def connected(config: EngineConfig) -> contextlib.AbstractContextManager[Any]:
    """Return a context with a running Ray if the engine needs one; its start is not measured."""
    if config.kind != "ray":
        return contextlib.nullcontext()
    from mnas.engines.ray_connection import connect

    return connect(config)


def resident_mib() -> float:
    """Return the resident memory of this process, MiB (Linux)."""
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    return pages * 4096 / MIB


# --- utilization --------------------------------------------------------------------------------


def sleeping_actors(workers: int, config: Sleep, controller: str, trials: int) -> Utilization:
    """Run a search with Ray actors that sleep; call it in a process of its own."""
    engine = EngineConfig(kind="ray", workers=workers, pin=False)  # more workers than cores
    prepare_driver(engine)
    batch = 2 * workers
    ends: list[tuple[float, float]] = []

    def observe(record: Record) -> None:
        if isinstance(record, ResultRecord):
            ends.append((time.perf_counter(), record.seconds))

    with (
        tempfile.TemporaryDirectory() as directory,
        Journal(Path(directory) / "journal") as journal,
    ):
        search = new_search(controller, trials, batch, journal, observers=(observe,))
        drive(search, config, engine)
    began = max(end for end, _ in ends[:batch])
    busy_seconds = sum(seconds for _, seconds in ends[batch:])
    utilization = busy_seconds / (workers * (max(end for end, _ in ends) - began))
    return Utilization("ray", workers, batch, 0, len(ends), utilization)


# --- command ------------------------------------------------------------------------------------


def main(flags: list[str]) -> int:
    """Measure, simulate and print; return the exit status."""
    arguments = parse(Arguments, "mnas.experiments.performance.engine_scaling", flags, Arguments())
    console = plain_console(stderr=True)
    overheads: list[Overhead] = []
    for engine in arguments.engines:
        for controller in arguments.controllers:
            console.print(f"overhead: {engine}, {controller}")
            overheads += in_new_process(overhead, engine, controller, arguments.marks)
    utilizations: list[Utilization] = []
    sleep = Sleep(arguments.seconds, arguments.spread)
    for workers in arguments.sleepers:
        console.print(f"utilization: {workers} sleeping Ray actors")
        trials = arguments.sleeper_trials or 8 * workers
        utilizations.append(
            in_new_process(sleeping_actors, workers, sleep, arguments.sleeper_controller, trials)
        )
        utilizations.append(simulate(workers, 2 * workers, 0, sleep.duration, arguments.engine_ms))
    child = Sleep(arguments.child_seconds, arguments.spread)
    for workers in arguments.workers:
        for factor, stale in ((1, 0), (2, 0), (4, 0), (8, 0), (1, 1), (1, 3)):
            batch = factor * workers
            utilizations.append(
                simulate(workers, batch, stale, child.duration, arguments.engine_ms)
            )
    if arguments.json:
        groups: dict[str, list[Any]] = {"overhead": overheads, "utilization": utilizations}
        print(json.dumps({k: [dataclasses.asdict(row) for row in v] for k, v in groups.items()}))
        return 0
    for rows in (overheads, utilizations):
        if rows:
            console.print(table(rows))
    return 0


if __name__ == "__main__":
    # Workers unpickle the evaluator and functions by the module's importable name.
    from mnas.experiments.performance.engine_scaling import main

    sys.exit(run_command("mnas.experiments.performance.engine_scaling", lambda: main(sys.argv[1:])))
