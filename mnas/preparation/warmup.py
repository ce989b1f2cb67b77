"""Compiles the blocks of a space's networks ahead, many at a time, into the cache on disk.

Children are chains of blocks (`mnas.training.child`), and a space of 10^12 networks has only hundreds or
thousands of different blocks: a block depends on the choices of its own stage, and on nothing
before that but how many pixels and filters come in. Each can be compiled by itself, by worker
processes with the very settings that those of a search have; a search then compiles nothing.

What is compiled stays on disk, block by block, so a warm-up that was stopped goes on for nothing.
"""

import concurrent.futures
import contextlib
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import jax

from mnas.architecture.architecture import Architecture
from mnas.engines.config import EngineConfig
from mnas.engines.environment import process_environment
from mnas.preparation.space_blocks import SpaceBlock
from mnas.runtime.cache_repair import cache_mended
from mnas.runtime.compile_stats import Compilations, Recording
from mnas.runtime.machine import available_bytes
from mnas.training.programs import forget_programs

PROCESS_BYTES = 1 << 30  # that a process which compiles may take, generously


class LostWorker(RuntimeError):
    """A process that compiled was killed; the message says what to do."""


# --- compiling ----------------------------------------------------------------------------------


def compile_ahead(
    blocks: Sequence[SpaceBlock],
    evaluator: Any,
    engine: EngineConfig,
    done: Callable[[Compilations], None] = lambda compilations: None,
) -> Compilations:
    """Has worker processes compile these blocks, in order; what they compiled or found in all.

    evaluator   a configuration whose evaluator has `compile_block` and `compile_batches`
    engine      of the search to come: its threads, and how many workers at most
    done        called after each block with what that took

    What goes wrong in compiling is raised here; LostWorker where a process was killed, as the
    system does where memory runs out. No more processes are started than there is memory for.
    """
    workers = max(1, (os.cpu_count() or 1) // engine.threads)
    if engine.gpus_per_worker:  # this machine's first one compiles for all like it
        workers = max(1, int(1 / engine.gpus_per_worker))
    workers = min(workers, engine.workers or workers, len(blocks))
    workers = max(1, min(workers, available_bytes() // PROCESS_BYTES))
    resolutions = {block.architecture.resolution: block.architecture for block in blocks}
    total = Compilations()
    try:
        with process_environment(engine), _pool(workers, evaluator) as pool:
            waiting = [pool.submit(_compile_batches, network) for network in resolutions.values()]
            waiting += [pool.submit(_compile_block, block) for block in blocks]
            kept = set(waiting[len(resolutions) :])
            for future in concurrent.futures.as_completed(waiting):
                compilations = future.result()
                total += compilations
                if future in kept:
                    done(compilations)
    except BrokenProcessPool:
        raise LostWorker(
            f"one of {workers} processes that compile was killed, most likely for want of memory "
            f"({available_bytes() / 2**30:.1f} GiB are free now); what was compiled is kept, and "
            f"the same command goes on, with --engine.workers {max(1, workers // 2)} in less memory"
        ) from None
    return total


@contextlib.contextmanager
def _pool(workers: int, evaluator: Any) -> Iterator[concurrent.futures.Executor]:
    """Processes that compile; what has not begun when something goes wrong never does."""
    context = multiprocessing.get_context("spawn")  # JAX doesn't survive a fork
    with concurrent.futures.ProcessPoolExecutor(workers, context, _start, (evaluator,)) as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _start(evaluator: Any) -> None:
    # Ctrl-C is for the process that waits; a block that is under way gets into the cache.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    global _evaluator
    _evaluator = evaluator.build()


def _compile_batches(architecture: Architecture) -> Compilations:
    return _recorded(_evaluator.compile_batches, architecture)


def _compile_block(block: SpaceBlock) -> Compilations:
    return _recorded(_evaluator.compile_block, block.architecture, block.index)


def _recorded(compile_part: Callable[..., None], *arguments: Any) -> Compilations:
    recording = Recording()
    with cache_mended():
        compile_part(*arguments)
    forget_programs()  # what is on disk isn't needed in memory
    jax.clear_caches()
    return recording.compilations
