"""`mnas benchmark`: speed on this machine, beside peers."""

import dataclasses
import json
from typing import Annotated

import tyro
from rich.console import Console

from mnas.benchmark import QUICK, Benchmark, BenchmarkConfig
from mnas.benchmark.progress import BenchmarkProgress
from mnas.benchmark.table import tables
from mnas.cli import parse
from mnas.verbs import write


@dataclasses.dataclass(frozen=True)
class BenchmarkArguments:
    """The project's own speed figures on this machine's CPU, beside those of peers."""

    config: Annotated[BenchmarkConfig, tyro.conf.arg(name="")] = BenchmarkConfig()
    quick: bool = False
    """Small numbers, for a first look: minutes, and rough. Flags that are given still count."""
    json: bool = False
    """One JSON object on standard output."""
    out: str | None = None
    """File for the same JSON object, written after each phase with what is known by then."""


def benchmark(arguments: list[str]) -> None:
    """`mnas benchmark`."""
    default = BenchmarkArguments(QUICK if "--quick" in arguments else BenchmarkConfig())
    chosen = parse(BenchmarkArguments, "mnas benchmark", arguments, default)
    running = Benchmark(chosen.config, BenchmarkProgress())
    for _ in running.run():
        if chosen.out is not None:
            write(chosen.out, json.dumps(running.result, indent=2, allow_nan=False))
    if chosen.json:
        print(json.dumps(running.result, indent=2, allow_nan=False))
        return
    console = Console(highlight=False, markup=False)
    for table in tables(running.result):
        console.print(table, "")
