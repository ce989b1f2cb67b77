"""What `search.py` does ahead of a search: blocks are compiled, or timed. Both resume."""

import dataclasses
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mnas.engines.environment import compilation_cache
from mnas.errors import UsageError
from mnas.evaluation import BlockCompiler
from mnas.experiment import registry
from mnas.experiment.settings import Experiment
from mnas.preparation.latency import fill, wholes
from mnas.preparation.latency_check import write_check
from mnas.preparation.space_blocks import space_blocks
from mnas.preparation.warmup import LostWorker, compile_ahead


@dataclasses.dataclass(frozen=True)
class WarmUpArguments:
    """An experiment's settings and how much of its space is compiled."""

    experiment: Annotated[Experiment, tyro.conf.arg(name="")]
    blocks: int | None = None
    """Only so many blocks, those that networks use most; all where not given."""

    def __post_init__(self) -> None:
        if self.blocks is not None and self.blocks < 1:
            raise UsageError(f"blocks = {self.blocks}; accepted: at least 1")


@dataclasses.dataclass(frozen=True)
class LatencyArguments:
    """An experiment's settings and how its table of latencies is checked."""

    experiment: Annotated[Experiment, tyro.conf.arg(name="")]
    networks: int = 0
    """Also time so many random networks whole, and say how well the table predicts them."""

    def __post_init__(self) -> None:
        if self.networks < 0 or self.networks == 1:
            raise UsageError(f"networks = {self.networks}; accepted: 0, or at least 2")


def warm_up(chosen: WarmUpArguments) -> int:
    """Compiles blocks of the experiment's children into the cache on disk; the exit status.

    Raises UsageError if the experiment's evaluator compiles no blocks.
    """
    experiment, console = chosen.experiment, Console(stderr=True, highlight=False)
    if not isinstance(experiment.evaluator.build(), BlockCompiler):
        name = registry.name_of("evaluator", experiment.evaluator)
        raise UsageError(
            f"--warm-up: evaluator = {name} trains no networks; accepted: --evaluator proxy"
        )
    found, complete = space_blocks(experiment.space.build())
    blocks = found[: chosen.blocks]
    console.print(
        f"{experiment.name}: {len(found):,} different blocks{'' if complete else ' at least'}, "
        f"of which {len(blocks):,} make {sum(block.uses for block in blocks):.0%} of a network; "
        "those used most come first",
        soft_wrap=True,
    )
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("blocks"), TimeRemainingColumn())
    begun = time.perf_counter()
    try:
        with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
            task = bar.add_task("", total=len(blocks))
            total = compile_ahead(
                blocks, experiment.evaluator, experiment.engine, lambda _: bar.advance(task)
            )
    except KeyboardInterrupt:
        console.print("stopped; what was compiled is kept, and the same command goes on")
        return 130
    except LostWorker as lost:
        console.print(f"search.py: {lost}", soft_wrap=True)
        return 1
    console.print(
        f"{total.compiles:,} programs compiled in {time.perf_counter() - begun:.0f} s, "
        f"{total.cache_reads:,} were in {compilation_cache()}",
        soft_wrap=True,
    )
    return 0


def time_blocks(path: Path, chosen: LatencyArguments) -> int:
    """Times the blocks of the experiment's children into the table `path`; the exit status."""
    experiment, console = chosen.experiment, Console(stderr=True, highlight=False)
    space = experiment.space.build()
    blocks, complete = space_blocks(space)
    if not complete:
        console.print(f"{experiment.name}: more blocks than can be enumerated; the likeliest only")
    rng = np.random.default_rng(0)
    networks = [space.decode(space.sample(rng)) for _ in range(chosen.networks)]
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    try:
        with Progress(
            *columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal
        ) as bar:
            task = bar.add_task("blocks", total=len(blocks))
            table = fill(path, blocks, experiment.engine, lambda: bar.advance(task))
            task = bar.add_task("networks", total=len(networks))
            measured = []
            for found in wholes(networks, experiment.engine) if networks else ():
                measured.append(found)
                bar.advance(task)
    except KeyboardInterrupt:
        console.print("stopped; blocks that were timed are kept, and the same command goes on")
        return 130
    console.print(f"written: {path}, {len(table.blocks):,} blocks", soft_wrap=True)
    if measured:
        check = write_check(table, measured)
        console.print(
            f"{len(measured)} random networks: Kendall τ {check.kendall:.3f}, R² {check.r2:.3f}, "
            f"mean error {check.mean_error:.1%}; beside it: {path.stem}-check.json, .png",
            soft_wrap=True,
        )
    return 0
