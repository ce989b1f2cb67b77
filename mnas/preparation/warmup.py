"""Compile the blocks of a space in parallel processes, into the cache on disk.

The processes have the settings of a search's workers, so that a search afterwards compiles nothing.
Every compiled block is written at once; an interrupted warm-up continues where it stopped.
"""

import concurrent.futures
from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import cast

import jax

from mnas.architecture.architecture import Architecture
from mnas.engines.config import EngineConfig
from mnas.engines.environment import process_environment
from mnas.errors import RunFailure
from mnas.evaluation import BlockCompiler, EvaluatorConfig
from mnas.preparation.space_blocks import SpaceBlock
from mnas.runtime.cache_repair import repaired_cache
from mnas.runtime.compile_stats import Compilations, Recording
from mnas.runtime.machine import available_bytes
from mnas.runtime.pinning import usable_cores
from mnas.runtime.process_pool import process_pool
from mnas.training.programs import forget_programs

PROCESS_BYTES = 1 << 30  # upper bound of the memory of a compiling process


class LostWorker(RunFailure):
    """A compiling process was killed; compiled blocks are kept."""


def compile_ahead(
    blocks: Sequence[SpaceBlock],
    evaluator: EvaluatorConfig,
    engine: EngineConfig,
    done: Callable[[Compilations], None] = lambda compilations: None,
) -> Compilations:
    """Compile `blocks` in worker processes, in this order, and return the totals.

    evaluator  configuration of a `mnas.evaluation.BlockCompiler`
    engine     engine of the later search: its threads, and the maximum of processes
    done       called after each block, with the compilations of that block

    Starts no more processes than fit into the available memory. Raises: the exception of a failed
    compilation; `LostWorker` where a process was killed, for example for lack of memory.
    """
    workers = _process_count(engine, len(blocks))
    by_resolution = {block.architecture.resolution: block.architecture for block in blocks}
    total = Compilations()
    try:
        with process_environment(engine), process_pool(workers, _initialize, evaluator) as pool:
            batches = [pool.submit(_compile_batches, network) for network in by_resolution.values()]
            block_futures = {pool.submit(_compile_block, block) for block in blocks}
            for future in concurrent.futures.as_completed([*batches, *block_futures]):
                compilations = future.result()
                total += compilations
                if future in block_futures:
                    done(compilations)
    except BrokenProcessPool:
        raise LostWorker(
            f"one of {workers} compiling processes was killed, probably for lack of memory "
            f"({available_bytes() / 2**30:.1f} GiB are free now); --engine.workers "
            f"{max(1, workers // 2)} needs less memory"
        ) from None
    return total


def _process_count(engine: EngineConfig, blocks: int) -> int:
    """Return how many processes to start for a number of blocks."""
    # Programs are compiled for one GPU of this machine.
    share = engine.gpu_share
    workers = int(1 / share) if share else usable_cores() // engine.threads
    workers = min(max(1, workers), engine.workers or blocks, blocks)
    return max(1, min(workers, available_bytes() // PROCESS_BYTES))


# The evaluator of a compiling process: its configuration, and itself once it is built.
_config: EvaluatorConfig
_built: BlockCompiler | None


def _initialize(config: EvaluatorConfig) -> None:
    global _config, _built
    _config, _built = config, None


def _evaluator() -> BlockCompiler:
    """Build the evaluator at the first task, whose future has the exception that `build` raises.

    One that is raised in `_initialize` would break the pool, as a killed process does.
    """
    global _built
    if _built is None:
        _built = cast(BlockCompiler, _config.build())
    return _built


def _compile_batches(architecture: Architecture) -> Compilations:
    evaluator = _evaluator()
    return _recorded(lambda: evaluator.compile_batches(architecture))


def _compile_block(block: SpaceBlock) -> Compilations:
    evaluator = _evaluator()
    return _recorded(lambda: evaluator.compile_block(block.architecture, block.index))


def _recorded(compile_part: Callable[[], None]) -> Compilations:
    recording = Recording()
    with repaired_cache():
        compile_part()
    forget_programs()  # the programs are on disk; release their memory
    jax.clear_caches()
    return recording.compilations
