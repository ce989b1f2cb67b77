"""Searches without training, their journals, and processes to measure them in.

The controller and the journal are a search's own; only the evaluator is replaced.
"""

import dataclasses
import functools
import json
import multiprocessing
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any, TypeVar

import numpy as np
from rich.console import Console
from rich.table import Table

from mnas.architecture.architecture import Architecture
from mnas.architecture.cost import network_cost
from mnas.controller import Controller
from mnas.evaluation import Evaluation
from mnas.experiment import registry
from mnas.loop.config import SearchConfig
from mnas.loop.search import Search
from mnas.reward import RewardConfig
from mnas.search_spaces.accel_nasbench import AccelNasbenchSpace
from mnas.space import Space

T = TypeVar("T")
MEDIAN_MADDS = 350e6  # of a random network of B0's space


@dataclasses.dataclass(frozen=True)
class Sleep:
    """Evaluator that sleeps in place of training.

    seconds  for a network of MEDIAN_MADDS, others in proportion; 0 returns at once
    spread   standard deviation of the logarithm of a lognormal factor, drawn by the trial's seed
    """

    seconds: float = 0.0
    spread: float = 0.0

    def build(self) -> "functools.partial[Evaluation]":
        """Return the evaluator."""
        return functools.partial(sleep, self)

    def duration(self, mult_adds: int, seed: int) -> float:
        """Return the seconds of a child with these mult-adds and this seed."""
        factor = float(np.exp(self.spread * np.random.default_rng(seed).normal()))
        return self.seconds * mult_adds / MEDIAN_MADDS * factor


def sleep(
    config: Sleep, architecture: Architecture, seed: int, report: object = None
) -> Evaluation:
    """Sleep for the duration of a child; its accuracy is a function of the seed."""
    seconds = 0.0
    if config.seconds:
        seconds = config.duration(network_cost(architecture).mult_adds, seed)
        time.sleep(seconds)
    return Evaluation(0.3 + 0.5 * (seed % 1000) / 1000, seconds=seconds)


@functools.cache
def space_and_controller(controller: str) -> tuple[Space, Controller]:
    """Build B0's space and the named controller once, so that searches share compiled code."""
    space = AccelNasbenchSpace().build()
    return space, registry.load("controller", controller)().build(space)


def new_search(
    controller: str,
    trials: int,
    batch: int,
    journal: Any,
    seed: int = 0,
    observers: tuple[Callable[..., None], ...] = (),
) -> Search:
    """Return a search over B0's space with a target of 400M mult-adds."""
    config = SearchConfig(trials=trials, batch=batch, seed=seed)
    parts = space_and_controller(controller)
    return Search(*parts, RewardConfig(target_madds=4e8), config, journal, observers)


def in_new_process(function: Callable[..., T], *arguments: object) -> T:
    """Call `function` in a new process, so that its memory and its caches are its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def table(rows: Sequence[Any]) -> Table:
    """Return a table of dataclass instances, one a line, one field a column."""
    shown = Table(*(field.name for field in dataclasses.fields(rows[0])), box=None, pad_edge=False)
    for row in rows:
        values = dataclasses.astuple(row)
        shown.add_row(*(f"{v:.3f}" if isinstance(v, float) else f"{v}" for v in values))
    return shown


def print_rows(rows: Sequence[Any], console: Console, as_json: bool) -> None:
    """Print dataclass instances: as JSON on standard output, or as a table on `console`."""
    if as_json:
        print(json.dumps([dataclasses.asdict(row) for row in rows]))
    else:
        console.print(table(rows))
