"""`mnas search --warm-up` and `--latency-table`: compile or time the blocks of a space.

Both keep what they have done when they are stopped; the same command then continues.
"""

import dataclasses
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from mnas.cli.arguments import parse
from mnas.cli.command import stop_advice
from mnas.cli.named_experiment import (
    described,
    exchange,
    parts_description,
    with_classes_of_data,
)
from mnas.cli.named_words import Named
from mnas.errors import UsageError, rejected, require_whole
from mnas.evaluation import BlockCompiler
from mnas.experiment import registry, run
from mnas.experiment.automatic import resolved
from mnas.experiment.settings import Experiment
from mnas.preparation.latency import measure_blocks, measure_networks
from mnas.preparation.latency_check import write_check
from mnas.preparation.space_blocks import space_blocks
from mnas.preparation.warmup import compile_ahead
from mnas.reports.terminal import plain_console
from mnas.reports.time_left import TimeLeftColumn
from mnas.runtime.cache_directory import compilation_cache


@dataclasses.dataclass(frozen=True)
class WarmUpArguments:
    """Settings of an experiment and the number of blocks to compile."""

    experiment: Annotated[Experiment, tyro.conf.arg(name="")]
    blocks: int | None = None
    """Blocks to compile, the most frequent ones first; None: all."""

    def __post_init__(self) -> None:
        if self.blocks is not None:
            require_whole("warm-up", "blocks", self.blocks)


@dataclasses.dataclass(frozen=True)
class LatencyArguments:
    """Settings of an experiment and the check of its latency table."""

    experiment: Annotated[Experiment, tyro.conf.arg(name="")]
    networks: int = 0
    """Random networks to time as a whole, to check how well the table predicts them."""

    def __post_init__(self) -> None:
        if self.networks < 0 or self.networks == 1:
            raise rejected("latency-table", "networks", self.networks, "0, or at least 2")


def warm_up(words: Named) -> None:
    """Compile the blocks of an experiment's space into the cache on disk.

    Raises: UsageError where the experiment's evaluator compiles no blocks.
    """
    experiment, flags = exchange(words.experiment(), words.flags)
    name = experiment.name
    arguments = parse(
        WarmUpArguments,
        f"mnas search --warm-up {name}",
        flags,
        WarmUpArguments(experiment),
        described(
            f"Compile the blocks of the space of {name} into the cache on disk, without a search.",
            f"mnas search --warm-up {name} --blocks 100",
        )
        + f"\n\n{parts_description()}",
    )
    experiment = with_classes_of_data(arguments.experiment, flags, words.config)
    console = plain_console(stderr=True)
    run.check(experiment)
    experiment = resolved(experiment)
    if not isinstance(experiment.evaluator.build(), BlockCompiler):
        evaluator = registry.name_of("evaluator", experiment.evaluator)
        raise UsageError(
            f"--warm-up: evaluator = {evaluator} trains no networks block by block; accepted: "
            "--evaluator proxy --evaluator.program blocks"
        )
    all_blocks, complete = space_blocks(experiment.space.build())
    blocks = all_blocks[: arguments.blocks]
    console.print(
        f"{experiment.name}: {len(all_blocks):,}{'' if complete else ' or more'} distinct blocks; "
        f"compiling {len(blocks):,}, which are {sum(block.frequency for block in blocks):.0%} of "
        "the blocks of random networks",
        soft_wrap=True,
    )
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("blocks"), TimeLeftColumn())
    start = time.perf_counter()
    with (
        stop_advice("compiled blocks are kept, and the same command continues"),
        Progress(*columns, console=console, disable=not console.is_terminal) as bar,
    ):
        task = bar.add_task("", total=len(blocks))
        total = compile_ahead(
            blocks, experiment.evaluator, experiment.engine, lambda _: bar.advance(task)
        )
    console.print(
        f"{total.compiles:,} programs compiled in {time.perf_counter() - start:.0f} s, "
        f"{total.cache_reads:,} were in {compilation_cache()}",
        soft_wrap=True,
    )


def latency_table(path: Path, words: Named) -> None:
    """Time the blocks of an experiment's space into the table `path`."""
    experiment, flags = exchange(words.experiment(), words.flags)
    name = experiment.name
    arguments = parse(
        LatencyArguments,
        f"mnas search --latency-table {path} {name}",
        flags,
        LatencyArguments(experiment),
        described(
            f"Time the blocks of the space of {name} on this device, without a search.",
            f"mnas search --latency-table {path} {name} --networks 50",
        )
        + f"\n\n{parts_description()}",
    )
    experiment = with_classes_of_data(arguments.experiment, flags, words.config)
    console = plain_console(stderr=True)
    run.check(experiment)
    space = experiment.space.build()
    blocks, complete = space_blocks(space)
    if not complete:
        console.print(f"{experiment.name}: too many blocks to enumerate; timing the most frequent")
    rng = np.random.default_rng(0)
    networks = [space.decode(space.sample(rng)) for _ in range(arguments.networks)]
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with (
        stop_advice("timed blocks are kept, and the same command continues"),
        Progress(
            *columns, TimeLeftColumn(), console=console, disable=not console.is_terminal
        ) as bar,
    ):
        task = bar.add_task("blocks", total=len(blocks))
        table = measure_blocks(path, blocks, experiment.engine, lambda: bar.advance(task))
        measured = []
        if networks:
            task = bar.add_task("networks", total=len(networks))
            for milliseconds in measure_networks(networks, experiment.engine):
                measured.append(milliseconds)
                bar.advance(task)
    console.print(f"written: {path}, {len(table.blocks):,} blocks", soft_wrap=True)
    if networks:
        check_result = write_check(table, networks, measured)
        console.print(
            f"{len(measured)} random networks: Kendall τ {check_result.kendall:.3f}, "
            f"R² {check_result.r2:.3f}, mean error {check_result.mean_error:.1%}; "
            f"written: {path.stem}-check.json, {path.stem}-check.png",
            soft_wrap=True,
        )
