"""Measure how children are trained fastest: blocks or whole networks, precision, number at once.

Command   python -m mnas.experiments.performance.children [--device gpu] [--json]
Cost      30 minutes on 2 cores; less with --rounds 2 --children 2
Expect    on CPUs: blocks in float32, one child on each core
Results   docs/results/speed.md

Children are random networks of the default search, trained as it trains them, in processes with the
environment of its workers. Configurations take turns, and all train the same children in a round.
Each has a compilation cache of its own, empty at first. Every child is new, as in a search:
compilation of whole networks is part of each, while that of blocks becomes rarer with every child.
On a CPU, time is that of the processor, so that other work on the machine does not count.
"""

import contextlib
import dataclasses
import functools
import itertools
import json
import math
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from threading import BrokenBarrierError
from typing import Any, Literal, cast, get_args

import numpy as np

from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from mnas.cli.arguments import parse
from mnas.cli.command import run_command
from mnas.engines.config import EngineConfig
from mnas.engines.environment import (
    backend_of,
    environment_variables,
    pinned_cores,
    process_environment,
)
from mnas.errors import RunFailure, rejected, require_whole
from mnas.evaluation import Evaluation, Evaluator, evaluate_safely
from mnas.evaluators.proxy import ProxyConfig
from mnas.experiments.digits import EXPERIMENT
from mnas.experiments.performance.harness import in_new_process, table
from mnas.loop.selection import half_interval
from mnas.reports.terminal import plain_console
from mnas.runtime.backends import Precision, Program
from mnas.runtime.pinning import pin
from mnas.runtime.process_pool import process_pool

