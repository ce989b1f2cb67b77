"""Soak test: time and memory of the driver over a long search, and the time to resume it.

Command   python -m mnas.experiments.performance.soak [--json]
          ... --engine ray --controllers random
Cost      a minute for each controller of the inline engine, on 2 cores
Expect    no growth of the time a trial; a few kB of memory a trial, which is the search's own
          results; seconds to resume

The search is `b0-imagenet` on the surrogate, in a process of its own. Each window of trials gives
one mean time and one reading of the memory; slopes are least-squares lines over the windows after
the first, which compiles, with 95% intervals of Student's t.
"""

import contextlib
import dataclasses
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from scipy import stats

from mnas.cli.arguments import parse
from mnas.cli.command import run_command
from mnas.engines.config import EngineConfig
from mnas.errors import require_whole
from mnas.experiment import registry, run
from mnas.experiment.settings import Experiment
from mnas.experiments.performance.engine_scaling import resident_mib
from mnas.experiments.performance.harness import in_new_process, table
from mnas.loop.records import Record, ResultRecord
from mnas.reports.terminal import plain_console


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Extent of the soak test."""

    controllers: tuple[str, ...] = ("random", "reinforce", "dyna")
    """Controllers, one search each."""
    engine: Literal["inline", "ray"] = "inline"
    """Engine of the searches."""
    trials: int = 20_000
    """Trials of each search."""
    windows: int = 20
    """Windows of equal numbers of trials, at least four."""
    json: bool = False
    """Print one JSON object on standard output."""

    def __post_init__(self) -> None:
        require_whole("soak", "windows", self.windows, least=4)
        require_whole("soak", "trials", self.trials, least=self.windows, most=10**7)


@dataclasses.dataclass(frozen=True)
class Window:
    """Means over the trials of a window, and the memory at its end.

    trials       since the start of the search
    rss_mib      of the driver
    workers_mib  of all workers together; 0 without any
    """

    trials: int
    wall_ms: float
    cpu_ms: float
    rss_mib: float
    workers_mib: float


@dataclasses.dataclass(frozen=True)
class Slope:
    """Change over 1,000 trials, with the limits of its 95% interval."""

    value: float
    low: float
    high: float

    @classmethod
    def fit(cls, trials: Sequence[float], values: Sequence[float]) -> "Slope":
        """Return the slope of the least-squares line through N >= 3 points."""
        if len(set(values)) == 1:  # SciPy divides by the values' variance.
            return cls(0.0, 0.0, 0.0)
        line = stats.linregress(np.array(trials) / 1000, values)
        half = float(stats.t.ppf(0.975, len(trials) - 2) * line.stderr)
        return cls(float(line.slope), float(line.slope) - half, float(line.slope) + half)


@dataclasses.dataclass(frozen=True)
class Soak:
    """A search and its resumption.

    wall_ms         median over the windows; cpu_ms, of the driver's processor time
    wall_ms_slope   of the windows' milliseconds a trial, over 1,000 trials
    cpu_ms_slope    likewise; other processes disturb it less
    rss_mib_slope   of the windows' memory, MiB over 1,000 trials; workers_mib_slope, likewise
    resume_seconds  to open the finished search again; resume_cpu_seconds, of processor time
    resume_mib      memory of that process
    """

    engine: str
    controller: str
    trials: int
    wall_ms: float
    cpu_ms: float
    wall_ms_slope: Slope
    cpu_ms_slope: Slope
    rss_mib_slope: Slope
    workers_mib_slope: Slope
    journal_mib: float
    resume_seconds: float
    resume_cpu_seconds: float
    resume_mib: float
    windows: tuple[Window, ...]


def soaked_experiment(controller: str, engine: Literal["inline", "ray"], trials: int) -> Experiment:
    """Return the experiment b0-imagenet with this controller, engine and length."""
    experiment = registry.load_experiment("b0-imagenet")
    return dataclasses.replace(
        experiment,
        controller=registry.load("controller", controller)(),
        search=dataclasses.replace(experiment.search, trials=trials),
        engine=EngineConfig(kind=engine),
    )


def workers_mib() -> float:
    """Return the resident memory of all Ray workers below this process, MiB (Linux)."""
    parents, found = {}, {}
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # It has ended.
            fields = (path / "stat").read_text(encoding="utf-8", errors="replace")
            parents[int(path.name)] = int(fields.rpartition(")")[2].split()[1])
            if (path / "cmdline").read_bytes().startswith(b"ray::Worker"):
                pages = (path / "statm").read_text(encoding="utf-8").split()[1]
                found[int(path.name)] = int(pages) * 4096 / 2**20
    total = 0.0
    for process, size in found.items():
        while process not in (0, os.getpid()):
            process = parents.get(process, 0)
        total += size if process else 0.0
    return total


def measure(experiment: Experiment, directory: Path, windows: int) -> list[Window]:
    """Run the search and return its windows; call it in a process of its own."""
    run.check(experiment)
    run.create(experiment, directory)
    size = (experiment.search.trials or 0) // windows
    measured: list[Window] = []
    count, last = 0, (time.perf_counter(), time.process_time())

    def observe(record: Record) -> None:
        nonlocal count, last
        if not isinstance(record, ResultRecord):
            return
        count += 1
        if count % size == 0:
            now = time.perf_counter(), time.process_time()
            wall, cpu = (1000 * (b - a) / size for a, b in zip(last, now, strict=True))
            measured.append(Window(count, wall, cpu, resident_mib(), workers_mib()))
            last = now

    with run.opened(experiment, directory, (observe,)) as search:
        run.drive(experiment, search)
    return measured


def resumption(experiment: Experiment, directory: Path) -> tuple[float, float, float]:
    """Return wall and processor seconds to open a finished search, and the memory then, MiB."""
    run.check(experiment)
    start, cpu = time.perf_counter(), time.process_time()
    with run.opened(experiment, directory):
        return time.perf_counter() - start, time.process_time() - cpu, resident_mib()


def soak(controller: str, arguments: Arguments) -> Soak:
    """Measure one search and its resumption."""
    experiment = soaked_experiment(controller, arguments.engine, arguments.trials)
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        windows = in_new_process(measure, experiment, directory, arguments.windows)
        journal_mib = (directory / "journal.jsonl").stat().st_size / 2**20
        seconds, cpu_seconds, resume_mib = in_new_process(resumption, experiment, directory)
    trials = [window.trials for window in windows[1:]]
    return Soak(
        arguments.engine,
        controller,
        arguments.trials,
        float(np.median([window.wall_ms for window in windows])),
        float(np.median([window.cpu_ms for window in windows])),
        Slope.fit(trials, [window.wall_ms for window in windows[1:]]),
        Slope.fit(trials, [window.cpu_ms for window in windows[1:]]),
        Slope.fit(trials, [window.rss_mib for window in windows[1:]]),
        Slope.fit(trials, [window.workers_mib for window in windows[1:]]),
        journal_mib,
        seconds,
        cpu_seconds,
        resume_mib,
        tuple(windows),
    )


def main(flags: list[str]) -> int:
    """Measure and print; return the exit status."""
    arguments = parse(Arguments, "mnas.experiments.performance.soak", flags, Arguments())
    console = plain_console(stderr=True)
    results = []
    for controller in arguments.controllers:
        console.print(f"{arguments.engine}, {controller}: {arguments.trials:,} trials")
        results.append(soak(controller, arguments))
    if arguments.json:
        print(json.dumps([dataclasses.asdict(result) for result in results]))
        return 0
    for result in results:
        console.print(table(result.windows))
        for unit, slope in (
            ("ms a trial", result.wall_ms_slope),
            ("ms of processor time a trial", result.cpu_ms_slope),
            ("MiB", result.rss_mib_slope),
            ("MiB of the workers", result.workers_mib_slope),
        ):
            console.print(
                f"{result.controller}: {slope.value:+.4f} {unit} over 1,000 trials "
                f"({slope.low:+.4f} to {slope.high:+.4f})"
            )
        console.print(
            f"{result.controller}: {result.wall_ms:.2f} ms a trial (median); journal "
            f"{result.journal_mib:.1f} MiB; resumed in {result.resume_seconds:.1f} s, "
            f"{result.resume_cpu_seconds:.1f} s of processor time"
        )
    return 0


if __name__ == "__main__":
    sys.exit(run_command("mnas.experiments.performance.soak", lambda: main(sys.argv[1:])))
