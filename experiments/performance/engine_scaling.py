"""What the driver of a search costs, and how many workers it keeps busy.

Command   python -m mnas.experiments.performance.engine_scaling            (--json for one JSON object)
          python -m mnas.experiments.performance.engine_scaling --engines inline --controllers random --sleepers
          ... --engines --workers --sleepers 32 --sleeper-trials 8000     sleeping actors, with dyna
          ... --engines --workers --sleepers 64 --sleeper-trials 8000
          ... --engines ray --controllers dyna --marks 8000 --sleepers --workers
Takes     mostly the 8,000 trials of each engine and controller, of seconds to minutes apiece
Expect    milliseconds of the driver and its memory at 100, 1,000 and 8,000 trials that grow no
          faster than the trials; and the share of workers that train, with batches of so many
          times their number, and sampled so many updates ahead ("stale")

The overhead is measured: real searches whose children take no time, with journal and controller as
ever; `of_10_s` is its share of a child of 10 seconds. The utilization is measured for Ray actors
that sleep in place of training, and simulated for numbers of workers that no laptop holds: real
`Search` objects in virtual time, whose driver does one thing after the other and takes the time
that it takes here. What limits a synchronous search is the barrier at the end of a batch, which the
simulation shows: with children of unequal length, a batch of one child a worker leaves many waiting
for the longest. How many real children workers do is for `mnas.experiments.performance.worker_scaling`.

Measured on 2 cores (EPYC), batch 16, milliseconds of wall time a trial: inline 0.4 with random
search at 100, 1,000 and 8,000 trials, with dyna 4.0, 3.0 and 0.9; Ray 0.9 and 2.1 at 8,000 (its
first 100 pay for the start of the workers); an earlier measurement, on another machine, had about
twice that. Memory grows by some 3 kB a trial. Sleeping actors, batches of twice as many: 16 are 75%
busy, simulated 85%; 64 are 59%, simulated 75%: two cores serve that many actors and the driver,
which the simulation has to itself.

Simulated, children of 60 s at the median mult-adds and in proportion to them, other differences
lognormal with 0.25 (as the children of `digits` take: exponent 0.94, remainder 0.25); batches as
multiples of the workers W. In brackets what it was before `Search` handed out a batch's largest
networks first:

    workers      W           2W           4W           8W   W, 1 ahead   W, 3 ahead
          8    62%    86% (69%)    95% (87%)    97% (89%)          96%          99%
         64    44%    76% (59%)    86% (78%)    95% (87%)          82%          96%
      1,000    31%    57% (46%)    84% (66%)    93% (79%)          62%          90%

So for 1,000 workers: they send 17 results a second, of which the driver takes 250 to 600; it is the
barrier that costs. Take batches of 4 to 8 times the workers, or several searches side by side.
`Search` does not sample ahead: in the simulation, searches that take turns stand for that.
"""

import contextlib
import dataclasses
import functools
import heapq
import json
import multiprocessing
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from mnas.controllers import CONTROLLERS
from mnas.search_spaces.accel_nasbench import AccelNasbenchSpace
from rich.console import Console
from rich.table import Table

from mnas.architecture.cost import network_cost
from mnas.cli.arguments import parse, report_mistakes
from mnas.engines.config import EngineConfig
from mnas.engines.drive import drive
from mnas.engines.environment import prepare_driver
from mnas.evaluation import Evaluation
from mnas.loop.config import SearchConfig
from mnas.loop.journal import FORMAT, Journal
from mnas.loop.search import Search
from mnas.loop.trial import Trial
from mnas.reward import RewardConfig

MIB = 2**20
MEDIAN_MADDS = 350e6  # of a network drawn from B0's space


@dataclasses.dataclass(frozen=True)
class Arguments:
    """How much is measured."""

    engines: tuple[str, ...] = ("inline", "ray")
    """Engines whose overhead is measured; none skips it."""
    controllers: tuple[str, ...] = ("random", "dyna")
    """Controllers for that."""
    marks: tuple[int, ...] = (100, 1000, 8000)
    """Numbers of trials at which time and memory are taken."""
    sleepers: tuple[int, ...] = (16,)
    """Numbers of Ray actors that sleep in place of training; each needs 250 MB of memory."""
    sleeper_controller: str = "dyna"
    """Controller for these."""
    sleeper_trials: int = 0
    """Trials for these; 0 for eight an actor."""
    seconds: float = 4.0
    """What an actor sleeps for a network of the median mult-adds, longer for larger ones."""
    workers: tuple[int, ...] = (8, 64, 256, 1000)
    """Numbers of simulated workers."""
    child_seconds: float = 60.0
    """What such a child takes in the simulation."""
    spread: float = 0.25
    """Standard deviation of the logarithm of both, beside what the mult-adds make of it."""
    engine_ms: float = 1.0
    """What the engine itself adds to each trial in the simulation."""
    json: bool = False
    """One JSON object on standard output."""