START_SECONDS = 1800  # until all processes of a turn have trained their first child


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Device and extent of the measurements."""

    device: Literal["cpu", "gpu"] = "cpu"
    """Device to train on."""
    programs: tuple[str, ...] = get_args(Program)
    """How children are trained: blocks, whole."""
    precisions: tuple[str, ...] = get_args(Precision)
    """Types of activations: float32, bfloat16."""
    at_once: tuple[int, ...] = (1, 2)
    """Children trained at once: on cores of their own, or on one GPU."""
    rounds: int = 3
    """Rounds in which the configurations take turns."""
    children: int = 4
    """Children of a configuration in a round."""
    epochs: int = 3
    """Epochs of each child."""
    images: int = 960
    """Training images."""
    resolution: int = 32
    """Resolution of the images, pixels."""
    json: bool = False
    """Print one JSON object."""

    def __post_init__(self) -> None:
        for field in ("rounds", "epochs", "images"):
            require_whole("children", field, getattr(self, field))
        require_whole("children", "resolution", self.resolution, least=8)
        known: dict[str, tuple[str, ...]] = {
            "programs": get_args(Program),
            "precisions": get_args(Precision),
        }
        for field, accepted in known.items():
            values = getattr(self, field)
            if not values or any(value not in accepted for value in values):
                raise rejected("children", field, values, f"some of {', '.join(accepted)}")
        if not self.at_once:
            raise rejected("children", "at_once", self.at_once, "numbers of at least 1")
        for count in self.at_once:
            require_whole("children", "at_once", count)
        require_whole("children", "children", self.children, least=max(self.at_once))


@dataclasses.dataclass(frozen=True)
class Configuration:
    """One way to train children."""

    program: Program
    precision: Precision
    at_once: int

    def engine(self, device: str) -> EngineConfig:
        """Return the settings of the workers."""
        share = 1 / self.at_once if device == "gpu" else 0.0
        return EngineConfig(workers=self.at_once, gpus_per_worker=share)

    def evaluator(self, arguments: Arguments) -> ProxyConfig:
        """Return the settings of the training."""
        config: ProxyConfig = EXPERIMENT.evaluator
        data = dataclasses.replace(config.data, train_images=arguments.images)
        training = dataclasses.replace(
            config.training, epochs=arguments.epochs, precision=self.precision
        )
        return dataclasses.replace(config, data=data, training=training, program=self.program)


@dataclasses.dataclass(frozen=True)
class Row:
    """Rates of a configuration, all processes together, and ratios to the first configuration.

    children_per_hour   training, validation and compilation, while all processes are busy; after
                        a network of one block, with which each process begins
    compiling           fraction of that time for compiling, tracing and reading programs
    images_per_second   training images, without that time
    ratio, half         geometric mean over rounds of children/hour relative to the first
                        configuration, and half of its 95% interval (of the logarithm, × ratio)
    images_ratio, images_half   the same of images/s
    rounds              rounds that were measured; 0 where children failed, for lack of memory say
    """

    program: str
    precision: str
    at_once: int
    children_per_hour: float
    compiling: float
    images_per_second: float
    ratio: float
    half: float
    images_ratio: float
    images_half: float
    rounds: int


@dataclasses.dataclass(frozen=True)
class Turn:
    """Time of the children of a configuration in one round, summed over processes.

    steady  without compiling, tracing and reading programs
    """

    seconds: float
    steady: float


def measure(arguments: Arguments, log: Callable[[str], None]) -> list[Row]:
    """Return a row for each configuration."""
    ways = itertools.product(arguments.programs, arguments.precisions, arguments.at_once)
    configurations = [
        Configuration(cast(Program, program), cast(Precision, precision), count)
        for program, precision, count in ways
    ]
    children = random_children(arguments.rounds * arguments.children, arguments.resolution)
    turns: dict[Configuration, list[Turn]] = {each: [] for each in configurations}
    failed: set[Configuration] = set()
    with tempfile.TemporaryDirectory(prefix="mnas-children-") as directory:
        for number in range(arguments.rounds):
            first = number * arguments.children
            parts = children[first : first + arguments.children]
            for index, each in enumerate(configurations):
                if each in failed:
                    continue
                name = f"{each.program}, {each.precision}, {each.at_once} at once"
                try:
                    turn = take_turn(each, arguments, parts, Path(directory) / str(index))
                except RunFailure as error:
                    failed.add(each)
                    log(f"{name}: {error}")
                    continue
                turns[each].append(turn)
                rate = 3600 * each.at_once * arguments.children / turn.seconds
                compiling = f"{1 - turn.steady / turn.seconds:.0%} compiling"
                log(f"round {number + 1}: {name}: {rate:,.1f} children/hour, {compiling}")
    return [_row(each, arguments, turns) for each in configurations]


def random_children(count: int, resolution: int) -> list[Architecture]:
    """Return different random networks of the default search's space."""
    space = dataclasses.replace(EXPERIMENT.space, resolution=resolution).build()
    rng = np.random.default_rng(0)
    children: dict[str, Architecture] = {}
    while len(children) < count:
        child = space.decode(space.sample(rng))
        children.setdefault(child.canonical_hash(), child)
    return list(children.values())


def take_turn(
    configuration: Configuration,
    arguments: Arguments,
    children: Sequence[Architecture],
    cache: Path,
) -> Turn:
    """Train the children in new processes; return their time.

    Raises RunFailure where a child fails, or a process is killed.
    """
    engine, count = configuration.engine(arguments.device), configuration.at_once
    barrier = multiprocessing.get_context("spawn").Barrier(count)
    cache.mkdir(mode=0o700, exist_ok=True)
    first = Architecture(
        (Block(kernel=3, stride=2, filters=8),),
        resolution=arguments.resolution,
        classes=children[0].classes,
    )
    settings = (configuration.evaluator(arguments), engine, first, barrier)
    try:
        with (
            environment_variables({"JAX_COMPILATION_CACHE_DIR": str(cache)}),
            process_environment(engine),
            process_pool(count, _initialize, *settings) as pool,
        ):
            futures = [pool.submit(_train, child, seed) for seed, child in enumerate(children)]
            results = [future.result() for future in futures]
    except BrokenProcessPool:
        raise RunFailure(
            "a process did not start or was killed, for lack of memory maybe"
        ) from None
    seconds = steady = 0.0
    for evaluation, processor_seconds in results:
        if evaluation.error is not None:
            raise RunFailure(evaluation.error)
        timings = evaluation.timings
        compiling = sum(timings[f"{kind}_seconds"] for kind in ("compile", "trace", "cache_read"))
        used = processor_seconds if arguments.device == "cpu" else evaluation.seconds
        seconds += used
        steady += used * (1 - compiling / evaluation.seconds)
    return Turn(seconds, steady)


