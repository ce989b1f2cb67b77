"""`mnas benchmark`: speed on this machine, beside other frameworks."""

import dataclasses
import json
from collections.abc import Callable
from typing import Annotated, Any

import tyro
from rich.table import Table

from mnas.benchmark.config import QUICK, BenchmarkConfig
from mnas.benchmark.inference import InferenceBenchmark, InferenceConfig
from mnas.benchmark.progress import BenchmarkProgress
from mnas.benchmark.table import inference_tables, training_tables
from mnas.benchmark.training import Benchmark
from mnas.cli.arguments import parse, write_output
from mnas.reports.terminal import plain_console


@dataclasses.dataclass(frozen=True)
class BenchmarkArguments:
    """Measure the speed of proxy training on this machine's CPU, beside other frameworks.

    With --inference, measure inference of published networks: mnas benchmark --inference --help.

    Example: mnas benchmark --quick
    """

    config: Annotated[BenchmarkConfig, tyro.conf.arg(name="")] = BenchmarkConfig()
    quick: bool = False
    """Small sample sizes: minutes, with rough figures. Other flags override them."""
    json: bool = False
    """Print one JSON object."""
    out: str | None = None
    """File for the same JSON object, rewritten with all figures so far after each phase."""


@dataclasses.dataclass(frozen=True)
class InferenceArguments:
    """Measure inference of published networks on this machine's CPU, beside PyTorch.

    Example: mnas benchmark --inference --torch-python ~/torch/bin/python
    """

    config: Annotated[InferenceConfig, tyro.conf.arg(name="")] = InferenceConfig()
    json: bool = False
    """Print one JSON object."""
    out: str | None = None
    """File for the same JSON object, rewritten with all figures so far after each network."""


def main(arguments: list[str]) -> None:
    """Run `mnas benchmark`."""
    progress = BenchmarkProgress(plain_console(stderr=True))
    if "--inference" in arguments:
        rest = [word for word in arguments if word != "--inference"]
        inference = parse(InferenceArguments, "mnas benchmark --inference", rest)
        _run(InferenceBenchmark(inference.config, progress), inference, inference_tables)
        return
    default = BenchmarkArguments(QUICK if "--quick" in arguments else BenchmarkConfig())
    training = parse(BenchmarkArguments, "mnas benchmark", arguments, default)
    _run(Benchmark(training.config, progress), training, training_tables)


def _run(
    benchmark: Benchmark | InferenceBenchmark,
    options: BenchmarkArguments | InferenceArguments,
    tables: Callable[[dict[str, Any]], list[Table]],
) -> None:
    for _ in benchmark.run():
        if options.out is not None:
            write_output(options.out, json.dumps(benchmark.result, indent=2, allow_nan=False))
    if options.json:
        print(json.dumps(benchmark.result, indent=2, allow_nan=False))
        return
    console = plain_console()
    for table in tables(benchmark.result):
        console.print(table, "")