# --- a search of nothing: no training, real controller, real journal -----------------------------


@dataclasses.dataclass(frozen=True)
class Sleep:
    """An evaluator that sleeps, or at once has a number.

    seconds  for a network of MEDIAN_MADDS, others in proportion
    spread   of the logarithm of what else there is to it, by the trial's seed
    """

    seconds: float = 0.0
    spread: float = 0.0

    def build(self) -> functools.partial:
        return functools.partial(sleep, self)


def duration(config: Sleep, madds: int, seed: int) -> float:
    """Seconds that a child of so many mult-adds and this seed takes."""
    rest = float(np.exp(config.spread * np.random.default_rng(seed).normal()))
    return config.seconds * madds / MEDIAN_MADDS * rest


def sleep(config: Sleep, architecture: Any, seed: int, report: Any = None) -> Evaluation:
    """What `Sleep` evaluates by."""
    seconds = 0.0
    if config.seconds:
        seconds = duration(config, network_cost(architecture).mult_adds, seed)
        time.sleep(seconds)
    return Evaluation(0.3 + 0.5 * (seed % 1000) / 1000, seconds=seconds)


class Unrecorded:
    """In place of a journal, where thousands of searches of virtual time need none."""

    records: tuple[dict[str, Any], ...] = ()

    def append(self, record: dict[str, Any]) -> None:
        """Forgets it."""


@functools.cache
def parts(controller: str) -> tuple[Any, Any]:
    """Space and controller; built once, so that searches share compiled code."""
    space = AccelNasbenchSpace().build()
    return space, CONTROLLERS[controller]().build(space)


def new_search(
    controller: str, trials: int, batch: int, journal: Any, seed: int = 0, observers: tuple = ()
) -> Search:
    """A search over B0's space for a target of 400M mult-adds."""
    config = SearchConfig(trials=trials, batch=batch, seed=seed)
    return Search(*parts(controller), RewardConfig(target_madds=4e8), config, journal, observers)


def on_disk(directory: str, name: str) -> Journal:
    """A new journal, each line of which is on disk before it counts."""
    journal = Journal(Path(directory) / name)
    journal.append({"kind": "experiment", "format": FORMAT})
    return journal


# --- overhead -----------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Overhead:
    """Of one search at one number of trials: since the mark before it, for each trial.

    wall_ms, cpu_ms    of the driver's process
    of_10_s            wall_ms as a share of a child of 10 seconds on one worker, percent
    rss_mib            its resident memory there
    """

    engine: str
    controller: str
    trials: int
    wall_ms: float
    cpu_ms: float
    of_10_s: float
    rss_mib: float


def overhead(engine: str, controller: str, marks: tuple[int, ...]) -> list[Overhead]:
    """Drives a search of trivial children; call it in a process of its own."""
    config = EngineConfig(kind=engine, workers=2)
    prepare_driver(config)
    rows: list[Overhead] = []
    count, last = 0, (0, 0.0, 0.0)

    def observe(record: dict[str, Any]) -> None:
        nonlocal count, last
        count += record["kind"] == "result"
        if record["kind"] == "result" and count in marks:
            now = count, time.perf_counter(), time.process_time()
            trials, wall, cpu = (b - a for a, b in zip(last, now, strict=True))
            each = 1000 * wall / trials, 1000 * cpu / trials, 10 * wall / trials
            rows.append(Overhead(engine, controller, count, *each, resident_mib()))
            last = now

    with tempfile.TemporaryDirectory() as directory, connected(config):
        for name, trials in (("warm-up", 32), ("measured", max(marks))):
            observers = (observe,) if name == "measured" else ()
            with on_disk(directory, name) as journal:
                search = new_search(controller, trials, 16, journal, observers=observers)
                last = 0, time.perf_counter(), time.process_time()
                drive(search, Sleep(), config)
    return rows


def connected(config: EngineConfig) -> Any:
    """Ray for as long as it lasts, where the engine is that: its start is not to be measured."""
    if config.kind != "ray":
        return contextlib.nullcontext()
    from mnas.engines.ray import connect

    return connect(config)


def resident_mib() -> float:
    """Memory of this process; Linux tells."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / MIB


def apart(function: Any, *arguments: Any) -> Any:
    """What a function gives in a new process, whose memory is its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


# --- utilization --------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Utilization:
    """Share of the time that workers work.

    Simulated from the first child's start; with Ray from the second batch's, as in the first one
    actors still start, 64 of them on 2 cores for most of a minute.

    stale       updates that a batch's policy lacks: batches are sampled so many ahead
    kind        ray (actors that sleep) or simulated
    """

    kind: str
    workers: int
    batch: int
    stale: int
    trials: int
    utilization: float


