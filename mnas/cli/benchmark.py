"""`mnas benchmark`: speed on this machine, beside peers."""

import dataclasses
import json
from collections.abc import Callable
from typing import Annotated, Any

import tyro
from rich.console import Console
from rich.table import Table

from mnas.benchmark import QUICK, Benchmark, BenchmarkConfig, inference
from mnas.benchmark.inference import InferenceBenchmark, InferenceConfig
from mnas.benchmark.progress import BenchmarkProgress
from mnas.benchmark.table import tables
from mnas.cli.arguments import parse, write


@dataclasses.dataclass(frozen=True)
class BenchmarkArguments:
    """The project's own speed figures on this machine's CPU, beside those of peers.

    With --inference, first or anywhere, figures of inference and not of training; its own settings
    are told by --inference --help.
    """

    config: Annotated[BenchmarkConfig, tyro.conf.arg(name="")] = BenchmarkConfig()
    quick: bool = False
    """Small numbers, for a first look: minutes, and rough. Flags that are given still count."""
    json: bool = False
    """One JSON object on standard output."""
    out: str | None = None
    """File for the same JSON object, written after each phase with what is known by then."""


@dataclasses.dataclass(frozen=True)
class InferenceArguments:
    """Inference of published networks on this machine's CPU, beside PyTorch's."""

    config: Annotated[InferenceConfig, tyro.conf.arg(name="")] = InferenceConfig()
    json: bool = False
    """One JSON object on standard output."""
    out: str | None = None
    """File for the same JSON object, written after each network with what is known by then."""


def benchmark(arguments: list[str]) -> None:
    """`mnas benchmark`, of training; with --inference, of inference."""
    progress = BenchmarkProgress()
    if "--inference" in arguments:
        rest = [word for word in arguments if word != "--inference"]
        chosen = parse(InferenceArguments, "mnas benchmark --inference", rest, InferenceArguments())
        _run(InferenceBenchmark(chosen.config, progress), chosen, inference.tables)
        return
    default = BenchmarkArguments(QUICK if "--quick" in arguments else BenchmarkConfig())
    chosen = parse(BenchmarkArguments, "mnas benchmark", arguments, default)
    _run(Benchmark(chosen.config, progress), chosen, tables)


def _run(
    running: Benchmark | InferenceBenchmark,
    chosen: BenchmarkArguments | InferenceArguments,
    tables: Callable[[dict[str, Any]], list[Table]],
) -> None:
    for _ in running.run():
        if chosen.out is not None:
            write(chosen.out, json.dumps(running.result, indent=2, allow_nan=False))
    if chosen.json:
        print(json.dumps(running.result, indent=2, allow_nan=False))
        return
    console = Console(highlight=False, markup=False)
    for table in tables(running.result):
        console.print(table, "")