def _backend() -> str:
    return backend_of(EngineConfig(kind="inline"))


# The evaluator of a process, built once by `_initialize`.
_evaluate: Evaluator


def _initialize(
    config: ProxyConfig, engine: EngineConfig, first: Architecture, barrier: Any
) -> None:
    """Train a small network, and wait until all processes have, to be busy at the same time."""
    global _evaluate
    if cores := pinned_cores(engine):
        pin(cores)
    _evaluate = config.build()
    evaluate_safely(_evaluate, first, 0)
    with contextlib.suppress(BrokenBarrierError):  # another process was killed
        barrier.wait(START_SECONDS)


def _train(child: Architecture, seed: int) -> tuple[Evaluation, float]:
    """Return the evaluation of a child, and the seconds of the processor that it took."""
    began = time.process_time()
    evaluation = evaluate_safely(_evaluate, child, seed)
    return evaluation, time.process_time() - began


def _row(
    configuration: Configuration, arguments: Arguments, turns: dict[Configuration, list[Turn]]
) -> Row:
    """Return the rates of a configuration; NaN where it failed."""
    own, base = turns[configuration], next(iter(turns))
    reference, count = turns[base], configuration.at_once
    row = functools.partial(Row, configuration.program, configuration.precision, count)
    if len(own) < arguments.rounds or len(reference) < arguments.rounds:
        nan = math.nan
        return row(nan, nan, nan, nan, nan, nan, nan, rounds=0)
    factor = count / base.at_once
    seconds, steady = (sum(times) for times in zip(*map(dataclasses.astuple, own), strict=True))
    children = arguments.rounds * arguments.children
    pairs = [*zip(own, reference, strict=True)]
    ratio, half = _ratio([factor * theirs.seconds / ours.seconds for ours, theirs in pairs])
    images = [factor * theirs.steady / ours.steady for ours, theirs in pairs]
    images_ratio, images_half = _ratio(images)
    return row(
        children_per_hour=3600 * count * children / seconds,
        compiling=1 - steady / seconds,
        images_per_second=count * children * arguments.epochs * arguments.images / steady,
        ratio=ratio,
        half=half,
        images_ratio=images_ratio,
        images_half=images_half,
        rounds=arguments.rounds,
    )


def _ratio(ratios: Sequence[float]) -> tuple[float, float]:
    """Return the geometric mean, and half of its 95% interval; NaN for one round."""
    logarithms = [math.log(ratio) for ratio in ratios]
    mean = math.exp(statistics.fmean(logarithms))
    if len(ratios) == 1:
        return mean, math.nan
    return mean, mean * half_interval(statistics.stdev(logarithms), len(ratios))


def main(flags: list[str]) -> int:
    """Measure and print; return the exit status."""
    arguments = parse(Arguments, "mnas.experiments.performance.children", flags, Arguments())
    if arguments.device == "gpu":
        engine = EngineConfig(gpus_per_worker=1)
        with process_environment(engine):
            found = in_new_process(_backend)
        if found != "gpu":
            raise rejected("children", "device", "gpu", f"{found}, the only one that JAX has here")
    console = plain_console(stderr=True)
    rows = measure(arguments, lambda line: console.print(line, soft_wrap=True))
    if arguments.json:
        plain = [
            {name: None if value != value else value for name, value in row.items()}
            for row in map(dataclasses.asdict, rows)
        ]
        print(json.dumps({"settings": dataclasses.asdict(arguments), "rows": plain}))
    else:
        plain_console(stderr=True, width=max(console.width, 150)).print(table(rows))
    return 0 if all(row.rounds for row in rows) else 1


if __name__ == "__main__":
    sys.exit(run_command("mnas.experiments.performance.children", lambda: main(sys.argv[1:])))