def asleep(workers: int, config: Sleep, controller: str, trials: int) -> Utilization:
    """Real Ray actors, which sleep; call it in a process of its own."""
    engine = EngineConfig(kind="ray", workers=workers, pin=False)  # far more than cores
    prepare_driver(engine)
    batch = 2 * workers
    ends: list[tuple[float, float]] = []

    def observe(record: dict[str, Any]) -> None:
        if record["kind"] == "result":
            ends.append((time.perf_counter(), record["seconds"]))

    with tempfile.TemporaryDirectory() as directory, on_disk(directory, "journal") as journal:
        search = new_search(controller, trials, batch, journal, observers=(observe,))
        drive(search, config, engine)
    begun = max(end for end, _ in ends[:batch])
    busy = sum(seconds for _, seconds in ends[batch:])
    used = busy / (workers * (max(end for end, _ in ends) - begun))
    return Utilization("ray", workers, batch, 0, len(ends), used)


def simulated(
    workers: int, batch: int, stale: int, config: Sleep, engine_ms: float, batches: int = 4
) -> Utilization:
    """The same in virtual time: real searches, workers that are entries of a heap.

    A driver does one thing after the other, and each takes the CPU time that `ask` and `tell` take
    here, and `engine_ms` for a trial. Batches that are sampled `stale` updates ahead are those of
    stale + 1 searches that take turns: when one of them may sample is just the same.
    """
    each = batches * batch
    searches = [new_search("random", each, batch, Unrecorded(), seed) for seed in range(stale + 1)]
    driver, free = 0.0, workers  # when the driver has time again; workers with nothing to do
    running: list[tuple[float, int, int, Trial]] = []
    busy = 0.0
    while True:
        while free:
            index, trial, spent = next_trial(searches)
            driver += spent
            if trial is None:
                break
            free -= 1
            driver += engine_ms / 1000
            seconds = duration(config, trial.cost.mult_adds, trial.seed)
            busy += seconds
            heapq.heappush(running, (driver + seconds, trial.number, index, trial))
        if not running:
            break
        end, _, index, trial = heapq.heappop(running)
        driver = max(driver, end)
        begun = time.process_time()
        searches[index].tell(trial, Evaluation(0.5))
        driver += time.process_time() - begun
        free += 1
        last = end
    trials = each * len(searches)
    return Utilization("simulated", workers, batch, stale, trials, busy / (workers * last))


def next_trial(searches: list[Search]) -> tuple[int, Trial | None, float]:
    """Of the search that is furthest behind and has one; the seconds that asking took."""
    begun = time.process_time()
    order = sorted(range(len(searches)), key=lambda index: (searches[index].batches_done, index))
    for index in order:
        if (trial := searches[index].ask()) is not None:
            break
    return index, trial, time.process_time() - begun


# --- all of it ----------------------------------------------------------------------------------


def main(arguments: list[str]) -> int:
    """Measures, simulates, prints."""
    chosen = parse(Arguments, "engine_scaling", arguments, Arguments())
    console = Console(stderr=True, highlight=False)
    costs: list[Overhead] = []
    for engine in chosen.engines:
        for controller in chosen.controllers:
            console.print(f"measuring: {engine}, {controller}")
            costs += apart(overhead, engine, controller, chosen.marks)
    used: list[Utilization] = []
    sleeping = Sleep(chosen.seconds, chosen.spread)
    for workers in chosen.sleepers:
        console.print(f"sleeping: {workers} Ray actors")
        trials = chosen.sleeper_trials or 8 * workers
        used.append(apart(asleep, workers, sleeping, chosen.sleeper_controller, trials))
        used.append(simulated(workers, 2 * workers, 0, sleeping, chosen.engine_ms))
    child = Sleep(chosen.child_seconds, chosen.spread)
    for workers in chosen.workers:
        for times, stale in ((1, 0), (2, 0), (4, 0), (8, 0), (1, 1), (1, 3)):
            batch = times * workers
            used.append(simulated(workers, batch, stale, child, chosen.engine_ms))
    if chosen.json:
        found = {"overhead": costs, "utilization": used}
        rows = {name: [dataclasses.asdict(row) for row in rows] for name, rows in found.items()}
        print(json.dumps(rows))
        return 0
    for rows in filter(None, (costs, used)):
        console.print(table(rows))
    return 0


def table(rows: list[Any]) -> Table:
    """Dataclasses as lines."""
    shown = Table(*(field.name for field in dataclasses.fields(rows[0])), box=None, pad_edge=False)
    for row in rows:
        values = dataclasses.astuple(row)
        shown.add_row(*(f"{v:.3f}" if isinstance(v, float) else f"{v}" for v in values))
    return shown


if __name__ == "__main__":
    # By its importable name, which is how workers know the evaluator.
    from mnas.experiments.performance.engine_scaling import main

    sys.exit(report_mistakes("engine_scaling", lambda: main(sys.argv[1:])))
