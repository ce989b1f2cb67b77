"""Time the blocks of a space into a latency table, in a process with a search worker's settings.

One process times one block at a time, whatever the engine: measurements in parallel would disturb
each other.
"""

import concurrent.futures
import contextlib
import datetime
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import jax

from mnas.architecture.architecture import Architecture
from mnas.architecture.signatures import signatures
from mnas.engines.config import EngineConfig
from mnas.engines.environment import pinned_cores, process_environment
from mnas.errors import RunFailure
from mnas.evaluators.latency_table import LatencyTable
from mnas.files import locked_directory
from mnas.preparation import timing
from mnas.preparation.space_blocks import SpaceBlock
from mnas.runtime.cache_repair import repaired_cache
from mnas.runtime.machine import available_bytes, machine
from mnas.runtime.pinning import allowed_cores, pin
from mnas.runtime.process_pool import process_pool
from mnas.training.programs import forget_programs


def measure_blocks(
    path: Path,
    blocks: Sequence[SpaceBlock],
    engine: EngineConfig,
    done: Callable[[], None] = lambda: None,
) -> LatencyTable:
    """Return the table in the file `path`, new or continued, after adding the missing `blocks`.

    engine  threads and pinning of the process
    done    called after each block, also after those that the table had

    The table's directory is locked, since measurements in parallel would disturb each other.
    Raises: UsageError for a table of another device, thread count, batch or JAX version, or for a
    directory that can't be written or where another process measures; RunFailure as
    `measuring_process`.
    """
    directory = locked_directory(path.parent, "is measuring in this directory", file=path.name)
    with directory, measuring_process(engine) as pool:
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
                measured = pool.submit(_block_ms, block.architecture, block.index).result()
                table.add(signature, max(0.0, measured - table.head["call_ms"]))
            done()
    return table


def measure_networks(
    architectures: Sequence[Architecture], engine: EngineConfig
) -> Iterator[float]:
    """Yield the latency of each network, compiled as one program, in milliseconds."""
    with measuring_process(engine) as pool:
        for architecture in architectures:
            yield pool.submit(_network_ms, architecture).result()


@contextlib.contextmanager
def measuring_process(engine: EngineConfig) -> Iterator[concurrent.futures.Executor]:
    """Start one process with the environment and the pinning of a search worker.

    Raises: RunFailure where the process is killed within the context.
    """
    try:
        with (
            process_environment(engine),
            process_pool(1, _initialize, pinned_cores(engine)) as pool,
        ):
            yield pool
    except BrokenProcessPool:
        raise RunFailure(
            "the process that measures was killed, probably for lack of memory "
            f"({available_bytes() / 2**30:.1f} GiB are free now)"
        ) from None


def _initialize(cores: int) -> None:
    if cores:
        pin(cores)
    # Asynchronous dispatch computes in a thread of XLA, and waiting for it takes longer than a
    # small block.
    jax.config.update("jax_cpu_enable_async_dispatch", False)


def _device() -> str:
    device = jax.devices()[0]
    return machine(allowed_cores())["processor"] if device.platform == "cpu" else device.device_kind


def _block_ms(architecture: Architecture, index: int) -> float:
    with repaired_cache():
        milliseconds = timing.block_ms(architecture, index)
    forget_programs()
    return milliseconds


def _network_ms(architecture: Architecture) -> float:
    with repaired_cache():
        milliseconds = timing.network_ms(architecture)
    jax.clear_caches()
    return milliseconds
