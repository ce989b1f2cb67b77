"""Fills a table of latencies, and checks it: by a process with the settings of a search's workers.

One process and one block at a time, whatever the engine: measurements side by side would disturb
each other.
"""

import concurrent.futures
import contextlib
import datetime
import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import jax

from mnas.architecture.architecture import Architecture
from mnas.architecture.signatures import signatures
from mnas.engines.config import EngineConfig
from mnas.engines.environment import pinned_cores, process_environment
from mnas.evaluators.latency_table import LatencyTable
from mnas.preparation import timing
from mnas.preparation.space_blocks import SpaceBlock
from mnas.runtime.cache_repair import cache_mended
from mnas.runtime.machine import machine
from mnas.runtime.pinning import allowed_cores, pin
from mnas.training.programs import forget_programs


def fill(
    path: Path,
    blocks: Sequence[SpaceBlock],
    engine: EngineConfig,
    done: Callable[[], None] = lambda: None,
) -> LatencyTable:
    """The table in `path` with all these blocks; those that it has already are not timed again."""
    with _process(engine) as pool:
        device = pool.submit(_device).result()
        head = {
            "device": device,
            "threads": engine.threads,
            "batch": 1,
            "versions": {"jax": jax.__version__},
            "date": datetime.date.today().isoformat(),
        }
        table = LatencyTable.open(path, head)
        if "call_ms" not in table.head:
            table.head["call_ms"] = pool.submit(timing.call_ms).result()
            table.write()
        for block in blocks:
            signature = signatures(block.architecture)[block.index]
            if signature not in table.blocks:
                found = pool.submit(_block_ms, block.architecture, block.index).result()
                table.add(signature, max(0.0, found - table.head["call_ms"]))
            done()
    return table


def wholes(
    architectures: Sequence[Architecture], engine: EngineConfig
) -> Iterator[tuple[Architecture, float]]:
    """Each network with its measured latency, compiled whole, in milliseconds."""
    with _process(engine) as pool:
        for architecture in architectures:
            yield architecture, pool.submit(_network_ms, architecture).result()


@contextlib.contextmanager
def _process(engine: EngineConfig) -> Iterator[concurrent.futures.Executor]:
    """One process of a search's environment, that measures; on cores of its own, as workers are."""
    context = multiprocessing.get_context("spawn")  # JAX doesn't survive a fork
    with (
        process_environment(engine),
        concurrent.futures.ProcessPoolExecutor(1, context, _begin, (pinned_cores(engine),)) as pool,
    ):
        yield pool


def _begin(cores: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that waits
    if cores:
        pin(cores)
    # Else a thread of XLA's computes, and waking it up and being woken costs more than a block.
    jax.config.update("jax_cpu_enable_async_dispatch", False)


def _device() -> str:
    device = jax.devices()[0]
    return machine(allowed_cores())["processor"] if device.platform == "cpu" else device.device_kind


def _block_ms(architecture: Architecture, index: int) -> float:
    with cache_mended():
        found = timing.block_ms(architecture, index)
    forget_programs()
    return found


def _network_ms(architecture: Architecture) -> float:
    with cache_mended():
        found = timing.network_ms(architecture)
    jax.clear_caches()
    return found
